//! The cookies that an app sets during redirects.

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

/// A cookie jar: cookies with their values, as a browser would send them back to the app.
#[derive(Default)]
pub(super) struct CookieJar(Vec<(Vec<u8>, Vec<u8>)>);

impl CookieJar {
    /// Stores the cookies of a response. An existing cookie gets the new value.
    pub(super) fn take(&mut self, headers: &HeaderMap) {
        for field in headers.get_all(SET_COOKIE) {
            let pair = field.as_bytes().split(|byte| *byte == b';').next();
            let pair = pair.unwrap_or_default();
            let equals = pair.iter().position(|byte| *byte == b'=');
            let Some((name, value)) = equals.map(|at| (&pair[..at], &pair[at + 1..])) else {
                continue;
            };
            let (name, value) = (name.trim_ascii(), value.trim_ascii());
            self.0.retain(|(other, _)| other != name);
            if self.0.len() < MOST && !name.is_empty() {
                self.0.push((name.to_vec(), value.to_vec()));
            }
        }
    }

    /// The value of the `Cookie` header, if there are any cookies.
    pub(super) fn field(&self) -> Option<HeaderValue> {
        let pairs = self.0.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| [name, &b"="[..], value].concat())
            .collect();
        let field = HeaderValue::from_bytes(&pairs.join(&b"; "[..])).ok();
        field.filter(|_| !pairs.is_empty())
    }
}

/// The most cookies, about as many as browsers keep per domain.
const MOST: usize = 150;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_has_the_value_that_was_set_last() {
        let mut jar = CookieJar::default();
        assert_eq!(jar.field(), None);
        let mut headers = HeaderMap::new();
        for field in ["a=1; Path=/", "b=2", "a = 3;HttpOnly", "none", "=4"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(field));
        }
        jar.take(&headers);
        assert_eq!(jar.field().unwrap(), "b=2; a=3");
    }
}

//! Parses a `Set-Cookie` field as browsers do (RFC 6265 section 5.2), without keeping the cookie's value.

use session::UnixTime;

/// A cookie that an app sets. Only the length of its value is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SetCookie {
    pub(super) name: String,
    /// The length of the value, in bytes.
    pub(super) value_len: usize,
    /// The domain in lower case, without a leading dot.
    pub(super) domain: Option<String>,
    pub(super) path: Option<String>,
    /// The `Max-Age`, in seconds.
    pub(super) max_age: Option<i64>,
    pub(super) expires: Option<UnixTime>,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    /// The `SameSite`, in lower case.
    pub(super) same_site: Option<String>,
}

impl SetCookie {
    /// Reads a field's value; `None` if browsers would ignore it.
    pub(super) fn parse(field: &[u8]) -> Option<Self> {
        let field = String::from_utf8_lossy(field);
        let mut parts = field.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let name = name.trim();
        if name.is_empty() {
            return None;
        }
        let mut cookie = Self {
            name: name.to_owned(),
            value_len: value.trim().len(),
            ..Self::default()
        };
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            cookie.attribute(&name.trim().to_ascii_lowercase(), value.trim());
        }
        Some(cookie)
    }

    fn attribute(&mut self, name: &str, value: &str) {
        match name {
            "domain" if !value.is_empty() => {
                let domain = value.strip_prefix('.').unwrap_or(value);
                self.domain = Some(domain.to_ascii_lowercase());
            }
            "path" => self.path = Some(value.to_owned()).filter(|path| path.starts_with('/')),
            "max-age" => self.max_age = value.parse().ok().or(self.max_age),
            "expires" => self.expires = date(value).or(self.expires),
            "secure" => self.secure = true,
            "httponly" => self.http_only = true,
            "samesite" => self.same_site = Some(value.to_ascii_lowercase()),
            _ => {}
        }
    }

    /// Its lifetime in seconds from `now`; `None` for a cookie that ends with the browser session.
    pub(super) fn lifetime(&self, now: UnixTime) -> Option<i64> {
        let until = self.expires.map(|expires| seconds(expires) - seconds(now));
        self.max_age.or(until)
    }

    /// Whether it deletes a cookie.
    pub(super) fn is_removal(&self, now: UnixTime) -> bool {
        self.value_len == 0 || self.lifetime(now).is_some_and(|seconds| seconds <= 0)
    }

    /// The length of name and value, in bytes.
    pub(super) fn len(&self) -> usize {
        self.name.len() + self.value_len
    }
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.secs()).unwrap_or(i64::MAX)
}

/// Parses an HTTP date (RFC 9110 section 5.6.7), or the old form with hyphens between day, month and year.
pub(super) fn date(text: &str) -> Option<UnixTime> {
    let text = text.trim().trim_matches('"');
    let (day, rest) = text.split_once(',')?;
    let zoned = jiff::fmt::rfc2822::parse(&format!("{day},{}", rest.replace('-', " "))).ok()?;
    let seconds = u64::try_from(zoned.timestamp().as_second()).ok();
    // A date before 1970 deletes a cookie.
    Some(UnixTime::from_secs(seconds.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_browsers_do() {
        let cookie = SetCookie::parse(
            b"a.b=c=d; domain=.Example.com; PATH=/x; Max-Age=60; Expires=Wed, 21 Oct 2015 07:28:00 GMT; secure ; \
              httpOnly; SameSite=Lax; Priority=High",
        );
        let expected = SetCookie {
            name: "a.b".to_owned(),
            value_len: 3,
            domain: Some("example.com".to_owned()),
            path: Some("/x".to_owned()),
            max_age: Some(60),
            expires: Some(UnixTime::from_secs(1_445_412_480)),
            secure: true,
            http_only: true,
            same_site: Some("lax".to_owned()),
        };
        assert_eq!(cookie.as_ref(), Some(&expected));
        for ignored in ["", "a", "=b", " ; Secure"] {
            assert_eq!(SetCookie::parse(ignored.as_bytes()), None, "{ignored}");
        }
    }

    #[test]
    fn max_age_comes_before_expires() {
        let now = UnixTime::from_secs(1_445_412_480);
        for (attributes, lifetime) in [
            ("", None),
            (
                "; Max-Age=60; Expires=Wed, 21 Oct 2015 08:28:00 GMT",
                Some(60),
            ),
            ("; Expires=Wed, 21 Oct 2015 08:28:00 GMT", Some(3600)),
            ("; Expires=Wed, 21-Oct-2015 08:28:00 GMT", Some(3600)),
            (
                "; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                Some(-1_445_412_480),
            ),
            ("; Expires=tomorrow", None),
        ] {
            let cookie = SetCookie::parse(format!("a=b{attributes}").as_bytes()).unwrap();
            assert_eq!(cookie.lifetime(now), lifetime, "{attributes}");
        }
    }

    #[test]
    fn cookie_value_is_not_stored() {
        let cookie = SetCookie::parse(b"a=hidden; Secure").unwrap();
        assert!(!format!("{cookie:?}").contains("hidden"));
    }
}

//! CORS: lets scripts of listed origins read the gate's refusals, and answers their preflights (Fetch standard, §3.3).
//!
//! The CORS headers of a service's answers are left as they are.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::config::AllowedOrigin;

/// The origins whose pages may read the gate's refusals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cors<'o>(pub(crate) &'o [AllowedOrigin]);

impl Cors<'_> {
    /// Adds the headers that let a page of a listed origin read this answer.
    pub(crate) fn add_headers(self, request_headers: &HeaderMap, answer: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        // Added for origins that are not listed too, so that no cache serves this answer to a listed one.
        answer.append(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = self.listed(request_headers) {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }

    /// The answer to a preflight of a listed origin; `None` for every other request.
    ///
    /// It permits everything that the preflight asks for: the request that follows is decided like any other.
    pub(crate) fn preflight(
        self,
        method: &Method,
        request_headers: &HeaderMap,
    ) -> Option<Response<Bytes>> {
        if self.0.is_empty() || *method != Method::OPTIONS {
            return None;
        }
        let wanted = request_headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        let origin = self.listed(request_headers)?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        headers.insert(VARY, VARIES);
        if Method::from_bytes(wanted.as_bytes()).is_ok() {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, wanted.clone());
        }
        let names = request_headers.get(ACCESS_CONTROL_REQUEST_HEADERS);
        if let Some(names) = names.filter(|names| is_list_of_names(names)) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        Some(response)
    }

    /// The origin of a request, if there is exactly one and it is listed.
    fn listed(self, request_headers: &HeaderMap) -> Option<&HeaderValue> {
        let mut origins = request_headers.get_all(ORIGIN).iter();
        let origin = origins.next().filter(|_| origins.next().is_none())?;
        self.0
            .iter()
            .any(|allowed| allowed.matches(origin))
            .then_some(origin)
    }
}

/// Whether the value is a list of field names, separated by commas (RFC 9110 §5.6.2).
fn is_list_of_names(value: &HeaderValue) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~, ".contains(&byte);
    value.as_bytes().iter().copied().all(is_name)
}

const TRUE: HeaderValue = HeaderValue::from_static("true");
const EXPOSED: HeaderValue =
    HeaderValue::from_static("X-Request-Id, WWW-Authenticate, Retry-After");
const VARIES: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
);

/// In seconds. Chromium keeps such an answer for two hours at most; a shortened list should take effect sooner.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> [AllowedOrigin; 1] {
        ["https://app.example.com"].map(|origin| AllowedOrigin::parse(origin).unwrap())
    }

    fn request_headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_listed_origins_may_read_answers() {
        for origins in [
            &["https://app.example.com.evil.example"][..],
            &["https://APP.example.com"],
            &["http://app.example.com"],
            &["null"],
            &["https://app.example.com", "https://app.example.com"],
            &[],
        ] {
            let pairs: Vec<_> = origins.iter().map(|origin| ("origin", *origin)).collect();
            let mut answer = HeaderMap::new();
            Cors(&listed()).add_headers(&request_headers(&pairs), &mut answer);
            assert_eq!(answer.len(), 1, "{origins:?}");
            assert_eq!(answer[VARY], "Origin");
        }
        let mut answer = HeaderMap::new();
        Cors(&listed()).add_headers(
            &request_headers(&[("origin", "https://app.example.com")]),
            &mut answer,
        );
        assert_eq!(
            answer[ACCESS_CONTROL_ALLOW_ORIGIN],
            "https://app.example.com"
        );
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        let mut answer = HeaderMap::new();
        Cors(&[]).add_headers(
            &request_headers(&[("origin", "https://app.example.com")]),
            &mut answer,
        );
        assert!(answer.is_empty());
    }

    #[test]
    fn a_preflight_is_answered_with_what_it_asks_for() {
        let origin = ("origin", "https://app.example.com");
        let method = ("access-control-request-method", "DELETE");
        let names = ("access-control-request-headers", "content-type,x-csrf");
        let answer = Cors(&listed())
            .preflight(&Method::OPTIONS, &request_headers(&[origin, method, names]))
            .unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_METHODS], "DELETE");
        assert_eq!(
            answer.headers()[ACCESS_CONTROL_ALLOW_HEADERS],
            "content-type,x-csrf"
        );
        for (method, pairs) in [
            (Method::OPTIONS, &[origin][..]),
            (Method::OPTIONS, &[method]),
            (Method::GET, &[origin, method]),
            (
                Method::OPTIONS,
                &[("origin", "https://evil.example"), method],
            ),
        ] {
            assert!(
                Cors(&listed())
                    .preflight(&method, &request_headers(pairs))
                    .is_none(),
                "{method} {pairs:?}"
            );
        }
    }
}

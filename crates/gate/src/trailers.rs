//! Trailers of a request: the fields that a client sends after its body (RFC 9110 §6.5).
//!
//! The decision does not see them, and some services merge them into the fields of the head. So a trailer is not forwarded if it
//! would be removed from the head, or if we write that field there.

use http::HeaderMap;

use crate::Hygiene;
use crate::hygiene::normal_form;

impl Hygiene {
    /// Returns the trailers that may be forwarded, from any peer: all except those that claim an identity, describe the original
    /// request, or belong in a head (RFC 9110 §6.5.1), in any spelling that a service may fold into one of these.
    pub fn trailers(&self, received: &HeaderMap) -> HeaderMap {
        let may_be_forwarded = |name: &str| {
            let normal = normal_form(name);
            let belongs_into_head = HEAD_ONLY.contains(&&*normal)
                || HEAD_ONLY_PREFIXES
                    .iter()
                    .any(|start| normal.starts_with(start));
            !belongs_into_head && !self.is_unwanted(name, false)
        };
        let fields = received
            .iter()
            .filter(|(name, _)| may_be_forwarded(name.as_str()));
        let fields = fields.map(|(name, value)| (name.clone(), value.clone()));
        let mut trailers = HeaderMap::new();
        fields.for_each(|(name, value)| _ = trailers.append(name, value));
        trailers
    }
}

/// Fields that belong in a head, in normal form: framing, the connection, the host, credentials, fields that the decision looks
/// at, and fields that a gate writes.
const HEAD_ONLY: [&str; 24] = [
    "accept-encoding",
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "cookie2",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "origin",
    "pragma",
    "range",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-request-id",
    "x-requested-with",
];

const HEAD_ONLY_PREFIXES: [&str; 7] = [
    "access-control-",
    "content-",
    "if-",
    "proxy-",
    "sec-",
    "x-forwarded-",
    "x-original-",
];

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_trailers_that_a_head_may_omit_are_forwarded() {
        let bypass = HeaderName::from_static("x-bypass-auth");
        let hygiene = Hygiene::new(&bypass, [], Vec::new());
        let mut trailers = HeaderMap::new();
        for name in [
            "x-checksum",
            "grpc-status",
            "server-timing",
            "x-user-id",
            "x_user_id",
            "x.user.id",
            "x-bypass-auth",
            "x_bypass_auth",
            "authorization",
            "cookie",
            "host",
            "content-length",
            "content_length",
            "content-type",
            "transfer-encoding",
            "x-forwarded-for",
            "x_forwarded_host",
            "forwarded",
            "x-real-ip",
            "sec-fetch-site",
            "origin",
            "if-match",
        ] {
            let name = HeaderName::from_static(name);
            trailers.append(name, HeaderValue::from_static("a"));
        }
        trailers.append("x-checksum", HeaderValue::from_static("b"));
        let mut left: Vec<_> = hygiene
            .trailers(&trailers)
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        left.sort();
        let expected = [
            "grpc-status: a",
            "server-timing: a",
            "x-checksum: a",
            "x-checksum: b",
        ];
        assert_eq!(left, expected);
    }
}

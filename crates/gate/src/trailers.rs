//! Trailers of a request: the fields that a client sends behind its body (RFC 9110 §6.5).
//!
//! Nobody has decided on what they say, and some services merge them into the fields of the head. So nothing travels that the
//! head would have had to leave behind, or that is written there anew.

use http::HeaderMap;

use crate::Hygiene;
use crate::hygiene::normal_form;

impl Hygiene {
    /// What of these trailers may go on. Whoever sent them, none claims an identity, describes the original request, or is a
    /// field that belongs into a head (RFC 9110 §6.5.1), in whatever spelling a service may fold into one.
    pub fn trailers(&self, said: &HeaderMap) -> HeaderMap {
        let may_go_on = |name: &str| {
            let normal = normal_form(name);
            let belongs_into_head = OF_HEADS.contains(&&*normal)
                || OF_HEADS_BEGIN.iter().any(|start| normal.starts_with(start));
            !belongs_into_head && !self.is_unwanted(name, false)
        };
        let fields = said.iter().filter(|(name, _)| may_go_on(name.as_str()));
        let fields = fields.map(|(name, value)| (name.clone(), value.clone()));
        let mut trailers = HeaderMap::new();
        fields.for_each(|(name, value)| _ = trailers.append(name, value));
        trailers
    }
}

/// In normal form: framing, the connection, the host, credentials, what a decision looks at, and what a gate writes anew.
const OF_HEADS: [&str; 24] = [
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

const OF_HEADS_BEGIN: [&str; 7] = [
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
    fn only_what_a_head_may_leave_out_goes_on() {
        let bypass = HeaderName::from_static("x-bypass-auth");
        let hygiene = Hygiene::new(&bypass, [], Vec::new());
        let mut said = HeaderMap::new();
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
            said.append(name, HeaderValue::from_static("a"));
        }
        said.append("x-checksum", HeaderValue::from_static("b"));
        let mut left: Vec<_> = hygiene
            .trailers(&said)
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

//! Builds the head of the request to explain as its client would write it, so that the normal parser can read it.

use bytes::BytesMut;
use http::{Method, Request};
use http1::{HeadLimits, Length, RequestReader, Violation};
use thiserror::Error;

/// The target of a request, from a URL, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestTarget {
    host: Option<String>,
    is_https: bool,
    /// The target in the request line.
    line: String,
}

/// Why a URL cannot be explained.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum BadTarget {
    /// It has no host, or has credentials.
    #[error("the URL needs a host after `//`, without a user name or password")]
    Host,
    /// It is neither a URL nor a path.
    #[error("give a URL such as https://app.example.com/admin/, or a path such as /admin/")]
    Neither,
    /// It has several lines, which would become several parts of a request.
    #[error("it must be one line")]
    SeveralLines,
}

/// A header field as it is written on its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldLine(Vec<u8>);

/// Why a text is not a header field.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum BadField {
    /// It has no colon.
    #[error("give a header as `Name: value`")]
    NoColon,
    /// It has several lines, which would become several headers.
    #[error("give a header as one line, `Name: value`")]
    SeveralLines,
}

/// The head of a request: method, target and header fields.
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) target: RequestTarget,
    pub(crate) fields: Vec<FieldLine>,
}

/// Reads a method. Refuses misspellings such as `get`, which is not `GET` (RFC 9110 section 9.1): a gate accepts unknown
/// methods, so the explanation would be about an unintended request.
///
/// # Errors
/// The problem, and what to write instead.
pub(crate) fn method(text: &str) -> Result<Method, String> {
    let Ok(method) = Method::from_bytes(text.as_bytes()) else {
        return Err("this is not a method; give one such as GET".to_owned());
    };
    let meant = text.to_ascii_uppercase();
    match meant == text {
        true => Ok(method),
        false if text.len() > LONGEST_METHOD => {
            Err("methods are case-sensitive; write one in upper case, such as GET".to_owned())
        }
        false => Err(format!(
            "methods are case-sensitive, and `{text}` is not `{meant}`; did you mean `{meant}`?"
        )),
    }
}

/// The longest method that a message repeats, in bytes. The longest registered one has 17.
const LONGEST_METHOD: usize = 32;

impl RequestTarget {
    /// Reads `https://app.example.com/admin/?page=2`; or `/admin/`, a request without a host; or `*`, the server itself. The
    /// gate, not this function, checks whether the target is allowed.
    pub(crate) fn parse(text: &str) -> Result<Self, BadTarget> {
        if text.contains('\n') {
            return Err(BadTarget::SeveralLines);
        }
        let (host, rest) = match text.split_once("://") {
            _ if text.starts_with('/') || text == "*" => (None, text),
            Some(("http" | "https", rest)) => {
                let (host, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
                if host.is_empty() || host.contains('@') {
                    return Err(BadTarget::Host);
                }
                (Some(host.to_owned()), rest)
            }
            Some(_) | None => return Err(BadTarget::Neither),
        };
        let line = match rest.starts_with('/') || rest == "*" && host.is_none() {
            true => rest.to_owned(),
            false => format!("/{rest}"),
        };
        Ok(Self {
            host,
            is_https: text.starts_with("https://"),
            line,
        })
    }

    /// The host of the URL.
    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Whether it is an `https://` URL.
    pub(super) fn is_https(&self) -> bool {
        self.is_https
    }

    /// The path without a query, for display.
    pub(super) fn path(&self) -> String {
        let path = self.line.split(['?', '#']).next().unwrap_or_default();
        path.escape_debug().to_string()
    }

    /// Advice about a target that cannot be in a request line.
    pub(super) fn advice(&self) -> Option<&'static str> {
        if self.line.contains('#') {
            return Some("clients do not send the part after `#`; remove it, or write %23");
        }
        let is_plain = self.line.bytes().all(|byte| byte > b' ' && byte != 0x7f);
        (!is_plain).then_some("give the path percent-encoded, as in a request")
    }
}

impl FieldLine {
    /// Reads `Name: value`. The gate, not this function, checks whether the field is allowed.
    pub(crate) fn parse(text: &str) -> Result<Self, BadField> {
        match text.contains('\n') {
            true => Err(BadField::SeveralLines),
            false if !text.contains(':') => Err(BadField::NoColon),
            false => Ok(Self(text.into())),
        }
    }

    /// Makes a `Cookie` field of the value of a header, which contains no line ends.
    pub(crate) fn cookies(value: &[u8]) -> Self {
        Self([b"Cookie: ", value].concat())
    }

    /// Whether the field has this name.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        let before = self.0.split(|byte| *byte == b':').next();
        before.is_some_and(|other| other.eq_ignore_ascii_case(name.as_bytes()))
    }
}

impl RequestHead {
    /// Parses the request as a gate with these limits does.
    ///
    /// # Errors
    /// [`Violation`] if the gate would reject it.
    pub(super) fn read(&self, limits: HeadLimits) -> Result<Request<Length>, Violation> {
        let mut input = BytesMut::from(&self.bytes()[..]);
        let received = RequestReader::new(limits).read(&mut input)?;
        Ok(*received.expect("it ends with an empty line").request)
    }

    /// The bytes of the request: HTTP/1.1, or HTTP/1.0 if it has no host.
    fn bytes(&self) -> Vec<u8> {
        let Self {
            method,
            target,
            fields,
        } = self;
        let names_host = self.names_host();
        let version = if names_host { "1.1" } else { "1.0" };
        let mut bytes = format!("{method} {} HTTP/{version}\r\n", target.line).into_bytes();
        if let Some(host) = &target.host {
            bytes.extend_from_slice(format!("Host: {host}\r\n").as_bytes());
        }
        for FieldLine(field) in fields {
            bytes.extend_from_slice(field);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// Whether the URL or a header has a host.
    pub(super) fn names_host(&self) -> bool {
        self.target.host.is_some() || self.fields.iter().any(|field| field.is_named("host"))
    }
}

#[cfg(test)]
mod tests {
    use http::Version;
    use http::header::HOST;

    use super::*;

    fn head(target: &str, fields: &[&str]) -> RequestHead {
        RequestHead {
            method: Method::GET,
            target: RequestTarget::parse(target).unwrap(),
            fields: fields
                .iter()
                .map(|field| FieldLine::parse(field).unwrap())
                .collect(),
        }
    }

    #[test]
    fn urls_and_paths_are_kept_byte_for_byte() {
        for (text, host, target) in [
            ("https://a.example:8443/x?y", Some("a.example:8443"), "/x?y"),
            ("http://a.example", Some("a.example"), "/"),
            ("http://a.example?x", Some("a.example"), "/?x"),
            ("http://a.example/*", Some("a.example"), "/*"),
            ("/a/../b%2fc//d", None, "/a/../b%2fc//d"),
            ("//a/b", None, "//a/b"),
            ("/a?b=http://c/", None, "/a?b=http://c/"),
            ("*", None, "*"),
        ] {
            let request = head(text, &[]).read(HeadLimits::default()).unwrap();
            let found = request
                .headers()
                .get(HOST)
                .map(|host| host.to_str().unwrap());
            assert_eq!(found, host, "{text}");
            assert_eq!(request.uri().to_string(), target, "{text}");
            let version = match host {
                Some(_) => Version::HTTP_11,
                None => Version::HTTP_10,
            };
            assert_eq!(request.version(), version, "{text}");
        }
        for (text, why) in [
            ("https:///a", BadTarget::Host),
            ("https://u:p@a/", BadTarget::Host),
            ("a.example/b", BadTarget::Neither),
            ("ftp://a/", BadTarget::Neither),
            ("/a HTTP/1.1\r\nX: y", BadTarget::SeveralLines),
            ("http://a\n/", BadTarget::SeveralLines),
        ] {
            assert_eq!(RequestTarget::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn lower_case_method_is_refused_with_a_suggestion() {
        assert_eq!(method("GET"), Ok(Method::GET));
        assert_eq!(
            method("M-SEARCH").map_err(drop),
            Method::from_bytes(b"M-SEARCH").map_err(drop)
        );
        for (text, meant) in [("get", "GET"), ("Post", "POST"), ("m-search", "M-SEARCH")] {
            let refused = method(text).unwrap_err();
            let words = format!("`{text}` is not `{meant}`; did you mean `{meant}`?");
            assert!(refused.ends_with(&words), "{refused}");
            assert!(refused.contains("case-sensitive"), "{refused}");
        }
        for (text, words) in [
            ("G T", "such as GET"),
            ("", "such as GET"),
            (&"a".repeat(99), "upper case"),
        ] {
            let refused = method(text).unwrap_err();
            assert!(refused.contains(words) && refused.len() < 80, "{refused}");
        }
    }

    #[test]
    fn invalid_requests_are_refused_as_by_the_gate() {
        for (target, fields, violation) in [
            ("/a#b", &[][..], Violation::RequestLine),
            ("http://a#b", &[], Violation::RequestLine),
            ("/a b", &[], Violation::RequestLine),
            ("/a HTTP/1.1", &[], Violation::RequestLine),
            ("/ä\u{7f}", &[], Violation::RequestLine),
            ("/a\r", &[], Violation::RequestLine),
            ("http://a", &["Bad Name: x"], Violation::FieldLine),
            ("http://a", &["Name : x"], Violation::FieldLine),
            ("http://a", &[": x"], Violation::FieldLine),
            ("http://a", &[" Folded: x"], Violation::FieldLine),
            ("http://a", &["Name: x\u{7f}"], Violation::FieldLine),
            ("http://a", &["Name: x\ry"], Violation::FieldLine),
            (
                "http://a",
                &["Content-Length: +1"],
                Violation::ContentLength,
            ),
            (
                "http://a",
                &["Content-Length: 1", "Transfer-Encoding: chunked"],
                Violation::TwoLengths,
            ),
            (
                "http://a",
                &["Transfer-Encoding: gzip"],
                Violation::UnknownCoding,
            ),
            ("http://a", &["Name: x"; 256], Violation::TooLarge),
        ] {
            let read = head(target, fields).read(HeadLimits::default()).map(|_| ());
            assert_eq!(read, Err(violation), "{target} {fields:?}");
        }
        assert_eq!(FieldLine::parse("no colon"), Err(BadField::NoColon));
        let two = FieldLine::parse("A: b\r\nHost: c");
        assert_eq!(two, Err(BadField::SeveralLines));
    }
}

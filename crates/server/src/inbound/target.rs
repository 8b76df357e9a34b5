//! The target of a request: exactly one host and one path, or it is refused.

use std::net::Ipv6Addr;

use http::header::{EXPECT, HOST, MAX_FORWARDS};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};
use http1::RawTarget;
use memchr::memchr;

/// The kind of target that a request has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A path, in origin form (RFC 9112 §3.2.1).
    Path,
    /// `OPTIONS *`: the server itself.
    Server,
}

/// Why a request cannot be forwarded, whatever its credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Its `Expect` is not `100-continue`.
    Expectation,
    /// It has no `Host`, several, or an invalid one.
    Host,
    /// `CONNECT` opens tunnels and `TRACE` echoes cookies, so both are refused.
    Method,
    /// Its target is neither a path nor an absolute URL.
    Target,
}

impl Malformed {
    /// The status of the answer.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Malformed::Expectation => StatusCode::EXPECTATION_FAILED,
            Malformed::Host | Malformed::Target => StatusCode::BAD_REQUEST,
            Malformed::Method => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// The stable code in the audit log and the metrics.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Malformed::Expectation => "unknown_expectation",
            Malformed::Host => "bad_host",
            Malformed::Method => "method_not_allowed",
            Malformed::Target => "bad_target",
        }
    }
}

/// Brings a request into origin form with exactly one `Host`, without touching a byte of its path and query.
///
/// # Errors
///
/// [`Malformed`] says why it cannot be forwarded.
pub(crate) fn normalize_target<B>(request: &mut Request<B>) -> Result<Target, Malformed> {
    if *request.method() == Method::CONNECT || *request.method() == Method::TRACE {
        return Err(Malformed::Method);
    }
    if request
        .headers()
        .get_all(EXPECT)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(Malformed::Expectation);
    }
    check_host(request.headers(), request.version())?;
    if request.uri().scheme().is_some() {
        return absolute_form(request);
    }
    match request.uri().path_and_query().map(PathAndQuery::as_str) {
        Some("*") if *request.method() == Method::OPTIONS => Ok(Target::Server),
        Some(path) if path.starts_with('/') && request.uri().authority().is_none() => {
            Ok(forwarded(request))
        }
        _ => Err(Malformed::Target),
    }
}

/// Converts an absolute-form target, whose authority takes precedence over `Host` (RFC 9112 §3.2.2).
fn absolute_form<B>(request: &mut Request<B>) -> Result<Target, Malformed> {
    let parts = std::mem::take(request.uri_mut()).into_parts();
    let web = matches!(
        parts.scheme.as_ref().map(http::uri::Scheme::as_str),
        Some("http" | "https")
    );
    let authority = parts
        .authority
        .filter(|authority| web && is_host(authority.as_str().as_bytes()))
        .ok_or(Malformed::Target)?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Malformed::Target)?;
    let path = parts
        .path_and_query
        .filter(|path| path.as_str().starts_with('/'))
        .ok_or(Malformed::Target)?;
    if let Some(raw) = request.extensions().get::<RawTarget>() {
        let raw = raw.in_origin_form().ok_or(Malformed::Target)?;
        request.extensions_mut().insert(raw);
    }
    request.headers_mut().insert(HOST, host);
    *request.uri_mut() = Uri::from(path);
    Ok(forwarded(request))
}

/// The target of a request, with `Max-Forwards` (RFC 9110 §7.6.2): `OPTIONS` with 0 asks about the gate itself, whatever its
/// path is.
fn forwarded<B>(request: &Request<B>) -> Target {
    let is_last = *request.method() == Method::OPTIONS
        && request
            .headers()
            .get(MAX_FORWARDS)
            .is_some_and(|left| left == "0");
    match is_last {
        true => Target::Server,
        false => Target::Path,
    }
}

/// Checks that there is exactly one `Host`, and a [valid](is_host) one. HTTP/1.0 may leave it out.
fn check_host(headers: &HeaderMap, version: Version) -> Result<(), Malformed> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, None) if version == Version::HTTP_10 => Ok(()),
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        _ => Err(Malformed::Host),
    }
}

/// Whether this is a `uri-host [ ":" port ]` (RFC 9110 §7.2) that may be passed to a service: a DNS name or an address.
///
/// RFC 3986 §3.2.2 allows more in a name: `a,b`, `a..b`, `a%2eb`, `a'b`. No client can look such a name up, so only an
/// attacker sends it: it would match no route that names a host, and services split at the comma, decode the escape, or
/// write it into a link.
pub(crate) fn is_host(text: &[u8]) -> bool {
    let Some(bracketed) = text.strip_prefix(b"[") else {
        return match name_end(text) {
            Some(end) if end == text.len() => true,
            Some(end) => text[end] == b':' && is_port(&text[end + 1..]),
            None => false,
        };
    };
    let Some(end) = memchr(b']', bracketed) else {
        return false;
    };
    let (address, rest) = (&bracketed[..end], &bracketed[end + 1..]);
    // A zone is not allowed, because it has a meaning only on its own machine (RFC 6874 §1).
    let is_address = str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
    is_address && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port))
}

/// Where the DNS name at the start of the text ends: labels between dots, with the lengths of RFC 1035 §2.3.4. Underscores
/// are allowed, because machines and containers have them, and so is a final dot, which makes a name absolute. IPv4
/// addresses have the same form.
///
/// This runs for every request, so it reads each byte once.
fn name_end(text: &[u8]) -> Option<usize> {
    let (mut label_start, mut end) = (0, 0);
    for byte in text {
        if !IN_LABEL[usize::from(*byte)] {
            if *byte != b'.' {
                break;
            }
            if !matches!(end - label_start, 1..=LONGEST_LABEL) {
                return None;
            }
            label_start = end + 1;
        }
        end += 1;
    }
    let is_absolute = end > 0 && label_start == end;
    let length = end - usize::from(is_absolute);
    let has_last = is_absolute || matches!(end - label_start, 1..=LONGEST_LABEL);
    (has_last && length <= LONGEST_NAME).then_some(end)
}

/// The bytes that a label may contain.
static IN_LABEL: [bool; 256] = {
    let mut in_label = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        in_label[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        byte += 1;
    }
    in_label
};

/// Whether this is a port: a 16-bit number of at most five digits.
fn is_port(port: &[u8]) -> bool {
    let is_number = matches!(port.len(), 1..=5) && port.iter().all(u8::is_ascii_digit);
    let digit = |number: u32, digit: &u8| number * 10 + u32::from(digit - b'0');
    is_number && port.iter().fold(0, digit) <= u32::from(u16::MAX)
}

/// In bytes.
const LONGEST_LABEL: usize = 63;

/// In bytes, without the final dot: 255 on the wire, where each label has its length before it and the root has one too.
const LONGEST_NAME: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(
        method: Method,
        target: &str,
        hosts: &[&str],
    ) -> Result<(Target, String, String), Malformed> {
        let mut request = Request::builder().method(method).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let mut request = request.body(()).unwrap();
        let target = normalize_target(&mut request)?;
        let host = request.headers()[HOST].to_str().unwrap().to_owned();
        Ok((target, request.uri().to_string(), host))
    }

    #[test]
    fn a_path_is_kept_byte_for_byte() {
        for path in ["/", "/a//b/../c;d?e=%2f&f", "/%00"] {
            assert_eq!(
                settled(Method::GET, path, &["a"]),
                Ok((Target::Path, path.into(), "a".into()))
            );
        }
    }

    #[test]
    fn an_absolute_target_becomes_a_path_and_names_the_host() {
        let settled = |target| settled(Method::GET, target, &["a"]);
        assert_eq!(
            settled("http://b:81/c?d"),
            Ok((Target::Path, "/c?d".into(), "b:81".into()))
        );
        assert_eq!(
            settled("https://b"),
            Ok((Target::Path, "/".into(), "b".into()))
        );
        assert_eq!(settled("http://u:p@b/c"), Err(Malformed::Target));
        assert_eq!(settled("ftp://b/c"), Err(Malformed::Target));
    }

    #[test]
    fn only_options_may_target_the_server_itself() {
        assert_eq!(
            settled(Method::OPTIONS, "*", &["a"]).map(|(target, ..)| target),
            Ok(Target::Server)
        );
        assert_eq!(settled(Method::GET, "*", &["a"]), Err(Malformed::Target));
        assert_eq!(settled(Method::GET, "a:80", &["a"]), Err(Malformed::Target));
        assert_eq!(
            settled(Method::CONNECT, "a:80", &["a"]),
            Err(Malformed::Method)
        );
        assert_eq!(settled(Method::TRACE, "/", &["a"]), Err(Malformed::Method));
    }

    #[test]
    fn exactly_one_host_is_accepted() {
        for hosts in [&[][..], &["a", "a"], &["a", "b"]] {
            let settled = settled(Method::GET, "/", hosts);
            assert_eq!(settled, Err(Malformed::Host), "{hosts:?}");
        }
    }

    #[test]
    fn host_is_a_dns_name_or_an_address() {
        let long = |label: usize, labels: usize| vec!["a".repeat(label); labels].join(".");
        for host in [
            "",
            ".",
            "..",
            // Empty labels.
            "wiki.example.com..",
            ".wiki.example.com",
            "wiki..example.com",
            ".:80",
            // Allowed in a name by RFC 3986.
            "a,b",
            "a, b",
            "a;b",
            "a!b",
            "a$b",
            "a&b",
            "a'b",
            "(a)",
            "*.example.com",
            "a+b",
            "a=b",
            "a~b",
            "a%2eb",
            // Not allowed by RFC 3986 either.
            "a b",
            " a",
            "a/b",
            "a,b/",
            "a?b",
            "a#b",
            "a\\b",
            "a|b",
            "a^b",
            "a`b",
            "{a}",
            "<a>",
            "\"a\"",
            "u@a",
            "u:p@a",
            "@a",
            // Ports.
            ":80",
            "a:",
            "a:b",
            "a:-1",
            "a:+80",
            "a:80 ",
            "a:65536",
            "a:000080",
            "a:80:80",
            "a.:80.",
            // IPv6 addresses.
            "::1",
            "[]",
            "[::1",
            "::1]",
            "[::1]80",
            "[::1]:",
            "[::1]:x",
            "[::1].",
            "[::1]a",
            "[::1%25eth0]",
            "[fe80::1%eth0]",
            "[127.0.0.1]",
            "[v1.a]",
            "[a]",
            &long(64, 1),
            &long(63, 4),
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
            let settled = settled(Method::GET, "/", &[host]);
            assert_eq!(settled, Err(Malformed::Host), "{host}");
        }
        for host in [
            "a",
            "A.Example",
            "a:80",
            "a:0080",
            "a:65535",
            "127.0.0.1",
            "a.example.",
            "a.example.:8080",
            "my_app",
            "_a.b-c.example",
            "-a",
            "xn--bcher-kva.example",
            "[::1]",
            "[::1]:80",
            "[::FFFF:192.0.2.1]",
            &long(63, 1),
            &format!("{}.{}", long(63, 3), "a".repeat(61)),
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
            assert!(settled(Method::GET, "/", &[host]).is_ok(), "{host}");
        }
        for url in [
            "http://a..b/",
            "http://a,b/",
            "http://.a/",
            "http://[v1.a]/",
        ] {
            let settled = settled(Method::GET, url, &["a"]);
            assert_eq!(settled, Err(Malformed::Target), "{url}");
        }
    }
}

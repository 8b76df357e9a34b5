//! What a request asks for: one host and one path, or nothing that we pass on.

use http::header::{EXPECT, HOST};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};
use memchr::memchr;

/// What a request's line and `Host` ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A path, in origin form (RFC 9112 §3.2.1).
    Path,
    /// `OPTIONS *`: the server itself.
    Server,
}

/// Why a request cannot be passed on, whatever it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// It expects what we do not know.
    Expectation,
    /// It names no host, several, or none that is one.
    Host,
    /// `CONNECT` opens tunnels and `TRACE` echoes cookies; neither is for a gate.
    Method,
    /// Its target is neither a path nor an absolute URL.
    Target,
}

impl Malformed {
    /// The status that says so.
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
/// [`Malformed`] says why it cannot be passed on.
pub(crate) fn settle<B>(request: &mut Request<B>) -> Result<Target, Malformed> {
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
            Ok(Target::Path)
        }
        _ => Err(Malformed::Target),
    }
}

/// The authority of an absolute-form target wins over `Host` (RFC 9112 §3.2.2).
fn absolute_form<B>(request: &mut Request<B>) -> Result<Target, Malformed> {
    let parts = std::mem::take(request.uri_mut()).into_parts();
    let web = matches!(
        parts.scheme.as_ref().map(http::uri::Scheme::as_str),
        Some("http" | "https")
    );
    let authority = parts
        .authority
        .filter(|authority| web && is_host(authority))
        .ok_or(Malformed::Target)?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Malformed::Target)?;
    let path = parts
        .path_and_query
        .filter(|path| path.as_str().starts_with('/'))
        .ok_or(Malformed::Target)?;
    request.headers_mut().insert(HOST, host);
    *request.uri_mut() = Uri::from(path);
    Ok(Target::Path)
}

/// Exactly one, and a `uri-host [ ":" port ]` (RFC 9110 §7.2). HTTP/1.0 may leave it out.
fn check_host(headers: &HeaderMap, version: Version) -> Result<(), Malformed> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, None) if version == Version::HTTP_10 => Ok(()),
        (Some(host), None) if is_plain_name(host.as_bytes()) => Ok(()),
        (Some(host), None) => {
            let authority = Authority::try_from(host.as_bytes()).ok();
            authority.filter(is_host).map(|_| ()).ok_or(Malformed::Host)
        }
        _ => Err(Malformed::Host),
    }
}

/// What nearly every `Host` is, with or without a port; only the others have to be parsed.
fn is_plain_name(host: &[u8]) -> bool {
    let (name, port) = match memchr(b':', host) {
        Some(colon) => (&host[..colon], &host[colon + 1..]),
        None => (host, &b"80"[..]),
    };
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    // Of four digits, because five can be too many.
    let is_port = matches!(port.len(), 1..=4) && port.iter().all(u8::is_ascii_digit);
    !name.is_empty() && name.iter().all(is_part) && is_port
}

/// Whether an authority is a `uri-host [ ":" port ]` and nothing more.
pub(crate) fn is_host(authority: &Authority) -> bool {
    if is_plain_name(authority.as_str().as_bytes()) {
        return true;
    }
    let has_port = authority.as_str().len() > authority.host().len();
    !authority.as_str().contains('@')
        && !authority.host().is_empty()
        && (!has_port || authority.port_u16().is_some())
}

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
        let target = settle(&mut request)?;
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
    fn only_options_may_ask_the_server_itself() {
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
    fn exactly_one_host_that_is_one() {
        for hosts in [
            &[][..],
            &["a", "a"],
            &[""],
            &["a b"],
            &["u@a"],
            &["a:b"],
            &["a/b"],
            &["a,b/"],
        ] {
            assert_eq!(
                settled(Method::GET, "/", hosts),
                Err(Malformed::Host),
                "{hosts:?}"
            );
        }
        for host in ["a", "a:80", "[::1]:80", "127.0.0.1", "a.example."] {
            assert!(settled(Method::GET, "/", &[host]).is_ok(), "{host}");
        }
    }
}

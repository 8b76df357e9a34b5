//! Converts the head of an HTTP/2 stream to a request in the form of HTTP/1.1.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::Entry;
use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, SEC_WEBSOCKET_KEY, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request};
use http1::{HeadLimits, Length, Violation, read_target};

/// Converts the head of a stream to the form of a request over HTTP/1.1: its host in `Host`, its target in origin form, its
/// cookies in one field. `has_ended` says whether the stream has no body. A WebSocket (RFC 8441) becomes an upgrade:
/// `websocket_key` is random, and given for an extended CONNECT of this protocol.
///
/// # Errors
/// [`Violation`] when the head is too large, its length is not a single number, its scheme is neither `http` nor `https`, its
/// target is invalid, or a value begins or ends with white space. `h2` refuses all other malformed heads.
pub fn read(
    head: Request<()>,
    has_ended: bool,
    websocket_key: Option<u128>,
    limits: HeadLimits,
) -> Result<Request<Length>, Violation> {
    within(&head, limits)?;
    if !have_no_outer_blanks(head.headers()) {
        return Err(Violation::FieldValue);
    }
    let mut request = head.map(|()| Length::NONE);
    if !matches!(request.uri().scheme_str(), None | Some("http" | "https")) {
        return Err(Violation::RequestLine);
    }
    *request.body_mut() = length(request.headers(), has_ended)?;
    set_host(&mut request);
    join_cookies(request.headers_mut());
    if request.headers().len() > limits.fields {
        return Err(Violation::TooLarge);
    }
    if let Some(key) = websocket_key {
        become_upgrade(&mut request, key);
    }
    if *request.method() != Method::CONNECT {
        let target = request.uri().path_and_query().map(PathAndQuery::as_str);
        let target = Bytes::copy_from_slice(target.unwrap_or("/").as_bytes());
        let (uri, raw) = read_target(&target).ok_or(Violation::RequestLine)?;
        *request.uri_mut() = uri;
        if let Some(raw) = raw {
            request.extensions_mut().insert(raw);
        }
    }
    Ok(request)
}

/// Whether no value begins or ends with white space, which some services would read as part of it (RFC 9113 §8.2.1).
pub fn have_no_outer_blanks(fields: &HeaderMap) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    fields.values().all(|value| {
        let value = value.as_bytes();
        !is_blank(value.first()) && !is_blank(value.last())
    })
}

/// Checks the size of a head, counted as in RFC 9113 §6.5.2, but only its target and fields, which differ between requests.
fn within(head: &Request<()>, limits: HeadLimits) -> Result<(), Violation> {
    let target = head
        .uri()
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    let fields = head.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + FOR_FIELD);
    if target > limits.bytes {
        return Err(Violation::TargetTooLong);
    }
    if target + fields.sum::<usize>() > limits.bytes {
        return Err(Violation::TooLarge);
    }
    Ok(())
}

/// The length of the body. If the head contains it, `h2` checks that this many bytes arrive.
fn length(headers: &HeaderMap, has_ended: bool) -> Result<Length, Violation> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (_, Some(_)) => Err(Violation::TwoLengths),
        (_, None) if has_ended => Ok(Length::NONE),
        (None, None) => Ok(Length::Chunked),
        (Some(length), None) => {
            let is_number = length.as_bytes().iter().all(u8::is_ascii_digit);
            let text = length.to_str().ok().filter(|_| is_number);
            let number = text.and_then(|text| text.parse().ok());
            let number = number.filter(|number| *number <= i64::MAX.unsigned_abs());
            number.map(Length::Exactly).ok_or(Violation::ContentLength)
        }
    }
}

/// Writes `:authority` into `Host`. A different `Host` is kept beside it, so that there are two and the request is refused: a
/// service might read the one that the gate did not decide on. The default port of the scheme does not make a different host (RFC
/// 9113 §8.3.1, RFC 3986 §6.2.3).
fn set_host<B>(request: &mut Request<B>) {
    let port: &[u8] = match request.uri().scheme_str() {
        Some("https") => b":443",
        Some(_) | None => b":80",
    };
    let without_port = |host: &[u8]| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    let authority = request.uri().authority();
    let Some(authority) = authority.and_then(|name| HeaderValue::from_str(name.as_str()).ok())
    else {
        return;
    };
    match request.headers_mut().entry(HOST) {
        Entry::Vacant(none) => {
            none.insert(authority);
        }
        Entry::Occupied(mut hosts) => {
            let mut others = hosts.iter();
            let is_same = |host: &HeaderValue| {
                without_port(host.as_bytes()) == without_port(authority.as_bytes())
            };
            let is_one = others.next().is_some_and(is_same) && others.next().is_none();
            if is_one {
                hosts.insert(authority);
            } else {
                hosts.append(authority);
            }
        }
    }
}

/// Joins the cookie fields into which a client may split its cookies (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return;
    };
    let mut whole = first.as_bytes().to_vec();
    for crumb in [second].into_iter().chain(crumbs) {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(whole) = HeaderValue::from_bytes(&whole) {
        headers.insert(COOKIE, whole);
    }
}

/// Turns an extended CONNECT into an upgrade to a WebSocket (RFC 8441 §5). The key is the gate's own, because a stream has none;
/// the gate also checks the service's answer to it.
fn become_upgrade(request: &mut Request<Length>, key: u128) {
    *request.method_mut() = Method::GET;
    *request.body_mut() = Length::NONE;
    let headers = request.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let key = BASE64_STANDARD.encode(key.to_be_bytes());
    let key = HeaderValue::try_from(key).expect("base64 is visible ASCII");
    headers.insert(SEC_WEBSOCKET_KEY, key);
}

/// The overhead of a field, in bytes, which is added to the size of its name and value (RFC 9113 §6.5.2).
const FOR_FIELD: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of `Host` after [`set_host`].
    fn hosts(uri: &str, host: &str) -> Vec<String> {
        let mut request = Request::new(());
        *request.uri_mut() = uri.parse().expect("a URL");
        let host = HeaderValue::from_str(host).expect("a field value");
        request.headers_mut().insert(HOST, host);
        set_host(&mut request);
        let hosts = request.headers().get_all(HOST).iter();
        let text = |host: &HeaderValue| host.to_str().expect("ASCII").to_owned();
        hosts.map(text).collect()
    }

    #[test]
    fn a_value_has_no_outer_white_space() {
        let mut fields = HeaderMap::new();
        for value in ["", "a", "a b", "a\tb"] {
            fields.insert("x-a", HeaderValue::from_static(value));
            assert!(have_no_outer_blanks(&fields), "{value:?}");
        }
        for value in [" ", " a", "a ", "\ta", "a\t"] {
            fields.insert("x-a", HeaderValue::from_static(value));
            assert!(!have_no_outer_blanks(&fields), "{value:?}");
        }
    }

    #[test]
    fn host_must_equal_the_authority() {
        for (uri, host) in [
            ("http://a/", "a"),
            ("http://a/", "A"),
            ("http://a:80/", "a"),
            ("http://a/", "a:80"),
            ("https://a/", "a:443"),
            ("https://[::1]:443/", "[::1]"),
        ] {
            assert_eq!(hosts(uri, host).len(), 1, "{uri} {host}");
        }
        for (uri, host) in [
            ("http://a/", "b"),
            ("http://a/", "a:443"),
            ("https://a/", "a:80"),
            ("https://a:80/", "a"),
            ("http://a:8080/", "a"),
        ] {
            assert_eq!(hosts(uri, host).len(), 2, "{uri} {host}");
        }
    }
}

//! Fuzzes the heads of HTTP/2 streams: the converted request says what the head says, and is read the same when it is forwarded
//! over HTTP/1.1.
#![no_main]

use bytes::BytesMut;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, SEC_WEBSOCKET_KEY, TE, UPGRADE,
};
use http::uri::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http1::{HeadLimits, Length, ServerConnection, write_field, write_request};
use libfuzzer_sys::fuzz_target;
use wire::stream_head;

fuzz_target!(|data: &[u8]| {
    let Some((flags, lines)) = data.split_first() else {
        return;
    };
    let Some(head) = head(lines) else {
        return;
    };
    let (has_ended, is_websocket) = (flags & 1 == 1, flags & 2 == 2);
    let limits = HeadLimits {
        fields: 8 + usize::from(flags >> 4),
        ..HeadLimits::default()
    };
    // An extended CONNECT, as `h2` returns it.
    let is_websocket = is_websocket && *head.method() == Method::CONNECT;
    let key = is_websocket.then_some(u128::from(*flags));
    let before = head.clone();
    let Ok(request) = stream_head::read(head, has_ended, key, limits) else {
        return;
    };
    check_host(&before, &request);
    check_fields(&before, &request, limits);
    check_length(&before, &request, has_ended && !is_websocket);
    if is_websocket {
        assert_eq!(*request.method(), Method::GET);
        assert_eq!(*request.body(), Length::NONE);
        assert_eq!(request.headers()[UPGRADE], "websocket");
        assert_eq!(request.headers()[CONNECTION], "upgrade");
        assert_eq!(request.headers()[SEC_WEBSOCKET_KEY].len(), 24);
    }
    check_onward(&request);
});

/// Makes a head as `h2` returns it, which refuses the fields of a connection (RFC 9113 §8.2.2). The lines are method, scheme,
/// authority and path, then one for each field.
fn head(lines: &[u8]) -> Option<Request<()>> {
    let mut lines = lines.split(|byte| *byte == b'\n');
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(lines.next()?).ok()?;
    let mut parts = Parts::default();
    let (scheme, authority, path) = (lines.next()?, lines.next()?, lines.next()?);
    if !scheme.is_empty() {
        parts.scheme = Some(scheme.try_into().ok()?);
    }
    if !authority.is_empty() {
        parts.authority = Some(authority.try_into().ok()?);
    }
    if !path.is_empty() {
        parts.path_and_query = Some(path.try_into().ok()?);
    }
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        let is_of_connection = name == TE || OF_CONNECTION.contains(&name.as_str());
        if !is_of_connection {
            request.headers_mut().append(name, value);
        }
    }
    Some(request)
}

/// Checks that `:authority` is among the values of `Host`, and that it is the only one unless the client sent another.
fn check_host(before: &Request<()>, request: &Request<Length>) {
    let hosts: Vec<_> = request.headers().get_all(HOST).iter().collect();
    let sent_hosts: Vec<_> = before.headers().get_all(HOST).iter().collect();
    let Some(authority) = before.uri().authority() else {
        return assert_eq!(hosts, sent_hosts);
    };
    let is_same = |host: &&HeaderValue| {
        host.as_bytes()
            .eq_ignore_ascii_case(authority.as_str().as_bytes())
    };
    assert!(hosts.iter().any(is_same));
    match sent_hosts[..] {
        [] => assert_eq!(hosts.len(), 1),
        [sent_host] if is_same(&sent_host) => assert_eq!(hosts.len(), 1),
        _ => assert!(hosts.len() > sent_hosts.len() && hosts.len() > 1),
    }
}

/// Checks that the cookies are one field, and that all other fields are unchanged.
fn check_fields(before: &Request<()>, request: &Request<Length>, limits: HeadLimits) {
    let crumbs: Vec<_> = before.headers().get_all(COOKIE).iter().collect();
    let crumbs: Vec<_> = crumbs.iter().map(|crumb| crumb.as_bytes()).collect();
    let cookies: Vec<_> = request.headers().get_all(COOKIE).iter().collect();
    match crumbs.is_empty() {
        true => assert!(cookies.is_empty()),
        false => {
            assert_eq!(cookies.len(), 1);
            assert_eq!(cookies[0].as_bytes(), crumbs.join(&b"; "[..]));
        }
    }
    let others = |headers: &HeaderMap| {
        let mut headers = headers.clone();
        for name in [COOKIE, HOST, CONNECTION, UPGRADE, SEC_WEBSOCKET_KEY] {
            headers.remove(name);
        }
        headers
    };
    assert_eq!(others(before.headers()), others(request.headers()));
    // The upgrade to a WebSocket adds three fields.
    assert!(request.headers().len() <= limits.fields + 3);
}

fn check_length(before: &Request<()>, request: &Request<Length>, has_ended: bool) {
    let sent_lengths: Vec<_> = before.headers().get_all(CONTENT_LENGTH).iter().collect();
    match (sent_lengths.as_slice(), *request.body()) {
        (_, Length::UntilClose) => panic!("a request cannot end with the connection"),
        ([], length) => assert!(!has_ended || length == Length::NONE),
        ([sent_length], Length::Exactly(number)) if !has_ended && number > 0 => {
            let digits = sent_length
                .to_str()
                .expect("digits")
                .trim_start_matches('0');
            assert_eq!(digits, number.to_string());
            assert!(number <= i64::MAX.unsigned_abs());
        }
        ([_], length) => assert_ne!(length, Length::Chunked),
        (_, _) => panic!("two lengths"),
    }
}

/// Checks that the request is forwarded over HTTP/1.1 as one request, with the same content and nothing else.
fn check_onward(request: &Request<Length>) {
    // The gate refuses CONNECT, so it is never forwarded.
    if *request.method() == Method::CONNECT {
        return;
    }
    let target = request.uri().path_and_query();
    let Some(target) = target.filter(|target| target.as_str().starts_with('/')) else {
        return;
    };
    let mut kept = request.headers().clone();
    for name in [CONTENT_LENGTH, CONNECTION] {
        kept.remove(name);
    }
    let has_one_host = kept.get_all(HOST).iter().count() == 1;
    let (mut fields, mut out) = (Vec::new(), Vec::new());
    for (name, value) in http1::fields(&kept) {
        write_field(&mut fields, name, value);
    }
    let (method, target) = (request.method(), target.as_str());
    write_request(
        &mut out,
        method,
        target.as_bytes(),
        &fields,
        *request.body(),
        false,
    );
    let mut input = BytesMut::from(&out[..]);
    match ServerConnection::default().next_request(&mut input) {
        Ok(Some(again)) => {
            assert!(input.is_empty());
            assert_eq!((again.method(), again.body()), (method, request.body()));
            assert_eq!(
                again.uri().path_and_query().map(|path| path.as_str()),
                Some(target)
            );
            for (name, value) in &kept {
                // In HTTP/1.1, blanks around a value are not part of it.
                let value = value.as_bytes().trim_ascii();
                let mut values = again.headers().get_all(name).iter();
                assert!(values.any(|other| other.as_bytes() == value), "{name}");
            }
            assert!(again.headers().len() <= kept.len() + 1);
        }
        Ok(None) => panic!("it is whole"),
        // For example two hosts, which the gate refuses before it forwards.
        Err(violation) => {
            let expects = kept.contains_key(EXPECT);
            assert!(!has_one_host || expects, "{violation}");
        }
    }
}

const OF_CONNECTION: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

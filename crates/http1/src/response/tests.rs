use http::Method;

use super::*;

fn read(bytes: &[u8], method: Method) -> Result<Option<ResponseHead>, Violation> {
    read_response(&mut BytesMut::from(bytes), method == Method::HEAD)
}

#[test]
fn bytes_that_cannot_begin_a_response_are_refused_at_once() {
    let waits = |bytes: &[u8]| read(bytes, Method::GET);
    for bytes in [&b""[..], b"H", b"HTTP/1.", b"HTTP/1.1 200 OK\r\nA: b\r\n"] {
        assert!(matches!(waits(bytes), Ok(None)), "{bytes:?}");
    }
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"220 mail.example ESMTP\r\n",
        b"\x15\x03\x01\x00\x02\x02\x50",
        b"<html>",
        b"HTTP/2",
    ] {
        assert_eq!(
            waits(bytes).err(),
            Some(Violation::ResponseHead),
            "{bytes:?}"
        );
    }
}

fn get(bytes: &[u8]) -> Result<Length, Violation> {
    let answered = read(bytes, Method::GET)?;
    Ok(answered.expect("the head is whole").length)
}

#[test]
fn a_response_determines_where_its_body_ends() {
    for (bytes, length) in [
        (
            &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"[..],
            Length::Exactly(5),
        ),
        (
            b"HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 5\n\n",
            Length::Exactly(5),
        ),
        (
            b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            Length::Chunked,
        ),
        (b"HTTP/1.0 200 \r\n\r\n", Length::UntilClose),
        (
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            Length::NONE,
        ),
        (
            b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            Length::NONE,
        ),
    ] {
        assert_eq!(get(bytes), Ok(length), "{}", bytes.escape_ascii());
    }
    let head = read(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        Method::HEAD,
    );
    assert_eq!(head.unwrap().unwrap().length, Length::NONE);
}

#[test]
fn an_ambiguous_response_is_refused() {
    for (bytes, violation) in [
        (&b"HTTP/2 200 OK\r\n\r\n"[..], Violation::ResponseHead),
        (b"HTTP/1.1 20 OK\r\n\r\n", Violation::ResponseHead),
        (b"HTTP/1.1 2000 OK\r\n\r\n", Violation::ResponseHead),
        (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", Violation::ResponseHead),
        (b"HTTP/1.1 200 OK\r\n: b\r\n\r\n", Violation::ResponseHead),
        (b"HTTP/1.1 200 OK\r\nA\r\n\r\n", Violation::ResponseHead),
        (
            b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
            Violation::ResponseHead,
        ),
        (
            b"HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
            Violation::ResponseHead,
        ),
        (
            b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
            Violation::ResponseHead,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            Violation::TwoLengths,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            Violation::ContentLength,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            Violation::TransferEncoding,
        ),
    ] {
        assert_eq!(get(bytes), Err(violation), "{}", bytes.escape_ascii());
    }
}

#[test]
fn an_incomplete_head_is_awaited_and_only_the_head_is_taken() {
    let bytes = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody";
    for end in 0..bytes.len() - 4 {
        assert!(read(&bytes[..end], Method::GET).unwrap().is_none());
    }
    let mut input = BytesMut::from(&bytes[..]);
    let answered = read_response(&mut input, false).unwrap().unwrap();
    assert_eq!(answered.values("a").collect::<Vec<_>>(), [b"b"]);
    assert!(!answered.persistent, "only its end is the body's end");
    assert_eq!(input, "body");
}

#[test]
fn nominated_fields_of_a_response_are_hop_by_hop() {
    let bytes = b"HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nx-hop: a\r\nB: c\r\n\r\n";
    let answered = read(bytes, Method::GET).unwrap().unwrap();
    let hop_by_hop = answered.hop_by_hop();
    let kept = answered
        .fields()
        .filter(|(name, _)| !hop_by_hop.contains(name));
    assert_eq!(kept.collect::<Vec<_>>(), [(&b"B"[..], &b"c"[..])]);
}

#[test]
fn the_keep_alive_timeout_is_read() {
    for (value, seconds) in [
        ("timeout=5", Some(5)),
        ("max=100, Timeout=20", Some(20)),
        ("timeout=99999999999", Some(u32::MAX)),
        ("timeout=-1", None),
        ("timeout=", None),
        ("max=100", None),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nKeep-Alive: {value}\r\nContent-Length: 0\r\n\r\n");
        let answered = read(head.as_bytes(), Method::GET).unwrap().unwrap();
        assert_eq!(answered.keep_alive, seconds, "{value}");
    }
}

#[test]
fn version_and_options_determine_persistence() {
    let persists = |head: &str| {
        let bytes = format!("{head}\r\nContent-Length: 0\r\n\r\n");
        read(bytes.as_bytes(), Method::GET)
            .unwrap()
            .unwrap()
            .persistent
    };
    assert!(persists("HTTP/1.1 200 OK"));
    assert!(!persists("HTTP/1.1 200 OK\r\nConnection: x, Close"));
    assert!(!persists("HTTP/1.0 200 OK"));
    assert!(persists("HTTP/1.0 200 OK\r\nConnection: keep-alive"));
    assert!(persists("HTTP/1.2 200 OK"));
    let coded = "Transfer-Encoding: chunked";
    for (version, lasts) in [("1.0", false), ("1.1", true)] {
        let head = format!("HTTP/{version} 200 OK\r\nConnection: keep-alive\r\n{coded}\r\n\r\n");
        let answered = read(head.as_bytes(), Method::GET).unwrap().unwrap();
        assert_eq!(answered.length, Length::Chunked);
        assert_eq!(answered.persistent, lasts, "{version}");
    }
}

#[test]
fn the_reason_phrase_is_kept() {
    for (line, reason) in [
        ("HTTP/1.1 200 Fine, thanks", "Fine, thanks"),
        ("HTTP/1.1 200 \u{e4}", "\u{e4}"),
        ("HTTP/1.1 200 ", ""),
        ("HTTP/1.1 200", ""),
        ("HTTP/1.1 200 a\rb", "OK"),
    ] {
        let head = format!("{line}\r\n\r\n");
        let answered = read(head.as_bytes(), Method::GET).unwrap().unwrap();
        assert_eq!(answered.reason(), reason.as_bytes(), "{line}");
    }
}

use super::*;
use crate::{LARGEST_HEAD, MOST_FIELDS};

fn read(bytes: &[u8]) -> Result<Option<RequestHead>, Violation> {
    RequestReader::default().read(&mut BytesMut::from(bytes))
}

/// Reads the bytes whole and byte by byte; both must agree.
fn length_of(bytes: &[u8]) -> Result<Length, Violation> {
    let whole = read(bytes);
    let (mut reader, mut input) = (RequestReader::default(), BytesMut::new());
    let mut piecewise = Ok(None);
    for byte in bytes {
        input.extend_from_slice(&[*byte]);
        piecewise = reader.read(&mut input);
        if !matches!(piecewise, Ok(None)) {
            break;
        }
    }
    let length = |read: Result<Option<RequestHead>, Violation>| {
        read.map(|received| *received.expect("the head is whole").request.body())
    };
    let whole = length(whole);
    assert_eq!(whole, length(piecewise), "the same in one read and in many");
    whole
}

fn request(lines: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes()
}

#[test]
fn one_spelling_of_each_framing_is_accepted() {
    for (bytes, length) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], Length::NONE),
        (b"\r\nGET / HTTP/1.0\r\n\r\n", Length::NONE),
        (b"GET / HTTP/1.2\r\n\r\n", Length::NONE),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Length::NONE),
        (&request("Content-Length: 5\r\n"), Length::Exactly(5)),
        (&request("Content-Length: \t5 \r\n"), Length::Exactly(5)),
        (&request("Content-Length: 0\r\n"), Length::NONE),
        (&request("Transfer-Encoding: Chunked\r\n"), Length::Chunked),
    ] {
        assert_eq!(length_of(bytes), Ok(length), "{}", bytes.escape_ascii());
    }
}

#[test]
fn every_other_spelling_is_refused() {
    use Violation::{
        ContentLength, FieldLine, RequestLine, TransferEncoding, TwoLengths, UnknownCoding,
    };
    for (bytes, violation) in [
        (&b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..], RequestLine),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", FieldLine),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", FieldLine),
        (b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", FieldLine),
        (b"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", FieldLine),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", FieldLine),
        (b"GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n", FieldLine),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", FieldLine),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", FieldLine),
        (b"GET / HTTP/1.1\r\n: empty\r\n\r\n", FieldLine),
        (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", RequestLine),
        (b"\x16\x03\x01", RequestLine),
        (b"GET /\r\n\r\n", RequestLine),
        (b"GET  / HTTP/1.1\r\n\r\n", RequestLine),
        (b"GET /\t HTTP/1.1\r\n\r\n", RequestLine),
        (b"GET /#a HTTP/1.1\r\n\r\n", RequestLine),
        (b"GET /\x7f HTTP/1.1\r\n\r\n", RequestLine),
        (b"GET \xc3\xa4 HTTP/1.1\r\n\r\n", RequestLine),
        (b"GET / HTTP/2.0\r\n\r\n", RequestLine),
        (b"GET / HTTP/1.10\r\n\r\n", RequestLine),
        (b"GET / HTTP/1.\r\n\r\n", RequestLine),
        (b"GET / HTTP/1.x\r\n\r\n", RequestLine),
        (b"GET / HTTP/1.1 \r\n\r\n", RequestLine),
        (b"G{T / HTTP/1.1\r\n\r\n", RequestLine),
        (
            &request("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
            TwoLengths,
        ),
        (
            &request("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
            TwoLengths,
        ),
        (
            &request("Content-Length: 5\r\nContent-Length: 5\r\n"),
            TwoLengths,
        ),
        (
            &request("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            TwoLengths,
        ),
        (&request("Content-Length: 5, 5\r\n"), ContentLength),
        (&request("Content-Length: +5\r\n"), ContentLength),
        (&request("Content-Length: 0x5\r\n"), ContentLength),
        (&request("Content-Length:\r\n"), ContentLength),
        (
            &request("Content-Length: 18446744073709551616\r\n"),
            ContentLength,
        ),
        (
            &request("Content-Length: 9223372036854775808\r\n"),
            ContentLength,
        ),
        (
            &request("Transfer-Encoding: gzip, chunked\r\n"),
            UnknownCoding,
        ),
        (&request("Transfer-Encoding: xchunked\r\n"), UnknownCoding),
        (&request("Transfer-Encoding: identity\r\n"), UnknownCoding),
        (
            &request("Transfer-Encoding: chunked, gzip\r\n"),
            TransferEncoding,
        ),
        (
            &request("Transfer-Encoding: chunked, chunked\r\n"),
            TransferEncoding,
        ),
        (
            &request("Transfer-Encoding: ,chunked\r\n"),
            TransferEncoding,
        ),
        (&request("Transfer-Encoding:\r\n"), TransferEncoding),
        (
            &request("Transfer-Encoding: chunked;q=1\r\n"),
            TransferEncoding,
        ),
        (
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            TransferEncoding,
        ),
    ] {
        assert_eq!(length_of(bytes), Err(violation), "{}", bytes.escape_ascii());
    }
}

#[test]
fn the_http_2_preface_is_recognized() {
    let whole = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_eq!(length_of(whole), Err(Violation::Http2));
    let mut input = BytesMut::from(&whole[..]);
    let refused = RequestReader::default().read(&mut input).map(|_| ());
    assert_eq!(
        (refused, &input[..]),
        (Err(Violation::Http2), &b"SM\r\n\r\n"[..])
    );
    for other in [
        &b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n"[..],
        b"PRI / HTTP/2.0\r\n\r\n",
        b"GET * HTTP/2.0\r\n\r\n",
    ] {
        let refused = length_of(other);
        assert_eq!(
            refused,
            Err(Violation::RequestLine),
            "{}",
            other.escape_ascii()
        );
    }
}

#[test]
fn bytes_after_a_head_stay_in_the_input() {
    let mut input = BytesMut::from(&request("Content-Length: 4\r\n")[..]);
    input.extend_from_slice(b"bodyGET");
    let mut reader = RequestReader::default();
    assert!(reader.read(&mut input).unwrap().is_some());
    assert_eq!(input, "bodyGET");
}

#[test]
fn a_head_has_a_limit() {
    let value = "x".repeat(LARGEST_HEAD);
    for bytes in [
        format!("GET / HTTP/1.1\r\nA: {value}"),
        format!("GET / HTTP/1.1\r\nA: {value}\r\n\r\n"),
        format!(
            "GET / HTTP/1.1\r\n{}\r\n",
            "A: b\r\n".repeat(MOST_FIELDS + 1)
        ),
    ] {
        let refused = read(bytes.as_bytes()).map(|_| ());
        assert_eq!(refused, Err(Violation::TooLarge), "{}", &bytes[..20]);
    }
    for bytes in [
        format!("GET /{value}"),
        format!("GET /{value} HTTP/1.1\r\n\r\n"),
    ] {
        let refused = read(bytes.as_bytes()).map(|_| ());
        assert_eq!(refused, Err(Violation::TargetTooLong));
    }
    let fields = "A: b\r\n".repeat(MOST_FIELDS);
    let most = format!("GET / HTTP/1.1\r\n{fields}\r\n");
    assert!(read(most.as_bytes()).unwrap().is_some());
    assert!(read(b"GET / HTTP/1.1\r\nA: b\r\n").unwrap().is_none());
}

#[test]
fn each_reader_has_its_own_limits() {
    let head = "GET / HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n";
    for (bytes, fields, is_read) in [
        (head.len(), 2, true),
        (head.len() - 1, 2, false),
        (head.len(), 1, false),
    ] {
        let mut reader = RequestReader::new(HeadLimits { bytes, fields });
        for _ in 0..2 {
            let read = reader.read(&mut BytesMut::from(head));
            let refused = read.map(|received| received.is_some());
            let wanted = if is_read {
                Ok(true)
            } else {
                Err(Violation::TooLarge)
            };
            assert_eq!(refused, wanted, "{bytes} bytes, {fields} fields");
        }
    }
}

#[test]
fn a_request_determines_whether_its_connection_persists() {
    let received = |head: &str| read(format!("{head}\r\n\r\n").as_bytes()).unwrap().unwrap();
    assert!(received("GET / HTTP/1.1").persistent);
    assert!(!received("GET / HTTP/1.1\r\nConnection: Close").persistent);
    assert!(!received("GET / HTTP/1.0").persistent);
    assert!(received("GET / HTTP/1.0\r\nConnection: Keep-Alive").persistent);
    assert!(received("GET / HTTP/1.1\r\nExpect: 100-continue").expects_continue);
    assert!(!received("GET / HTTP/1.0\r\nExpect: 100-continue").expects_continue);
}

//! Reads exchanges over HTTP/1.1 in pieces of any size.

use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http1::{
    ClientConnection, Decoder, Field, Length, Persistence, Piece, RequestReader, ResponseHead,
    ServerConnection, Violation, has_body, is_interim,
};

/// A message as one side read it.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// The first line, as it was read.
    pub line: String,
    /// The fields.
    pub headers: HeaderMap,
    /// How the end of the body is determined.
    pub length: Length,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the end of the body arrived.
    pub complete: bool,
}

/// The ways in which bytes may arrive: at once, cut in two anywhere, and in pieces of `size` bytes.
pub fn splits(bytes: &[u8], size: u8) -> [Vec<&[u8]>; 3] {
    let (first, rest) = bytes.split_at(bytes.len() * usize::from(size) / 256);
    let pieces = bytes.chunks(usize::from(size).max(1));
    [vec![bytes], vec![first, rest], pieces.collect()]
}

/// Reads the requests in these pieces, and answers each. Returns them, and the violation that ended the connection, if any.
/// Nothing is read after a request that ends the connection.
pub fn requests(pieces: &[&[u8]]) -> (Vec<Message>, Option<Violation>) {
    let (mut server, mut input) = (ServerConnection::default(), BytesMut::new());
    let (mut seen, mut pieces) = (Vec::new(), pieces.iter().copied());
    loop {
        match server.next_request(&mut input) {
            Err(violation) => {
                assert!(!server.is_persistent(), "nothing can follow");
                return (seen, Some(violation));
            }
            Ok(None) => match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None => return (seen, None),
            },
            Ok(Some(request)) => {
                check_written(&request);
                let (head, length) = request.into_parts();
                let line = format!("{} {} {:?}", head.method, head.uri, head.version);
                server.forward_body();
                let body = body(server.body(), &mut input, &mut pieces);
                let violation = body.as_ref().err().copied();
                let (body, complete) = body.unwrap_or_default();
                seen.push(Message {
                    line,
                    headers: head.headers,
                    length,
                    body,
                    complete,
                });
                assert!(complete || !server.is_persistent(), "its rest may follow");
                check_answered(&mut server, complete);
                if !server.is_persistent() {
                    return (seen, violation);
                }
            }
        }
    }
}

/// Reads the responses in these pieces to a request with this method: interim responses, and the final one.
pub fn answers(pieces: &[&[u8]], method: &Method) -> Result<Vec<Message>, Violation> {
    let (mut input, mut pieces) = (BytesMut::new(), pieces.iter().copied());
    let mut out = Vec::new();
    let mut client =
        ClientConnection::begin_request(&mut out, method, b"/", b"", Length::NONE, false);
    let mut seen = Vec::new();
    loop {
        assert!(!client.is_reusable(), "the answer is not there");
        let Some(answered) = client.next_answer(&mut input)? else {
            match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None => return Ok(seen),
            }
            continue;
        };
        let is_last = !is_interim(answered.status);
        check_forwarded(&answered, *method == Method::HEAD);
        let (body, complete) = match is_last {
            true => body(client.body(), &mut input, &mut pieces)?,
            false => (Vec::new(), true),
        };
        assert!(complete || !client.is_reusable(), "its rest may follow");
        seen.push(Message {
            line: format!("{} {}", answered.status, client.is_reusable()),
            headers: answered.fields().map(header).collect(),
            length: answered.length,
            body,
            complete,
        });
        if is_last {
            return Ok(seen);
        }
    }
}

/// Checks that a response says whether the connection ends. This is not checked if the request's body is incomplete, because that
/// shows only later.
fn check_answered(server: &mut ServerConnection, complete: bool) {
    let mut out = Vec::new();
    server.begin_answer(&mut out, StatusCode::OK, b"OK", [], Length::Chunked);
    let mut input = BytesMut::from(&out[..]);
    let read = http1::read_response(&mut input, server.is_to_head());
    let answered = read.expect("it is an answer").expect("it is whole");
    assert!(input.is_empty());
    if complete {
        assert_eq!(answered.persistent, server.is_persistent());
    }
}

fn body<'b>(
    decoder: &mut Decoder,
    input: &mut BytesMut,
    pieces: &mut impl Iterator<Item = &'b [u8]>,
) -> Result<(Vec<u8>, bool), Violation> {
    let mut body = Vec::new();
    loop {
        match decoder.next(input)? {
            Piece::Data(length) => {
                body.extend_from_slice(&input[..length]);
                input.advance(length);
                decoder.consumed(length);
            }
            Piece::End => return Ok((body, true)),
            Piece::Unknown => match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None => return Ok((body, false)),
            },
        }
    }
}

/// Converts a field that `http1` accepted, which other libraries must accept too.
fn header((name, value): Field<'_>) -> (HeaderName, HeaderValue) {
    let name = HeaderName::from_bytes(name).expect("the name of a field");
    (name, HeaderValue::from_bytes(value).expect("its value"))
}

/// Checks that another parser reads the response that is forwarded to the client as it was read here.
fn check_forwarded(answered: &ResponseHead, to_head: bool) {
    let hop_by_hop = answered.hop_by_hop();
    let kept = answered
        .fields()
        .filter(|(name, _)| !hop_by_hop.contains(name));
    let kept: Vec<_> = kept.collect();
    let length = has_body(to_head, answered.status).then_some(answered.length);
    let mut out = Vec::new();
    let fields = kept.iter().copied();
    http1::write_response(
        &mut out,
        answered.status,
        answered.reason(),
        fields,
        length,
        Persistence::Close,
    );
    let mut fields = [httparse::EMPTY_HEADER; http1::MOST_FIELDS + 2];
    let mut other = httparse::Response::new(&mut fields);
    let end = other.parse(&out).expect("another parser reads it");
    assert_eq!(end, httparse::Status::Complete(out.len()), "to its end");
    assert_eq!(other.code, Some(answered.status.as_u16()));
    let ours = other.headers.len() - kept.len();
    assert!((1..=2).contains(&ours), "its end, and perhaps its length");
    for (other, (name, value)) in other.headers.iter().zip(&kept) {
        assert_eq!((other.name.as_bytes(), other.value), (*name, *value));
    }
}

/// Checks that this reader and another parser read the request that is forwarded to the upstream as it was read here.
fn check_written(request: &Request<Length>) {
    let mut kept = request.headers().clone();
    for framing in ["content-length", "transfer-encoding"] {
        kept.remove(framing);
    }
    // The forwarded request has one more field, for the length of the body.
    if request.headers().len() == http1::MOST_FIELDS {
        return;
    }
    // A caller of `write_request` ensures that the target is a path.
    let target = request.uri().path_and_query();
    let Some(target) = target.filter(|target| target.as_str().starts_with('/')) else {
        return;
    };
    let (mut fields, mut out) = (Vec::new(), Vec::new());
    for (name, value) in http1::fields(&kept) {
        http1::write_field(&mut fields, name, value);
    }
    let (method, length) = (request.method(), *request.body());
    http1::write_request(
        &mut out,
        method,
        target.as_str().as_bytes(),
        &fields,
        length,
        false,
    );
    let mut fields = [httparse::EMPTY_HEADER; http1::MOST_FIELDS + 1];
    let mut other = httparse::Request::new(&mut fields);
    let end = other.parse(&out).expect("another parser reads it");
    assert_eq!(end, httparse::Status::Complete(out.len()), "to its end");
    assert_eq!(other.path, Some(target.as_str()));
    let read = RequestReader::default().read(&mut BytesMut::from(&out[..]));
    let again = read.expect("it is a request").expect("it is whole").request;
    assert_eq!(*again.body(), length);
    assert_eq!(again.uri(), target.as_str());
    for (name, value) in &kept {
        assert!(
            again
                .headers()
                .get_all(name)
                .iter()
                .any(|other| other == value)
        );
    }
}

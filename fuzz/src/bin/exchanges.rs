//! Fuzzes both state machines of HTTP/1.1 on one connection: each reads what the other writes, in whatever pieces it arrives, and
//! they agree whether the connection can be used again.
#![no_main]

use bytes::{Buf, BytesMut};
use http::{Method, StatusCode};
use http1::{ClientConnection, Decoder, Encoder, Length, Piece, ServerConnection};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [
        method,
        asked,
        answered,
        status,
        request_cut,
        answer_cut,
        bodies @ ..,
    ] = data
    else {
        return;
    };
    let half = bodies.len() / 2;
    let (request_body, answer_body) = bodies.split_at(half);
    let method = &METHODS[usize::from(*method) % METHODS.len()];
    let status = STATUSES[usize::from(*status) % STATUSES.len()];
    let request_length = match asked % 3 {
        0 => Length::NONE,
        1 => Length::Exactly(request_body.len() as u64),
        _ => Length::Chunked,
    };
    let answer_length = match answered % 3 {
        0 => Length::UntilClose,
        1 => Length::Exactly(answer_body.len() as u64),
        _ => Length::Chunked,
    };
    let sent = if asked % 3 == 0 {
        &[][..]
    } else {
        request_body
    };

    // The request.
    let mut out = Vec::new();
    let fields = b"host: a\r\n";
    let mut client =
        ClientConnection::begin_request(&mut out, method, b"/", fields, request_length, false);
    send(client.request(), &mut out, sent, usize::from(asked / 3));
    let (mut server, mut came) = (ServerConnection::default(), Pieces::new(&out, *request_cut));
    let request = loop {
        match server.next_request(&mut came.input).expect("a request") {
            Some(request) => break request,
            None => assert!(came.more(), "it is whole"),
        }
    };
    assert_eq!(
        (request.method(), *request.body()),
        (method, request_length)
    );
    server.forward_body();
    assert_eq!(take(server.body(), &mut came).as_deref(), Some(sent));
    assert!(came.are_finished() && server.is_persistent());

    // The answer.
    let mut out = Vec::new();
    server.begin_answer(&mut out, status, b"Yes", [], answer_length);
    let has_body = http1::has_body(server.is_to_head(), status);
    let sent = if has_body { answer_body } else { &[][..] };
    if has_body {
        send(server.answer(), &mut out, sent, usize::from(answered / 3));
    }
    let mut came = Pieces::new(&out, *answer_cut);
    let answer = loop {
        match client.next_answer(&mut came.input).expect("an answer") {
            Some(answer) => break answer,
            None => assert!(came.more(), "it is whole"),
        }
    };
    assert_eq!((answer.status, answer.reason()), (status, &b"Yes"[..]));
    assert!(!client.is_reusable() || sent.is_empty());
    assert_eq!(take(client.body(), &mut came).as_deref(), Some(sent));
    assert!(came.are_finished());
    assert_eq!(client.is_reusable(), server.is_persistent());
    assert_eq!(client.is_bodiless(), !has_body);
});

/// Writes a body in pieces of `size` bytes.
fn send(encoder: &mut Encoder, out: &mut Vec<u8>, body: &[u8], size: usize) {
    for piece in body.chunks(size.max(1)) {
        encoder.write(out, piece);
    }
    encoder.finish(out);
}

/// Reads a body to its end; `None` when the end does not arrive.
fn take(decoder: &mut Decoder, came: &mut Pieces<'_>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        match decoder.next(&mut came.input).expect("a body") {
            Piece::Data(length) => {
                body.extend_from_slice(&came.input[..length]);
                came.input.advance(length);
                decoder.consumed(length);
            }
            Piece::End => return Some(body),
            Piece::Unknown if came.more() => {}
            Piece::Unknown => return decoder.close().then_some(body),
        }
    }
}

/// Bytes that arrive in two pieces, cut anywhere.
struct Pieces<'b> {
    input: BytesMut,
    rest: &'b [u8],
}

impl<'b> Pieces<'b> {
    fn new(bytes: &'b [u8], cut: u8) -> Self {
        let (first, rest) = bytes.split_at(bytes.len() * usize::from(cut) / 256);
        Self {
            input: BytesMut::from(first),
            rest,
        }
    }

    /// Delivers the second piece. Returns whether there was one.
    fn more(&mut self) -> bool {
        let has_come = !self.rest.is_empty();
        self.input.extend_from_slice(self.rest);
        self.rest = &[];
        has_come
    }

    /// Whether all bytes arrived and were taken.
    fn are_finished(&self) -> bool {
        self.input.is_empty() && self.rest.is_empty()
    }
}

const METHODS: [Method; 4] = [Method::GET, Method::HEAD, Method::POST, Method::DELETE];
const STATUSES: [StatusCode; 5] = [
    StatusCode::OK,
    StatusCode::NO_CONTENT,
    StatusCode::NOT_MODIFIED,
    StatusCode::NOT_FOUND,
    StatusCode::INTERNAL_SERVER_ERROR,
];

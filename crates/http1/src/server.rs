//! The server's side of a connection: a state machine without I/O. Requests come in, responses go out.
//!
//! ```text
//! input  ──► next_request   the head of a request, or a violation
//!        ──► body           its body, piece by piece (trailers are checked and dropped)
//! output ◄── write_interim  an interim response (1xx), if the client can read one
//!        ◄── begin_answer   the head of the response, framed for this client
//!        ◄── answer         its body, piece by piece
//! ```
//!
//! The caller owns the buffers. The state machine knows where a message ends, what the client can read, and whether another
//! request may follow on the connection.

use bytes::{Buf, BytesMut};
use http::{Method, Request, StatusCode, Version};

use crate::request::{RequestHead, RequestReader};
use crate::{
    Decoder, Encoder, Field, HeadLimits, Length, Persistence, Piece, Violation, has_body,
    write_response,
};

/// The state of a connection to a client, and of its current exchange.
#[derive(Debug)]
pub struct ServerConnection {
    reader: RequestReader,
    /// Whether the current request is `HEAD`.
    is_head: bool,
    version: Version,
    /// Whether another request may follow the current one.
    persistent: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    awaits_continue: bool,
    /// The rest of the current request's body.
    body: Decoder,
    /// Whether the request's body is forwarded. Until its end is reached, the next bytes belong to that body, so no other request
    /// may be read.
    forwards_body: bool,
    /// The body of the response.
    answer: Encoder,
}

impl Default for ServerConnection {
    fn default() -> Self {
        Self::new(HeadLimits::default())
    }
}

impl ServerConnection {
    /// A new connection, with limits for the heads of its requests.
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            reader: RequestReader::new(limits),
            is_head: false,
            version: Version::HTTP_11,
            persistent: true,
            awaits_continue: false,
            body: Decoder::of_request(Length::NONE),
            forwards_body: false,
            answer: Encoder::new(Length::NONE),
        }
    }

    /// Takes the head of the next request from the front of `input`; `None` when the head is incomplete. The body of the previous
    /// request must have been read.
    ///
    /// # Errors
    ///
    /// [`Violation`] when the bytes are not a request. Nothing after them can be read.
    pub fn next_request(
        &mut self,
        input: &mut BytesMut,
    ) -> Result<Option<Box<Request<Length>>>, Violation> {
        let read = self.reader.read(input).inspect_err(|_| self.end())?;
        Ok(read.map(|received| self.begin(received)))
    }

    /// Gives up a request whose head is incomplete, and returns [`Violation::Unfinished`]. Nothing can be read after it.
    pub fn give_up(&mut self) -> Violation {
        self.end();
        Violation::Unfinished
    }

    fn begin(&mut self, received: RequestHead) -> Box<Request<Length>> {
        let RequestHead {
            request,
            persistent,
            expects_continue,
        } = received;
        let length = *request.body();
        self.is_head = *request.method() == Method::HEAD;
        self.version = request.version();
        self.persistent = persistent;
        self.awaits_continue = expects_continue && length != Length::NONE;
        self.body = Decoder::of_request(length);
        self.forwards_body = false;
        request
    }

    /// The body of the current request.
    pub fn body(&mut self) -> &mut Decoder {
        &mut self.body
    }

    /// Discards the part of the current request's body that is in `input`. Returns [`Piece::End`] at the end of the body, and
    /// [`Piece::Unknown`] when more input is needed.
    ///
    /// # Errors
    ///
    /// [`Violation`] when the bytes are not a body.
    pub fn skip_body(&mut self, input: &mut BytesMut) -> Result<Piece, Violation> {
        loop {
            match self.body.next(input)? {
                Piece::Data(length) => {
                    input.advance(length);
                    self.body.consumed(length);
                }
                rest @ (Piece::End | Piece::Unknown) => return Ok(rest),
            }
        }
    }

    /// Whether the client waits for `100 Continue` before it sends the body of the current request.
    pub fn awaits_continue(&self) -> bool {
        self.awaits_continue
    }

    /// Notes that the body of the current request is forwarded: the client sends it already, or gets `100 Continue`.
    pub fn forward_body(&mut self) {
        self.forwards_body = true;
        self.awaits_continue = false;
    }

    /// Writes an interim response, if the client can read one (RFC 9110 §15.2).
    pub fn write_interim<'f>(
        &self,
        out: &mut Vec<u8>,
        status: StatusCode,
        reason: &[u8],
        fields: impl IntoIterator<Item = Field<'f>>,
    ) {
        if self.version == Version::HTTP_11 {
            write_response(out, status, reason, fields, None, Persistence::Implied);
        }
    }

    /// Whether another request may follow, once the rest of the body has been read.
    pub fn is_persistent(&self) -> bool {
        self.persistent && (!self.forwards_body || self.body.is_over())
    }

    /// Makes the current request the last one on the connection.
    pub fn end(&mut self) {
        self.persistent = false;
    }

    /// Writes the head of the response, for a body of this length, with framing that the client can read. `fields` must not
    /// contain fields about framing and the connection.
    pub fn begin_answer<'f>(
        &mut self,
        out: &mut Vec<u8>,
        status: StatusCode,
        reason: &[u8],
        fields: impl IntoIterator<Item = Field<'f>>,
        length: Length,
    ) {
        let is_http_10 = self.version == Version::HTTP_10;
        let framed = match length {
            Length::Exactly(_) => length,
            Length::Chunked | Length::UntilClose if is_http_10 => Length::UntilClose,
            Length::Chunked | Length::UntilClose => Length::Chunked,
        };
        let has_body = has_body(self.is_head, status);
        if framed == Length::UntilClose && has_body || self.has_unread_body() {
            self.end();
        }
        let persistence = match (self.persistent, is_http_10) {
            _ if status == StatusCode::SWITCHING_PROTOCOLS => Persistence::Implied,
            (true, false) => Persistence::Implied,
            (true, true) => Persistence::KeepAlive,
            (false, _) => Persistence::Close,
        };
        let written_length = has_body.then_some(framed);
        write_response(out, status, reason, fields, written_length, persistence);
        self.answer = Encoder::new(framed);
    }

    /// Whether the current request has a body that will not be read: the client does not send it, or it is too long to discard.
    fn has_unread_body(&self) -> bool {
        let is_long = self.body.left().is_some_and(|left| left > MOST_DISCARDED);
        self.awaits_continue || is_long && !self.forwards_body
    }

    /// The encoder for the body of the response.
    pub fn answer(&mut self) -> &mut Encoder {
        &mut self.answer
    }

    /// Whether the current request is `HEAD`, so that the response has no body whatever its fields say.
    pub fn is_to_head(&self) -> bool {
        self.is_head
    }
}

/// The largest unread rest of a body, in bytes, that is discarded so that the connection can be kept.
pub const MOST_DISCARDED: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Piece;

    /// A connection that has read the request in these bytes, and the bytes that follow its head.
    fn asked(bytes: &str) -> (ServerConnection, BytesMut) {
        let (mut server, mut input) = (ServerConnection::default(), BytesMut::from(bytes));
        assert!(server.next_request(&mut input).unwrap().is_some());
        (server, input)
    }

    fn answered(server: &mut ServerConnection, length: Length) -> String {
        let mut out = Vec::new();
        server.begin_answer(&mut out, StatusCode::OK, b"OK", [], length);
        String::from_utf8(out).unwrap()
    }

    /// Discards the part of the body that is in the input.
    fn take_body(server: &mut ServerConnection, input: &mut BytesMut) -> Piece {
        server.skip_body(input).unwrap()
    }

    #[test]
    fn each_request_is_framed_for_its_clients_version() {
        let (mut server, mut input) = asked(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nA: b\r\n\r\n\
             GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        );
        server.forward_body();
        assert!(!server.is_persistent());
        assert_eq!(take_body(&mut server, &mut input), Piece::End);
        let head = answered(&mut server, Length::UntilClose);
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        assert!(server.is_persistent());

        assert!(server.next_request(&mut input).unwrap().is_some());
        let head = answered(&mut server, Length::Exactly(2));
        assert!(head.contains("connection: keep-alive"), "{head}");
        assert!(server.is_persistent());
        let head = answered(&mut server, Length::Chunked);
        assert!(head.contains("connection: close"), "{head}");
        assert!(!server.is_persistent());
        assert_eq!(server.answer().length(), Length::UntilClose);
    }

    #[test]
    fn the_end_of_a_connection_is_announced_in_the_response() {
        for (head, unread) in [
            ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", true),
            (
                "POST / HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
                true,
            ),
        ] {
            let (mut server, _) = asked(head);
            let answer = answered(&mut server, Length::NONE);
            assert!(answer.contains("connection: close"), "{head}: {answer}");
            assert!(!server.is_persistent(), "{head}");
            let (mut server, _) = asked(head);
            let awaited = server.awaits_continue();
            assert_eq!(awaited, head.contains("100-continue"), "{head}");
            server.forward_body();
            let answer = answered(&mut server, Length::NONE);
            assert_eq!(answer.contains("connection: close"), !unread, "{head}");
        }
    }

    #[test]
    fn no_request_is_read_after_an_incomplete_body() {
        let (mut server, mut input) = asked("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab");
        server.forward_body();
        assert_eq!(take_body(&mut server, &mut input), Piece::Unknown);
        answered(&mut server, Length::NONE);
        assert!(!server.is_persistent());
        input.extend_from_slice(b"c");
        assert_eq!(server.body().next(&mut input), Ok(Piece::Data(1)));
        assert!(!server.is_persistent(), "it is there, but not taken");
        assert_eq!(take_body(&mut server, &mut input), Piece::End);
        assert!(server.is_persistent());
    }

    #[test]
    fn interim_responses_are_written_only_for_http_1_1() {
        let link = [(&b"link"[..], &b"</a>"[..])];
        for (version, written) in [
            ("HTTP/1.1", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
            ("HTTP/1.0", ""),
        ] {
            let (server, _) = asked(&format!("GET / {version}\r\n\r\n"));
            let mut out = Vec::new();
            server.write_interim(&mut out, StatusCode::EARLY_HINTS, b"Early Hints", link);
            assert_eq!(String::from_utf8(out).unwrap(), written);
        }
    }

    #[test]
    fn no_request_is_read_after_a_malformed_one() {
        let mut server = ServerConnection::default();
        let mut input = BytesMut::from("GET /\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        let refused = server.next_request(&mut input).map(|_| ());
        assert_eq!(refused, Err(Violation::RequestLine));
        assert!(!server.is_persistent());
        assert!(answered(&mut server, Length::NONE).contains("connection: close"));
    }
}

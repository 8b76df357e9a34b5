//! The client's side of a connection: a state machine without I/O. A request goes out, its response comes in.
//!
//! ```text
//! output ◄── begin_request   the head of a request
//!        ◄── request         its body, piece by piece
//! input  ──► next_answer     interim responses (1xx), then the response, or a violation
//!        ──► body            its body, piece by piece (trailers are checked and dropped)
//! ```
//!
//! The caller owns the buffers. The state machine knows where a message ends, and whether the connection can carry another
//! request.

use bytes::BytesMut;
use http::{Method, StatusCode};

use crate::{
    Decoder, Encoder, Length, ResponseHead, Violation, has_body, read_response, write_request,
};

/// The state of one exchange on a connection to a server.
#[derive(Debug)]
pub struct ClientConnection {
    /// Whether the request is `HEAD`, so that the response has no body whatever its fields say.
    is_head: bool,
    request: Encoder,
    body: Decoder,
    /// Whether the response has begun, and the server keeps the connection open after it.
    persistent: bool,
    /// Whether the response has no body because of the request or the status.
    bodiless: bool,
    /// Whether the request will not be sent completely.
    abandoned: bool,
}

impl ClientConnection {
    /// Writes the head of a request, as [`write_request`] does. With `expects_continue` the request waits for `100 Continue` before the
    /// body (RFC 9110 §10.1.1).
    pub fn begin_request(
        out: &mut Vec<u8>,
        method: &Method,
        target: &[u8],
        fields: &[u8],
        length: Length,
        expects_continue: bool,
    ) -> Self {
        write_request(out, method, target, fields, length, expects_continue);
        Self {
            is_head: *method == Method::HEAD,
            request: Encoder::new(length),
            body: Decoder::of_answer(Length::NONE),
            persistent: false,
            bodiless: false,
            abandoned: false,
        }
    }

    /// The encoder for the body of the request.
    pub fn request(&mut self) -> &mut Encoder {
        &mut self.request
    }

    /// Notes that the rest of the request will not be sent.
    pub fn abandon_request(&mut self) {
        self.abandoned = true;
    }

    /// Takes the next head from the front of `input`; `None` when the head is incomplete. Interim responses come before the
    /// response; [`is_interim`] recognizes them.
    ///
    /// # Errors
    ///
    /// [`Violation`] when the bytes are not the head of a response, or when it is unclear where the body ends.
    pub fn next_answer(&mut self, input: &mut BytesMut) -> Result<Option<ResponseHead>, Violation> {
        let read = read_response(input, self.is_head)?;
        if let Some(answered) = &read
            && !is_interim(answered.status)
        {
            self.body = Decoder::of_answer(answered.length);
            self.persistent = answered.persistent;
            self.bodiless = !has_body(self.is_head, answered.status);
        }
        Ok(read)
    }

    /// The decoder for the body of the response.
    pub fn body(&mut self) -> &mut Decoder {
        &mut self.body
    }

    /// Whether the connection can carry another request: both messages are complete, and the server keeps it open.
    pub fn is_reusable(&self) -> bool {
        self.persistent && !self.abandoned && self.request.is_finished() && self.body.is_over()
    }

    /// Whether the response has no body by definition: a response to `HEAD`, or one with status 204 or 304. If a server sends a
    /// body nevertheless, it would be read as the next response, so check that no bytes arrive before the connection carries
    /// another request (RFC 9112 §6.3 tells a client to discard such bytes).
    pub fn is_bodiless(&self) -> bool {
        self.bodiless
    }
}

/// Whether a status is that of an interim response (RFC 9110 §15.2).
pub fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Piece;

    fn begun(method: Method, length: Length) -> ClientConnection {
        let mut out = Vec::new();
        ClientConnection::begin_request(&mut out, &method, b"/", b"host: a\r\n", length, false)
    }

    fn answer(client: &mut ClientConnection, bytes: &str) -> (ResponseHead, BytesMut) {
        let mut input = BytesMut::from(bytes);
        let answered = client.next_answer(&mut input).unwrap().unwrap();
        (answered, input)
    }

    #[test]
    fn a_persistent_connection_is_reusable_after_complete_messages() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
        let mut client = begun(Method::GET, Length::NONE);
        assert!(!client.is_reusable(), "there is no answer yet");
        let (_, mut input) = answer(&mut client, ok);
        assert!(!client.is_reusable());
        assert_eq!(client.body().next(&mut input), Ok(Piece::Data(2)));
        assert!(!client.is_reusable(), "it is there, but not taken");
        client.body().consumed(2);
        assert!(client.is_reusable() && !client.is_bodiless());

        let mut client = begun(Method::GET, Length::NONE);
        answer(
            &mut client,
            "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
        );
        assert!(!client.is_reusable(), "the server closes it");

        let mut client = begun(Method::POST, Length::Exactly(1));
        let (_, mut input) = answer(&mut client, ok);
        assert_eq!(client.body().next(&mut input), Ok(Piece::Data(2)));
        client.body().consumed(2);
        assert!(!client.is_reusable(), "the request is not whole");
        let mut out = Vec::new();
        client.request().write(&mut out, b"x");
        client.request().finish(&mut out);
        assert!(client.is_reusable());
        client.abandon_request();
        assert!(!client.is_reusable());
    }

    #[test]
    fn interim_responses_precede_the_response() {
        let mut client = begun(Method::HEAD, Length::NONE);
        let (interim, mut input) = answer(
            &mut client,
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        );
        assert!(is_interim(interim.status));
        assert!(!client.is_reusable());
        let last = client.next_answer(&mut input).unwrap().unwrap();
        assert_eq!(last.status, StatusCode::OK);
        assert!(client.is_reusable(), "there is no body to HEAD");
        assert!(client.is_bodiless());
        assert!(!is_interim(StatusCode::SWITCHING_PROTOCOLS));
    }

    #[test]
    fn a_body_until_close_leaves_no_reusable_connection() {
        let mut client = begun(Method::GET, Length::NONE);
        let (_, mut input) = answer(&mut client, "HTTP/1.1 200 OK\r\n\r\nab");
        assert_eq!(client.body().next(&mut input), Ok(Piece::Data(2)));
        client.body().consumed(2);
        assert!(client.body().close());
        assert!(!client.is_reusable());
    }
}

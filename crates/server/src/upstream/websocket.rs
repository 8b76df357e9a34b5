//! WebSockets with a server: on their own connection, or on a stream of HTTP/2 (RFC 8441).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use gate::Admitted;
use h2::ext::Protocol;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TE, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http1::Length;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::channels::ReservedStream;
use crate::http2::messages::{Incoming, Outgoing, UnsentBody};
use crate::link::Link;

/// The connection or stream of an accepted WebSocket.
pub(crate) enum Upgraded {
    Connection(Box<Link>),
    Stream(Box<OverStream>),
}

/// An HTTP/2 stream as a byte stream: the contents of its DATA frames.
#[derive(Debug)]
pub(crate) struct OverStream {
    incoming: Incoming,
    outgoing: Outgoing,
    left: UnsentBody,
    /// Bytes that have arrived and were not read yet.
    read: Bytes,
    /// Its reservation on the connection.
    _reserved: ReservedStream,
}

/// The `Sec-WebSocket-Key` of a request for a WebSocket; `None` for any other request.
pub(super) fn key<'a>(admitted: &'a Admitted<'_, Length>) -> Option<&'a [u8]> {
    let field = |wanted: &[u8]| {
        let mut fields = http1::read_fields(admitted.fields());
        let found = fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value)
    };
    field(b"upgrade").and_then(|_| field(b"sec-websocket-key"))
}

/// The `Sec-WebSocket-Accept` for a key (RFC 6455 §4.2.2).
pub(crate) fn accept(key: &[u8]) -> HeaderValue {
    let text = [key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &text);
    HeaderValue::try_from(BASE64_STANDARD.encode(digest)).expect("base64 is visible ASCII")
}

/// Turns the request into an extended CONNECT (RFC 8441 §5).
pub(super) fn make_connect(request: &mut Request<()>) {
    *request.method_mut() = Method::CONNECT;
    let protocol = Protocol::from_static("websocket");
    request.extensions_mut().insert(protocol);
    let headers = request.headers_mut();
    headers.remove(SEC_WEBSOCKET_KEY);
    // A WebSocket has no trailers.
    headers.remove(TE);
}

/// Turns the response that accepts a WebSocket over HTTP/2 into the 101 that an HTTP/1.1 client expects.
pub(super) fn make_accepted(response: &mut Response<()>, accept: HeaderValue) {
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
}

impl OverStream {
    pub(super) fn new(incoming: Incoming, outgoing: Outgoing, reserved: ReservedStream) -> Self {
        Self {
            incoming,
            outgoing,
            left: UnsentBody::default(),
            read: Bytes::new(),
            _reserved: reserved,
        }
    }
}

impl AsyncRead for OverStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { incoming, read, .. } = &mut *self;
        incoming.poll_read(context, read, buffer)
    }
}

impl AsyncWrite for OverStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.as_mut().poll_flush(context))?;
        self.left.piece = Bytes::copy_from_slice(bytes);
        // What is not sent now is sent with the next bytes.
        if let Poll::Ready(sent) = self.poll_flush(context) {
            sent?;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { outgoing, left, .. } = &mut *self;
        outgoing.poll_send(context, left)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(context))?;
        self.left.finish(None);
        self.poll_flush(context)
    }
}

//! Bodies between different versions of HTTP, a piece at a time. At most one piece is in transit, so a slow side slows down
//! the other one, and memory stays bounded.

mod client;
pub(crate) mod pieces;

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http1::ResponseHead;

use crate::downstream::Downstream;
use crate::transfer::Broken;

/// The next piece of a body.
#[derive(Debug)]
pub(crate) enum BodyFrame {
    /// Some bytes.
    Data(Bytes),
    /// The end, with trailers if there are any.
    End(Option<HeaderMap>),
    /// The last bytes.
    Last(Bytes),
}

impl BodyFrame {
    /// The number of bytes of the body, without trailers.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Data(piece) | Self::Last(piece) => piece.len() as u64,
            Self::End(_) => 0,
        }
    }
}

/// A client's side that reads and writes bodies in pieces.
pub(crate) trait Streamed: Downstream {
    /// Whether the client has sent some of its body without waiting for `100 Continue`.
    fn has_sent_ahead(&mut self, context: &mut Context<'_>) -> bool;

    /// Sends `100 Continue`.
    fn send_continue(&mut self, context: &mut Context<'_>);

    /// Forwards an interim (1xx) response.
    fn pass_interim(&mut self, context: &mut Context<'_>, interim: &ResponseHead);

    /// Begins to read the request's body.
    fn forward_body(&mut self);

    /// The next piece of the request's body. The previous piece must have been taken.
    ///
    /// # Errors
    /// [`Broken::Limit`] when it is too long, [`Broken::Source`] when it breaks off or the client is too slow.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<BodyFrame, Broken>>;

    /// Sends what was begun or [put](Self::put). Ready when there is room for more.
    ///
    /// # Errors
    /// When the client has gone away, or reads too slowly.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Adds to the answer's body. There must be [room](Self::poll_room).
    fn put(&mut self, piece: Bytes);

    /// Ends the answer's body. There must be [room](Self::poll_room).
    fn finish(&mut self, trailers: Option<HeaderMap>);

    /// Asks an HTTP/2 client to repeat the request over HTTP/1.1, where a connection belongs to one user. Returns false if
    /// the client speaks HTTP/1.1 already.
    fn requires_http1(&mut self) -> bool;

    /// A lower bound on the bytes of the answer that the client has not taken yet.
    fn waiting(&self) -> usize;
}

/// A server's side that reads and writes bodies in pieces.
pub(crate) trait StreamedOrigin {
    /// The next response head, which may be an interim one.
    ///
    /// # Errors
    /// When it is malformed, or nothing comes for too long.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ResponseHead>>;

    /// The next piece of the answer's body. The previous piece must have been taken.
    ///
    /// # Errors
    /// When it breaks off, or nothing comes for too long.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<io::Result<BodyFrame>>;

    /// Sends what was begun and [put](Self::put) there. Ready when there is room for more.
    ///
    /// # Errors
    /// When the server accepts no more bytes. It may still answer.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Adds to the request's body. There must be [room](Self::poll_room).
    fn put(&mut self, piece: Bytes);

    /// Ends the request's body. There must be [room](Self::poll_room).
    fn finish(&mut self, trailers: Option<HeaderMap>);

    /// Notes that the rest of the request will not be sent.
    fn abandon(&mut self);

    /// Suspends or restarts the server's timer, which runs only while the gate waits for the server.
    fn suspend_timer(&mut self, suspended: bool);
}

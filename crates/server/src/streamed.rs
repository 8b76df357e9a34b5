//! Bodies that go from one version of HTTP to another, a piece at a time: at most one of them is on its way, so whoever is slow
//! slows down the other side, and nothing is collected.

mod client;
pub(crate) mod pieces;

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http1::ResponseHead;

use crate::downstream::Downstream;
use crate::transfer::Broken;

/// What comes next of a body.
#[derive(Debug)]
pub(crate) enum BodyFrame {
    /// Some bytes.
    Data(Bytes),
    /// Nothing more; with the trailers, if there are any.
    End(Option<HeaderMap>),
    /// Some bytes, and nothing behind them.
    Last(Bytes),
}

impl BodyFrame {
    /// In bytes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Data(piece) | Self::Last(piece) => piece.len() as u64,
            Self::End(_) => 0,
        }
    }
}

/// A client's side whose bodies come and go in pieces.
pub(crate) trait Streamed: Downstream {
    /// Whether a body that is held back has come nevertheless.
    fn has_sent_ahead(&mut self, context: &mut Context<'_>) -> bool;

    /// Tells the client to send the body.
    fn invite(&mut self, context: &mut Context<'_>);

    /// Passes on an answer that comes before the answer.
    fn pass_interim(&mut self, context: &mut Context<'_>, interim: &ResponseHead);

    /// Notes that the body of the request is read from now on.
    fn forward_body(&mut self);

    /// The next piece of the request's body. The one before has been taken by then.
    ///
    /// # Errors
    /// [`Broken::Limit`] when it becomes too long, [`Broken::Source`] when it breaks off or the client keeps us waiting.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<BodyFrame, Broken>>;

    /// Sends what was begun and [put](Self::put) there. Ready when there is room for more.
    ///
    /// # Errors
    /// When the client has left, or takes it too slowly.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Adds to the body of the answer, when there is [room](Self::poll_room).
    fn put(&mut self, piece: Bytes);

    /// Ends the body of the answer, when there is [room](Self::poll_room).
    fn finish(&mut self, trailers: Option<HeaderMap>);

    /// Asks the client to come again over HTTP/1.1, where what a connection carries can be told to be one user's, unless it has
    /// come over that. Says whether it did.
    fn asks_for_http1(&mut self) -> bool;

    /// How many bytes of the answer, at least, wait for the client to take them.
    fn waiting(&self) -> usize;
}

/// A server's side of an exchange, whose bodies come and go in pieces.
pub(crate) trait Origin {
    /// The next head of an answer, which may be one that comes before the answer.
    ///
    /// # Errors
    /// When it is none, or nothing comes for too long.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ResponseHead>>;

    /// The next piece of the answer's body. The one before has been taken by then.
    ///
    /// # Errors
    /// When it breaks off, or nothing comes for too long.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<io::Result<BodyFrame>>;

    /// Sends what was begun and [put](Self::put) there. Ready when there is room for more.
    ///
    /// # Errors
    /// When the server does not take it. It may answer nevertheless.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Adds to the body of the request, when there is [room](Self::poll_room).
    fn put(&mut self, piece: Bytes);

    /// Ends the body of the request, when there is [room](Self::poll_room).
    fn finish(&mut self, trailers: Option<HeaderMap>);

    /// Notes that the rest of the request will not come.
    fn abandon(&mut self);

    /// Stops the server's clock, or starts it anew: it runs only while the server is waited for.
    fn suspend(&mut self, suspended: bool);
}

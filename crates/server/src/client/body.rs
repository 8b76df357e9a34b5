//! The body of a client's current request.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Buf;
use http1::{MOST_DISCARDED, Piece};

use super::Client;
use crate::connection::TimeBudget;
use crate::transfer::{BodySource, Transfer};

impl Client {
    /// Lets the current request's body go on to somebody who reads it. Unless its end is seen there, no other request is read: it
    /// might be a part of this body.
    pub(crate) fn forward_body(&mut self) -> Transfer {
        self.begin_body();
        Transfer::new().up_to(self.body_limit)
    }

    /// The same, for somebody who takes it piece by piece.
    pub(crate) fn begin_body(&mut self) {
        self.connection.set_read_budget(self.for_body());
        self.http.forward_body();
    }

    /// Counts a piece of the current request's body, and says whether it may be that long.
    pub(crate) fn has_room_for(&mut self, bytes: u64) -> bool {
        let left = self.body_limit.checked_sub(bytes);
        self.body_limit = left.unwrap_or(0);
        left.is_some()
    }

    /// Limits the body of the current request to so many bytes, before it is [forwarded](Self::forward_body) to anybody.
    pub(crate) fn limit_body(&mut self, bytes: u64) {
        self.body_limit = bytes;
    }

    /// Whether the client waits for a word before it sends the body of the current request, and has sent nothing of it.
    pub(crate) fn holds_body(&self) -> bool {
        self.http.awaits_continue() && !self.has_sent_ahead()
    }

    /// Whether something has come that nobody has read yet.
    pub(crate) fn has_sent_ahead(&self) -> bool {
        !self.connection.input.is_empty()
    }

    /// The body of the current request.
    pub(crate) fn source(&mut self) -> BodySource<'_> {
        BodySource {
            connection: &mut self.connection,
            body: self.http.body(),
        }
    }

    /// Takes the body of the current request as far as it has come. Says whether that is all of it.
    pub(crate) async fn skip_body(&mut self) -> bool {
        poll_fn(|context| {
            loop {
                match self.http.skip_body(&mut self.connection.input) {
                    Ok(Piece::End) => return Poll::Ready(true),
                    Ok(Piece::Data(_) | Piece::Unknown) => {}
                    Err(_) => return Poll::Ready(false),
                }
                match self.connection.poll_read(context) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0) | Err(_)) | Poll::Pending => return Poll::Ready(false),
                }
            }
        })
        .await
    }

    /// Reads the rest of a body that nobody wants, so that the next request can be read. False when it is too long for that.
    pub(super) async fn discard_body(&mut self) -> bool {
        let mut discarded = 0;
        loop {
            match self.http.body().next(&mut self.connection.input) {
                Ok(Piece::Data(length)) => {
                    self.connection.input.advance(length);
                    self.http.body().consumed(length);
                    discarded += length as u64;
                }
                Ok(Piece::End) => return true,
                Ok(Piece::Unknown) => {
                    if discarded == 0 {
                        self.connection.set_read_budget(self.for_body());
                    }
                    let read = poll_fn(|context| self.connection.poll_fill(context)).await;
                    if let Ok(0) | Err(_) = read {
                        return false;
                    }
                }
                Err(_) => return false,
            }
            if discarded > MOST_DISCARDED {
                return false;
            }
        }
    }

    /// A client that drips its body byte by byte holds a connection to the upstream for nothing.
    pub(super) fn for_body(&self) -> TimeBudget {
        TimeBudget {
            total: self.limits.body,
            per_wait: self.limits.body,
            rate: self.limits.upload_rate,
        }
    }
}

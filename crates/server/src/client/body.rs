//! The body of a client's current request.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Buf;
use http1::{MOST_DISCARDED, Piece};

use super::Client;
use crate::connection::TimeBudget;
use crate::transfer::{BodySource, Transfer};

impl Client {
    /// Begins to forward the current request's body. The next request is read only if the end of this body was seen;
    /// otherwise it might be a part of the body.
    pub(crate) fn forward_body(&mut self) -> Transfer {
        self.begin_body();
        Transfer::new().up_to(self.body_limit)
    }

    /// Begins to forward the current request's body to a reader that takes it piece by piece.
    pub(crate) fn begin_body(&mut self) {
        self.connection.set_read_budget(self.for_body());
        self.http.forward_body();
    }

    /// Counts a piece of the current request's body. Returns whether the body is still within its limit.
    pub(crate) fn has_room_for(&mut self, bytes: u64) -> bool {
        let left = self.body_limit.checked_sub(bytes);
        self.body_limit = left.unwrap_or(0);
        left.is_some()
    }

    /// Limits the body of the current request to this many bytes. Call it before the body is
    /// [forwarded](Self::forward_body).
    pub(crate) fn limit_body(&mut self, bytes: u64) {
        self.body_limit = bytes;
    }

    /// Whether the client waits for `100 Continue` and has sent nothing of the current request's body.
    pub(crate) fn holds_body(&self) -> bool {
        self.http.awaits_continue() && !self.has_sent_ahead()
    }

    /// Whether the client has sent bytes that have not been parsed yet.
    pub(crate) fn has_sent_ahead(&self) -> bool {
        !self.connection.input.is_empty()
    }

    /// The source of the current request's body.
    pub(crate) fn source(&mut self) -> BodySource<'_> {
        BodySource {
            connection: &mut self.connection,
            body: self.http.body(),
        }
    }

    /// Discards what has come of the current request's body. Returns whether that was all of it.
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

    /// Reads and discards the rest of the body, so that the next request can be read. Returns false when the body is too
    /// long for that.
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

    /// The time budget for a body. Without one, a client that sends its body byte by byte would hold a connection to the upstream
    /// for nothing.
    pub(super) fn for_body(&self) -> TimeBudget {
        TimeBudget {
            total: self.limits.body,
            per_wait: self.limits.body,
            rate: self.limits.upload_rate,
        }
    }
}

//! The bodies of a stream, with their flow control and their clocks.

use std::io;
use std::mem;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, Response, StatusCode};
use http1::Answered;

use super::stream::{AnswerBody, End, Http2Stream, RequestBody, broken, fields_of};
use crate::config::ClientSettings;
use crate::streamed::{BodyFrame, Streamed};
use crate::transfer::Broken;

impl Streamed for Http2Stream {
    fn holds_body(&self) -> bool {
        self.request.is_held
    }

    fn has_sent_ahead(&mut self, context: &mut Context<'_>) -> bool {
        if self.request.ahead.is_none()
            && let Poll::Ready(Some(Ok(piece))) = self.request.stream.poll_data(context)
        {
            self.request.ahead = Some(piece);
        }
        self.request.ahead.is_some()
    }

    fn invite(&mut self, _: &mut Context<'_>) {
        self.interim(StatusCode::CONTINUE, HeaderMap::new());
    }

    fn pass_interim(&mut self, _: &mut Context<'_>, interim: &Answered) {
        let hop_by_hop = interim.hop_by_hop();
        let fields = interim.fields();
        let fields = fields.filter(|(name, _)| !hop_by_hop.contains(name));
        self.interim(interim.status, fields_of(fields));
    }

    fn forward_body(&mut self) {
        self.request.is_held = false;
        self.request.reading.renew();
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<BodyFrame, Broken>> {
        let frame = ready!(self.request.poll_frame(context, &self.limits));
        if let Ok(BodyFrame::Data(piece)) = &frame {
            self.request.received += piece.len() as u64;
            if self.request.received > self.request.limit {
                return Poll::Ready(Err(Broken::Limit));
            }
        }
        Poll::Ready(frame.map_err(Broken::Source))
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.answer.poll_room(context, &self.limits)
    }

    fn put(&mut self, piece: Bytes) {
        self.answer.piece = piece;
    }

    fn finish(&mut self, trailers: Option<HeaderMap>) {
        if !matches!(self.answer.end, End::Sent) {
            let trailers = trailers.map(|trailers| fields_of(http1::fields(&trailers)));
            self.answer.end = End::Due(trailers);
        }
    }

    /// RFC 9113 §7: what a connection authenticates cannot be told from what its other streams are.
    fn asks_for_http1(&mut self) -> bool {
        self.reset(Reason::HTTP_1_1_REQUIRED);
        true
    }

    fn passed(&self) -> u64 {
        self.answer.sent
    }
}

impl Http2Stream {
    fn interim(&mut self, status: StatusCode, headers: HeaderMap) {
        let mut interim = Response::new(());
        *interim.status_mut() = status;
        *interim.headers_mut() = headers;
        // A failure shows when the answer is sent.
        let _ = self.answer.respond.send_informational(interim);
    }
}

impl RequestBody {
    /// The next piece, for as long as it takes.
    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        let taken = mem::take(&mut self.unreleased);
        if taken > 0 {
            // Where the stream has ended there is nobody to be told.
            let _ = self.stream.flow_control().release_capacity(taken);
        }
        let next = match self.ahead.take() {
            Some(piece) => Some(Ok(piece)),
            None => ready!(self.stream.poll_data(context)),
        };
        if let Some(Ok(piece)) = &next {
            self.unreleased = piece.len();
        }
        Poll::Ready(next.map(|next| next.map_err(broken)))
    }

    /// The next piece or the end, unless the client keeps us waiting for it.
    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
        limits: &ClientSettings,
    ) -> Poll<io::Result<BodyFrame>> {
        loop {
            let next = match self.poll_next(context) {
                Poll::Ready(Some(next)) => next.map(BodyFrame::Data),
                Poll::Ready(None) => match self.stream.poll_trailers(context) {
                    Poll::Ready(trailers) => trailers.map(BodyFrame::End).map_err(broken),
                    Poll::Pending => return self.poll_late(context, limits),
                },
                Poll::Pending => return self.poll_late(context, limits),
            };
            self.reading.progressed();
            match next {
                Ok(BodyFrame::Data(piece)) if piece.is_empty() => {}
                next => return Poll::Ready(next),
            }
        }
    }

    /// Ready with an error when the client has kept us waiting for too long.
    fn poll_late<T>(
        &mut self,
        context: &mut Context<'_>,
        limits: &ClientSettings,
    ) -> Poll<io::Result<T>> {
        let earned = limits.upload_rate.map_or(0, |rate| self.received / rate);
        let in_all = limits.body.saturating_add(Duration::from_secs(earned));
        ready!(self.reading.poll_spent(context, in_all, limits.body));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AnswerBody {
    /// Sends what is there. Ready when all of it has gone to the connection, which takes no more than the client has room for.
    ///
    /// # Errors
    /// When the client has taken the request back or left, or takes the answer too slowly.
    pub(super) fn poll_room(
        &mut self,
        context: &mut Context<'_>,
        limits: &ClientSettings,
    ) -> Poll<io::Result<()>> {
        if let Some(head) = self.head.take() {
            let is_empty = self.piece.is_empty() && matches!(self.end, End::Due(None));
            let ends = is_empty || self.left == Some(0);
            let stream = self.respond.send_response(head, ends).map_err(broken)?;
            self.stream = Some(stream);
            if ends {
                self.end = End::Sent;
            }
        }
        while !self.piece.is_empty() && !matches!(self.end, End::Sent) {
            let room = ready!(self.poll_capacity(context, limits))?;
            let piece = self.piece.split_to(room.min(self.piece.len()));
            let length = piece.len() as u64;
            self.left = self.left.map(|left| left.saturating_sub(length));
            let is_last = self.piece.is_empty() && matches!(self.end, End::Due(None));
            let ends = is_last || self.left == Some(0);
            self.send(piece, ends)?;
            self.sent += length;
        }
        if let End::Due(trailers) = &mut self.end {
            match trailers.take() {
                None => self.send(Bytes::new(), true)?,
                Some(trailers) => {
                    let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
                    stream.send_trailers(trailers).map_err(broken)?;
                    self.end = End::Sent;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, piece: Bytes, ends: bool) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.send_data(piece, ends).map_err(broken)?;
        if ends {
            self.end = End::Sent;
        }
        Ok(())
    }

    /// How many bytes the client has room for, which are at least one.
    fn poll_capacity(
        &mut self,
        context: &mut Context<'_>,
        limits: &ClientSettings,
    ) -> Poll<io::Result<usize>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.reserve_capacity(self.piece.len());
        let room = match stream.capacity() {
            0 => stream.poll_capacity(context),
            room => Poll::Ready(Some(Ok(room))),
        };
        match room {
            Poll::Ready(Some(room)) => {
                self.writing.progressed();
                Poll::Ready(room.map_err(broken))
            }
            Poll::Ready(None) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            Poll::Pending => {
                let earned = limits.download_rate.map_or(0, |rate| self.sent / rate);
                let in_all = match limits.download_rate {
                    Some(_) => limits.body + Duration::from_secs(earned),
                    None => Duration::MAX,
                };
                ready!(self.writing.poll_spent(context, in_all, limits.body));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

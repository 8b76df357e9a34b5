//! The bodies of a stream, with flow control and time limits.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response, StatusCode};
use http1::ResponseHead;
use wire::stream_head::have_no_outer_blanks;

use super::messages::{Outgoing, broken, fields_of, keep_from_tables};
use super::stream::{Http2Stream, StreamAnswer, StreamRequest};
use crate::config::ClientSettings;
use crate::interim;
use crate::streamed::{BodyFrame, Streamed};
use crate::transfer::Broken;

impl Streamed for Http2Stream {
    fn has_sent_ahead(&mut self, context: &mut Context<'_>) -> bool {
        self.request.incoming.has_arrived(context)
    }

    fn send_continue(&mut self, _: &mut Context<'_>) {
        self.interim(StatusCode::CONTINUE, HeaderMap::new());
    }

    fn pass_interim(&mut self, _: &mut Context<'_>, interim: &ResponseHead) {
        self.interim(interim.status, fields_of(interim::fields(interim)));
    }

    fn forward_body(&mut self) {
        self.request.is_held = false;
        self.request.reading.renew();
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<BodyFrame, Broken>> {
        let frame = ready!(self.request.poll_frame(context));
        self.request.received += frame.as_ref().map_or(0, BodyFrame::length);
        if self.request.received > self.request.limit {
            return Poll::Ready(Err(Broken::Limit));
        }
        let frame = frame.and_then(|frame| match &frame {
            BodyFrame::End(Some(trailers)) if !have_no_outer_blanks(trailers) => {
                Err(io::ErrorKind::InvalidData.into())
            }
            BodyFrame::Data(_) | BodyFrame::End(_) | BodyFrame::Last(_) => {
                Ok(self.without_claims(frame))
            }
        });
        Poll::Ready(frame.map_err(Broken::Source))
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.answer.poll_room(context, &self.limits)
    }

    fn put(&mut self, piece: Bytes) {
        self.answer.left.piece = piece;
    }

    fn finish(&mut self, trailers: Option<HeaderMap>) {
        let trailers = trailers.map(|mut trailers| {
            // A `Content-Length` in trailers means nothing (RFC 9110 §6.5.1), but clients compare it with the body (curl
            // 7.88.1).
            trailers.remove(CONTENT_LENGTH);
            fields_of(http1::fields(&trailers))
        });
        self.answer.left.finish(trailers);
    }

    /// Always true: resets the stream with `HTTP_1_1_REQUIRED` (RFC 9113 §7). On a shared connection it is unknown which streams
    /// belong to the authenticated user.
    fn requires_http1(&mut self) -> bool {
        self.reset(Reason::HTTP_1_1_REQUIRED);
        true
    }

    fn waiting(&self) -> usize {
        self.answer.left.piece.len()
    }
}

impl Http2Stream {
    /// Strips claims from trailers; other pieces are returned as they are.
    fn without_claims(&self, frame: BodyFrame) -> BodyFrame {
        let BodyFrame::End(Some(trailers)) = frame else {
            return frame;
        };
        let trailers = self.proxy.live.current().gate.hygiene.trailers(&trailers);
        BodyFrame::End(Some(trailers).filter(|trailers| !trailers.is_empty()))
    }

    fn interim(&mut self, status: StatusCode, headers: HeaderMap) {
        let mut interim = Response::new(());
        *interim.status_mut() = status;
        *interim.headers_mut() = headers;
        // An error shows when the answer is sent.
        let _ = self.answer.respond.send_informational(interim);
    }
}

impl StreamRequest {
    /// The next piece or the end, within the time limits.
    pub(super) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<io::Result<BodyFrame>> {
        let next = self.incoming.poll_frame(context);
        if next.is_pending() {
            return self.poll_late(context);
        }
        self.reading.progressed();
        next
    }

    /// Ready with an error when the client is too slow.
    fn poll_late<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let earned = self.rate.map_or(0, |rate| self.received / rate);
        let total = self.total.saturating_add(Duration::from_secs(earned));
        ready!(self.reading.poll_spent(context, total, self.pause));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl StreamAnswer {
    /// Sends what is buffered. Ready when the connection has taken all of it, which is bounded by the client's flow-control
    /// window.
    ///
    /// # Errors
    /// When the client has canceled the request or gone away, or reads the answer too slowly.
    pub(super) fn poll_room(
        &mut self,
        context: &mut Context<'_>,
        limits: &ClientSettings,
    ) -> Poll<io::Result<()>> {
        if let Some(mut head) = self.head.take() {
            keep_from_tables(head.headers_mut());
            let ends = self.left.ends_with_head();
            let stream = self.respond.send_response(head, ends).map_err(broken)?;
            self.outgoing = Some(Outgoing::new(stream));
        }
        let before = self.left.sent;
        let outgoing = self.outgoing.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let sent = outgoing.poll_send(context, &mut self.left);
        if sent.is_ready() || self.left.sent != before {
            self.writing.progressed();
        }
        if sent.is_ready() {
            return sent;
        }
        let total = match limits.download_rate {
            Some(rate) => limits.body + Duration::from_secs(self.left.sent / rate),
            None => Duration::MAX,
        };
        ready!(self.writing.poll_spent(context, total, limits.body));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

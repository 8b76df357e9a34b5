//! Files and WebSockets (RFC 8441) on a stream.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Http2Stream;
use crate::downstream::Downstream;
use crate::exchange_end::{ExchangeEnd, Sent};
use crate::folder::{FileResponse, FolderError};
use crate::inbound::answerable::Answerable;
use crate::inbound::record::Record;
use crate::inbound::tunnel;
use crate::leases::Lease;
use crate::streamed::Streamed;
use crate::upstream::{Forwards, StreamedExchange, Upgraded};
use crate::wait_timer::FOREVER;

impl Forwards for Http2Stream {
    type Exchange = StreamedExchange;
}

impl Answerable for Http2Stream {
    async fn send_file(
        &mut self,
        found: FileResponse,
        record: &Record<'_>,
    ) -> Result<Sent, FolderError> {
        let mut left = found.begin(self, record);
        loop {
            let piece = match &mut left {
                Some(body) => body.piece(self).await,
                None => Ok(Vec::new()),
            };
            match piece {
                Ok(piece) => self.put(piece.into()),
                Err(error) if self.take_back_answer() => return Err(error),
                Err(error) => {
                    self.abort_answer();
                    let ended = error.ended().unwrap_or(ExchangeEnd::UpstreamBroke);
                    return Ok(Sent { ended, began: true });
                }
            }
            if left.as_ref().is_none_or(|body| body.is_empty()) {
                left = None;
                self.finish(None);
            }
            let sent = poll_fn(|context| self.poll_room(context)).await;
            record.bytes_out.set(self.answer.left.sent);
            if let Err(error) = sent {
                self.abort_answer();
                return Ok(Sent {
                    ended: ExchangeEnd::with_client(&error),
                    began: self.is_being_answered(),
                });
            }
            if left.is_none() {
                return Ok(Sent::COMPLETE);
            }
            record.head_sent();
        }
    }

    async fn join(
        &mut self,
        upstream: Upgraded,
        record: &Record<'_>,
        lease: Lease<'_>,
        close_code: u16,
    ) -> ExchangeEnd {
        // A WebSocket may be silent for days.
        self.limits.body = FOREVER;
        self.limits.download_rate = None;
        if let Err(error) = poll_fn(|context| self.poll_room(context)).await {
            return ExchangeEnd::with_client(&error);
        }
        if self.answer.left.has_ended() {
            return ExchangeEnd::UpstreamBroke;
        }
        let mut talk = DataStream {
            stream: self,
            read: Bytes::new(),
        };
        tunnel::join_stream(&mut talk, upstream, record, lease, close_code).await
    }
}

/// A stream as a byte stream: the contents of its DATA frames.
struct DataStream<'s> {
    stream: &'s mut Http2Stream,
    /// Bytes that have arrived and were not read yet.
    read: Bytes,
}

impl AsyncRead for DataStream<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, read } = &mut *self;
        let incoming = &mut stream.request.incoming;
        incoming.poll_read(context, read, buffer)
    }
}

impl AsyncWrite for DataStream<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.stream.poll_room(context))?;
        self.stream.put(Bytes::copy_from_slice(bytes));
        // What is not sent now is sent with the next bytes.
        if let Poll::Ready(sent) = self.stream.poll_room(context) {
            sent?;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_room(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream.poll_room(context))?;
        self.stream.finish(None);
        self.stream.poll_room(context)
    }
}

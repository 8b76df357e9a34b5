//! One direction of a WebSocket: bytes that were read from one side and not yet written to the other.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The bytes in transit in one direction.
pub(super) struct Flow {
    buffer: Box<[u8]>,
    /// The range of the bytes that are to be written.
    here: Range<usize>,
    /// Whether the source has ended.
    is_read: bool,
    /// Whether the sink was shut down after the end of the source.
    is_over: bool,
    needs_flush: bool,
}

impl Flow {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; ROOM].into(),
            here: 0..0,
            is_read: false,
            is_over: false,
            needs_flush: false,
        }
    }

    /// Copies the bytes that are available. Ready when the source has ended and the sink has been shut down.
    ///
    /// # Errors
    /// An error of either side.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        mut source: impl AsyncRead + Unpin,
        mut sink: impl AsyncWrite + Unpin,
    ) -> Poll<io::Result<()>> {
        loop {
            while !self.here.is_empty() {
                let bytes = &self.buffer[self.here.clone()];
                let written = ready!(Pin::new(&mut sink).poll_write(context, bytes))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.here.start += written;
                self.needs_flush = true;
            }
            if self.is_read && !self.is_over {
                ready!(Pin::new(&mut sink).poll_shutdown(context))?;
                self.is_over = true;
            }
            if self.is_over {
                return Poll::Ready(Ok(()));
            }
            let mut room = ReadBuf::new(&mut self.buffer);
            let Poll::Ready(read) = Pin::new(&mut source).poll_read(context, &mut room) else {
                if self.needs_flush {
                    ready!(Pin::new(&mut sink).poll_flush(context))?;
                    self.needs_flush = false;
                }
                return Poll::Pending;
            };
            read?;
            self.here = 0..room.filled().len();
            self.is_read = self.here.is_empty();
        }
    }
}

/// In bytes, like tokio's `copy_bidirectional`.
const ROOM: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn all_bytes_arrive_before_the_end() {
        let sent: Vec<u8> = (0..100_000_u32).map(|byte| byte as u8).collect();
        let (mut sink, mut there) = tokio::io::duplex(1000);
        let mut source = io::Cursor::new(&sent);
        let mut flow = Flow::new();
        let moving = poll_fn(|context| flow.poll(context, &mut source, &mut sink));
        let mut arrived = Vec::new();
        let (moved, read) = tokio::join!(moving, there.read_to_end(&mut arrived));
        moved.unwrap();
        read.unwrap();
        assert_eq!(arrived, sent);
    }
}

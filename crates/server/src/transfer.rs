//! Moves bodies from one connection to another, out of one framing and into another.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http1::{Decoder, Encoder, Piece};

use crate::connection::{Connection, invalid};

/// The progress of one body.
#[derive(Debug)]
pub(crate) struct Transfer {
    /// How many bytes at the front of the source's input are sent as they are, without a copy.
    passing: usize,
    /// How many bytes of the body have been taken from the source.
    taken: u64,
    /// How many more bytes the body may have; `None` once it is too long.
    room: Option<u64>,
    /// Whether the transfer waits for the source only.
    awaits_source: bool,
}

/// Where a body comes from.
pub(crate) struct BodySource<'c> {
    pub(crate) connection: &'c mut Connection,
    pub(crate) body: &'c mut Decoder,
}

/// Where a body goes.
pub(crate) struct BodySink<'c> {
    pub(crate) connection: &'c mut Connection,
    pub(crate) body: &'c mut Encoder,
}

/// Why a transfer broke off.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The body is longer than the limit allows.
    Limit,
    Source(io::Error),
    Sink(io::Error),
}

impl Transfer {
    /// A transfer of a body that has not begun.
    pub(crate) fn new() -> Self {
        Self {
            passing: 0,
            taken: 0,
            room: Some(u64::MAX),
            awaits_source: false,
        }
    }

    /// A transfer that breaks off before it passes on more bytes of the body than this.
    pub(crate) fn up_to(self, limit: u64) -> Self {
        Self {
            room: Some(limit),
            ..self
        }
    }

    /// Queues the sink's output, with as much of the body as has arrived, in the [send queue](crate::send_queue).
    ///
    /// # Errors
    /// When what has arrived is malformed or too long. Nothing is sent then, and [`poll`](Self::poll) returns the same error.
    pub(crate) async fn begin(
        &mut self,
        mut source: BodySource<'_>,
        mut sink: BodySink<'_>,
    ) -> Result<(), Broken> {
        self.encode(&mut source, &mut sink)?;
        // A slice of the source's input is sent in the same call as the output anyway.
        if self.passing == 0 {
            sink.connection.send_together().await;
        }
        Ok(())
    }

    /// Moves as much of the body as both sides allow. What is already in the sink's output is sent first, with the first piece if
    /// that has arrived.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        mut source: BodySource<'_>,
        mut sink: BodySink<'_>,
    ) -> Poll<Result<(), Broken>> {
        self.awaits_source = false;
        loop {
            let is_hungry = self.encode(&mut source, &mut sink)?;
            ready!(self.poll_send(context, &mut source, &mut sink)).map_err(Broken::Sink)?;
            if sink.body.is_finished() {
                return Poll::Ready(Ok(()));
            }
            if !is_hungry {
                continue;
            }
            let Poll::Ready(read) = source.connection.poll_fill(context) else {
                self.awaits_source = true;
                return Poll::Pending;
            };
            if read.map_err(Broken::Source)? == 0 {
                if !source.body.close() {
                    return Poll::Ready(Err(Broken::Source(io::ErrorKind::UnexpectedEof.into())));
                }
                sink.body.finish(&mut sink.connection.output);
            }
        }
    }

    /// Sends the sink's output, and the bytes that are sent as they are.
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        source: &mut BodySource<'_>,
        sink: &mut BodySink<'_>,
    ) -> Poll<io::Result<()>> {
        let before = self.passing;
        let input = &mut source.connection.input;
        let sent = sink.connection.poll_send(context, input, &mut self.passing);
        source.body.consumed(before - self.passing);
        sent
    }

    /// Encodes what has arrived of the body into the sink's output. Returns whether the source has to send more first.
    fn encode(
        &mut self,
        source: &mut BodySource<'_>,
        sink: &mut BodySink<'_>,
    ) -> Result<bool, Broken> {
        self.room.ok_or(Broken::Limit)?;
        let (input, output) = (&mut source.connection.input, &mut sink.connection.output);
        while !sink.body.is_finished() && self.passing == 0 && output.len() < MOST_COPIED {
            let next = source.body.next(input);
            match next.map_err(invalid).map_err(Broken::Source)? {
                Piece::Data(length) => {
                    let room = self.room.and_then(|room| room.checked_sub(length as u64));
                    self.room = room;
                    room.ok_or(Broken::Limit)?;
                    self.taken += length as u64;
                    if sink.body.is_chunked() || length < MOST_COPIED {
                        sink.body.write(output, &input[..length]);
                        input.advance(length);
                        source.body.consumed(length);
                    } else {
                        self.passing = length;
                    }
                }
                Piece::End => sink.body.finish(output),
                Piece::Unknown => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Whether the transfer waits for the source, not for the sink.
    pub(crate) fn awaits_source(&self) -> bool {
        self.awaits_source
    }

    /// How many bytes of the body have been taken from the source so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// A lower bound on the bytes of the body that the sink has taken: framing that is still unsent is taken for body.
    pub(crate) fn passed(&self, sink: &Connection) -> u64 {
        let waiting = self.passing + sink.unsent();
        self.taken.saturating_sub(waiting as u64)
    }
}

/// In bytes. A copy of this size costs less than a second slice in the system call.
const MOST_COPIED: usize = 4 * 1024;

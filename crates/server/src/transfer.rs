//! Bodies on their way from one connection to another: taken out of one framing and put into another.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http1::{Decoder, Encoder, Piece};

use crate::connection::{Connection, invalid};

/// A body on its way.
#[derive(Debug)]
pub(crate) struct Transfer {
    /// So many bytes at the front of the source's input are to go out as they are.
    passing: usize,
    /// So many bytes of the body have been taken from the source.
    taken: u64,
    /// So many more it may have; `None` once it has had more than that.
    room: Option<u64>,
    /// Whether the source is waited for, and nothing else.
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

/// What broke a transfer off: one of the sides, or our limit.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The body is longer than it may be.
    Limit,
    Source(io::Error),
    Sink(io::Error),
}

impl Transfer {
    /// A body of which nothing has been moved.
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

    /// Sends what the sink has in its output, with what has come of the body, together with what others have to send.
    ///
    /// # Errors
    /// When what has come is no body, or too long: then nothing is sent. [`poll`](Self::poll) says the same.
    pub(crate) async fn begin(
        &mut self,
        mut source: BodySource<'_>,
        mut sink: BodySink<'_>,
    ) -> Result<(), Broken> {
        self.encode(&mut source, &mut sink)?;
        // What leaves with a slice of the source's input leaves in one call anyway.
        if self.passing == 0 {
            sink.connection.send_together().await;
        }
        Ok(())
    }

    /// Moves the body on, as far as both sides go along. What the sink has in its output already leaves with the first
    /// piece, if that is there, or before it.
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

    /// Sends what the sink has in its output, and what passes as it is.
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

    /// Puts what there is of the body into the sink's output. Says whether more must come from the source first.
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

    /// Whether the source is waited for, and not the sink.
    pub(crate) fn awaits_source(&self) -> bool {
        self.awaits_source
    }

    /// How many bytes of the body have been taken from the source so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// How many bytes of the body the sink's connection has taken, at least: while something is on its way there, framing
    /// counts as if it were body.
    pub(crate) fn passed(&self, sink: &Connection) -> u64 {
        let waiting = self.passing + sink.unsent();
        self.taken.saturating_sub(waiting as u64)
    }
}

/// In bytes. A copy of so little costs less than a second slice in the system call.
const MOST_COPIED: usize = 4 * 1024;

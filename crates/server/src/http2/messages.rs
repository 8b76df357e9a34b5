//! The receiving and the sending half of a stream, towards clients and servers.

use std::io;
use std::mem;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue};
use http1::Field;
use tokio::io::ReadBuf;

use crate::inbound::arrival::X_REQUEST_ID;
use crate::streamed::BodyFrame;

/// A body that is being received.
#[derive(Debug)]
pub(crate) struct Incoming {
    stream: RecvStream,
    /// A piece that has arrived and was not read yet.
    ahead: Option<Bytes>,
    /// How many bytes were consumed and not yet released to the flow-control window.
    unreleased: usize,
}

impl Incoming {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            ahead: None,
            unreleased: 0,
        }
    }

    /// Whether the body has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ahead.is_none() && self.stream.is_end_stream()
    }

    /// Whether a piece of the body has arrived. The piece is kept for the next read.
    pub(crate) fn has_arrived(&mut self, context: &mut Context<'_>) -> bool {
        if self.ahead.is_none()
            && let Poll::Ready(Some(Ok(piece))) = self.stream.poll_data(context)
        {
            self.ahead = Some(piece);
        }
        self.ahead.is_some()
    }

    /// Reads into `buffer`; the rest of a piece is kept in `rest` for the next read. Reads nothing when the body has ended.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        rest: &mut Bytes,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while rest.is_empty() {
            match ready!(self.poll_next(context)) {
                Some(piece) => *rest = piece?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest.split_to(length));
        Poll::Ready(Ok(()))
    }

    /// The next piece of the body, which may be empty. Releases the flow-control window that the previous piece took up.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        let taken = mem::take(&mut self.unreleased);
        if taken > 0 {
            // After the end of the stream there is no window to release to.
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

    /// The next non-empty piece, or the end.
    pub(crate) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<io::Result<BodyFrame>> {
        loop {
            match ready!(self.poll_next(context)) {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) if self.stream.is_end_stream() => {
                    return Poll::Ready(Ok(BodyFrame::Last(piece)));
                }
                Some(piece) => return Poll::Ready(piece.map(BodyFrame::Data)),
                None => {
                    let trailers = ready!(self.stream.poll_trailers(context));
                    return Poll::Ready(trailers.map(BodyFrame::End).map_err(broken));
                }
            }
        }
    }
}

/// A body that is being sent, within the other side's flow-control window.
#[derive(Debug)]
pub(crate) struct Outgoing {
    stream: SendStream<Bytes>,
}

impl Outgoing {
    pub(crate) fn new(stream: SendStream<Bytes>) -> Self {
        Self { stream }
    }

    /// Ready when the other side has reset the stream or gone away.
    pub(crate) fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_reset(context).map(drop)
    }

    /// Resets the stream.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }

    /// Sends as much of the body as the window allows. Ready when everything is sent.
    pub(crate) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        left: &mut UnsentBody,
    ) -> Poll<io::Result<()>> {
        while !left.piece.is_empty() && !left.has_ended() {
            let room = ready!(self.poll_capacity(context, left.piece.len()))?;
            let (piece, ends) = left.take(room);
            self.stream.send_data(piece, ends).map_err(broken)?;
        }
        if let End::Due(trailers) = &mut left.end {
            match trailers.take() {
                None => self.stream.send_data(Bytes::new(), true),
                Some(trailers) => self.stream.send_trailers(trailers),
            }
            .map_err(broken)?;
            left.end = End::Sent;
        }
        Poll::Ready(Ok(()))
    }

    /// How many bytes the window allows; at least one.
    fn poll_capacity(
        &mut self,
        context: &mut Context<'_>,
        wanted: usize,
    ) -> Poll<io::Result<usize>> {
        self.stream.reserve_capacity(wanted);
        match self.stream.capacity() {
            0 => match ready!(self.stream.poll_capacity(context)) {
                Some(room) => Poll::Ready(room.map_err(broken)),
                None => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            },
            room => Poll::Ready(Ok(room)),
        }
    }
}

/// The part of a body that is left to send.
#[derive(Debug, Default)]
pub(crate) struct UnsentBody {
    pub(crate) piece: Bytes,
    pub(crate) end: End,
    /// How many bytes were sent.
    pub(crate) sent: u64,
}

/// How a body ends.
#[derive(Debug, Default)]
pub(crate) enum End {
    /// It has no end yet.
    #[default]
    Open,
    /// After the current piece, with these trailers.
    Due(Option<HeaderMap>),
    /// Its end was sent.
    Sent,
}

impl UnsentBody {
    /// Whether the end was sent.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.end, End::Sent)
    }

    /// Ends the body after the current piece.
    pub(crate) fn finish(&mut self, trailers: Option<HeaderMap>) {
        if !self.has_ended() {
            self.end = End::Due(trailers);
        }
    }

    /// Whether the body is empty. If so, its end is marked as sent, because the head ends the stream.
    pub(crate) fn ends_with_head(&mut self) -> bool {
        let ends = self.piece.is_empty() && matches!(self.end, End::Due(None));
        if ends {
            self.end = End::Sent;
        }
        ends
    }

    /// Takes at most this many bytes, and returns whether they are the last ones.
    fn take(&mut self, room: usize) -> (Bytes, bool) {
        let piece = self.piece.split_to(room.min(self.piece.len()));
        self.sent += piece.len() as u64;
        let ends = self.piece.is_empty() && matches!(self.end, End::Due(None));
        if ends {
            self.end = End::Sent;
        }
        (piece, ends)
    }
}

/// Header fields in the form of HTTP/2: without connection fields (RFC 9113 §8.2.2), and without white space around values
/// (§8.2.1).
pub(crate) fn fields_of<'f>(fields: impl IntoIterator<Item = Field<'f>>) -> HeaderMap {
    // Most messages have no more fields, so the map need not grow.
    let mut headers = HeaderMap::with_capacity(USUAL_FIELDS);
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value.trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value)
            && !OF_CONNECTIONS.contains(&name.as_str())
        {
            headers.append(name, value);
        }
    }
    headers
}

/// Keeps the request id out of the dynamic table of HPACK (RFC 7541 §2.3.2): it never repeats, would displace fields that
/// do, and `h2` compares all values of a name with each new one (0.4.20, `hpack/table.rs`).
pub(crate) fn keep_from_tables(headers: &mut HeaderMap) {
    if let Some(id) = headers.get_mut(&X_REQUEST_ID) {
        id.set_sensitive(true);
    }
}

/// An error of `h2` as an I/O error.
pub(crate) fn broken(error: h2::Error) -> io::Error {
    let kind = match error.get_io() {
        Some(error) => error.kind(),
        None => io::ErrorKind::ConnectionReset,
    };
    io::Error::new(kind, error)
}

const USUAL_FIELDS: usize = 12;

const OF_CONNECTIONS: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{fields_of, keep_from_tables};

    #[test]
    fn forwarded_values_have_no_surrounding_white_space() {
        let fields: HeaderMap = fields_of([(&b"x-a"[..], &b" \ta b\t"[..])]);
        assert_eq!(fields["x-a"], "a b");
    }

    #[test]
    fn request_id_is_not_indexed_and_other_fields_are() {
        let mut headers: HeaderMap = fields_of([
            (
                &b"x-request-id"[..],
                &b"0af7651916cd43dd8448eb211c80319c"[..],
            ),
            (b"content-type", b"text/html"),
        ]);
        keep_from_tables(&mut headers);
        assert!(headers["x-request-id"].is_sensitive());
        assert!(!headers["content-type"].is_sensitive());
    }
}

//! Reads bodies from an HTTP/1.1 connection in pieces.

use std::io;
use std::task::{Context, Poll, ready};

use http1::{Decoder, Piece};

use super::BodyFrame;
use crate::connection::{Connection, invalid};

/// The next piece of the body that is being read from a connection.
///
/// # Errors
/// When the body is malformed, breaks off, or the other side is too slow.
pub(crate) fn poll_piece(
    connection: &mut Connection,
    body: &mut Decoder,
    context: &mut Context<'_>,
) -> Poll<io::Result<BodyFrame>> {
    loop {
        match body.next(&mut connection.input).map_err(invalid)? {
            Piece::Data(length) => {
                let piece = connection.input.split_to(length).freeze();
                body.consumed(length);
                let frame = match body.is_over() {
                    true => BodyFrame::Last(piece),
                    false => BodyFrame::Data(piece),
                };
                return Poll::Ready(Ok(frame));
            }
            Piece::End => return Poll::Ready(Ok(BodyFrame::End(body.take_trailers()))),
            Piece::Unknown => {}
        }
        if ready!(connection.poll_fill(context))? == 0 && !body.close() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

//! Bodies out of a connection of HTTP/1.1, in pieces.

use std::io;
use std::task::{Context, Poll, ready};

use http1::{Decoder, Piece};

use super::BodyFrame;
use crate::connection::{Connection, invalid};

/// What comes next of the body of which a connection is about to bring more.
///
/// # Errors
/// When it is none, breaks off, or the other side keeps us waiting.
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

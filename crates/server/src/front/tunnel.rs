//! WebSockets: recognised on the way in, and two connections joined once both sides agreed.

mod frames;

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, Request, StatusCode, Version};
use http1::{Answered, Length};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};

use self::frames::Frames;
use super::record::Record;
use crate::connection::Connection;
use crate::ended::Ended;
use crate::socket::Stream;

/// Whether a request asks for a WebSocket (RFC 6455 §4.1). No other protocol is ever upgraded to. With a body it would be unclear
/// where the WebSocket begins.
pub(crate) fn is_requested(request: &Request<Length>) -> bool {
    let headers = request.headers();
    let values = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes);
    *request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && *request.body() == Length::NONE
        && headers.contains_key(SEC_WEBSOCKET_KEY)
        && is_websocket(values(UPGRADE), values(CONNECTION))
}

/// Whether an upstream agreed to a WebSocket.
pub(crate) fn is_granted(answer: &Answered) -> bool {
    answer.status == StatusCode::SWITCHING_PROTOCOLS
        && is_websocket(answer.values("upgrade"), answer.values("connection"))
}

fn is_websocket<'m>(
    mut protocols: impl Iterator<Item = &'m [u8]>,
    options: impl Iterator<Item = &'m [u8]>,
) -> bool {
    let only_websocket = matches!((protocols.next(), protocols.next()),
        (Some(protocol), None) if protocol.eq_ignore_ascii_case(b"websocket"));
    let mut options = options.flat_map(http1::options);
    only_websocket && options.any(|option| option.eq_ignore_ascii_case(b"upgrade"))
}

/// Joins both sides until one of them is done, and says how that came about. `client` has the head of the answer in its
/// output.
pub(crate) async fn join(
    client: &mut Connection,
    mut upstream: Connection,
    record: &Record<'_>,
) -> Ended {
    let talk = Talk::default();
    let (mut to_client, mut to_upstream) = (Frames::default(), Frames::default());
    // What each side said before the other one could listen.
    to_client.see(&upstream.input);
    to_upstream.see(&client.input);
    client.output.extend_from_slice(&upstream.input);
    upstream.output.extend_from_slice(&client.input);
    if let Err(error) = client.flush().await {
        return Ended::with_client(&error);
    }
    record.passed_out(upstream.input.len() as u64);
    record.head_left();
    if let Err(error) = upstream.flush().await {
        return Ended::with_upstream(&error);
    }
    record.passed_in(client.input.len() as u64);
    let mut client = Side {
        stream: client.stream(),
        written: &record.bytes_out,
        frames: to_client,
        hangs_up: Ended::ClientLeft,
        talk: &talk,
    };
    let mut upstream = Side {
        stream: upstream.stream(),
        written: &record.bytes_in,
        frames: to_upstream,
        hangs_up: Ended::UpstreamBroke,
        talk: &talk,
    };
    // What was wrong is noted where it happened.
    let _ = copy_bidirectional(&mut client, &mut upstream).await;
    if client.frames.close() || upstream.frames.close() {
        return Ended::Whole;
    }
    talk.0.get().unwrap_or(Ended::Whole)
}

/// Who was the first to hang up, once somebody has.
#[derive(Default)]
struct Talk(Cell<Option<Ended>>);

impl Talk {
    fn ends(&self, ended: Ended) {
        if self.0.get().is_none() {
            self.0.set(Some(ended));
        }
    }
}

/// One side of a WebSocket.
struct Side<'t> {
    stream: &'t mut Stream,
    /// Counts what was written to it.
    written: &'t Cell<u64>,
    /// What was written to it.
    frames: Frames,
    /// What it means when this side hangs up first.
    hangs_up: Ended,
    talk: &'t Talk,
}

impl AsyncRead for Side<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut *self.stream).poll_read(context, buffer));
        if read.is_err() || buffer.filled().len() == before {
            self.talk.ends(self.hangs_up);
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Side<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut *self.stream).poll_write(context, bytes));
        match &written {
            Ok(count) => {
                self.written.set(self.written.get() + *count as u64);
                self.frames.see(&bytes[..*count]);
            }
            Err(_) => self.talk.ends(self.hangs_up),
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(context)
    }
}

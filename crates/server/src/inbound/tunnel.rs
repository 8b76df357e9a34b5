//! WebSockets: recognizes requests for one, and relays between the two connections once both sides have agreed.

mod flow;

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, Request, StatusCode, Version};
use http1::{Length, ResponseHead};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Sleep, sleep};
use wire::websocket::{self, FrameScanner};

use self::flow::Flow;
use super::record::Record;
use crate::connection::Connection;
use crate::exchange_end::ExchangeEnd;
use crate::leases::{Lease, LeaseEnd};
use crate::upstream::Upgraded;

/// Whether a request asks for a WebSocket (RFC 6455 §4.1), the only protocol that the gate upgrades to. With a body it would
/// be unclear where the WebSocket begins.
pub(crate) fn is_requested(request: &Request<Length>) -> bool {
    let headers = request.headers();
    let values = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes);
    *request.method() == Method::GET
        && request.version() != Version::HTTP_10
        && *request.body() == Length::NONE
        && headers.contains_key(SEC_WEBSOCKET_KEY)
        && is_websocket(values(UPGRADE), values(CONNECTION))
}

/// Whether a service's answer accepts a WebSocket.
pub(crate) fn is_granted(answer: &ResponseHead) -> bool {
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

/// Relays between both sides until one of them ends or the lease is over, and returns how it ended. The head of the answer
/// is in `client`'s output. When the session ends, the client gets a close frame with `close_code`.
pub(crate) async fn join(
    client: &mut Connection,
    upstream: Upgraded,
    record: &Record<'_>,
    lease: Lease<'_>,
    close_code: u16,
) -> ExchangeEnd {
    match upstream {
        Upgraded::Connection(link) => {
            join_connections(client, link.connection, record, lease, close_code).await
        }
        Upgraded::Stream(mut stream) => {
            let mut to_upstream = FrameScanner::default();
            to_upstream.scan(&client.input);
            if let Err(error) = client.flush().await {
                return ExchangeEnd::with_client(&error);
            }
            record.head_sent();
            if let Err(error) = stream.write_all(&client.input).await {
                return ExchangeEnd::with_upstream(&error);
            }
            record.count_bytes_in(client.input.len() as u64);
            let sides = (client.stream(), &mut *stream);
            let frames = (FrameScanner::default(), to_upstream);
            first_end(sides, frames, record, (lease, close_code)).await
        }
    }
}

async fn join_connections(
    client: &mut Connection,
    mut upstream: Connection,
    record: &Record<'_>,
    lease: Lease<'_>,
    close_code: u16,
) -> ExchangeEnd {
    let (mut to_client, mut to_upstream) = (FrameScanner::default(), FrameScanner::default());
    // Bytes that each side sent before the relay began.
    to_client.scan(&upstream.input);
    to_upstream.scan(&client.input);
    client.output.extend_from_slice(&upstream.input);
    upstream.output.extend_from_slice(&client.input);
    if let Err(error) = client.flush().await {
        return ExchangeEnd::with_client(&error);
    }
    record.count_bytes_out(upstream.input.len() as u64);
    record.head_sent();
    if let Err(error) = upstream.flush().await {
        return ExchangeEnd::with_upstream(&error);
    }
    record.count_bytes_in(client.input.len() as u64);
    let sides = (client.stream(), upstream.stream());
    first_end(sides, (to_client, to_upstream), record, (lease, close_code)).await
}

/// Relays between both sides like [`join`], if the head of the answer has been sent to `client` already.
pub(crate) async fn join_stream(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    upstream: Upgraded,
    record: &Record<'_>,
    lease: Lease<'_>,
    close_code: u16,
) -> ExchangeEnd {
    let mut to_client = FrameScanner::default();
    let mut upstream = match upstream {
        Upgraded::Connection(link) => link.connection,
        Upgraded::Stream(mut stream) => {
            record.head_sent();
            let frames = (to_client, FrameScanner::default());
            let sides = (client, &mut *stream);
            return first_end(sides, frames, record, (lease, close_code)).await;
        }
    };
    // Bytes that the service sent right after its answer.
    to_client.scan(&upstream.input);
    if let Err(error) = client.write_all(&upstream.input).await {
        return ExchangeEnd::with_client(&error);
    }
    record.count_bytes_out(upstream.input.len() as u64);
    record.head_sent();
    let sides = (client, upstream.stream());
    let frames = (to_client, FrameScanner::default());
    first_end(sides, frames, record, (lease, close_code)).await
}

async fn first_end(
    (client, upstream): (
        &mut (impl AsyncRead + AsyncWrite + Unpin),
        &mut (impl AsyncRead + AsyncWrite + Unpin),
    ),
    (to_client, to_upstream): (FrameScanner, FrameScanner),
    record: &Record<'_>,
    (lease, close_code): (Lease<'_>, u16),
) -> ExchangeEnd {
    let first_end = FirstEnd::default();
    let mut tunnel = Tunnel {
        client: Side {
            stream: client,
            written: &record.bytes_out,
            frames: to_client,
            end_on_hang_up: ExchangeEnd::ClientLeft,
            first_end: &first_end,
        },
        upstream: Side {
            stream: upstream,
            written: &record.bytes_in,
            frames: to_upstream,
            end_on_hang_up: ExchangeEnd::UpstreamBroke,
            first_end: &first_end,
        },
        down: Flow::new(),
        up: Flow::new(),
        lease,
        ending: None,
    };
    let over = poll_fn(|context| tunnel.poll(context)).await;
    if tunnel.is_closed() {
        return ExchangeEnd::Complete;
    }
    let Some(over) = over else {
        return first_end.0.get().unwrap_or(ExchangeEnd::Complete);
    };
    let (code, reason) = match over {
        LeaseEnd::GoingAway => (GOING_AWAY, "going away"),
        LeaseEnd::SessionExpired => (close_code, "session expired"),
        LeaseEnd::SessionRevoked => (close_code, "session revoked"),
    };
    tunnel.close(&websocket::closing(code, reason)).await;
    over.exchange_end()
}

/// Both sides of a WebSocket, and the bytes in transit.
struct Tunnel<'t, 'l, C, U> {
    client: Side<'t, C>,
    upstream: Side<'t, U>,
    /// From the service to the client, and from the client to the service.
    down: Flow,
    up: Flow,
    lease: Lease<'l>,
    /// Why the relay has to end, and its deadline, once that is known.
    ending: Option<(LeaseEnd, Pin<Box<Sleep>>)>,
}

impl<C, U> Tunnel<'_, '_, C, U>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    /// Whether one side has sent a close frame.
    fn is_closed(&self) -> bool {
        self.client.frames.has_close() || self.upstream.frames.has_close()
    }

    /// Ready when both sides are done or one has failed; or, once the lease is over, at the next frame boundary, where a
    /// close frame can be inserted.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<LeaseEnd>> {
        let up = (self.up).poll(context, &mut self.client, &mut self.upstream);
        let down = (self.down).poll(context, &mut self.upstream, &mut self.client);
        match (up, down) {
            // The error was noted where it happened.
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(None),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(None),
            (_, _) => {}
        }
        if self.ending.is_none()
            && let Poll::Ready(over) = self.lease.poll_end(context)
        {
            self.ending = Some((over, Box::pin(sleep(CLOSE_TIMEOUT))));
        }
        let Some((over, latest)) = &mut self.ending else {
            return Poll::Pending;
        };
        if latest.as_mut().poll(context).is_ready() || self.client.frames.is_at_frame_end() {
            return Poll::Ready(Some(*over));
        }
        Poll::Pending
    }

    /// Sends the client a close frame, if it can be sent, and waits for the client's own, which is forwarded to the service.
    /// Nothing more from the service is forwarded.
    async fn close(&mut self, frame: &[u8]) {
        let Some((_, latest)) = self.ending.take() else {
            return;
        };
        if !self.client.frames.is_at_frame_end() {
            return;
        }
        let Self {
            client,
            upstream,
            up,
            ..
        } = self;
        let closing = async {
            client.stream.write_all(frame).await?;
            client.stream.flush().await?;
            poll_fn(|context| {
                let moved = up.poll(context, &mut *client, &mut *upstream);
                match upstream.frames.has_close() && upstream.frames.is_at_frame_end() {
                    true => Poll::Ready(Ok(())),
                    false => moved,
                }
            })
            .await
        };
        tokio::select! {
            // An error makes no difference: the relay is over.
            _ = closing => {}
            () = latest => {}
        }
    }
}

/// How the exchange has ended, according to the side that hung up first. `None` until then.
#[derive(Default)]
struct FirstEnd(Cell<Option<ExchangeEnd>>);

impl FirstEnd {
    fn set(&self, ended: ExchangeEnd) {
        if self.0.get().is_none() {
            self.0.set(Some(ended));
        }
    }
}

/// One side of a WebSocket.
struct Side<'t, S> {
    stream: &'t mut S,
    /// Counts the bytes that were written to this side.
    written: &'t Cell<u64>,
    /// The frames that were written to this side.
    frames: FrameScanner,
    /// How the exchange ended if this side hangs up first.
    end_on_hang_up: ExchangeEnd,
    first_end: &'t FirstEnd,
}

impl<S: AsyncRead + Unpin> AsyncRead for Side<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut *self.stream).poll_read(context, buffer));
        if read.is_err() || buffer.filled().len() == before {
            self.first_end.set(self.end_on_hang_up);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Side<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut *self.stream).poll_write(context, bytes));
        match &written {
            Ok(count) => {
                self.written.set(self.written.get() + *count as u64);
                self.frames.scan(&bytes[..*count]);
            }
            Err(_) => self.first_end.set(self.end_on_hang_up),
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

/// The close code for "going away" (RFC 6455 §7.4.1).
const GOING_AWAY: u16 = 1001;

/// How long it may take until the current frame ends and the client has answered the close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;

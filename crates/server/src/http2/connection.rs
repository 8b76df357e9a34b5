//! Serves an HTTP/2 connection of a client: accepts its streams, and closes it once they are done or the client misbehaves.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use http1::Length;
use socket2::SockRef;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::io::{Observations, WatchedConnection};
use super::request;
use super::stream::Http2Stream;
use crate::config::ClientSettings;
use crate::downstream::Downstream;
use crate::inbound;
use crate::inbound::arrival::Peer;
use crate::inbound::proxy::Proxy;
use crate::socket::Stream;

/// Serves a connection until it ends. When `stop` is canceled, the connection ends after the requests in flight.
pub(crate) async fn serve(proxy: Rc<Proxy>, stream: Stream, peer: IpAddr, stop: CancellationToken) {
    let peer = Rc::new(Peer::of(&stream, peer));
    let reached = SockRef::from(&stream).local_addr();
    let reached = reached.ok().and_then(|address| address.as_socket());
    let (limits, stream_idle) = {
        let live = proxy.live.current();
        (live.client, live.limits.stream_idle)
    };
    let observed = Rc::<Observations>::default();
    let watched = WatchedConnection::new(stream, limits.body, Rc::clone(&observed));
    let handshake = terms(&limits).handshake(watched);
    // Clients that never finish the handshake have sent no request.
    let Ok(Ok(connection)) = timeout(limits.header, handshake).await else {
        return;
    };
    let serving = ServedConnection {
        connection,
        answering: JoinSet::new(),
        under_way: Vec::new(),
        observed,
        stopped: Some(Box::pin(stop.cancelled_owned())),
        end: Box::pin(sleep(limits.idle)),
        is_idle: false,
        is_ending: false,
        requests: 0,
        canceled: 0,
    };
    let answering = AnswerContext {
        proxy,
        peer,
        reached,
        limits,
        stream_idle,
    };
    serving.run(&answering).await;
}

/// The HTTP/2 settings towards clients.
fn terms(limits: &ClientSettings) -> Builder {
    let mut terms = Builder::new();
    terms
        .max_concurrent_streams(MOST_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(MOST_BUFFERED)
        // Also bounds CONTINUATION frames (VU#421644). A head that is only somewhat too large is refused by the gate: `h2`'s
        // own answer has no fields and is not logged.
        .max_header_list_size(most_of_head(limits))
        .max_pending_accept_reset_streams(MOST_UNACCEPTED)
        .max_concurrent_reset_streams(MOST_REMEMBERED)
        .max_local_error_reset_streams(Some(MOST_ERRORS))
        .data_frame_budget(MOST_OVERHEAD)
        .enable_connect_protocol();
    terms
}

/// The size of the largest head that the gate itself refuses, in bytes. `h2` refuses larger ones.
fn most_of_head(limits: &ClientSettings) -> u32 {
    let twice = u32::try_from(limits.head.bytes * 2).unwrap_or(u32::MAX);
    twice.max(LEAST_OF_LARGE_HEAD)
}

/// A connection that is being served.
struct ServedConnection {
    connection: Connection<WatchedConnection, Bytes>,
    /// The tasks of its streams. Each returns its stream id, and whether its client has canceled the request.
    answering: JoinSet<(u32, bool)>,
    /// The ids of these streams.
    under_way: Vec<u32>,
    observed: Rc<Observations>,
    /// Ready when the gate stops. `None` once it was ready.
    stopped: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// When the connection ends if no stream is open.
    end: Pin<Box<Sleep>>,
    /// Whether no stream is open.
    is_idle: bool,
    /// Whether the client was sent GOAWAY.
    is_ending: bool,
    requests: u64,
    /// How many of these requests were canceled before they were answered.
    canceled: u64,
}

/// An event on a connection.
enum Event {
    /// Streams were reset because the client broke the rules.
    Broken(Vec<u32>),
    /// The connection has ended, perhaps because the client does not speak HTTP/2.
    Ended(Option<h2::Error>),
    /// A request.
    Request(Box<(Request<RecvStream>, SendResponse<Bytes>)>),
    /// The connection has been idle for too long.
    Idle,
    /// The gate stops.
    Stopped,
    /// The client misbehaves. This is the reason for the audit log.
    Violation(&'static str),
}

impl ServedConnection {
    async fn run(mut self, with: &AnswerContext) {
        let reason = loop {
            match poll_fn(|context| self.poll_event(context, &with.limits)).await {
                Event::Broken(streams) => self.record_broken(&streams, with),
                Event::Ended(None) => break None,
                Event::Ended(Some(error)) => break violation(&error),
                Event::Request(request) => {
                    self.requests += 1;
                    let (request, respond) = *request;
                    let stream = respond.stream_id().as_u32();
                    self.under_way.push(stream);
                    // Boxed, because a task moves its future several times, and this one has some kilobytes.
                    let answering = Box::pin(with.clone().answer(request, respond));
                    let answering = async move { (stream, answering.await) };
                    self.answering.spawn_local(answering);
                }
                Event::Idle if self.is_ending => break None,
                Event::Idle | Event::Stopped => {
                    self.is_ending = true;
                    self.is_idle = false;
                    self.connection.graceful_shutdown();
                }
                Event::Violation(reason) => {
                    let abrupt = &mut self.connection;
                    abrupt.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    // The client may no longer receive it.
                    let closed = poll_fn(|context| abrupt.poll_closed(context));
                    let _ = timeout(LONGEST_AFTER_GOAWAY, closed).await;
                    break Some(reason);
                }
            }
        };
        if let Some(reason) = reason {
            with.proxy.record_violation(with.peer.address, reason);
        }
        self.record_broken(&self.observed.broken.take(), with);
        // Open streams see that their client has gone away.
        drop(self.connection);
        while self.answering.join_next().await.is_some() {}
    }

    /// Records streams that were reset before there was a request, because their heads break the rules. Other streams have
    /// their own audit lines.
    fn record_broken(&self, broken: &[u32], with: &AnswerContext) {
        for stream in broken {
            if !self.under_way.contains(stream) {
                with.proxy
                    .record_violation(with.peer.address, inbound::UNREADABLE);
            }
        }
    }

    fn poll_event(&mut self, context: &mut Context<'_>, limits: &ClientSettings) -> Poll<Event> {
        while let Poll::Ready(Some(answered)) = self.answering.poll_join_next(context) {
            // A task that panicked does not return its id. The id stays in `under_way`, which does no harm.
            let (stream, is_canceled) = answered.unwrap_or_default();
            self.under_way.retain(|other| *other != stream);
            self.canceled += u64::from(is_canceled);
        }
        if self.canceled > MOST_CANCELED && self.canceled * 2 > self.requests {
            return Poll::Ready(Event::Violation(RAPID_RESET));
        }
        match self.connection.poll_accept(context) {
            Poll::Ready(Some(Ok(request))) => {
                return Poll::Ready(Event::Request(Box::new(request)));
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Event::Ended(Some(error))),
            Poll::Ready(None) => return Poll::Ready(Event::Ended(None)),
            Poll::Pending if self.observed.floods.get() => {
                return Poll::Ready(Event::Violation(FLOOD));
            }
            Poll::Pending => {}
        }
        let broken = self.observed.broken.take();
        if !broken.is_empty() {
            return Poll::Ready(Event::Broken(broken));
        }
        if let Some(stopped) = &mut self.stopped
            && stopped.as_mut().poll(context).is_ready()
        {
            self.stopped = None;
            return Poll::Ready(Event::Stopped);
        }
        let is_idle = self.answering.is_empty();
        if is_idle && !self.is_idle {
            let limit = if self.is_ending {
                LONGEST_AFTER_GOAWAY
            } else {
                limits.idle
            };
            self.end.as_mut().reset(Instant::now() + limit);
        }
        self.is_idle = is_idle;
        if is_idle && self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Event::Idle);
        }
        Poll::Pending
    }
}

/// What is needed to answer the requests of a connection.
#[derive(Clone)]
struct AnswerContext {
    proxy: Rc<Proxy>,
    peer: Rc<Peer>,
    /// The local address that the client has connected to.
    reached: Option<SocketAddr>,
    limits: ClientSettings,
    /// How long a stream may pause.
    stream_idle: Duration,
}

impl AnswerContext {
    /// Answers one request. Returns whether its client has canceled it.
    async fn answer(self, request: Request<RecvStream>, respond: SendResponse<Bytes>) -> bool {
        let (head, body) = request.into_parts();
        let (head, has_ended) = (Request::from_parts(head, ()), body.is_end_stream());
        let (proxy, peer) = (&self.proxy, &self.peer);
        let stream = |request: &Request<Length>| {
            let (limits, idle, proxy) = (self.limits, self.stream_idle, Rc::clone(proxy));
            Http2Stream::new(request, body, respond, limits, idle, proxy)
        };
        match request::read(head, has_ended, self.limits.head) {
            Ok(mut request) => {
                let mut stream = stream(&request);
                stream.reached = self.reached;
                if stream.is_whole_without_body(&request).await {
                    proxy.answer(&mut request, peer, &mut stream).await;
                    stream.linger().await;
                } else {
                    proxy.record_violation(peer.address, inbound::UNREADABLE);
                }
                stream.is_gone
            }
            Err(violation) => {
                let (refused, mut record) = proxy.unreadable(violation, &[], peer);
                let mut stream = stream(&Request::new(Length::NONE));
                let sent = stream.answer(refused, &record.bytes_out).await;
                record.end(sent);
                stream.is_gone
            }
        }
    }
}

/// The reason in the audit log for a connection error that the client has caused.
fn violation(error: &h2::Error) -> Option<&'static str> {
    let is_ours = error.is_library() && error.is_go_away();
    match error.reason() {
        Some(Reason::NO_ERROR) | None => None,
        Some(_) if !is_ours => None,
        Some(Reason::ENHANCE_YOUR_CALM) => Some(FLOOD),
        Some(_) => Some(inbound::UNREADABLE),
    }
}

/// The reasons in the audit log.
const FLOOD: &str = "http2_flood";
const RAPID_RESET: &str = "http2_rapid_reset";

/// In bytes. Browsers rarely send more cookies than this, so users with too many cookies get an answer from the gate.
const LEAST_OF_LARGE_HEAD: u32 = 256 * 1024;

/// The most concurrent streams of a connection. RFC 9113 §6.5.2 recommends no fewer than this.
const MOST_STREAMS: u32 = 100;

/// In bytes: the flow-control windows of a stream and of a connection, which bound what waits in memory. Larger ones speed
/// up uploads only over long distances.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// In bytes: how much of a stream's answer may wait for the connection.
const MOST_BUFFERED: usize = 64 * 1024;

/// The overhead of small frames that wait to be read, in bytes: the sum by which they fall short of 256 bytes each. Beyond this
/// limit the connection ends. A stream of eight-byte messages that fills its window takes some four megabytes. By default `h2`
/// allows half a connection's window, which some thousand unread small messages exceed.
const MOST_OVERHEAD: usize = 8 * 1024 * 1024;

/// The most streams that may be canceled before they are accepted (CVE-2023-44487, "Rapid Reset").
const MOST_UNACCEPTED: usize = 20;

/// The most streams to remember that the gate has reset and whose frames may still arrive.
const MOST_REMEMBERED: usize = 50;

/// The most streams that the gate may have to reset because of invalid frames (CVE-2025-8671, "MadeYouReset").
const MOST_ERRORS: usize = 100;

/// The most requests that may be canceled before they are answered, if they are more than half of all: people leave pages before
/// they are loaded, but not most of the time. These are Envoy's numbers (`overload.premature_reset_min_stream_count`, 1.28).
const MOST_CANCELED: u64 = 500;

/// How long a client may take to finish after GOAWAY.
const LONGEST_AFTER_GOAWAY: Duration = Duration::from_secs(2);

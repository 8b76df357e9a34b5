//! A stream of HTTP/2: the client's side of one request and its answer.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http1::{Field, Length, has_body};
use tokio::time::{Instant, timeout};
use wire::grpc;

use super::messages::{End, Incoming, Outgoing, UnsentBody, fields_of};
use super::request::wanted_accept;
use crate::client::{LONGEST_LINGER, LONGEST_PAUSE};
use crate::clock;
use crate::config::ClientSettings;
use crate::downstream::Downstream;
use crate::exchange_end::{ExchangeEnd, Sent, is_our_limit};
use crate::inbound::client_kind::is_grpc;
use crate::inbound::proxy::Proxy;
use crate::link::Link;
use crate::owner::Owner;
use crate::streamed::{BodyFrame, Streamed};
use crate::wait_timer::WaitTimer;

/// A stream with a request: the client's side of one exchange.
pub(super) struct Http2Stream {
    pub(super) request: StreamRequest,
    pub(super) answer: StreamAnswer,
    pub(super) limits: ClientSettings,
    /// Whether the request is a gRPC call.
    is_grpc_call: bool,
    /// The deadline of the call (`grpc-timeout`).
    deadline: Option<Instant>,
    /// The `Sec-WebSocket-Accept` that the service has to answer with, if the request is for a WebSocket.
    wanted_accept: Option<HeaderValue>,
    /// Whether the client has canceled the request or gone away.
    pub(super) is_gone: bool,
    /// Whether the gate has reset the stream.
    is_reset: bool,
    /// The local address that the client has connected to.
    pub(super) reached: Option<SocketAddr>,
    /// The proxy, whose live configuration says which trailers may be forwarded.
    pub(super) proxy: Rc<Proxy>,
}

/// The request's body.
#[derive(Debug)]
pub(super) struct StreamRequest {
    pub(super) incoming: Incoming,
    /// The longest pause. A gRPC call may be a stream of messages, so every gRPC call may pause as long as a stream.
    pub(super) pause: Duration,
    /// The limit on the sum of the pauses. One second is added to it for every `rate` bytes received.
    pub(super) total: Duration,
    pub(super) rate: Option<NonZeroU64>,
    /// How many bytes have been received.
    pub(super) received: u64,
    /// The limit on the body's length, in bytes.
    pub(super) limit: u64,
    /// Whether the client waits for `100 Continue`.
    pub(super) is_held: bool,
    pub(super) reading: WaitTimer,
}

/// The answer's head and body.
#[derive(Debug)]
pub(super) struct StreamAnswer {
    pub(super) respond: SendResponse<Bytes>,
    /// Whether the request is `HEAD`, so that the answer has no body.
    is_to_head: bool,
    /// Whether this is a gRPC answer, whose trailers have the status of the call.
    is_grpc: bool,
    /// The response head, until it is sent.
    pub(super) head: Option<Response<()>>,
    /// The sending half of the stream, once the response head is sent.
    pub(super) outgoing: Option<Outgoing>,
    pub(super) left: UnsentBody,
    pub(super) writing: WaitTimer,
}

impl Http2Stream {
    /// The client's side of this request.
    pub(super) fn new(
        request: &Request<Length>,
        stream: RecvStream,
        respond: SendResponse<Bytes>,
        limits: ClientSettings,
        stream_idle: Duration,
        proxy: Rc<Proxy>,
    ) -> Self {
        let headers = request.headers();
        let is_held = headers.contains_key(EXPECT) && *request.body() != Length::NONE;
        let is_grpc = is_grpc(headers);
        let timeout = is_grpc.then(|| grpc::timeout(headers)).flatten();
        Self {
            request: StreamRequest {
                incoming: Incoming::new(stream),
                pause: if is_grpc { stream_idle } else { limits.body },
                rate: limits.upload_rate.filter(|_| !is_grpc),
                total: if is_grpc { Duration::MAX } else { limits.body },
                received: 0,
                limit: u64::MAX,
                is_held,
                reading: WaitTimer::default(),
            },
            answer: StreamAnswer {
                respond,
                is_to_head: *request.method() == Method::HEAD,
                is_grpc: false,
                head: None,
                outgoing: None,
                left: UnsentBody::default(),
                writing: WaitTimer::default(),
            },
            limits,
            is_grpc_call: is_grpc,
            deadline: timeout.map(|timeout| Instant::now() + timeout),
            wanted_accept: wanted_accept(request),
            is_gone: false,
            is_reset: false,
            reached: None,
            proxy,
        }
    }

    /// Waits for the end of a request without a body before it is acted on. Returns false if a body comes after all, which
    /// `h2` refuses (RFC 9113 §8.1.1).
    pub(super) async fn is_whole_without_body(&mut self, request: &Request<Length>) -> bool {
        let is_whole = *request.body() != Length::NONE || self.request.incoming.has_ended();
        if is_whole || request.headers().contains_key(UPGRADE) {
            return true;
        }
        let end = poll_fn(|context| self.request.poll_frame(context)).await;
        matches!(end, Ok(BodyFrame::End(_)))
    }

    /// Resets the stream for this reason.
    pub(super) fn reset(&mut self, reason: Reason) {
        match &mut self.answer.outgoing {
            Some(outgoing) => outgoing.reset(reason),
            None => self.answer.respond.send_reset(reason),
        }
        self.answer.left.end = End::Sent;
        self.is_reset = true;
    }

    /// Reads and discards the rest of the request for a while, if the answer was sent before it.
    ///
    /// Otherwise `h2` resets the stream at once (`NO_ERROR`, RFC 9113 §8.1), and some clients that are still sending drop
    /// the answer: curl 7.88.1 ends with error 92.
    pub(super) async fn linger(&mut self) {
        let has_answered = self.is_being_answered() && matches!(self.answer.left.end, End::Sent);
        if !has_answered || self.is_reset || self.is_gone || self.is_grpc_call {
            return;
        }
        let incoming = &mut self.request.incoming;
        let reading = async {
            while !incoming.has_ended() {
                let next = poll_fn(|context| incoming.poll_next(context));
                let next = timeout(LONGEST_PAUSE, next).await;
                let Ok(Some(Ok(_))) = next else {
                    return;
                };
            }
        };
        let _ = timeout(LONGEST_LINGER, reading).await;
    }

    /// Whether the deadline of the call has passed.
    fn is_past_deadline(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Begins a WebSocket with a 2xx status (RFC 8441 §5), if the service has answered with the right
    /// `Sec-WebSocket-Accept`. The client cannot check that, because the gate has made the key.
    fn begin_websocket(&mut self, mut head: Response<()>) {
        let accept = head.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
        let wanted = self.wanted_accept.as_ref();
        if wanted.is_some_and(|wanted| accept.is_some_and(|accept| accept == wanted)) {
            *head.status_mut() = StatusCode::OK;
        } else {
            *head.status_mut() = StatusCode::BAD_GATEWAY;
            self.answer.left.finish(None);
        }
        self.answer.head = Some(head);
    }
}

impl Downstream for Http2Stream {
    fn total_time(&self) -> Option<Duration> {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        let of_client = self.deadline.map(left);
        [self.limits.total, of_client].into_iter().flatten().min()
    }

    fn is_grpc_call(&self) -> bool {
        self.is_grpc_call
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let reset = match &mut self.answer.outgoing {
            Some(outgoing) => outgoing.poll_reset(context),
            None => self.answer.respond.poll_reset(context).map(drop),
        };
        self.is_gone |= reset.is_ready();
        reset
    }

    fn awaits_continue(&self) -> bool {
        self.request.is_held
    }

    fn limit_body(&mut self, bytes: u64) {
        self.request.limit = bytes;
    }

    /// Turns the answer into a "Trailers-Only" one ("PROTOCOL-HTTP2.md" of grpc/grpc): a gRPC client reads the status of the
    /// call there, and takes any HTTP status but 200 for one of a server that does not speak gRPC.
    fn adapt(&self, response: &mut Response<Bytes>) {
        let status = response.status();
        let headers = response.headers_mut();
        if !headers.contains_key(GRPC_STATUS) || !is_grpc(headers) {
            return;
        }
        // More precise than the general mapping of statuses.
        if let StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE = status {
            headers.insert(GRPC_STATUS, HeaderValue::from_static(RESOURCE_EXHAUSTED));
        }
        if status == StatusCode::GATEWAY_TIMEOUT && self.is_past_deadline() {
            headers.insert(GRPC_STATUS, HeaderValue::from_static(DEADLINE_EXCEEDED));
        }
        if let Some(reason) = status.canonical_reason() {
            headers.insert(GRPC_MESSAGE, HeaderValue::from_static(reason));
        }
        *response.status_mut() = StatusCode::OK;
    }

    async fn answer(&mut self, mut response: Response<Bytes>, passed: &Cell<u64>) -> Sent {
        let body = std::mem::take(response.body_mut());
        let status = response.status();
        let headers = response.headers_mut();
        headers.remove(CONNECTION);
        headers.insert(DATE, clock::http_date());
        let is_trailers_only = body.is_empty() && headers.contains_key(GRPC_STATUS);
        let describes_body = self.answer.is_to_head && !body.is_empty();
        if describes_body || has_body(self.answer.is_to_head, status) && !is_trailers_only {
            headers.insert(CONTENT_LENGTH, body.len().into());
        }
        self.answer.head = Some(response.map(drop));
        if has_body(self.answer.is_to_head, status) {
            self.answer.left.piece = body;
        }
        self.answer.left.finish(None);
        let limits = self.limits;
        let sent = poll_fn(|context| self.answer.poll_room(context, &limits)).await;
        passed.set(self.answer.left.sent);
        match sent {
            Ok(()) => Sent::COMPLETE,
            Err(error) => {
                self.is_gone |= !is_our_limit(&error);
                self.reset(Reason::CANCEL);
                Sent {
                    ended: ExchangeEnd::with_client(&error),
                    began: self.is_being_answered(),
                }
            }
        }
    }

    fn begin_answer<'f>(
        &mut self,
        status: StatusCode,
        _: &[u8],
        fields: impl IntoIterator<Item = Field<'f>>,
        length: Length,
    ) {
        let mut head = Response::new(());
        *head.status_mut() = status;
        *head.headers_mut() = fields_of(fields);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return self.begin_websocket(head);
        }
        if let Length::Exactly(length) = length
            && has_body(self.answer.is_to_head, status)
        {
            head.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        self.answer.is_grpc = self.is_grpc_call && is_grpc(head.headers());
        self.answer.head = Some(head);
    }

    fn is_being_answered(&self) -> bool {
        self.answer.outgoing.is_some()
    }

    fn take_back_answer(&mut self) -> bool {
        let is_here = !self.is_being_answered();
        if is_here {
            self.answer.head = None;
            self.answer.left = UnsentBody::default();
        }
        is_here
    }

    fn abort_answer(&mut self) {
        self.reset(Reason::INTERNAL_ERROR);
    }

    async fn cut_short(&mut self) {
        if !self.answer.is_grpc || self.answer.left.has_ended() {
            return self.abort_answer();
        }
        let (status, why) = match self.is_past_deadline() {
            true => (DEADLINE_EXCEEDED, "the deadline of the call was exceeded"),
            false => (UNAVAILABLE, "the time limit for the call was reached"),
        };
        let mut trailers = HeaderMap::new();
        trailers.insert(GRPC_STATUS, HeaderValue::from_static(status));
        trailers.insert(GRPC_MESSAGE, HeaderValue::from_static(why));
        // What does not fit into the client's window would only be a part of a message.
        self.answer.left.piece = Bytes::new();
        self.answer.left.finish(Some(trailers));
        self.finish_answer().await;
    }

    async fn finish_answer(&mut self) -> bool {
        if matches!(self.answer.left.end, End::Open) {
            self.finish(None);
        }
        if poll_fn(|context| self.poll_room(context)).await.is_err() {
            self.reset(Reason::CANCEL);
        }
        self.is_being_answered()
    }

    fn reached(&mut self) -> Option<SocketAddr> {
        self.reached
    }

    /// No-op: every stream has only one request.
    fn end(&mut self) {}

    /// Always false: it is unknown which streams belong to the same user.
    fn owns_connection_to(&self, _: &Rc<()>) -> bool {
        false
    }

    fn take_owned(&mut self, _: &Rc<()>, _: impl FnOnce() -> Option<Owner>) -> Option<Box<Link>> {
        None
    }
}

const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const DEADLINE_EXCEEDED: &str = "4";
const RESOURCE_EXHAUSTED: &str = "8";
const UNAVAILABLE: &str = "14";

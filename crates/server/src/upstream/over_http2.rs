//! A server's side over HTTP/2: one stream of a shared connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gate::Admitted;
use h2::Reason;
use h2::client::ResponseFuture;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, TE};
use http::uri::{Authority, Scheme, Uri};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http1::{Length, Persistence, ResponseHead, read_response, write_response};

use super::channels::ReservedStream;
use super::websocket::{self, OverStream};
use crate::connection::invalid;
use crate::http2::messages::{Incoming, Outgoing, UnsentBody, broken, fields_of, keep_from_tables};
use crate::streamed::{BodyFrame, StreamedOrigin};
use crate::wait_timer::WaitTimer;

/// A request for a server.
pub(super) struct OutgoingRequest<'a, 'r> {
    pub(super) admitted: &'a Admitted<'r, Length>,
    /// Whether the client waits for `100 Continue`.
    pub(super) expects_continue: bool,
    /// The key of the WebSocket, if it is one.
    pub(super) websocket: Option<&'a [u8]>,
    /// Whether the connection has TLS.
    pub(super) secure: bool,
}

/// A server's side over HTTP/2.
pub(crate) struct Http2Origin {
    response: ResponseFuture,
    /// The answer's body, once its head is there.
    incoming: Option<Incoming>,
    outgoing: Outgoing,
    left: UnsentBody,
    is_head: bool,
    /// The `Sec-WebSocket-Accept` for the client, if the request asks for a WebSocket.
    accept: Option<HeaderValue>,
    /// The longest wait for the server.
    time_limit: Duration,
    reading: WaitTimer,
    writing: WaitTimer,
    /// Whether the timer is suspended.
    is_suspended: bool,
    /// Its reservation on the connection.
    reserved: ReservedStream,
}

impl Http2Origin {
    /// Begins a request on a connection that has room for it.
    ///
    /// # Errors
    /// When the connection takes no more requests.
    pub(super) fn begin(
        mut reserved: ReservedStream,
        new_request: OutgoingRequest<'_, '_>,
        time_limit: Duration,
    ) -> io::Result<Self> {
        let admitted = new_request.admitted;
        let ends = *admitted.body() == Length::NONE && new_request.websocket.is_none();
        let request = request(&new_request);
        let (response, stream) = reserved
            .requests
            .send_request(request, ends)
            .map_err(broken)?;
        let mut left = UnsentBody::default();
        if ends {
            left.finish(None);
            left.ends_with_head();
        }
        Ok(Self {
            response,
            incoming: None,
            outgoing: Outgoing::new(stream),
            left,
            is_head: *admitted.method() == Method::HEAD,
            accept: new_request.websocket.map(websocket::accept),
            time_limit,
            reading: WaitTimer::default(),
            writing: WaitTimer::default(),
            is_suspended: false,
            reserved,
        })
    }

    /// Limits each further wait for the server to this time.
    pub(super) fn may_pause(&mut self, limit: Duration) {
        self.time_limit = limit;
        self.reading.renew();
    }

    /// The stream as a WebSocket, after an answer that accepts one.
    pub(super) fn into_websocket(self) -> Option<Box<OverStream>> {
        let stream = OverStream::new(self.incoming?, self.outgoing, self.reserved);
        Some(Box::new(stream))
    }

    /// Notes that the connection may be dead, so that other requests get another one.
    pub(super) fn mark_suspect(&self) {
        self.reserved.stop_using();
    }

    /// Ready with an error when the wait for the server is too long.
    fn poll_late<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if self.is_suspended {
            return Poll::Pending;
        }
        ready!(
            self.reading
                .poll_spent(context, Duration::MAX, self.time_limit)
        );
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl StreamedOrigin for Http2Origin {
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ResponseHead>> {
        if let Poll::Ready(Some(interim)) = self.response.poll_informational(context) {
            self.reading.renew();
            return Poll::Ready(answered(&interim.map_err(broken)?, false));
        }
        let Poll::Ready(response) = Pin::new(&mut self.response).poll(context) else {
            return self.poll_late(context);
        };
        self.reading.renew();
        let (head, body) = response.map_err(broken)?.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // HTTP/2 does not support 101 (RFC 9113 §8.6).
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        self.incoming = Some(Incoming::new(body));
        let mut response = Response::from_parts(head, ());
        if let Some(accept) = self.accept.take()
            && response.status().is_success()
        {
            websocket::make_accepted(&mut response, accept);
        }
        Poll::Ready(answered(&response, self.is_head))
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<io::Result<BodyFrame>> {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let next = incoming.poll_frame(context);
        if next.is_pending() {
            return self.poll_late(context);
        }
        self.reading.renew();
        next
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.left.sent;
        let sent = self.outgoing.poll_send(context, &mut self.left);
        if sent.is_ready() || self.left.sent != before {
            self.writing.renew();
        }
        if sent.is_ready() {
            return sent;
        }
        ready!(
            self.writing
                .poll_spent(context, Duration::MAX, self.time_limit)
        );
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn put(&mut self, piece: Bytes) {
        self.reading.renew();
        self.left.piece = piece;
    }

    /// Forwards trailers, which were stripped of claims: over HTTP/2 they stay apart from the header fields.
    fn finish(&mut self, trailers: Option<HeaderMap>) {
        self.reading.renew();
        self.left.finish(trailers);
    }

    /// No-op: the stream is reset when this is dropped.
    fn abandon(&mut self) {}

    fn suspend_timer(&mut self, suspended: bool) {
        self.is_suspended = suspended;
        if suspended {
            self.reading.renew();
        }
    }
}

/// Whether the failed request was not processed or not answered: the connection ended before the answer, or the server has
/// refused the stream (RFC 9113 §8.7).
pub(super) fn is_unanswered(error: &io::Error) -> bool {
    of_http2(error).is_some_and(|error| {
        error.is_io() || error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM)
    })
}

/// Whether the server has refused the stream and keeps the connection.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    let is_refused = |error: &h2::Error| error.reason() == Some(Reason::REFUSED_STREAM);
    of_http2(error).is_some_and(|error| is_refused(error) && !error.is_go_away())
}

/// Whether the server demands HTTP/1.1 for the request and has not processed it (RFC 9113 §7), as a server does that wants
/// to authenticate the connection.
pub(super) fn requires_http1(error: &io::Error) -> bool {
    of_http2(error).is_some_and(|error| error.reason() == Some(Reason::HTTP_1_1_REQUIRED))
}

fn of_http2(error: &io::Error) -> Option<&h2::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// The request in the form of HTTP/2: with its host in `:authority`, and without connection fields.
fn request(new_request: &OutgoingRequest<'_, '_>) -> Request<()> {
    let admitted = new_request.admitted;
    let mut headers = fields_of(http1::read_fields(admitted.fields()));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = admitted.uri().path_and_query().cloned();
    if authority.is_some() {
        headers.remove(HOST);
        parts.scheme = Some(match new_request.secure {
            true => Scheme::HTTPS,
            false => Scheme::HTTP,
        });
        parts.authority = authority;
    }
    if let Length::Exactly(length) = *admitted.body()
        && (length > 0 || !admitted.method().is_safe())
    {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    // Tells the server that trailers are forwarded, which gRPC services demand.
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if new_request.expects_continue {
        headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
    }
    let mut request = Request::new(());
    *request.method_mut() = admitted.method().clone();
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    *request.version_mut() = Version::HTTP_2;
    keep_from_tables(&mut headers);
    *request.headers_mut() = headers;
    if new_request.websocket.is_some() {
        websocket::make_connect(&mut request);
    }
    request
}

/// The response head, converted to HTTP/1.1 and read like any other, so that no field gets another meaning.
fn answered(response: &Response<()>, is_head: bool) -> io::Result<ResponseHead> {
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default().as_bytes();
    let fields = http1::fields(response.headers());
    let mut head = Vec::new();
    write_response(
        &mut head,
        status,
        reason,
        fields,
        None,
        Persistence::Implied,
    );
    let read = read_response(&mut BytesMut::from(&head[..]), is_head).map_err(invalid)?;
    read.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

//! What fronts share: what they are, how a connection is served to its end, bodies, and the faces of a refusal.

pub(crate) mod answer;
mod arrival;
mod client_io;
pub(crate) mod decisions;
mod framing;
pub(crate) mod proxy;
mod record;
mod target;
mod tunnel;

use std::convert::Infallible;
use std::error::Error;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;

use self::client_io::{Busy, ClientIo, ConnectionState};
use crate::config::ClientSettings;
use crate::socket::Stream;
use crate::upstream::UpstreamBody;

/// Serves the connections of a listener.
pub(crate) trait Front: 'static {
    /// Serves one connection until it ends, or `stop` asks for an end after the requests in flight.
    fn serve(
        self: Rc<Self>,
        stream: Stream,
        peer: IpAddr,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + 'static;
}

/// Serves HTTP/1.1 on a connection as [`serve_until`] does, and says whether bytes came that never became a request.
async fn serve_http1<F>(
    stream: Stream,
    limits: ClientSettings,
    stop: CancellationToken,
    answer: impl Fn(Request<Incoming>) -> F,
) -> bool
where
    F: Future<Output = Response<AnswerBody>>,
{
    let state = ConnectionState::new();
    let io = TokioIo::new(ClientIo::new(stream, limits, state.clone()));
    let service = service_fn(|request| {
        let (answered, busy) = (answer(request), state.busy());
        async move { Ok::<_, Infallible>(answered.await.map(|body| body.keeping(busy))) }
    });
    let connection = http1::Builder::new()
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(io, service)
        .with_upgrades();
    let ended = serve_until(connection, stop, |connection| {
        connection.graceful_shutdown();
    })
    .await;
    state.is_refused() || ended.is_err_and(|error| error.is_parse())
}

/// Serves a connection until it ends, or `stop` asks for an end after the requests in flight; `shut_down` tells it so.
async fn serve_until<C: Future>(
    connection: C,
    stop: CancellationToken,
    shut_down: impl FnOnce(Pin<&mut C>),
) -> C::Output {
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            shut_down(connection.as_mut());
            connection.await
        }
    }
}

/// The body of an answer: ours, or the upstream's on its way through.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    content: Content,
    /// Dropped with the body: only then is the connection's next request due.
    _busy: Option<Busy>,
}

#[derive(Debug)]
enum Content {
    Grpc(tonic::body::Body),
    Ours(Option<Bytes>),
    Upstream(Box<UpstreamBody>),
}

impl AnswerBody {
    /// A body of our own.
    pub(crate) fn ours(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            content: Content::Ours(Some(bytes).filter(|bytes| !bytes.is_empty())),
            _busy: None,
        }
    }

    /// The body of a gRPC answer.
    pub(crate) fn grpc(body: tonic::body::Body) -> Self {
        Self {
            content: Content::Grpc(body),
            _busy: None,
        }
    }

    /// No body.
    pub(crate) fn empty() -> Self {
        Self {
            content: Content::Ours(None),
            _busy: None,
        }
    }

    /// A body that streams from the upstream.
    pub(crate) fn upstream(body: UpstreamBody) -> Self {
        Self {
            content: Content::Upstream(Box::new(body)),
            _busy: None,
        }
    }

    /// The bytes of a body of our own.
    pub(crate) fn into_bytes(self) -> Bytes {
        match self.content {
            Content::Ours(bytes) => bytes.unwrap_or_default(),
            Content::Grpc(_) | Content::Upstream(_) => Bytes::new(),
        }
    }

    /// Keeps the connection busy until this body is done.
    pub(crate) fn keeping(self, busy: Busy) -> Self {
        Self {
            _busy: Some(busy),
            ..self
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match &mut self.content {
            Content::Grpc(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Content::Ours(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Upstream(body) => Pin::new(body.as_mut()).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Grpc(body) => body.is_end_stream(),
            Content::Ours(bytes) => bytes.is_none(),
            Content::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Grpc(body) => body.size_hint(),
            Content::Ours(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Upstream(body) => body.size_hint(),
        }
    }
}

/// In bytes: eight session chunks of 4 KiB and the other headers fit; more is 431.
const LARGEST_HEAD: usize = 64 * 1024;

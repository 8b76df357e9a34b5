//! The HTTP client. It accepts only admitted requests, streams both bodies, and keeps connections.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use gate::Admitted;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::config::UpstreamSettings;
use crate::patience::Patience;
use crate::socket::keep_alive;

/// The connections of one runtime to the upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    settings: UpstreamSettings,
    host: HeaderValue,
    idle: RefCell<Vec<Idle>>,
    /// Drives the connections.
    tasks: TaskTracker,
}

/// A connection to the upstream.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<RequestBody>,
    /// With the upstream: kept with the connection, so that its timer is made once.
    patience: Patience,
}

/// A connection that waits for its next request.
#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// Why the upstream gave no answer.
#[derive(Debug, Error)]
pub(crate) enum UpstreamError {
    /// The client's body broke off; the upstream is not to blame.
    #[error("the client's body broke off")]
    ClientBody,
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    /// The exchange broke.
    #[error("{0}")]
    Exchange(hyper::Error),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
}

impl Upstream {
    /// A client without connections yet. `tasks` drives the connections that it will open.
    pub(crate) fn new(settings: UpstreamSettings, tasks: TaskTracker) -> Self {
        let UpstreamSettings { host, port, .. } = &settings;
        let host = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let host = HeaderValue::from_str(&host).expect("the host of a parsed URL is visible ASCII");
        Self {
            settings,
            host,
            idle: RefCell::default(),
            tasks,
        }
    }

    /// Sends an admitted request, body and all, and gives the answer's head as soon as it is there.
    pub(crate) async fn forward(
        self: &Rc<Self>,
        admitted: Admitted<RequestBody>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let mut request = admitted.into_request();
        *request.version_mut() = Version::HTTP_11;
        let host = || self.host.clone();
        request.headers_mut().entry(HOST).or_insert_with(host);
        let progress = request.body().progress.clone();
        let answer = self.send(request, progress.as_deref()).await;
        let client_failed = progress.is_some_and(|progress| progress.failed.get());
        answer.map_err(|error| {
            if client_failed {
                UpstreamError::ClientBody
            } else {
                error
            }
        })
    }

    async fn send(
        self: &Rc<Self>,
        mut request: Request<RequestBody>,
        progress: Option<&Progress>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        loop {
            let (mut connection, reused) = match self.take_idle() {
                Some(connection) => (connection, true),
                None => (self.connect().await?, false),
            };
            let answer = connection.sender.try_send_request(request);
            match self
                .patiently(answer, &mut connection.patience, progress)
                .await?
            {
                Ok(response) => return Ok(self.streaming(response, connection)),
                // The upstream closed the connection while it was idle, and nothing of the request was sent.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if reused => request = unsent,
                    _ => return Err(UpstreamError::Exchange(error.into_error())),
                },
            }
        }
    }

    /// Waits for an answer. The clock starts anew while the client's body still makes its way.
    async fn patiently<T>(
        &self,
        answer: impl Future<Output = T>,
        patience: &mut Patience,
        progress: Option<&Progress>,
    ) -> Result<T, UpstreamError> {
        let limit = self.settings.timeout;
        let mut answer = std::pin::pin!(answer);
        let mut seen = 0;
        let waited = poll_fn(|context| {
            loop {
                if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                    return Poll::Ready(Ok(answer));
                }
                ready!(patience.poll_spent(context, limit, limit));
                match progress.map(|progress| progress.frames.get()) {
                    Some(frames) if frames != seen => seen = frames,
                    _ => return Poll::Ready(Err(UpstreamError::TimedOut(limit))),
                }
                patience.renew();
            }
        });
        let answer = waited.await;
        patience.renew();
        answer
    }

    /// The connection that was used last, if one is still good: those at the bottom are left to grow old.
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let Idle { connection, since } = idle.pop()?;
            if since.elapsed() > LONGEST_IDLE {
                // Everything below is older.
                idle.clear();
                return None;
            }
            if !connection.sender.is_closed() {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        if !connection.sender.is_closed() && idle.len() < MOST_IDLE {
            idle.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    async fn connect(&self) -> Result<Connection, UpstreamError> {
        let UpstreamSettings {
            host,
            port,
            connect_timeout,
            ..
        } = &self.settings;
        let connecting = TcpStream::connect((host.as_str(), *port));
        let stream = timeout(*connect_timeout, connecting)
            .await
            .map_err(|_| UpstreamError::TimedOut(*connect_timeout))??;
        stream.set_nodelay(true)?;
        keep_alive(&stream)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(UpstreamError::Exchange)?;
        self.tasks.spawn_local(async move {
            // An error here reaches whoever waits for the answer; without a waiter there is nothing to tell.
            let _ = connection.with_upgrades().await;
        });
        Ok(Connection {
            sender,
            patience: Patience::default(),
        })
    }

    fn streaming(
        self: &Rc<Self>,
        response: Response<Incoming>,
        connection: Connection,
    ) -> Response<UpstreamBody> {
        response.map(|body| {
            let mut body = UpstreamBody {
                body,
                lease: Some(Lease {
                    connection,
                    upstream: Rc::clone(self),
                }),
            };
            if body.body.is_end_stream() {
                body.release();
            }
            body
        })
    }
}

/// The body of an answer on its way through. Its connection is kept for the next request once it ends.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    body: Incoming,
    lease: Option<Lease>,
}

#[derive(Debug)]
struct Lease {
    connection: Connection,
    upstream: Rc<Upstream>,
}

impl UpstreamBody {
    fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.upstream.keep(lease.connection);
        }
    }

    fn poll_waited(&mut self, context: &mut Context<'_>) -> Poll<Box<dyn Error + Send + Sync>> {
        let Some(lease) = &mut self.lease else {
            return Poll::Pending;
        };
        let limit = lease.upstream.settings.timeout;
        let patience = &mut lease.connection.patience;
        patience
            .poll_spent(context, limit, limit)
            .map(|()| UpstreamError::TimedOut(limit).into())
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => return self.poll_waited(context).map(|error| Some(Err(error))),
                Poll::Ready(Some(Ok(frame))) => {
                    if let Some(lease) = &mut self.lease {
                        lease.connection.patience.renew();
                    }
                    // With a known length nobody asks for a frame after the last one.
                    if self.body.is_end_stream() {
                        self.release();
                    }
                    // Trailers do not travel over HTTP/1.1: nobody asked for them.
                    if frame.is_data() {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.lease = None;
                    return Poll::Ready(Some(Err(error.into())));
                }
                Poll::Ready(None) => {
                    self.release();
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a request on its way through, without its trailers.
#[derive(Debug)]
pub(crate) struct RequestBody {
    body: Incoming,
    /// Absent when there is no body.
    progress: Option<Rc<Progress>>,
}

/// How far the client's body has come.
#[derive(Debug, Default)]
struct Progress {
    frames: Cell<u64>,
    failed: Cell<bool>,
}

impl RequestBody {
    pub(crate) fn new(body: Incoming) -> Self {
        let progress = (!body.is_end_stream()).then(Rc::default);
        Self { body, progress }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            if let Some(progress) = &self.progress {
                progress.frames.set(progress.frames.get() + 1);
                progress.failed.set(matches!(frame, Some(Err(_))));
            }
            match frame {
                Some(Ok(frame)) if !frame.is_data() => {}
                other => return Poll::Ready(other),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Node closes idle connections after five seconds; we must be the first to give one up, or a request meets the close
/// half-way.
const LONGEST_IDLE: Duration = Duration::from_secs(4);

/// A burst may open more; beyond this they are closed when they are done.
const MOST_IDLE: usize = 256;

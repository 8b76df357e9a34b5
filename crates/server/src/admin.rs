//! The admin listener: health, metrics, explanations, reloads and revocations.

mod certificates;
mod explain;
mod reload;
mod revocations;
mod upstreams;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::live::{Reloads, SharedLive};
use crate::metrics::Metrics;
use crate::refusals::RecentRefusals;
use crate::vital;

/// What the admin listener needs.
pub(crate) struct Admin {
    /// The live configuration, with the stores and the token that every path but `/healthz` requires.
    pub(crate) live: SharedLive,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) refusals: Arc<RecentRefusals>,
    pub(crate) reloads: Reloads,
    /// Canceled when the process is asked to stop: it is then alive, but not ready.
    pub(crate) stop: CancellationToken,
    /// Canceled when another process has taken over.
    pub(crate) handed_over: CancellationToken,
}

/// The running admin listener.
#[derive(Debug)]
pub(crate) struct RunningAdmin {
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
    tasks: JoinSet<()>,
}

impl RunningAdmin {
    /// Stops the listener and closes its connections.
    pub(crate) async fn finish(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Starts the admin listener on this socket.
pub(crate) async fn start(listener: StdTcpListener, admin: Admin) -> io::Result<RunningAdmin> {
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    let admin = Arc::new(admin);
    let mut tasks = JoinSet::new();
    tasks.spawn(upkeep(Arc::clone(&admin.metrics)));
    tasks.spawn(accept(listener, admin));
    Ok(RunningAdmin { address, tasks })
}

async fn upkeep(metrics: Arc<Metrics>) {
    let _part = vital::part("the upkeep of metrics");
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        metrics.upkeep();
    }
}

async fn accept(listener: TcpListener, admin: Arc<Admin>) {
    let _part = vital::part("the admin listener");
    let mut connections = JoinSet::new();
    let handed_over = admin.handed_over.clone();
    loop {
        tokio::select! {
            () = handed_over.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < MOST_CONNECTIONS => {
                    connections.spawn(serve(stream, Arc::clone(&admin)));
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(stream: TcpStream, admin: Arc<Admin>) {
    let service = service_fn(|request| {
        let admin = Arc::clone(&admin);
        async move { Ok::<_, Infallible>(admin.answer(request).await) }
    });
    let handed_over = admin.handed_over.clone();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // On an error the client has hung up.
        _ = connection.as_mut() => return,
        () = handed_over.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

impl Admin {
    async fn answer(&self, request: Request<Incoming>) -> Response<String> {
        let path = request.uri().path();
        if path != "/healthz" && !self.is_authorized(&request) {
            let mut response = text(
                StatusCode::UNAUTHORIZED,
                "ADMIN_TOKEN is set: send it as a bearer token\n",
            );
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
        match (request.method(), path) {
            (&Method::GET | &Method::HEAD, "/healthz") => text(StatusCode::OK, "ok\n"),
            (&Method::GET | &Method::HEAD, "/readyz") => self.readiness(),
            (&Method::GET | &Method::HEAD, "/metrics") => self.metrics(),
            (&Method::POST, "/reload") => {
                let answer = reload::answer(&self.reloads, request.headers());
                let (status, content_type, body) = answer.await;
                typed(status, content_type, body)
            }
            (_, "/reload") => text(StatusCode::METHOD_NOT_ALLOWED, "POST only\n"),
            (&Method::GET | &Method::HEAD, "/explain") => {
                explain::answer(&self.live.load(), &self.refusals, &request)
            }
            (_, "/revocations") => {
                let live = self.live.load_full();
                let (status, content_type, body) = revocations::answer(&live, request).await;
                typed(status, content_type, body)
            }
            (_, "/explain" | "/healthz" | "/readyz" | "/metrics") => {
                text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n")
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "this listener serves /explain, /healthz, /readyz, /metrics, /reload and /revocations\n",
            ),
        }
    }

    fn is_authorized(&self, request: &Request<Incoming>) -> bool {
        let live = self.live.load();
        let Some(token) = &live.admin_token else {
            return true;
        };
        let value = request
            .headers()
            .get(AUTHORIZATION)
            .map(HeaderValue::as_bytes);
        let given = value.and_then(|value| value.strip_prefix(b"Bearer "));
        given.is_some_and(|given| verify_slices_are_equal(given, token.expose()).is_ok())
    }

    /// Answers `/readyz`. The gate is ready while it can make decisions: all necessary stores answer, and it is not stopping.
    fn readiness(&self) -> Response<String> {
        let live = self.live.load();
        let health = live.health();
        let stopping = self.stop.is_cancelled();
        let ready = !stopping && live.is_ready();
        let state = |up: bool| Value::from(if up { "up" } else { "down" });
        let stores: Map<String, Value> = health
            .iter()
            .map(|store| (store.source.as_str().to_owned(), state(store.up)))
            .collect();
        let status = if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let mut body = json!({ "ready": ready, "stopping": stopping, "stores": stores });
        let channels = live.channels();
        if !channels.is_empty() {
            let channels = channels.into_iter();
            let channels = channels.map(|(channel, is_up)| (channel.to_owned(), state(is_up)));
            body["channels"] = Value::Object(channels.collect());
        }
        // Without Redis each gate counts rate limits by itself, so it is still ready.
        if let Some(are_shared) = live.shares_limits() {
            body["shared_limits"] = Value::from(if are_shared { "up" } else { "degraded" });
        }
        if let Some(is_known) = live.knows_revocations() {
            body["revocations"] = state(is_known);
        }
        typed(status, "application/json", format!("{body}\n"))
    }

    fn metrics(&self) -> Response<String> {
        let live = self.live.load();
        for store in live.health() {
            self.metrics.store_up(store.source.as_str(), store.up);
        }
        for (channel, is_up) in live.channels() {
            self.metrics.channel_up(channel, is_up);
        }
        if let Some(are_shared) = live.shares_limits() {
            self.metrics.store_up("shared-limits", are_shared);
        }
        if let Some(is_known) = live.knows_revocations() {
            self.metrics.store_up("revocations", is_known);
        }
        let page = self.metrics.render() + &certificates::metrics(&live);
        let page = page + &upstreams::metrics(&live);
        typed(StatusCode::OK, "text/plain; version=0.0.4", page)
    }
}

fn text(status: StatusCode, body: &str) -> Response<String> {
    typed(status, "text/plain; charset=utf-8", body.to_owned())
}

fn typed(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The most connections. Probes and scrapers are few; more are a mistake or an attack.
const MOST_CONNECTIONS: usize = 64;

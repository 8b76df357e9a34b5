//! An imitation of Traefik's `ForwardAuth`, because the tests cannot install Traefik.
//!
//! As in Traefik's source: the decision request is a GET with the client's header fields, without those of the connection, and
//! with `X-Forwarded-*` about the request that it received (`trustForwardHeader: false`). After a 2xx, it takes the fields in
//! `authResponseHeaders` from the answer, and removes those that the answer lacks; it passes any other answer on to the client.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use bytes::Bytes;
use harness::Gate;
use http::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::documents::replace_literal;
use crate::front::Service;

/// A reverse proxy with the documented middlewares. Dropping it stops the proxy.
#[derive(Debug)]
pub(crate) struct Traefik {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Route {
    gate: SocketAddr,
    path: String,
    service: SocketAddr,
    /// The names in `authResponseHeaders`.
    taken: Vec<HeaderName>,
    /// The names in `customRequestHeaders`, which all have an empty value.
    removed: Vec<HeaderName>,
    /// The tasks of the connections to the gate and to the service.
    connections: Mutex<JoinSet<()>>,
}

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

impl Traefik {
    /// Starts a proxy with the dynamic configuration `text`, and with the real addresses of the gate and the service.
    pub(crate) async fn start(text: &str, gate: &Gate, echo: &impl Service) -> Result<Self> {
        let route = Arc::new(Route {
            service: echo.address(),
            ..Route::read(text, gate.decisions_port()?)?
        });
        replace_literal(text, "127.0.0.1:3000", "")?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, peer)) = listener.accept().await {
                let route = Arc::clone(&route);
                let answer = service_fn(move |request| {
                    let route = Arc::clone(&route);
                    async move { Ok::<_, Infallible>(route.answer(request, peer).await) }
                });
                connections.spawn(async move {
                    let connection = server::Builder::new()
                        .serve_connection(TokioIo::new(stream), answer)
                        .with_upgrades();
                    // The client disconnected, or did not send HTTP.
                    let _ = connection.await;
                });
            }
        });
        Ok(Self {
            address,
            _tasks: tasks,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Route {
    fn read(text: &str, gate: SocketAddr) -> Result<Self> {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(key));
            line.with_context(|| format!("traefik.md does not say {key}"))
        };
        let path = value("address: \"http://127.0.0.1:9091")?.trim_end_matches('"');
        let taken = value("authResponseHeaders: [")?.trim_end_matches(']');
        let (_, removed) = text
            .split_once("customRequestHeaders:\n")
            .context("traefik.md removes headers")?;
        let removed = removed
            .lines()
            .map_while(|line| line.trim().strip_suffix(": \"\""));
        replace_literal(text, "trustForwardHeader: false", "")?;
        Ok(Self {
            gate,
            path: path.to_owned(),
            service: gate,
            taken: taken
                .split(", ")
                .map(str::parse)
                .collect::<Result<_, _>>()?,
            removed: removed.map(str::parse).collect::<Result<_, _>>()?,
            connections: Mutex::default(),
        })
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        let answer = self.forward(request, peer).await;
        answer.unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
    }

    async fn forward(&self, mut request: Request<Incoming>, peer: SocketAddr) -> Result<Answer> {
        let upgrade = request.headers().get(UPGRADE).cloned();
        remove_hop_by_hop(request.headers_mut());
        for name in &self.removed {
            request.headers_mut().remove(name);
        }

        let permission = self.decide(&request, peer).await?;
        if !permission.status().is_success() {
            let (mut head, body) = permission.into_parts();
            remove_hop_by_hop(&mut head.headers);
            return Ok(Response::from_parts(head, body.boxed()));
        }
        for name in &self.taken {
            request.headers_mut().remove(name);
            for value in permission.headers().get_all(name) {
                request.headers_mut().append(name, value.clone());
            }
        }

        if let Some(protocol) = upgrade {
            request.headers_mut().insert(UPGRADE, protocol);
            let connection = HeaderValue::from_static("Upgrade");
            request.headers_mut().insert(CONNECTION, connection);
        }
        let from_client = hyper::upgrade::on(&mut request);
        let mut answer = self.send(self.service, request).await?;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let from_service = hyper::upgrade::on(&mut answer);
            self.keep(async {
                let Ok((client, service)) = tokio::try_join!(from_client, from_service) else {
                    return;
                };
                let (mut client, mut service) = (TokioIo::new(client), TokioIo::new(service));
                // Either side may close the connection.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut service).await;
            });
        }
        Ok(answer.map(BodyExt::boxed))
    }

    async fn decide(
        &self,
        request: &Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<Incoming>> {
        let mut decision_request = Request::builder()
            .method(Method::GET)
            .uri(&self.path)
            .body(Empty::<Bytes>::new())?;
        let headers = decision_request.headers_mut();
        headers.clone_from(request.headers());
        let host = request.headers().get(HOST).context("a host")?.clone();
        headers.insert(HOST, self.gate.to_string().try_into()?);
        headers.remove("content-length");
        headers.insert("x-forwarded-for", peer.ip().to_string().try_into()?);
        headers.insert("x-forwarded-host", host);
        headers.insert("x-forwarded-method", request.method().as_str().try_into()?);
        headers.insert("x-forwarded-port", HeaderValue::from_static("80"));
        headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
        let target = request.uri().path_and_query().context("a path")?;
        headers.insert("x-forwarded-uri", target.as_str().try_into()?);
        self.send(self.gate, decision_request).await
    }

    async fn send<B>(&self, address: SocketAddr, request: Request<B>) -> Result<Response<Incoming>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + 'static,
    {
        let stream = TokioIo::new(TcpStream::connect(address).await?);
        let (mut sender, connection) = client::handshake(stream).await?;
        // The task ends with the answer, or with the connection after a 101.
        self.keep(async {
            let _ = connection.with_upgrades().await;
        });
        Ok(sender.send_request(request).await?)
    }

    /// Runs a task in the background for as long as this proxy exists.
    fn keep(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut connections = self
            .connections
            .lock()
            .expect("no panic while the lock is held");
        connections.spawn(task);
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let nominated: Vec<_> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_owned())
        .collect();
    let fixed = [
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    for name in nominated.iter().map(String::as_str).chain(fixed) {
        headers.remove(name);
    }
}

fn plain(status: StatusCode) -> Answer {
    let mut answer = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    answer
}

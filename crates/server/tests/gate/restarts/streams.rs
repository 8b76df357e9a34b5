//! A client that keeps connections of HTTP/2 over TLS and handles the end of one as RFC 9113 §6.8 describes.
//!
//! When a connection ends, h2load counts the requests under way as failed, whatever the server has sent, and opens no other
//! connection. This client sends requests again that the server has not processed according to its GOAWAY, as browsers do. It
//! counts every other incomplete answer as failed, and also a connection that ends without a GOAWAY or without close_notify.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use harness::{Authority, Mint, poll};
use http::Request;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

/// Active connections, each with several concurrent requests, and a pause of some milliseconds after each.
pub(super) struct Streams {
    shared: Arc<Shared>,
    connections: JoinSet<Result<()>>,
}

struct Shared {
    address: SocketAddr,
    tls: TlsConnector,
    cookie: String,
    stops: AtomicBool,
    answered: AtomicU64,
    opened: AtomicU64,
    resumed: AtomicU64,
    sent_again: AtomicU64,
}

impl Streams {
    /// Starts to send requests to the gate at this address, whose certificate this authority has signed.
    pub(super) fn start(address: SocketAddr, authority: &Authority) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&authority.certificate)?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let shared = Arc::new(Shared {
            address,
            tls: Arc::new(config).into(),
            cookie: Mint::user("ada").authjs(),
            stops: AtomicBool::default(),
            answered: AtomicU64::default(),
            opened: AtomicU64::default(),
            resumed: AtomicU64::default(),
            sent_again: AtomicU64::default(),
        });
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let shared = Arc::clone(&shared);
            connections.spawn(async move { shared.keep_requesting().await });
        }
        Ok(Self {
            shared,
            connections,
        })
    }

    /// Waits until some more requests have been answered.
    pub(super) async fn wait_for_answers(&mut self) -> Result<()> {
        let answered = || self.shared.answered.load(Ordering::Relaxed);
        let before = answered();
        let went_on = poll("more answers over HTTP/2", async || {
            (answered() > before + 50).then_some(())
        });
        tokio::select! {
            went_on = went_on => went_on,
            Some(failed) = self.connections.join_next() => failed?,
        }
    }

    /// Ends the load, prints its counts, and verifies that nothing has failed.
    pub(super) async fn end(mut self, what: &str) -> Result<()> {
        self.shared.stops.store(true, Ordering::Relaxed);
        while let Some(ended) = self.connections.join_next().await {
            ended?.with_context(|| what.to_owned())?;
        }
        let shared = &self.shared;
        let [answered, opened, resumed, sent_again] = [
            &shared.answered,
            &shared.opened,
            &shared.resumed,
            &shared.sent_again,
        ]
        .map(|count| count.load(Ordering::Relaxed));
        println!(
            "{what}, HTTP/2 over TLS: {answered} requests over {opened} connections ({resumed} resumed), failed: 0; \
             sent again because a GOAWAY had named them: {sent_again}"
        );
        ensure!(answered > 0, "{what}: nothing was answered");
        Ok(())
    }
}

impl Shared {
    /// Opens one connection after the other, until the load ends.
    async fn keep_requesting(self: Arc<Self>) -> Result<()> {
        while !self.stops.load(Ordering::Relaxed) {
            self.run_connection().await?;
        }
        Ok(())
    }

    async fn run_connection(self: &Arc<Self>) -> Result<()> {
        let tcp = TcpStream::connect(self.address).await.context("connect")?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let tls = self.tls.connect(name, tcp).await.context("shake hands")?;
        let resumed = tls.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        self.resumed.fetch_add(resumed.into(), Ordering::Relaxed);
        self.opened.fetch_add(1, Ordering::Relaxed);
        let (requests, connection) = h2::client::handshake(tls).await.context("greet")?;
        let mut requesting = JoinSet::new();
        for _ in 0..AT_A_TIME {
            let (shared, requests) = (Arc::clone(self), requests.clone());
            requesting.spawn(async move { shared.send_requests(requests).await });
        }
        drop(requests);
        let asked = async {
            while let Some(ended) = requesting.join_next().await {
                ended??;
            }
            anyhow::Ok(())
        };
        let (asked, ended) = tokio::join!(asked, connection);
        asked?;
        match ended {
            Err(error) if !is_going_away(&error) => Err(error).context("the connection's end"),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Sends one request after the other, until the connection accepts no more.
    async fn send_requests(&self, requests: SendRequest<Bytes>) -> Result<()> {
        while !self.stops.load(Ordering::Relaxed) {
            let mut ready = match requests.clone().ready().await {
                Ok(ready) => ready,
                Err(error) if is_going_away(&error) => return Ok(()),
                Err(error) => return Err(error).context("before a request"),
            };
            let request = Request::get("https://localhost/").header("cookie", &self.cookie);
            let asked = match ready.send_request(request.body(())?, true) {
                Ok((response, _)) => timeout(harness::TIMEOUT, answer(response)).await,
                Err(error) => Ok(Err(error)),
            };
            match asked.context("no answer")? {
                Ok(200) => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(status) => bail!("status {status}"),
                Err(error) if is_going_away(&error) => {
                    self.sent_again.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                Err(error) => return Err(error).context("a request"),
            }
            sleep(REST).await;
        }
        Ok(())
    }
}

/// Reads a complete answer and returns its status.
async fn answer(response: h2::client::ResponseFuture) -> Result<u16, h2::Error> {
    let mut response = response.await?;
    let body = response.body_mut();
    while let Some(piece) = body.data().await {
        let length = piece?.len();
        body.flow_control().release_capacity(length)?;
    }
    Ok(response.status().as_u16())
}

/// Whether the error is a GOAWAY of the server without an error code, so that the request can be sent again.
fn is_going_away(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
}

const CONNECTIONS: usize = 4;
const AT_A_TIME: usize = 4;

/// The pause between two consecutive requests.
const REST: Duration = Duration::from_millis(10);

//! TLS connections that are each opened, used for one request, and closed.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustls::HandshakeKind;
use xtask::step::clock;

use super::{Answered, Order, percentile};
use crate::http::{Address, Connection, get};
use crate::tls::TlsClient;

/// Runs the load in this many threads, each with one connection at a time.
///
/// # Errors
/// As [`super::Load::run`]; also when a handshake is full where it should be resumed, or the reverse.
pub(super) fn run(order: &Order<'_>, threads: u32, resumes: bool) -> Result<Answered> {
    let Address::Tcp(port) = *order.address else {
        bail!("TLS needs a TCP address, not a Unix socket");
    };
    let mut headers = order.headers.to_vec();
    if let Some(cookie) = order.cookies()?.into_iter().next() {
        headers.push(("Cookie".to_owned(), cookie));
    }
    headers.push(("Connection".to_owned(), "close".to_owned()));
    let request = get(order.path, &headers);
    let start = clock();
    let end = Duration::from_secs(order.seconds.into());
    let parts = std::thread::scope(|scope| {
        let client = || {
            let tls_client = TlsClient::new(resumes)?;
            // The first handshake is always full, and yields the first ticket.
            once(&tls_client, port, &request)?;
            let mut made = Vec::new();
            while start.elapsed() < end {
                let began = clock();
                let (status, kind) = once(&tls_client, port, &request)?;
                let was_resumed = kind == HandshakeKind::Resumed;
                ensure!(was_resumed == resumes, "a handshake was {kind:?}");
                made.push((began.elapsed().as_secs_f64() * 1e6, status));
            }
            anyhow::Ok(made)
        };
        let clients: Vec<_> = (0..threads).map(|_| scope.spawn(client)).collect();
        let parts = clients.into_iter();
        let parts = parts.map(|client| client.join().ok().context("a client failed")?);
        parts.collect::<Result<Vec<_>>>()
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let made: Vec<_> = parts.into_iter().flatten().collect();
    let refusals = made.iter().filter(|(_, status)| *status > 399).count();
    order.check(made.len() as u64, refusals as u64, 0)?;
    let mut latencies: Vec<_> = made.iter().map(|(latency, _)| *latency).collect();
    latencies.sort_by(f64::total_cmp);
    Ok(Answered {
        requests: made.len() as f64,
        seconds,
        p50: percentile(&latencies, 0.5),
        p99: percentile(&latencies, 0.99),
    })
}

/// Sends one request on a new connection; returns the status and the kind of handshake.
fn once(tls_client: &TlsClient, port: u16, request: &[u8]) -> Result<(u16, HandshakeKind)> {
    let mut stream = tls_client.connect(port, TIMEOUT)?;
    let status = Connection::of(&mut stream).exchange(request)?.status;
    let kind = stream.conn.handshake_kind().context("no handshake")?;
    Ok((status, kind))
}

/// Longer than any answer takes, so that a server which hangs becomes an error.
const TIMEOUT: Duration = Duration::from_secs(10);

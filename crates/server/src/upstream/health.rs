//! Active health checks: each server of a service is checked every few seconds.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::header::{ACCEPT, USER_AGENT};
use http::{Request, StatusCode, Version};
use http1::{is_interim, read_response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::dialer::OfferedVersions;
use super::member::Member;
use super::server::own_host;
use crate::config::{HealthCheck, HealthSettings, ServerAddress};
use crate::http2::messages::broken;
use crate::socket::Stream;

/// The health checks of one server, until this is dropped.
#[derive(Debug)]
pub(crate) struct Checks {
    _task: AbortOnDropHandle<()>,
}

impl Checks {
    /// Starts to check a server.
    pub(crate) fn start(member: Arc<Member>, settings: HealthSettings, runtime: &Handle) -> Self {
        let task = runtime.spawn(keep_checking(member, settings));
        Self {
            _task: AbortOnDropHandle::new(task),
        }
    }
}

async fn keep_checking(member: Arc<Member>, settings: HealthSettings) {
    let HealthSettings { check, interval } = settings;
    // The first check sets the state by itself. Later, several checks in a row are needed to change it.
    let (mut is_healthy, mut differing) = (None, 0);
    loop {
        let found = timeout(interval, probe(&member, &check)).await;
        let found = found.unwrap_or_else(|_| Err(timed_out(interval)));
        differing = match is_healthy == Some(found.is_ok()) {
            true => 0,
            false => differing + 1,
        };
        if is_healthy.is_none() || differing == IN_A_ROW {
            is_healthy = Some(found.is_ok());
            differing = 0;
            log_change(&member, &found);
        }
        sleep(interval).await;
    }
}

fn log_change(member: &Member, found: &io::Result<()>) {
    if !member.set_healthy(found.is_ok()) {
        return;
    }
    let server = &member.name;
    match found {
        Ok(()) => tracing::info!(%server, "a server of a service is healthy again"),
        Err(error) => tracing::warn!(%server, %error, "a server of a service is unhealthy"),
    }
}

async fn probe(member: &Member, check: &HealthCheck) -> io::Result<()> {
    let stream = member.dialer.open(None, OfferedVersions::Both).await?;
    let path = match check {
        HealthCheck::Http(path) => path,
        HealthCheck::Tcp => return Ok(()),
    };
    let address = &member.dialer.address;
    let host = own_host(address);
    let host = host.to_str().map_err(io::Error::other)?;
    let is_http2 = matches!(address, ServerAddress::Http2 { .. });
    let status = if is_http2 || stream.has_agreed_on_http2() {
        let scheme = if address.speaks_tls() {
            "https"
        } else {
            "http"
        };
        probe_over_http2(stream, &format!("{scheme}://{host}{path}")).await?
    } else {
        probe_over_http1(stream, host, path).await?
    };
    if status.is_success() || status.is_redirection() {
        return Ok(());
    }
    let what = format!("{path} returned {}", status.as_u16());
    Err(io::Error::other(what))
}

async fn probe_over_http2(stream: Stream, url: &str) -> io::Result<StatusCode> {
    let request = Request::get(url)
        .version(Version::HTTP_2)
        .header(USER_AGENT, "sessiongate-health")
        .header(ACCEPT, "*/*");
    let request = request.body(()).map_err(io::Error::other)?;
    let handshake = h2::client::handshake(stream).await;
    let (requests, connection) = handshake.map_err(broken)?;
    let asking = async {
        let (response, _) = requests.ready().await?.send_request(request, true)?;
        Ok(response.await?.status())
    };
    tokio::select! {
        biased;
        status = asking => status.map_err(broken),
        ended = connection => Err(match ended {
            Ok(()) => io::ErrorKind::UnexpectedEof.into(),
            Err(error) => broken(error),
        }),
    }
}

async fn probe_over_http1(mut stream: Stream, host: &str, path: &str) -> io::Result<StatusCode> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: sessiongate-health\r\naccept: */*\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut input = BytesMut::with_capacity(ROOM);
    loop {
        let answer = read_response(&mut input, false);
        let answer = answer.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        match answer {
            Some(answer) if is_interim(answer.status) => {}
            Some(answer) => return Ok(answer.status),
            None => {
                if stream.read_buf(&mut input).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}

fn timed_out(interval: Duration) -> io::Error {
    let what = format!(
        "no answer within {} s (health_interval)",
        interval.as_secs()
    );
    io::Error::new(io::ErrorKind::TimedOut, what)
}

/// How many checks in a row change a server's state.
const IN_A_ROW: u32 = 2;

/// In bytes: most heads fit.
const ROOM: usize = 2048;

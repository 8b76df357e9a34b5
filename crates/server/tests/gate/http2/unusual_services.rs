//! Services that choose another version for each connection, support two versions on one port, or close connections.

use std::sync::Arc;

use anyhow::{Context, Result};
use harness::{KeyPair, Request};
use http::Response;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::alpn::{Trust, echoes, node};
use crate::support::gate;

/// Answers every request over HTTP/2 with 200.
async fn answer_http2(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(request) = connection.accept().await {
        let (_, mut respond) = request?;
        let response = Response::builder().header("x-protocol", "2").body(())?;
        respond.send_response(response, true)?;
    }
    Ok(())
}

/// Reads a request head and answers with `text`.
async fn answer_http1(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    text: &str,
) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await?;
    Ok(())
}

#[tokio::test]
async fn websockets_use_http1_if_the_service_lacks_extended_connect() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let gate = gate(&format!("h2c://{}", listener.local_addr()?));
    let gate = gate.env("PUBLIC_PATHS", "/").env("WORKERS", "1");
    let gate = gate.start().await?;
    let mut serving: JoinSet<Result<()>> = JoinSet::new();
    serving.spawn(async move {
        let mut connections: JoinSet<Result<()>> = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await?;
            connections.spawn(async move {
                let mut first = [0; 3];
                while stream.peek(&mut first).await? < first.len() {}
                if first == *b"PRI" {
                    return answer_http2(stream).await;
                }
                let granted = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                               Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
                answer_http1(&mut stream, granted).await?;
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await?;
                Ok(())
            });
        }
    });
    let mut client = gate.connect().await?;
    for _ in 0..2 {
        let answer = client.get("/").await?;
        assert_eq!(
            (answer.status, answer.header("x-protocol")),
            (200, Some("2"))
        );
    }
    echoes(&mut client, &gate).await?;
    Ok(())
}

#[tokio::test]
async fn an_unanswered_request_is_retried_at_another_server_if_repeatable() -> Result<()> {
    let trust = Trust::new().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (good, bad) = (node(None).await?, listener.local_addr()?);
    let file = trust.folder.path().join("gate.toml");
    let keys = format!(
        "[service.app]\nupstream = [\"h2c://{bad}\", \"h2c://{}\"]\neject_after = 0\nretry_budget = 100\n\
         [[route]]\npath = \"/\"\nservice = \"app\"\naccess = \"public\"\n",
        good.address()
    );
    std::fs::write(&file, keys)?;
    let gate = gate("").without("UPSTREAM").env("WORKERS", "1");
    let gate = gate.args(["serve", "--config", &file.display().to_string()]);
    let gate = gate.start().await?;
    let mut serving: JoinSet<Result<()>> = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await?;
            let mut connection = h2::server::handshake(stream).await?;
            // The server accepts a request and then closes the connection.
            let _request = connection.accept().await;
        }
    });
    let mut client = gate.connect().await?;
    for _ in 0..4 {
        assert_eq!(client.get("/").await?.status, 200);
    }
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let answer = client.send(&Request::post("/", "once")).await?;
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502], "one of them was at the bad one");
    Ok(())
}

/// Runs a server whose connections choose these versions in turn, and end after an answer.
async fn alternating_server(
    pair: &KeyPair,
    listener: TcpListener,
    chooses: &'static [&'static [u8]],
) -> Result<()> {
    let mut connections = JoinSet::new();
    for version in chooses.iter().cycle() {
        let (stream, _) = listener.accept().await?;
        let pair = pair.clone();
        connections.spawn(async move { alternating_connection(&pair, stream, version).await });
    }
    Ok(())
}

/// Accepts a TLS connection; the server supports these versions (ALPN).
async fn secured(
    pair: &KeyPair,
    stream: TcpStream,
    versions: &[&[u8]],
) -> Result<TlsStream<TcpStream>> {
    let chain = CertificateDer::pem_file_iter(&pair.certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&pair.key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = versions.iter().map(|version| version.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)).accept(stream).await?)
}

async fn alternating_connection(pair: &KeyPair, stream: TcpStream, version: &[u8]) -> Result<()> {
    let mut stream = secured(pair, stream, &[version]).await?;
    if version != b"h2" {
        let text =
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Protocol: 1\r\nConnection: close\r\n\r\n";
        answer_http1(&mut stream, text).await?;
        return Ok(stream.shutdown().await?);
    }
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(request) = connection.accept().await {
        let (_, mut respond) = request?;
        let response = Response::builder().header("x-protocol", "2").body(())?;
        respond.send_response(response, true)?;
        connection.graceful_shutdown();
    }
    Ok(())
}

#[tokio::test]
async fn a_service_may_negotiate_another_version_on_each_connection() -> Result<()> {
    let trust = Trust::new().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let gate = trust.gate(&format!("https://{}", listener.local_addr()?));
    let gate = gate.start().await?;
    let mut serving = JoinSet::new();
    let pair = trust.pair.clone();
    let chooses: &[&[u8]] = &[b"http/1.1", b"http/1.1", b"h2", b"http/1.1", b"h2"];
    serving.spawn(async move { alternating_server(&pair, listener, chooses).await });
    let mut client = gate.connect().await?;
    let mut versions = String::new();
    while !["112", "21"].iter().all(|turn| versions.contains(turn)) {
        let answer = client.get("/").await?;
        assert_eq!(answer.status, 200, "after {versions}");
        versions.push_str(answer.header("x-protocol").context("a version")?);
    }
    Ok(())
}

#[tokio::test]
async fn a_request_reset_with_http_1_1_required_is_sent_over_http1() -> Result<()> {
    let trust = Trust::new().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let gate = trust.gate(&format!("https://{}", listener.local_addr()?));
    let gate = gate.start().await?;
    let mut serving: JoinSet<Result<()>> = JoinSet::new();
    let pair = trust.pair.clone();
    serving.spawn(async move {
        let mut connections: JoinSet<Result<()>> = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            let mut stream = secured(&pair, stream, &[b"h2", b"http/1.1"]).await?;
            if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                let text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                answer_http1(&mut stream, text).await?;
                stream.shutdown().await?;
                continue;
            }
            connections.spawn(async move {
                let mut connection = h2::server::handshake(stream).await?;
                while let Some(request) = connection.accept().await {
                    let (_, mut respond) = request?;
                    respond.send_reset(h2::Reason::HTTP_1_1_REQUIRED);
                }
                Ok(())
            });
        }
    });
    let mut client = gate.connect().await?;
    for _ in 0..2 {
        assert_eq!(client.get("/").await?.status, 200);
    }
    let with_body = Request::post("/", "said once");
    assert_eq!(client.send(&with_body).await?.status, 502);
    // A body that waits for 100 (Continue) has not been sent, so the request can be repeated over HTTP/1.1.
    let mut client = gate.connect().await?;
    let expect_continue =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    client.raw(expect_continue.as_bytes()).await?;
    assert_eq!(client.head().await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn http2_connections_to_a_service_close_before_its_keep_alive_ends() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gate.toml");
    let address = listener.local_addr()?;
    let keys = format!(
        "[service.app]\nupstream = \"h2c://{address}\"\nkeep_alive = 3\n\
         [[route]]\npath = \"/\"\nservice = \"app\"\naccess = \"public\"\n"
    );
    std::fs::write(&file, keys)?;
    let gate = gate("").without("UPSTREAM").env("WORKERS", "1");
    let gate = gate.args(["serve", "--config", &file.display().to_string()]);
    let gate = gate.start().await?;
    let mut serving: JoinSet<Result<()>> = JoinSet::new();
    serving.spawn(async move {
        let (stream, _) = listener.accept().await?;
        answer_http2(stream).await
    });
    let mut client = gate.connect().await?;
    assert_eq!(client.get("/").await?.status, 200);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), serving.join_next());
    ended
        .await
        .context("the connection stays")?
        .context("the request is served")??
}

//! WebSockets on a stream (RFC 8441).

use anyhow::{Context, Result};
use bytes::Bytes;
use h2::ext::Protocol;
use harness::Mint;
use http::{HeaderValue, Request};
use tokio::time::timeout;

use super::client::{Answer, Http2Client, get, piece};
use crate::exchanges::Upstream;
use crate::support::started;

/// Returns a request for a WebSocket, with or without a session.
pub(super) fn socket(path: &str, protocol: &'static str, signed_in: bool) -> Result<Request<()>> {
    let mut request = Request::builder()
        .method("CONNECT")
        .uri(format!("http://gate.example{path}"))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat");
    if signed_in {
        request = request.header("cookie", Mint::user("ada").authjs());
    }
    let mut request = request.body(())?;
    let protocol = Protocol::from_static(protocol);
    request.extensions_mut().insert(protocol);
    Ok(request)
}

#[tokio::test]
async fn a_websocket_uses_one_stream_of_the_connection() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut http2 = Http2Client::open(&gate).await?;
    assert_eq!(http2.answer(&get("/")).await?.status, 401);
    assert!(http2.requests.is_extended_connect_protocol_enabled());
    let (response, mut out) = http2
        .begin(&socket("/chat?a", "websocket", true)?, false)
        .await?;
    let mut served = upstream.accept().await?;
    let head = served.head().await?;
    assert!(head.starts_with("GET /chat?a HTTP/1.1\r\n"), "{head}");
    for line in [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-protocol: chat",
        "x-user-id: ada",
        "host: gate.example",
    ] {
        let mut lines = head.lines();
        assert!(
            lines.any(|other| other.eq_ignore_ascii_case(line)),
            "{line}: {head}"
        );
    }
    let accept = super::wire::accept_of(&head)?;
    let granted = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n\u{1}\u{5}early"
    );
    served.send(&granted).await?;
    let response = timeout(harness::TIMEOUT, response).await??;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    for name in [
        "sec-websocket-accept",
        "connection",
        "upgrade",
        "content-length",
    ] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    let mut body = response.into_body();
    assert_eq!(piece(&mut body).await?.context("bytes")?, "\u{1}\u{5}early");
    out.send_data(Bytes::from("\u{1}\u{4}ping"), false)?;
    served.read_until("ping").await?;
    served.send("\u{1}\u{4}pong").await?;
    assert_eq!(piece(&mut body).await?.context("bytes")?, "\u{1}\u{4}pong");
    // Other streams continue beside it.
    assert_eq!(http2.answer(&get("/")).await?.status, 401);
    let start = gate.wait_for_audit(|line| line["event"] == "start").await?;
    assert_eq!(
        (&start["status"], &start["user_id"]),
        (&101.into(), &"ada".into())
    );
    // A Close frame, then the end.
    out.send_data(Bytes::from_static(&[0x88, 0x80, 0, 0, 0, 0]), true)?;
    assert_eq!(served.closed().await?, [0x88, 0x80, 0, 0, 0, 0]);
    drop(served);
    assert_eq!(piece(&mut body).await?, None);
    let end = gate.wait_for_audit(|line| line["event"] == "end").await?;
    assert_eq!(end["ended"], "whole", "{end}");
    Ok(())
}

#[tokio::test]
async fn a_refused_extended_connect_gets_an_ordinary_answer() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut http2 = Http2Client::open(&gate).await?;
    assert_eq!(http2.answer(&get("/")).await?.status, 401);
    let refused = socket("/chat", "websocket", false)?;
    let (response, _out) = http2.begin(&refused, false).await?;
    assert_eq!(Answer::of(response).await?.status, 401);
    let other = socket("/chat", "connect-udp", true)?;
    let (response, _out) = http2.begin(&other, false).await?;
    assert_eq!(Answer::of(response).await?.status, 405);

    let wanted = socket("/chat", "websocket", true)?;
    let (response, _out) = http2.begin(&wanted, false).await?;
    let mut served = upstream.accept().await?;
    served.head().await?;
    served
        .send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        .await?;
    let answer = Answer::of(response).await?;
    assert_eq!((answer.status, &answer.body[..]), (403, &b"no"[..]));

    // A service that answers with the wrong accept value for the key.
    let (response, _out) = http2.begin(&wanted, false).await?;
    served.head().await?;
    served
        .send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )
        .await?;
    assert_eq!(Answer::of(response).await?.status, 502);
    Ok(())
}

#[tokio::test]
async fn only_the_protocol_pseudo_header_requests_a_websocket() -> Result<()> {
    let (echo, gate) = started([("PUBLIC_PATHS", "/")]).await?;
    let mut http2 = Http2Client::open(&gate).await?;
    let mut request = get("/");
    let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
    request.headers_mut().insert("sec-websocket-key", key);
    assert_eq!(http2.answer(&request).await?.status, 200);
    assert_eq!(echo.only().headers.get("upgrade"), None);
    Ok(())
}

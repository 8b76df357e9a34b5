//! Exchanges that last for hours end with the session by which they entered, and are told when the gate ends.

use anyhow::{Context, Result};
use harness::{Client, Gate, Mint, Request};
use serde_json::Value;

use crate::exchanges::{OK, Served, Upstream};
use crate::support::signed_in;

/// A request whose session counts for two seconds more, with the 15 of tolerance.
fn about_to_expire(path: &str) -> Request {
    Request::get(path).cookie(Mint::user("ada").expiring_in(-13).authjs())
}

/// A WebSocket that both sides agreed on.
async fn websocket(upstream: &Upstream, gate: &Gate, request: Request) -> Result<(Client, Served)> {
    let (mut client, mut served) = upstream.asked(gate, &request.websocket()).await?;
    let agreed = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a";
    served
        .say(&format!(
            "HTTP/1.1 101 Switching Protocols\r\n{agreed}\r\n\r\n"
        ))
        .await?;
    assert_eq!(client.head().await?.status, 101);
    Ok((client, served))
}

/// A stream of events of which one has come.
async fn events(upstream: &Upstream, gate: &Gate, request: &Request) -> Result<(Client, Served)> {
    let (mut client, mut served) = upstream.asked(gate, request).await?;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked";
    served
        .say(&format!("{head}\r\n\r\n8\r\ndata: a\n\r\n"))
        .await?;
    assert_eq!(client.head().await?.status, 200);
    assert_eq!(client.chunk().await?.as_deref(), Some(&b"data: a\n"[..]));
    Ok((client, served))
}

async fn end_of(gate: &Gate, path: &str) -> Result<Value> {
    gate.wait_for_audit(|line| line["path"] == path && line["event"] == "end")
        .await
}

/// Reads a Close frame of the gate, and gives its code and reason.
async fn close_frame(client: &mut Client) -> Result<(u16, String)> {
    let head = client.bytes(2).await?;
    assert_eq!(head[0], 0x88, "a whole Close frame without a mask");
    let payload = client.bytes(head[1].into()).await?;
    let (code, reason) = payload.split_first_chunk().context("a code")?;
    Ok((u16::from_be_bytes(*code), String::from_utf8(reason.into())?))
}

/// Close with 1000, as a client says it, masked with nothing.
const CLIENTS_CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 3, 0xe8];

#[tokio::test]
async fn a_websocket_is_closed_when_its_session_ends() -> Result<()> {
    for (setting, code) in [("4401", 4401), ("3000", 3000)] {
        let (upstream, gate) = Upstream::start_with([("SESSION_END_CLOSE_CODE", setting)]).await?;
        let (mut client, mut served) =
            websocket(&upstream, &gate, about_to_expire("/socket")).await?;
        served.say("\u{1}\u{2}ok").await?;
        assert_eq!(client.bytes(4).await?, b"\x01\x02ok");
        let closed = close_frame(&mut client).await?;
        assert_eq!(closed, (code, "session expired".to_owned()));
        client.raw(&CLIENTS_CLOSE).await?;
        let heard = served.closed().await?;
        assert_eq!(heard, CLIENTS_CLOSE, "the service hears of it");
        client.closed().await?;
        let line = end_of(&gate, "/socket").await?;
        assert_eq!(
            (&line["status"], &line["ended"]),
            (&101.into(), &"session_expired".into()),
            "{line}"
        );
        let label = ["ended=\"session_expired\""];
        let broken = gate.metric("sessiongate_broken_exchanges_total", label);
        assert_eq!(broken.await?, 1.0);
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_of_events_ends_with_its_session_and_its_connection_goes_on() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (mut client, mut served) = events(&upstream, &gate, &about_to_expire("/events")).await?;
    assert_eq!(client.chunk().await?, None, "the last chunk");
    assert_eq!(served.closed().await?, b"");
    let line = end_of(&gate, "/events").await?;
    assert_eq!(
        (&line["status"], &line["ended"], &line["bytes_out"]),
        (&200.into(), &"session_expired".into(), &8.into()),
        "{line}"
    );
    client.raw(&signed_in("/", "ada").bytes(gate.proxy)).await?;
    let mut served = upstream.accept().await?;
    served.head().await?;
    served.say(OK).await?;
    assert_eq!(client.response().await?.status, 200);
    assert_eq!(client.get("/").await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn at_the_end_of_the_gate_websockets_are_told_and_streams_end() -> Result<()> {
    let (upstream, mut gate) = Upstream::start_with([("DRAIN_TIMEOUT", "1")]).await?;
    let (mut socket, _service) = websocket(&upstream, &gate, signed_in("/socket", "ada")).await?;
    let (mut stream, _events) = events(&upstream, &gate, &signed_in("/events", "ada")).await?;
    gate.signal("TERM")?;
    assert_eq!(
        close_frame(&mut socket).await?,
        (1001, "going away".to_owned())
    );
    socket.raw(&CLIENTS_CLOSE).await?;
    socket.closed().await?;
    assert_eq!(stream.chunk().await?, None, "the last chunk");
    assert_eq!(gate.wait().await?.code(), Some(0));
    for path in ["/socket", "/events"] {
        let line = end_of(&gate, path).await?;
        assert_eq!(line["ended"], "cut", "{line}");
    }
    let was_cut = |line: &String| line.contains("connections were cut");
    assert!(!gate.stderr().all().iter().any(was_cut));
    Ok(())
}

#[tokio::test]
async fn an_open_connection_brings_one_more_request_after_the_signal() -> Result<()> {
    let (upstream, mut gate) = Upstream::start().await?;
    let (mut client, mut served) = upstream.asked(&gate, &signed_in("/", "ada")).await?;
    served.say(OK).await?;
    assert_eq!(client.response().await?.status, 200);
    gate.signal("TERM")?;
    let begins = |line: &str| line.contains("finishing what is in flight").then_some(());
    gate.stderr().wait_for(begins).await?;
    client
        .raw(&signed_in("/late", "ada").bytes(gate.proxy))
        .await?;
    served.head().await?;
    served.say(OK).await?;
    let answer = client.response().await?;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    client.closed().await?;
    assert_eq!(gate.wait().await?.code(), Some(0));
    Ok(())
}

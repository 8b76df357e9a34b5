//! The timeouts of exchanges, and of pauses in event streams.

use anyhow::Result;
use harness::{Client, Gate};
use serde_json::Value;

use crate::exchanges::{OK, Served, Upstream, post};
use crate::support::signed_in;

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n";

/// Opens a stream of events, whose first event has arrived; returns both sides of it.
async fn streaming(upstream: &Upstream, gate: &Gate) -> Result<(Client, Served)> {
    let (mut client, mut served) = upstream
        .begin_exchange(gate, &signed_in("/events", "ada"))
        .await?;
    served.send(EVENTS).await?;
    assert_eq!(client.head().await?.status, 200);
    assert_eq!(client.chunk().await?.as_deref(), Some(&b"one"[..]));
    Ok((client, served))
}

async fn end_of(gate: &Gate, path: &str) -> Result<Value> {
    gate.wait_for_audit(|line| line["path"] == path && line["event"] != "start")
        .await
}

#[tokio::test]
async fn an_event_stream_may_pause_for_longer_than_other_answers() -> Result<()> {
    let (upstream, gate) = Upstream::start_with([("UPSTREAM_TIMEOUT", "1")]).await?;
    let (mut client, mut served) = streaming(&upstream, &gate).await?;
    // A request that began later has timed out.
    let (mut other, _served) = upstream
        .begin_exchange(&gate, &signed_in("/slow", "ada"))
        .await?;
    assert_eq!(other.response().await?.status, 504);
    served.send("3\r\ntwo\r\n0\r\n\r\n").await?;
    assert_eq!(client.chunk().await?.as_deref(), Some(&b"two"[..]));
    assert_eq!(client.chunk().await?, None);
    assert_eq!(end_of(&gate, "/events").await?["ended"], "whole");

    // On the connection of an ended stream, other answers have the usual timeout.
    client
        .raw(&signed_in("/after", "ada").bytes(gate.proxy))
        .await?;
    served.head().await?;
    assert_eq!(client.response().await?.status, 504);
    Ok(())
}

#[tokio::test]
async fn an_event_stream_is_cut_off_after_its_own_idle_timeout() -> Result<()> {
    let (upstream, gate) = Upstream::start_with([("STREAM_IDLE_TIMEOUT", "1")]).await?;
    let (mut client, mut served) = streaming(&upstream, &gate).await?;
    client.closed().await?;
    served.closed().await?;
    let line = end_of(&gate, "/events").await?;
    assert_eq!(
        (&line["ended"], &line["event"]),
        (&"cut".into(), &"end".into())
    );
    Ok(())
}

#[tokio::test]
async fn an_exchange_has_a_total_time_limit_if_one_is_set() -> Result<()> {
    let (upstream, gate) = Upstream::start_with([("REQUEST_TIMEOUT", "1")]).await?;
    let (mut streamed, mut stream) = streaming(&upstream, &gate).await?;

    // The service does not answer.
    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/silent", "ada"))
        .await?;
    assert_eq!(client.response().await?.status, 504);
    served.closed().await?;
    let line = end_of(&gate, "/silent").await?;
    let printed = [&line["upstream"], &line["ended"], &line["outcome"]];
    assert_eq!(printed, ["timed_out", "cut", "allow"], "{line}");

    // The service does not finish its answer.
    client
        .raw(&signed_in("/half", "ada").bytes(gate.proxy))
        .await?;
    let mut served = upstream.accept().await?;
    served.head().await?;
    served
        .send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        .await?;
    assert_eq!(client.head().await?.status, 200);
    assert_eq!(client.bytes(4).await?, b"half");
    client.closed().await?;
    let line = end_of(&gate, "/half").await?;
    assert_eq!(
        (&line["status"], &line["ended"]),
        (&200.into(), &"cut".into())
    );

    // The client does not finish its request.
    let mut client = gate.connect().await?;
    let request = post("Content-Length: 9\r\n") + "half";
    client.raw(request.as_bytes()).await?;
    let mut served = upstream.accept().await?;
    served.read_until("half").await?;
    let answer = client.response().await?;
    assert_eq!(answer.status, 504);
    client.closed().await?;

    // The stream has lasted longer than the timeout, which does not apply to streams.
    stream.send("3\r\ntwo\r\n0\r\n\r\n").await?;
    assert_eq!(streamed.chunk().await?.as_deref(), Some(&b"two"[..]));
    assert_eq!(streamed.chunk().await?, None);
    streamed
        .raw(&signed_in("/next", "ada").bytes(gate.proxy))
        .await?;
    stream.head().await?;
    stream.send(OK).await?;
    assert_eq!(streamed.response().await?.status, 200);
    Ok(())
}

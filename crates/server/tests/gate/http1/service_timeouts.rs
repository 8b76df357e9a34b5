//! Timeouts: they count for the side that the gate is waiting for.

use std::time::Duration;

use anyhow::Result;
use harness::Client;
use tokio::time::sleep;

use crate::exchanges::{OK, Served, Upstream, post};

/// Starts a gate that waits one second for its service, and a client that has sent the first of two bytes.
async fn half_sent() -> Result<(Upstream, harness::Gate, Client, Served)> {
    let (upstream, gate) = Upstream::start_with([("UPSTREAM_TIMEOUT", "1")]).await?;
    let mut client = gate.connect().await?;
    client
        .raw((post("Content-Length: 2\r\n") + "a").as_bytes())
        .await?;
    let mut served = upstream.accept().await?;
    served.read_until("\r\n\r\na").await?;
    Ok((upstream, gate, client, served))
}

#[tokio::test]
async fn a_pausing_uploader_does_not_use_up_the_service_timeout() -> Result<()> {
    let (_upstream, _gate, mut client, mut served) = half_sent().await?;
    sleep(PAUSE).await;
    client.raw(b"b").await?;
    served.read_until("b").await?;
    served.send(OK).await?;
    assert_eq!(client.response().await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_answer_passes_while_the_uploader_pauses() -> Result<()> {
    let (_upstream, _gate, mut client, mut served) = half_sent().await?;
    served
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        .await?;
    assert_eq!(client.head().await?.status, 200);
    assert_eq!(client.bytes(1).await?, b"o");
    sleep(PAUSE).await;
    client.raw(b"b").await?;
    served.read_until("b").await?;
    served.send("k").await?;
    assert_eq!(client.bytes(1).await?, b"k");
    Ok(())
}

#[tokio::test]
async fn the_service_timeout_starts_when_it_has_the_whole_request() -> Result<()> {
    let (_upstream, _gate, mut client, mut served) = half_sent().await?;
    sleep(PAUSE).await;
    client.raw(b"b").await?;
    served.read_until("b").await?;
    assert_eq!(client.response().await?.status, 504);
    served.closed().await?;
    Ok(())
}

/// Longer than the gate waits for the service.
const PAUSE: Duration = Duration::from_millis(1500);

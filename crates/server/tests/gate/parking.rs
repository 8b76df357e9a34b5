//! Parked connections: after an idle period, they carry requests as before.

use std::time::Duration;

use anyhow::Result;
use harness::{Mint, Request, poll};
use tokio::time::sleep;

use crate::exchanges::{OK, Upstream};
use crate::support::{signed_in, started};

/// Waits longer than the gate does before it parks an idle connection.
async fn wait_until_parked() {
    sleep(Duration::from_millis(1300)).await;
}

#[tokio::test]
async fn a_parked_connection_serves_further_requests() -> Result<()> {
    let (_echo, gate) = started([("MAX_CONNECTIONS", "1")]).await?;
    let mut client = gate.connect().await?;
    for number in 0..3 {
        wait_until_parked().await;
        let path = format!("/{number}");
        assert_eq!(client.send(&signed_in(&path, "ada")).await?.status, 200);
        assert_eq!(client.send(&signed_in(&path, "ada")).await?.status, 200);
    }
    wait_until_parked().await;
    // A parked connection counts until it has ended.
    gate.connect().await?.closed().await?;
    drop(client);
    poll("room for another connection", async || {
        let mut client = gate.connect().await.ok()?;
        let answer = client.send(&signed_in("/", "ada")).await;
        (answer.ok()?.status == 200).then_some(())
    })
    .await
}

#[tokio::test]
async fn a_parked_connection_ends_on_close_on_timeout_and_at_shutdown() -> Result<()> {
    let (_echo, mut gate) = started([("CLIENT_IDLE_TIMEOUT", "2")]).await?;
    let mut left = gate.connect().await?;
    assert_eq!(left.send(&signed_in("/", "ada")).await?.status, 200);
    let mut silent = gate.connect().await?;
    wait_until_parked().await;
    drop(left);
    silent.closed().await?;

    let mut idle = gate.connect().await?;
    assert_eq!(idle.send(&signed_in("/", "ada")).await?.status, 200);
    wait_until_parked().await;
    gate.signal("TERM")?;
    idle.closed().await?;
    assert_eq!(gate.wait().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_connection_parked_before_its_first_byte_may_use_http2() -> Result<()> {
    let (_echo, gate) = started([]).await?;
    let mut client = gate.connect().await?;
    wait_until_parked().await;
    client.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    // An empty SETTINGS frame (RFC 9113 §6.5).
    client.raw(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await?;
    assert_eq!(client.bytes(9).await?[3], 4, "SETTINGS");

    let mut client = gate.connect().await?;
    assert_eq!(client.send(&signed_in("/", "ada")).await?.status, 200);
    wait_until_parked().await;
    client.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    assert_eq!(
        client.response().await?.status,
        400,
        "HTTP/2 cannot begin after a request"
    );
    Ok(())
}

#[tokio::test]
async fn an_owned_connection_survives_the_parking_of_its_client() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let cookie = Mint::user("ada").authjs();
    let request = |path: &str| Request::get(path).cookie(&cookie);
    let (mut client, mut served) = upstream.begin_exchange(&gate, &request("/1")).await?;
    let challenge = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0";
    served.send(&format!("{challenge}\r\n\r\n")).await?;
    assert_eq!(client.response().await?.status, 401);
    wait_until_parked().await;
    client.raw(&request("/2").bytes(gate.proxy)).await?;
    assert!(served.head().await?.starts_with("GET /2 "));
    served.send(OK).await?;
    assert_eq!(client.response().await?.status, 200);
    drop(client);
    assert_eq!(served.closed().await?, b"", "it ends with its client");
    Ok(())
}

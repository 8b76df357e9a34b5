//! The limits of concurrent connections and requests.

use anyhow::Result;
use harness::{Client, Gate, Request, poll};

use crate::exchanges::{OK, Upstream};
use crate::support::{signed_in, started};

/// Opens connections and sends one request on each.
async fn connected(gate: &Gate, count: usize) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = gate.connect().await?;
        assert_eq!(client.get("/").await?.status, 401);
        clients.push(client);
    }
    Ok(clients)
}

/// Verifies that one more connection is closed without an answer, and that there is room again when another one ends.
async fn is_full(gate: &Gate, mut clients: Vec<Client>, setting: &str) -> Result<()> {
    gate.connect().await?.closed().await?;
    let label = format!("limit=\"{setting}\"");
    let refused = gate.metric("sessiongate_connections_refused_total", [&*label]);
    assert_eq!(refused.await?, 1.0);
    assert_eq!(
        clients[0].get("/").await?.status,
        401,
        "the other connections continue"
    );
    drop(clients.pop());
    poll("room for a connection", async || {
        let answer = gate.send(&Request::get("/")).await.ok()?;
        (answer.status == 401).then_some(())
    })
    .await
}

#[tokio::test]
async fn connections_per_address_are_limited() -> Result<()> {
    let (_echo, gate) = started([("CONNECTIONS_PER_ADDRESS", "3")]).await?;
    let clients = connected(&gate, 3).await?;
    is_full(&gate, clients, "CONNECTIONS_PER_ADDRESS").await
}

#[tokio::test]
async fn connections_of_a_trusted_proxy_are_not_limited() -> Result<()> {
    let proxies = ("TRUSTED_PROXIES", "127.0.0.1/32");
    let (_echo, gate) = started([proxies, ("CONNECTIONS_PER_ADDRESS", "1")]).await?;
    connected(&gate, 5).await?;
    Ok(())
}

#[tokio::test]
async fn connections_per_listener_are_limited() -> Result<()> {
    let proxies = ("TRUSTED_PROXIES", "127.0.0.1/32");
    let (_echo, gate) = started([proxies, ("MAX_CONNECTIONS", "3")]).await?;
    let clients = connected(&gate, 3).await?;
    is_full(&gate, clients, "MAX_CONNECTIONS").await?;
    assert_eq!(gate.admin("/healthz").await?.status, 200, "it has its own");
    Ok(())
}

#[tokio::test]
async fn a_request_beyond_the_in_flight_limit_gets_503_at_once() -> Result<()> {
    let (upstream, gate) = Upstream::start_with([("MAX_IN_FLIGHT", "2")]).await?;
    let in_flight = async || gate.metric("sessiongate_requests_in_flight", []).await;
    let (mut first, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/first", "ada"))
        .await?;
    let (mut second, mut other) = upstream
        .begin_exchange(&gate, &signed_in("/second", "ada"))
        .await?;
    assert_eq!(in_flight().await?, 2.0);
    let mut third = gate.connect().await?;
    let answer = third.send(&signed_in("/third", "ada")).await?;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    let line = gate.wait_for_audit(|line| line["path"] == "/third").await?;
    assert_eq!(line["reason"], "overloaded", "{line}");

    served.send(OK).await?;
    assert_eq!(first.response().await?.status, 200, "it was admitted");
    // The client may get its answer before the gate stops counting the request.
    poll("room for a request", async || {
        (in_flight().await.ok()? == 1.0).then_some(())
    })
    .await?;
    assert_eq!(
        third.get("/").await?.status,
        401,
        "its connection stays open"
    );
    other.send(OK).await?;
    assert_eq!(second.response().await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn streams_and_departed_clients_do_not_count_as_in_flight() -> Result<()> {
    let (upstream, gate) = Upstream::start_with([("MAX_IN_FLIGHT", "1")]).await?;
    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/events", "ada"))
        .await?;
    served
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        .await?;
    assert_eq!(client.head().await?.status, 200);
    let (waiting, _served) = upstream
        .begin_exchange(&gate, &signed_in("/waiting", "ada"))
        .await?;
    assert_eq!(gate.send(&signed_in("/", "bob")).await?.status, 503);
    drop(waiting);
    poll("room for a request", async || {
        let answer = gate.send(&Request::get("/")).await.ok()?;
        (answer.status == 401).then_some(())
    })
    .await
}

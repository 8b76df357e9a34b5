//! Clients that have closed their sending side: some still read, and others have disconnected.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use anyhow::Result;
use harness::{Mint, Request};
use tokio::task::spawn_blocking;

use crate::exchanges::{OK, Upstream};
use crate::support::signed_in;

#[tokio::test]
async fn a_client_that_half_closes_still_gets_its_answer() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut client = gate.connect().await?;
    client
        .raw(&signed_in("/1", "ada").bytes(gate.proxy))
        .await?;
    client
        .raw(&signed_in("/2", "ada").bytes(gate.proxy))
        .await?;
    client.finish().await?;
    let mut served = upstream.accept().await?;
    for path in ["GET /1 ", "GET /2 "] {
        assert!(served.head().await?.starts_with(path));
        served.send(OK).await?;
        assert_eq!(client.response().await?.text(), "ok");
    }
    client.closed().await
}

#[tokio::test]
async fn a_client_that_half_closes_gets_the_whole_streamed_answer() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/", "ada"))
        .await?;
    client.finish().await?;
    served
        .send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        .await?;
    assert_eq!(client.head().await?.status, 200);
    for piece in ["ab", "cd", "ef"] {
        served.send(piece).await?;
        assert_eq!(client.bytes(2).await?, piece.as_bytes());
    }
    client.closed().await
}

#[tokio::test]
async fn a_half_close_within_a_body_is_a_400() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let cookie = Mint::user("ada").authjs();
    let half = Request::new("POST", "/half")
        .cookie(cookie)
        .header("Content-Length", "9");
    let (mut client, mut served) = upstream.begin_exchange(&gate, &half).await?;
    client.finish().await?;
    served.closed().await?;
    assert_eq!(client.response().await?.status, 400);
    Ok(())
}

#[tokio::test]
async fn pipelined_requests_of_a_closed_connection_are_not_forwarded() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/1", "ada"))
        .await?;
    client
        .raw(&signed_in("/2", "ada").bytes(gate.proxy))
        .await?;
    drop(client);
    assert_eq!(
        served.closed().await?,
        b"",
        "the second request is not forwarded"
    );
    let line = gate.wait_for_audit(|line| line["path"] == "/1").await?;
    assert_eq!(line["status"], 499);
    Ok(())
}

#[tokio::test]
async fn a_half_closed_plain_socket_gets_the_refusal() -> Result<()> {
    let (_upstream, gate) = Upstream::start().await?;
    let address = gate.proxy;
    let answer = spawn_blocking(move || -> Result<String> {
        let mut socket = TcpStream::connect(address)?;
        socket.write_all(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")?;
        socket.shutdown(Shutdown::Write)?;
        Ok(std::io::read_to_string(socket)?)
    });
    let answer = answer.await??;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    Ok(())
}

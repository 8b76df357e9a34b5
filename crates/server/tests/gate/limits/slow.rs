//! The least rate of clients. Here no client can reach it, so the gate cuts off each client for which it must wait, once the
//! waits add up to the timeout for a pause.

use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::exchanges::{Upstream, post};
use crate::support::signed_in;

const UNREACHABLE: &str = "4000000000";

/// The pauses of a client that is slow, but never pauses for long.
const PAUSE: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_reader_below_the_minimum_rate_is_cut_off() -> Result<()> {
    let limits = [
        ("CLIENT_BODY_TIMEOUT", "1"),
        ("LEAST_DOWNLOAD_RATE", UNREACHABLE),
    ];
    let (upstream, gate) = Upstream::start_with(limits).await?;
    let mut client = TcpStream::connect(gate.proxy).await?;
    client
        .write_all(&signed_in("/", "ada").bytes(gate.proxy))
        .await?;
    let mut served = upstream.accept().await?;
    served.head().await?;
    served
        .send("HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\n\r\n")
        .await?;
    let endless = async {
        // The loop ends when the gate closes the connection.
        while served.0.write_all(&[b'x'; 65_536]).await.is_ok() {}
    };
    let reading = async {
        let mut piece = vec![0; 65_536];
        while client.read(&mut piece).await.is_ok_and(|count| count > 0) {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::join!(endless, reading);
    let line = gate.wait_for_audit(|line| line["status"] == 200).await?;
    assert_eq!(line["ended"], "cut", "{line}");
    Ok(())
}

#[tokio::test]
async fn a_sender_below_the_minimum_rate_is_cut_off() -> Result<()> {
    let limits = [
        ("CLIENT_BODY_TIMEOUT", "1"),
        ("LEAST_UPLOAD_RATE", UNREACHABLE),
    ];
    let (upstream, gate) = Upstream::start_with(limits).await?;
    let mut client = TcpStream::connect(gate.proxy).await?;
    let head = post("Content-Length: 1000000\r\n");
    client.write_all(head.as_bytes()).await?;
    let mut served = upstream.accept().await?;
    served.head().await?;
    let (mut from_gate, mut to_gate) = client.split();
    let mut answer = [0; 12];
    let dripping = async {
        while to_gate.write_all(b"x").await.is_ok() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        read = from_gate.read_exact(&mut answer) => read.map(|_| ())?,
        () = dripping => {}
    }
    assert_eq!(&answer, b"HTTP/1.1 408");
    let line = gate.wait_for_audit(|line| line["status"] == 408).await?;
    assert_eq!(line["ended"], "cut", "{line}");
    Ok(())
}

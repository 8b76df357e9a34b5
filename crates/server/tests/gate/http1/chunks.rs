//! Lenient parsing of chunked bodies: for services, as other clients parse them, and never for clients.

use anyhow::Result;

use crate::exchanges::{Upstream, post};
use crate::support::signed_in;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn spaces_after_a_chunk_size_of_a_service_are_accepted() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/", "ada"))
        .await?;
    for body in [
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\t;a\r\nhello\r\n0 \r\n\r\n",
        "5\nhello\n0\n\n",
    ] {
        served.send(&format!("{CHUNKED}{body}")).await?;
        assert_eq!(client.response().await?.text(), "hello", "{body:?}");
        client.raw(&signed_in("/", "ada").bytes(gate.proxy)).await?;
        served.head().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_malformed_chunk_is_a_502_if_no_byte_was_sent() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    for body in ["x\r\n", "5\r\nhello\r\nx\r\n", " 5\r\nhello\r\n0\r\n\r\n"] {
        let (mut client, mut served) = upstream
            .begin_exchange(&gate, &signed_in("/", "ada"))
            .await?;
        served.send(&format!("{CHUNKED}{body}")).await?;
        assert_eq!(client.response().await?.status, 502, "{body:?}");
        served.closed().await?;
    }
    Ok(())
}

#[tokio::test]
async fn spaces_after_a_chunk_size_of_a_client_are_refused() -> Result<()> {
    let (_upstream, gate) = Upstream::start().await?;
    let mut client = gate.connect().await?;
    let head = post("Transfer-Encoding: chunked\r\n");
    client
        .raw((head + "5 \r\nhello\r\n0\r\n\r\n").as_bytes())
        .await?;
    assert_eq!(client.response().await?.status, 400);
    client.closed().await
}

//! Header fields and reason phrases: a service's about its answer, and a client's about its request.

use anyhow::Result;
use harness::{Mint, Request};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::exchanges::{OK, Upstream};
use crate::support::signed_in;

#[tokio::test]
async fn alternative_spellings_of_hop_by_hop_headers_are_removed() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let names = [
        "Transfer_Encoding",
        "Content.Length",
        "Keep_Alive",
        "Proxy~Connection",
        "Proxy_Authorization",
        "HTTP2_Settings",
    ];
    let request = names.iter().fold(signed_in("/", "ada"), |request, name| {
        request.header(name, "7")
    });
    let mut client = gate.connect().await?;
    client
        .raw(&request.header("X_Other", "7").bytes(gate.proxy))
        .await?;
    let seen = upstream.accept().await?.head().await?;
    for name in names {
        assert!(!seen.contains(&name.to_lowercase()), "{name}: {seen}");
    }
    assert!(seen.contains("x_other: 7\r\n"), "{seen}");
    Ok(())
}

#[tokio::test]
async fn a_content_length_beyond_63_bits_is_refused_on_both_sides() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let length = "9223372036854775808";
    let too_long = Request::new("POST", "/")
        .cookie(Mint::user("ada").authjs())
        .header("Content-Length", length);
    let mut client = gate.connect().await?;
    client.raw(&too_long.bytes(gate.proxy)).await?;
    assert_eq!(client.response().await?.status, 400);

    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/", "ada"))
        .await?;
    served
        .send(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await?;
    assert_eq!(client.response().await?.status, 502);
    Ok(())
}

#[tokio::test]
async fn a_reason_phrase_passes_through() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut socket = TcpStream::connect(gate.proxy).await?;
    let request = signed_in("/", "ada").bytes(gate.proxy);
    tokio::io::AsyncWriteExt::write_all(&mut socket, &request).await?;
    let mut served = upstream.accept().await?;
    served.head().await?;
    served
        .send(&OK.replace("200 OK", "299 Fine, thanks"))
        .await?;
    let mut line = [0; 30];
    timeout(harness::TIMEOUT, socket.read_exact(&mut line)).await??;
    assert!(line.starts_with(b"HTTP/1.1 299 Fine, thanks\r\n"));
    Ok(())
}

#[tokio::test]
async fn an_answer_without_a_date_gets_one_and_others_keep_theirs() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/", "ada"))
        .await?;
    served.send(OK).await?;
    let date = client.response().await?;
    let date = date.header("date").unwrap_or_default();
    assert!(date.ends_with(" GMT"), "{date}");

    client.raw(&signed_in("/", "ada").bytes(gate.proxy)).await?;
    served.head().await?;
    let then = "Sun, 06 Nov 1994 08:49:37 GMT";
    served
        .send(&OK.replace("\r\n\r\n", &format!("\r\nDate: {then}\r\n\r\n")))
        .await?;
    assert_eq!(client.response().await?.header("date"), Some(then));
    Ok(())
}

#[tokio::test]
async fn an_upgrade_required_answer_passes_through() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/", "ada"))
        .await?;
    served
        .send(
            "HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Content-Length: 0\r\n\r\n",
        )
        .await?;
    let answer = client.response().await?;
    assert_eq!(answer.status, 426);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("connection"), Some("upgrade"));

    client.raw(&signed_in("/", "ada").bytes(gate.proxy)).await?;
    served.head().await?;
    served
        .send(&OK.replace("\r\n\r\n", "\r\nUpgrade: h2c\r\n\r\n"))
        .await?;
    assert_eq!(client.response().await?.header("upgrade"), None);
    Ok(())
}

#[tokio::test]
async fn an_http_1_0_answer_with_a_transfer_coding_closes_its_connection() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/", "ada"))
        .await?;
    served
        .send(
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nok\r\n0\r\n\r\n",
        )
        .await?;
    assert_eq!(client.response().await?.text(), "ok");
    assert_eq!(served.closed().await?, b"");
    Ok(())
}

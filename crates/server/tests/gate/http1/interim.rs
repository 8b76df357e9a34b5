//! Interim responses (RFC 9110 §15.2), and `Expect: 100-continue`, which the service decides.

use std::process::{Command, Stdio};

use anyhow::Result;
use harness::Mint;
use tokio::io::AsyncReadExt;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::exchanges::{OK, Upstream, post};
use crate::support::signed_in;

const EARLY: &str = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
                     HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x-hop\r\nX-Hop: a\r\n\
                     Strict-Transport-Security: max-age=1\r\nX-Request-Id: theirs\r\n\r\n";

#[tokio::test]
async fn interim_responses_reach_http_1_1_clients_only() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/", "ada"))
        .await?;
    served.send(EARLY).await?;
    // The gate withholds the 100, for which the client did not ask.
    assert_eq!(client.head().await?.status, 102);
    let hints = client.head().await?;
    assert_eq!((hints.status, hints.header("link")), (103, Some("</a>")));
    for name in ["x-hop", "strict-transport-security", "x-request-id"] {
        assert_eq!(hints.header(name), None, "{name}");
    }
    served.send(OK).await?;
    assert_eq!(client.response().await?.text(), "ok");

    let cookie = Mint::user("ada").authjs();
    let old = format!("GET / HTTP/1.0\r\nConnection: keep-alive\r\nCookie: {cookie}\r\n\r\n");
    client.raw(old.as_bytes()).await?;
    served.head().await?;
    served.send(&format!("{EARLY}{OK}")).await?;
    assert_eq!(client.response().await?.text(), "ok");
    Ok(())
}

#[tokio::test]
async fn the_service_decides_on_expect_continue() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let waiting = post("Content-Length: 4\r\nExpect: 100-continue\r\n");
    let mut client = gate.connect().await?;
    client.raw(waiting.as_bytes()).await?;
    let mut served = upstream.accept().await?;
    let seen = served.head().await?;
    assert!(seen.contains("\r\nexpect: 100-continue\r\n"), "{seen}");
    served.send("HTTP/1.1 100 Continue\r\n\r\n").await?;
    assert_eq!(client.head().await?.status, 100);
    client.raw(b"body").await?;
    served.read_until("body").await?;
    served.send(OK).await?;
    assert_eq!(client.response().await?.text(), "ok");

    client.raw(waiting.as_bytes()).await?;
    served.head().await?;
    served
        .send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        .await?;
    let answer = client.response().await?;
    assert_eq!((answer.status, answer.text().as_str()), (413, "big"));
    assert_eq!(answer.header("connection"), Some("close"));
    client.closed().await?;
    assert_eq!(
        served.closed().await?,
        b"",
        "it may still wait for the body"
    );
    Ok(())
}

#[tokio::test]
async fn the_gate_sends_100_continue_if_the_service_stays_silent() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let waiting = post("Content-Length: 4\r\nExpect: 100-continue\r\n");
    let mut client = gate.connect().await?;
    client.raw(waiting.as_bytes()).await?;
    let mut served = upstream.accept().await?;
    served.head().await?;
    assert_eq!(client.head().await?.status, 100, "after a while");
    client.raw(b"body").await?;
    served.read_until("body").await?;
    served.send(OK).await?;
    assert_eq!(client.response().await?.text(), "ok");

    // If the client sends its body at once, it waits for nothing, and the gate does not forward `Expect`.
    client.raw((waiting + "body").as_bytes()).await?;
    let seen = served.read_until("body").await?;
    assert!(!seen.contains("expect"), "{seen}");
    served.send(OK).await?;
    assert_eq!(client.response().await?.text(), "ok");
    Ok(())
}

#[tokio::test]
async fn curl_uploads_after_the_100_continue_of_the_service() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("upload");
    std::fs::write(&file, "x".repeat(2_000_000))?;
    let curl = Command::new("curl")
        .args(["-s", "--max-time", "30", "--expect100-timeout", "30", "-T"])
        .arg(&file)
        .args(["-H", "Expect: 100-continue", "-H"])
        .arg(format!("Cookie: {}", Mint::user("ada").authjs()))
        .arg(format!("http://{}/up", gate.proxy))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut served = upstream.accept().await?;
    let seen = served.head().await?;
    assert!(seen.contains("\r\nexpect: 100-continue\r\n"), "{seen}");
    served.send("HTTP/1.1 100 Continue\r\n\r\n").await?;
    let mut body = vec![0; 2_000_000];
    timeout(harness::TIMEOUT, served.0.read_exact(&mut body)).await??;
    served.send(OK).await?;
    let finished = spawn_blocking(|| curl.wait_with_output()).await??;
    assert_eq!(finished.stdout, b"ok");
    Ok(())
}

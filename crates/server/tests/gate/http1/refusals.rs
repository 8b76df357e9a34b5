//! Requests that the gate cannot serve get the status that RFC 9110 defines for them.

use anyhow::Result;
use harness::{Echo, Mint, Request};

use crate::exchanges::{Upstream, post};
use crate::support::gate;

#[tokio::test]
async fn a_target_that_is_too_long_is_414() -> Result<()> {
    let (_upstream, gate) = Upstream::start().await?;
    let mut client = gate.connect().await?;
    let request = Request::get(&format!("/{}", "x".repeat(66_000)));
    client.raw(&request.bytes(gate.proxy)).await?;
    assert_eq!(client.response().await?.status, 414);
    client.closed().await
}

#[tokio::test]
async fn an_unknown_transfer_coding_is_501_and_a_malformed_one_400() -> Result<()> {
    let (_upstream, gate) = Upstream::start().await?;
    for (coding, status) in [
        ("gzip, chunked", 501),
        ("identity", 501),
        ("chunked, chunked", 400),
        ("chunked;q=1", 400),
    ] {
        let mut client = gate.connect().await?;
        let head = post(&format!("Transfer-Encoding: {coding}\r\n"));
        client.raw(head.as_bytes()).await?;
        assert_eq!(client.response().await?.status, status, "{coding}");
        client.closed().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_incomplete_request_gets_408() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(&echo.url())
        .env("CLIENT_HEADER_TIMEOUT", "1")
        .env("CLIENT_BODY_TIMEOUT", "1")
        .env("CLIENT_IDLE_TIMEOUT", "1");
    let gate = gate.start().await?;
    let half = post("Content-Length: 9\r\n") + "half";
    for begun in ["GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n", &half] {
        let mut client = gate.connect().await?;
        client.raw(begun.as_bytes()).await?;
        let answer = client.response().await?;
        assert_eq!(answer.status, 408, "{begun}");
        assert_eq!(answer.header("connection"), Some("close"), "{begun}");
        client.closed().await?;
    }
    gate.connect().await?.closed().await?;
    Ok(())
}

#[tokio::test]
async fn max_forwards_zero_is_answered_by_the_gate() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(&echo.url()).start().await?;
    let cookie = Mint::user("ada").authjs();
    let options = |left: &str| {
        Request::new("OPTIONS", "/a")
            .cookie(&cookie)
            .header("Max-Forwards", left)
    };
    let answer = gate.send(&options("0")).await?;
    assert_eq!(answer.status, 204);
    assert!(answer.header("allow").is_some());
    assert_eq!(echo.seen().len(), 0);
    assert_eq!(gate.send(&options("3")).await?.status, 200);
    let seen = echo.seen().pop().expect("it arrived");
    assert_eq!(seen.headers.get("max-forwards"), Some("2"));
    Ok(())
}

#[tokio::test]
async fn a_higher_minor_version_is_treated_as_http_1_1() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(&echo.url()).start().await?;
    let mut client = gate.connect().await?;
    let cookie = Mint::user("ada").authjs();
    for _ in 0..2 {
        let head = format!("GET / HTTP/1.2\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
        client.raw(head.as_bytes()).await?;
        assert_eq!(client.response().await?.status, 200);
    }
    Ok(())
}

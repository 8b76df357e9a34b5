//! The limits of request heads: their bytes and their number of headers.

use anyhow::{Context, Result};
use harness::{Gate, Request, Response};

use crate::support::started;

/// Returns the answer to a request with this many headers, including `Host`.
async fn with_fields(gate: &Gate, count: usize) -> Result<Response> {
    let mut client = gate.connect().await?;
    let fields = "A: b\r\n".repeat(count - 1);
    let request = format!("GET /open/ HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    client.raw(request.as_bytes()).await?;
    client.response().await
}

const OPEN: (&str, &str) = ("PUBLIC_PATHS", "/open/");

#[tokio::test]
async fn by_default_256_headers_are_accepted() -> Result<()> {
    let (echo, gate) = started([OPEN]).await?;
    assert_eq!(with_fields(&gate, 256).await?.status, 200);
    let seen = echo.seen().pop().context("it arrived")?;
    assert_eq!(seen.headers.all("a").len(), 255);
    let refused = with_fields(&gate, 257).await?;
    assert_eq!(refused.status, 431);
    assert_eq!(refused.header("connection"), Some("close"));
    let line = gate.wait_for_audit(|line| line["status"] == 431).await?;
    assert_eq!(line["reason"], "malformed_request", "{line}");
    Ok(())
}

#[tokio::test]
async fn the_limits_of_header_bytes_and_count_are_settings() -> Result<()> {
    let limits = [("MAX_HEADER_FIELDS", "300"), ("MAX_HEADER_BYTES", "1500")];
    let (_echo, gate) = started([OPEN, limits[0]]).await?;
    assert_eq!(with_fields(&gate, 300).await?.status, 200);
    assert_eq!(with_fields(&gate, 301).await?.status, 431);
    let (_echo, gate) = started([OPEN, limits[1]]).await?;
    for (length, status) in [(1400, 200), (1500, 431)] {
        let request = Request::get("/open/").header("X-Long", "x".repeat(length));
        assert_eq!(gate.send(&request).await?.status, status, "{length}");
    }
    let decision_request = format!("/explain?url=%2Fopen%2F{}", "x".repeat(1490));
    let explained = gate.admin(&decision_request).await?.json()?;
    assert_eq!(explained["answer"]["status"], 414, "{explained}");
    Ok(())
}

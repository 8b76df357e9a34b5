//! Services over HTTP/2 without TLS (`h2c://`), for clients of either version.

use std::process::Command;

use anyhow::{Context, Result};
use bytes::Bytes;
use harness::{Echo, Gate, Nginx, Request, run};

use super::client::{Http2Client, get, post};
use crate::support::gate;

/// An nginx that accepts only HTTP/2 and forwards to a recording upstream, and a gate in front of it.
struct Site {
    echo: Echo,
    nginx: Nginx,
    gate: Gate,
}

impl Site {
    /// Starts all three, nginx with these directives.
    async fn start(directives: &str) -> Result<Self> {
        let echo = Echo::start().await?;
        let to_echo = echo.url();
        let nginx = Nginx::from_config(|port| {
            format!(
                "events {{ worker_connections 256; }}
http {{
    server {{
        listen 127.0.0.1:{port} http2;
        {directives}
        location / {{
            proxy_pass {to_echo};
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_http_version 1.1;
            client_max_body_size 0;
            proxy_set_header Host $http_host;
            proxy_set_header X-Protocol $server_protocol;
            proxy_set_header Connection \"\";
        }}
        location /file {{ return 200 \"$request_method $server_protocol\"; }}
    }}
}}
"
            )
        })
        .await?;
        let gate = gate(&format!("h2c://{}", nginx.address()))
            .env("PUBLIC_PATHS", "/")
            .env("WORKERS", "1")
            .start()
            .await?;
        Ok(Self { echo, nginx, gate })
    }
}

#[tokio::test]
async fn clients_of_both_http_versions_are_served() -> Result<()> {
    let site = Site::start("").await?;
    let mut old = site.gate.connect().await?;
    let mut new = Http2Client::open(&site.gate).await?;
    for round in 0..3 {
        let answer = old
            .send(&Request::get("/a%2fb?c").header("X-A", "b"))
            .await?;
        assert_eq!((answer.status, answer.header("x-echo")), (200, Some("1")));
        let seen = site.echo.seen().pop().context("it arrived")?;
        assert_eq!(seen.target, "/a%2fb?c", "{round}");
        assert_eq!(seen.headers.get("x-protocol"), Some("HTTP/2.0"));
        assert_eq!(seen.headers.get("x-a"), Some("b"));
        assert_eq!(
            seen.headers.get("host"),
            Some(&*site.gate.proxy.to_string())
        );
        assert_eq!(seen.headers.all("via"), ["1.1 sessiongate"]);

        let answer = new.answer(&get("/a%2fb?c")).await?;
        assert_eq!((answer.status, answer.header("x-echo")), (200, Some("1")));
        let seen = site.echo.seen().pop().context("it arrived")?;
        assert_eq!(seen.headers.get("x-protocol"), Some("HTTP/2.0"));
        assert_eq!(seen.headers.get("host"), Some("gate.example"));
    }
    // Bodies both ways, with a length and without one.
    let large = vec![b'u'; 2_000_000];
    let answer = old
        .send(&Request::post("/big?bytes=3000000", large.clone()))
        .await?;
    assert_eq!((answer.status, answer.body.len()), (200, 3_000_000));
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n3\r\ndef\r\n0\r\nX-Trailer: a\r\n\r\n";
    old.raw(chunked.as_bytes()).await?;
    assert_eq!(old.response().await?.status, 200);
    assert_eq!(
        site.echo.seen().pop().context("it arrived")?.body,
        b"abcdef"
    );
    let answer = new
        .send(&post("/big?bytes=3000000"), Bytes::from(large))
        .await?;
    assert_eq!((answer.status, answer.body.len()), (200, 3_000_000));
    assert_eq!(
        site.echo.seen().pop().context("it arrived")?.body.len(),
        2_000_000
    );
    // No body at all.
    let head = old.send(&Request::new("HEAD", "/file")).await?;
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("13"))
    );
    assert_eq!(old.get("/status/204").await?.status, 204);
    assert_eq!(old.get("/file").await?.text(), "GET HTTP/2.0");
    Ok(())
}

#[tokio::test]
async fn each_request_gets_its_own_answer() -> Result<()> {
    let site = Site::start("keepalive_requests 9999; http2_max_concurrent_streams 30;").await?;
    let mut http2 = Http2Client::open(&site.gate).await?;
    http2.each_request_gets_its_own_answer(2000).await
}

#[tokio::test]
async fn an_answer_is_streamed_as_the_service_produces_it() -> Result<()> {
    let site = Site::start("").await?;
    let mut client = site.gate.connect().await?;
    let request = Request::get("/stream?chunks=3");
    client.raw(&request.bytes(site.gate.proxy)).await?;
    assert_eq!(client.head().await?.status, 200);
    for number in 0..3 {
        if number > 0 {
            site.echo.release();
        }
        let chunk = client.chunk().await?.context("a chunk")?;
        assert_eq!(chunk, format!("chunk {number}\n").as_bytes());
    }
    assert_eq!(client.chunk().await?, None);
    Ok(())
}

#[tokio::test]
async fn no_request_fails_when_the_service_closes_http2_connections() -> Result<()> {
    // Few requests for each connection (GOAWAY), and few of them at a time.
    let site = Site::start("keepalive_requests 5; http2_max_concurrent_streams 3;").await?;
    for url in ["--h1", ""] {
        let mut h2load = Command::new("h2load");
        h2load.args(["-n", "600", "-c", "6", "-m", "10"]);
        if !url.is_empty() {
            h2load.arg(url);
        }
        h2load.arg(format!("http://{}/", site.gate.proxy));
        let printed = run(h2load, "nghttp2-client").await?;
        assert!(printed.contains("600 succeeded, 0 failed"), "{printed}");
        assert!(printed.contains("600 2xx"), "{printed}");
    }
    Ok(())
}

#[tokio::test]
async fn a_failing_service_causes_the_matching_status() -> Result<()> {
    let site = Site::start("").await?;
    let status = async |path: &str| anyhow::Ok(site.gate.send(&Request::get(path)).await?.status);
    assert_eq!(status("/").await?, 200);
    // nginx determines this status.
    assert_eq!(status("/close").await?, 502);
    drop(site.nginx);
    let left = Request::get("/");
    assert_eq!(site.gate.send(&left).await?.status, 502);
    let line = site
        .gate
        .wait_for_audit(|line| line["status"] == 502 && line["upstream"] != "5xx");
    assert_eq!(line.await?["ended"], "upstream_broke");

    // A service that supports only HTTP/1.1.
    let echo = Echo::start().await?;
    let gate = gate(&echo.url().replace("http://", "h2c://"));
    let gate = gate.env("PUBLIC_PATHS", "/").start().await?;
    assert_eq!(gate.send(&Request::get("/")).await?.status, 502);
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_request_at_the_service() -> Result<()> {
    let site = Site::start("").await?;
    let mut http2 = Http2Client::open(&site.gate).await?;
    let (response, _) = http2.begin(&get("/hold"), true).await?;
    site.echo.wait_for(|seen| seen.path() == "/hold").await?;
    drop(response);
    let line = site
        .gate
        .wait_for_audit(|line| line["path"] == "/hold")
        .await?;
    assert_eq!(line["ended"], "client_left", "{line}");
    assert_eq!(site.gate.send(&Request::get("/")).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_body_beyond_the_limit_of_its_route_is_413() -> Result<()> {
    let site = Site::start("").await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gate.toml");
    let text = format!(
        "upstream = \"h2c://{}\"\n[[route]]\npath = \"/\"\naccess = \"public\"\nbody_limit = 10\n",
        site.nginx.address()
    );
    std::fs::write(&file, text)?;
    let gate = gate("").without("UPSTREAM");
    let gate = gate.args(["serve", "--config", &file.display().to_string()]);
    let gate = gate.start().await?;
    let mut client = gate.connect().await?;
    assert_eq!(
        client.send(&Request::post("/", "0123456789")).await?.status,
        200
    );
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n";
    client.raw(chunked.as_bytes()).await?;
    assert_eq!(client.response().await?.status, 413);
    Ok(())
}

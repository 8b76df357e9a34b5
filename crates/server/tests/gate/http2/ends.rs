//! How streams and connections end.

use anyhow::{Context, Result};
use bytes::Bytes;
use harness::Echo;
use tokio::time::timeout;

use super::client::{Answer, Http2Client, get, piece, signed_in};
use super::wire::{GOAWAY, Raw, get as raw_get};
use crate::exchanges::Upstream;
use crate::support::started;

#[tokio::test]
async fn a_stopping_gate_sends_goaway_and_finishes_requests_in_flight() -> Result<()> {
    let (echo, mut gate) = started([]).await?;
    let mut busy = Http2Client::open(&gate).await?;
    let (held, _) = busy.begin(&signed_in("GET", "/hold"), true).await?;
    echo.wait_for(|seen| seen.path() == "/hold").await?;
    let mut idle = Raw::open(&gate).await?;
    gate.signal("TERM")?;
    let goaway = idle.until(|frame| frame.kind == GOAWAY).await?;
    assert_eq!(goaway.payload[4..8], [0; 4], "{goaway:?}");
    idle.end().await?;
    harness::poll("new connections to be refused", async || {
        gate.connect().await.err()
    })
    .await?;
    echo.release();
    assert_eq!(Answer::of(held).await?.status, 200);
    busy.ended().await?;
    assert_eq!(gate.wait().await?.code(), Some(0));
    let lines = gate.audit_lines();
    let line = lines.iter().find(|line| line["path"] == "/hold");
    assert_eq!(line.context("it has a line")?["ended"], "whole");
    Ok(())
}

#[tokio::test]
async fn an_idle_http2_connection_gets_goaway_and_is_closed() -> Result<()> {
    let (_echo, gate) = started([("CLIENT_IDLE_TIMEOUT", "1")]).await?;
    let mut raw = Raw::open(&gate).await?;
    raw.write(&raw_get(1, "/")).await?;
    assert_eq!(raw.end().await?, Some(0));
    Ok(())
}

#[tokio::test]
async fn a_reset_request_is_cancelled_at_the_service() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut http2 = Http2Client::open(&gate).await?;
    let (response, mut stream) = http2.begin(&signed_in("GET", "/slow"), false).await?;
    stream.send_data(Bytes::from("some"), false)?;
    let mut served = upstream.accept().await?;
    served.read_until("some\r\n").await?;
    stream.send_reset(h2::Reason::CANCEL);
    served.closed().await?;
    drop(response);
    let line = gate.wait_for_audit(|line| line["path"] == "/slow").await?;
    assert_eq!(
        (&line["ended"], &line["status"]),
        (&"client_left".into(), &499.into())
    );
    // Other requests on the connection continue.
    assert_eq!(http2.answer(&get("/")).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn a_client_that_disconnects_cancels_all_its_requests() -> Result<()> {
    let (echo, gate) = started([("PUBLIC_PATHS", "/")]).await?;
    let mut raw = Raw::open(&gate).await?;
    let requests: Vec<_> = (0..3)
        .flat_map(|number| raw_get(number * 2 + 1, "/hold"))
        .collect();
    raw.write(&requests).await?;
    echo.wait_for(|_| echo.seen().len() == 3).await?;
    drop(raw);
    harness::poll("three lines", async || {
        let lines = gate.audit_lines();
        let left = lines.iter().filter(|line| line["ended"] == "client_left");
        (left.count() == 3).then_some(())
    })
    .await
}

#[tokio::test]
async fn a_truncated_answer_is_reset() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut http2 = Http2Client::open(&gate).await?;
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n",
    ] {
        let (response, _) = http2.begin(&signed_in("GET", "/"), true).await?;
        let mut served = upstream.accept().await?;
        served.head().await?;
        served.send(head).await?;
        let response = timeout(harness::TIMEOUT, response).await??;
        let mut body = response.into_body();
        assert_eq!(piece(&mut body).await?.context("a piece")?, "begun");
        drop(served);
        let broken = piece(&mut body).await.err().context("it breaks off")?;
        assert!(broken.to_string().contains("stream error"), "{broken}");
    }
    // While nothing has been sent to the client, it gets an answer.
    for printed in [
        "",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ] {
        let (response, mut body) = http2.begin(&signed_in("POST", "/"), false).await?;
        body.send_data(Bytes::new(), true)?;
        let mut served = upstream.accept().await?;
        served.head().await?;
        served.send(printed).await?;
        drop(served);
        assert_eq!(Answer::of(response).await?.status, 502, "{printed}");
    }
    Ok(())
}

#[tokio::test]
async fn a_silent_service_is_504_and_an_unreachable_one_502() -> Result<()> {
    let (_upstream, gate) = Upstream::start_with([("UPSTREAM_TIMEOUT", "1")]).await?;
    let mut http2 = Http2Client::open(&gate).await?;
    assert_eq!(http2.answer(&signed_in("GET", "/")).await?.status, 504);
    let gone = Echo::start().await?.url();
    let gate = crate::support::gate(&gone).start().await?;
    let mut http2 = Http2Client::open(&gate).await?;
    assert_eq!(http2.answer(&signed_in("GET", "/")).await?.status, 502);
    Ok(())
}

#[tokio::test]
async fn connection_authentication_is_reset_with_http_1_1_required() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut http2 = Http2Client::open(&gate).await?;
    let (response, _) = http2.begin(&signed_in("GET", "/"), true).await?;
    let mut served = upstream.accept().await?;
    served.head().await?;
    served
        .send("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n")
        .await?;
    let reset = Answer::of(response).await.err().context("no answer")?;
    let reset = reset.downcast::<h2::Error>()?;
    assert_eq!(reset.reason(), Some(h2::Reason::HTTP_1_1_REQUIRED));
    // No other request gets that connection.
    served.closed().await?;
    Ok(())
}

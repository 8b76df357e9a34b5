//! Bodies in both directions, piece by piece, with lengths, trailers and interim responses.

use anyhow::{Context, Result};
use bytes::Bytes;
use http::HeaderValue;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::{Answer, Http2Client, piece, signed_in};
use super::wire::{DATA, END_STREAM, Outcome, Raw, frame, post};
use crate::exchanges::{OK, Upstream};
use crate::support::started;

#[tokio::test]
async fn a_request_body_is_streamed_with_its_length_or_in_chunks() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut http2 = Http2Client::open(&gate).await?;
    let (response, mut body) = http2.begin(&signed_in("POST", "/up"), false).await?;
    let mut served = upstream.accept().await?;
    let head = served.head().await?;
    assert!(
        head.contains("\r\ntransfer-encoding: chunked\r\n"),
        "{head}"
    );
    for (piece, chunk) in [("first", "5\r\nfirst\r\n"), ("second", "6\r\nsecond\r\n")] {
        body.send_data(Bytes::from(piece), false)?;
        served.read_until(chunk).await?;
    }
    body.send_data(Bytes::new(), true)?;
    served.read_until("0\r\n\r\n").await?;
    served.send(OK).await?;
    assert_eq!(Answer::of(response).await?.body, "ok");

    let mut sized = signed_in("PUT", "/up");
    let length = HeaderValue::from_static("4");
    sized.headers_mut().insert("content-length", length);
    let (response, mut body) = http2.begin(&sized, false).await?;
    let head = served.head().await?;
    assert!(head.contains("\r\ncontent-length: 4\r\n"), "{head}");
    body.send_data(Bytes::from("body"), true)?;
    served.read_until("body").await?;
    served.send(OK).await?;
    assert_eq!(Answer::of(response).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_answer_is_streamed_with_its_trailers() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut http2 = Http2Client::open(&gate).await?;
    let (response, _) = http2.begin(&signed_in("GET", "/"), true).await?;
    let mut served = upstream.accept().await?;
    served.head().await?;
    served
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x-hop\r\nX-Hop: a\r\n\r\n")
        .await?;
    let response = timeout(harness::TIMEOUT, response).await??;
    let (head, mut body) = response.into_parts();
    for name in ["x-hop", "connection", "transfer-encoding", "content-length"] {
        assert!(!head.headers.contains_key(name), "{name}");
    }
    served.send("5\r\nfirst\r\n").await?;
    assert_eq!(piece(&mut body).await?.context("a piece")?, "first");
    served.send("6\r\nsecond\r\n").await?;
    assert_eq!(piece(&mut body).await?.context("a piece")?, "second");
    served
        .send("0\r\nX-Checksum: abc\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")
        .await?;
    assert_eq!(piece(&mut body).await?, None);
    let trailers = body.trailers().await?.context("trailers")?;
    assert_eq!(trailers["x-checksum"], "abc");
    assert_eq!(trailers.len(), 1, "{trailers:?}");

    // The connection to the service carries the next request.
    let (response, _) = http2.begin(&signed_in("GET", "/"), true).await?;
    served.head().await?;
    served.send(OK).await?;
    assert_eq!(Answer::of(response).await?.body, "ok");
    Ok(())
}

#[tokio::test]
async fn events_are_not_held_back() -> Result<()> {
    let (upstream, gate) = Upstream::start_with([("UPSTREAM_TIMEOUT", "1")]).await?;
    let mut http2 = Http2Client::open(&gate).await?;
    let (response, _) = http2.begin(&signed_in("GET", "/events"), true).await?;
    let mut served = upstream.accept().await?;
    served.head().await?;
    served
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        .await?;
    // The head arrives before the first event.
    let response = timeout(harness::TIMEOUT, response).await??;
    let mut body = response.into_body();
    gate.wait_for_audit(|line| line["event"] == "start").await?;
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        // Longer than an answer other than a stream may pause.
        tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
        served.send(event).await?;
        assert_eq!(piece(&mut body).await?.context("an event")?, event);
    }
    // The client disconnects, and the gate closes the connection to the service.
    drop(body);
    served.closed().await?;
    let line = gate.wait_for_audit(|line| line["event"] == "end").await?;
    assert_eq!(line["ended"], "client_left", "{line}");
    Ok(())
}

#[tokio::test]
async fn answers_without_a_body_end_with_their_head() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut http2 = Http2Client::open(&gate).await?;
    for (method, printed, length) in [
        ("HEAD", "200 OK\r\nContent-Length: 9", Some("9")),
        ("GET", "204 No Content", None),
        ("GET", "304 Not Modified\r\nContent-Length: 9", Some("9")),
        ("GET", "200 OK\r\nContent-Length: 0", Some("0")),
    ] {
        let (response, _) = http2.begin(&signed_in(method, "/"), true).await?;
        let mut served = upstream.accept().await?;
        served.head().await?;
        served
            .send(&format!("HTTP/1.1 {printed}\r\nConnection: close\r\n\r\n"))
            .await?;
        let response = timeout(harness::TIMEOUT, response).await??;
        assert!(response.body().is_end_stream(), "{printed}");
        let given = response.headers().get("content-length");
        let given = given.and_then(|length| length.to_str().ok());
        assert_eq!(given, length, "{printed}");
    }
    Ok(())
}

#[tokio::test]
async fn interim_responses_pass_and_the_service_decides_on_expect_continue() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut http2 = Http2Client::open(&gate).await?;
    let mut request = signed_in("POST", "/up");
    let expects = HeaderValue::from_static("100-continue");
    request.headers_mut().insert("expect", expects);
    let (mut response, mut body) = http2.begin(&request, false).await?;
    let mut served = upstream.accept().await?;
    let head = served.head().await?;
    assert!(head.contains("\r\nexpect: 100-continue\r\n"), "{head}");
    served
        .send(
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nStrict-Transport-Security: max-age=1\r\n\r\n\
             HTTP/1.1 100 Continue\r\n\r\n",
        )
        .await?;
    for status in [103, 100] {
        let interim = std::future::poll_fn(|context| response.poll_informational(context));
        let interim = timeout(harness::TIMEOUT, interim).await?;
        let interim = interim.context("an interim response")??;
        assert_eq!(interim.status().as_u16(), status);
        assert_eq!(interim.headers().contains_key("link"), status == 103);
        let hsts = interim.headers().get("strict-transport-security");
        assert_eq!(hsts, None, "the 100 Continue of the service");
    }
    body.send_data(Bytes::from("body"), true)?;
    served.read_until("4\r\nbody\r\n0\r\n\r\n").await?;
    served.send(OK).await?;
    assert_eq!(Answer::of(response).await?.body, "ok");

    // The service does not want the body.
    let (response, _body) = http2.begin(&request, false).await?;
    served.head().await?;
    served
        .send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        .await?;
    assert_eq!(Answer::of(response).await?.status, 413);
    assert!(served.closed().await?.is_empty(), "no byte of it arrived");
    Ok(())
}

#[tokio::test]
async fn a_body_of_the_wrong_length_never_reaches_the_service_as_complete() -> Result<()> {
    let (echo, gate) = started([("PUBLIC_PATHS", "/")]).await?;
    for (length, body) in [("1", "ab"), ("3", "ab"), ("0", "GET /admin")] {
        let mut raw = Raw::open(&gate).await?;
        let head = post(1, "/up", &[("content-length", length)]);
        let data = frame(DATA, END_STREAM, 1, body.as_bytes());
        raw.write(&[head, data].concat()).await?;
        assert_eq!(raw.outcome(1).await?, Outcome::Reset(1), "{length}");
    }
    assert!(
        echo.seen().iter().all(|seen| !seen.complete),
        "{:#?}",
        echo.seen()
    );
    Ok(())
}

#[tokio::test]
async fn a_body_over_its_limit_gets_413_and_the_connection_stays_open() -> Result<()> {
    let (echo, folder) = (harness::Echo::start().await?, tempfile::tempdir()?);
    let file = folder.path().join("gate.toml");
    std::fs::write(
        &file,
        "[[route]]\npath = \"/\"\naccess = \"public\"\nbody_limit = 10\n",
    )?;
    let gate = crate::support::gate(&echo.url())
        .args(["serve", "--config", &file.display().to_string()])
        .start()
        .await?;
    let mut http2 = Http2Client::open(&gate).await?;
    let post = super::client::post("/up");
    for (length, status) in [(10, 200), (11, 413), (100_000, 413)] {
        let body = Bytes::from(vec![b'x'; length]);
        assert_eq!(http2.send(&post, body).await?.status, status, "{length}");
    }
    Ok(())
}

#[tokio::test]
async fn many_large_bodies_pass_unchanged_in_both_directions() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let mut http2 = Http2Client::open(&gate).await?;
    let mut uploads = Vec::new();
    for _ in 0..4 {
        uploads.push(
            http2
                .begin(&signed_in("POST", "/big?bytes=3000000"), false)
                .await?,
        );
    }
    let mut sent = JoinSet::new();
    for (response, mut body) in uploads {
        sent.spawn(async move {
            let mut left = 2_000_000;
            while left > 0 {
                body.reserve_capacity(left);
                let room = std::future::poll_fn(|context| body.poll_capacity(context)).await;
                let room = room.context("the stream continues")??.min(left);
                left -= room;
                body.send_data(Bytes::from(vec![b'u'; room]), left == 0)?;
            }
            Answer::of(response).await
        });
    }
    while let Some(answer) = sent.join_next().await {
        let answer = answer??;
        assert_eq!((answer.status, answer.body.len()), (200, 3_000_000));
    }
    for seen in echo.seen() {
        assert_eq!((seen.body.len(), seen.complete), (2_000_000, true));
    }
    Ok(())
}

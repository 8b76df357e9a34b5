//! The audit lines of streams that never become requests.

use anyhow::{Context, Result, ensure};
use http::HeaderValue;

use super::client::{self, Http2Client};
use super::wire::Outcome::{Away, Reset, Status};
use super::wire::{DATA, END_HEADERS, END_STREAM, HEADERS, Raw};
use super::wire::{block, frame, get, post, public};
use crate::support::started;

#[tokio::test]
async fn each_invalid_request_head_has_one_audit_line() -> Result<()> {
    let (echo, gate) = started([("PUBLIC_PATHS", "/")]).await?;
    let wrong = [
        (("connection", "close"), Reset(PROTOCOL_ERROR)),
        (("te", "gzip"), Reset(PROTOCOL_ERROR)),
        ((":path", "/"), Reset(PROTOCOL_ERROR)),
        ((":unknown", "a"), Away(PROTOCOL_ERROR)),
        (("X-A", "b"), Away(PROTOCOL_ERROR)),
        (("x-a", "b\r\nc"), Away(PROTOCOL_ERROR)),
    ];
    for (field, outcome) in &wrong {
        let mut raw = Raw::open(&gate).await?;
        raw.write(&head(1, *field)).await?;
        assert_eq!(raw.outcome(1).await?, *outcome, "{field:?}");
    }
    let mut lines = 0;
    gate.wait_for_audit(|line| {
        lines += usize::from(line["reason"] == "malformed_request");
        lines == wrong.len()
    })
    .await?;
    for line in gate.audit_lines() {
        assert_eq!(
            (&line["peer_ip"], &line["status"], &line["ended"]),
            (&"127.0.0.1".into(), &0.into(), &"cut".into()),
            "{line}"
        );
    }
    assert_eq!(gate.audit_lines().len(), wrong.len());
    ensure!(echo.seen().is_empty(), "one reached the service");
    Ok(())
}

#[tokio::test]
async fn each_stream_beside_a_refused_one_has_exactly_one_audit_line() -> Result<()> {
    let (_echo, gate) = started([("PUBLIC_PATHS", "/")]).await?;
    let mut raw = Raw::open(&gate).await?;
    // A stream whose body is too long was already a request.
    let long = post(3, "/long", &[("content-length", "1")]);
    let long = [long, frame(DATA, END_STREAM, 3, b"ab")].concat();
    let wrong = head(1, ("connection", "close"));
    for (bytes, stream, outcome) in [
        (wrong, 1, Reset(PROTOCOL_ERROR)),
        (long, 3, Reset(PROTOCOL_ERROR)),
        (get(5, "/after"), 5, Status(200)),
    ] {
        raw.write(&bytes).await?;
        assert_eq!(raw.outcome(stream).await?, outcome, "{stream}");
    }
    for path in ["/long", "/after"] {
        gate.wait_for_audit(|line| line["path"] == path).await?;
    }
    let lines = gate.audit_lines();
    let refused = lines
        .iter()
        .filter(|line| line["reason"] == "malformed_request");
    assert_eq!((lines.len(), refused.count()), (3, 1), "{lines:#?}");
    Ok(())
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_like_over_http_1_1() -> Result<()> {
    let (echo, gate) = started([("PUBLIC_PATHS", "/"), ("MAX_HEADER_BYTES", "8192")]).await?;
    let mut http2 = Http2Client::open(&gate).await?;
    let mut large = client::get("/");
    let value = HeaderValue::try_from("b".repeat(1000))?;
    for number in 0..8 {
        let name: http::HeaderName = format!("x-{number}").parse()?;
        large.headers_mut().insert(name, value.clone());
    }
    let long = client::get(&format!("/{}", "a".repeat(8192)));
    for (request, status) in [(large, 431), (long, 414), (client::get("/"), 200)] {
        let answer = http2.answer(&request).await?;
        assert_eq!(answer.status, status);
        let id = answer.headers.get("x-request-id").context("an id")?;
        let id = id.to_str()?.to_owned();
        let line = gate.wait_for_audit(|line| line["request_id"] == *id);
        assert_eq!(line.await?["status"], status);
    }
    assert_eq!(echo.seen().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_header_value_with_outer_white_space_is_malformed() -> Result<()> {
    let (echo, gate) = started([("PUBLIC_PATHS", "/")]).await?;
    let mut raw = Raw::open(&gate).await?;
    let mut stream = 1;
    for (value, outcome) in [
        (" a", Status(400)),
        ("a\t", Status(400)),
        (" ", Status(400)),
        ("a b", Status(200)),
    ] {
        raw.write(&head(stream, ("x-a", value))).await?;
        assert_eq!(raw.outcome(stream).await?, outcome, "{value:?}");
        stream += 2;
    }
    gate.wait_for_audit(|line| line["reason"] == "malformed_request" && line["status"] == 400)
        .await?;
    assert_eq!(echo.only().headers.all("x-a"), ["a b"]);
    let mut http2 = Http2Client::open(&gate).await?;
    let (response, mut out) = http2.begin(&client::post("/"), false).await?;
    out.send_data("body".into(), false)?;
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("a "));
    out.send_trailers(trailers)?;
    assert_eq!(client::Answer::of(response).await?.status, 400);
    Ok(())
}

#[tokio::test]
async fn a_head_that_is_far_too_large_has_an_audit_line() -> Result<()> {
    let (echo, gate) = started([("PUBLIC_PATHS", "/")]).await?;
    // A field of 4,000 bytes for the gate's table (RFC 7541 §6.2.1), and then `times` references to it. Only the smaller head has
    // its status in the audit line.
    for (times, reason) in [(45, "malformed_request"), (100, "malformed_request")] {
        let before = gate.audit_lines().len();
        let mut raw = Raw::open(&gate).await?;
        let mut large = block(&public("/"));
        large.push(0x40);
        large.extend([3, b'x', b'-', b'a', 127, 0xa1, 0x1e]);
        large.extend([b'b'; 4000]);
        large.extend(vec![0xbe; times]);
        raw.write(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &large))
            .await?;
        assert_eq!(raw.outcome(1).await?, Status(431), "{times}");
        let mut seen = 0;
        let line = gate.wait_for_audit(|line| {
            seen += 1;
            seen > before && line["reason"] == reason
        });
        let status = if times < 60 { 431 } else { 0 };
        assert_eq!(line.await?["status"], status, "{times}");
    }
    assert!(echo.seen().is_empty());
    Ok(())
}

/// Returns a head with this additional field.
fn head(stream: u32, field: (&str, &str)) -> Vec<u8> {
    let mut fields = public("/wrong");
    fields.push(field);
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&fields))
}

const PROTOCOL_ERROR: u32 = 1;

//! A request over HTTP/2 has the same meaning as over HTTP/1.1.

use anyhow::Result;
use harness::{Echo, Mint, Request};
use http::HeaderValue;

use super::client::{Http2Client, get, signed_in};
use super::wire::{Outcome, PREFACE, Raw, SETTINGS, frame, get as raw_get};
use crate::support::{gate, started};

#[tokio::test]
async fn a_session_enters_over_http2_and_the_service_gets_its_user() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let mut http2 = Http2Client::open(&gate).await?;
    let mut request = signed_in("GET", "/a%2fb//c?d=%20&e");
    let headers = request.headers_mut();
    headers.insert("x-user-id", HeaderValue::from_static("root"));
    headers.insert("te", HeaderValue::from_static("trailers"));
    let answer = http2.answer(&request).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("x-echo"), Some("1"));
    assert!(answer.headers.contains_key("x-request-id") && answer.headers.contains_key("date"));
    let seen = echo.only();
    assert_eq!(seen.target, "/a%2fb//c?d=%20&e");
    for (name, value) in [
        ("host", "gate.example"),
        ("x-user-id", "ada"),
        ("x-forwarded-host", "gate.example"),
        ("x-forwarded-proto", "http"),
        ("via", "2.0 sessiongate"),
    ] {
        assert_eq!(seen.headers.all(name), [value], "{name}");
    }
    for name in ["te", "connection", "transfer-encoding", "content-length"] {
        assert!(seen.headers.get(name).is_none(), "{name}");
    }
    let line = gate.wait_for_audit(|line| line["user_id"] == "ada").await?;
    assert_eq!(line["host"], "gate.example");
    assert_eq!(line["ended"], "whole");
    assert_eq!(line["bytes_out"], answer.body.len());
    // Without a session.
    let refused = http2.answer(&get("/")).await?;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    assert_eq!(echo.seen().len(), 1);
    Ok(())
}

#[tokio::test]
async fn each_request_gets_its_own_answer() -> Result<()> {
    let (_echo, gate) = started([]).await?;
    let mut http2 = Http2Client::open(&gate).await?;
    http2.each_request_gets_its_own_answer(2000).await
}

#[tokio::test]
async fn cookies_in_several_fields_are_joined() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let mut http2 = Http2Client::open(&gate).await?;
    let mut request = get("/");
    let session = Mint::user("ada").authjs();
    for crumb in ["a=1", &session, "b=2"] {
        request
            .headers_mut()
            .append("cookie", HeaderValue::from_str(crumb)?);
    }
    assert_eq!(http2.answer(&request).await?.status, 200);
    let whole = format!("a=1; {session}; b=2");
    assert_eq!(echo.only().headers.all("cookie"), [whole.as_str()]);
    Ok(())
}

#[tokio::test]
async fn non_ascii_path_bytes_are_forwarded_unchanged() -> Result<()> {
    let (echo, gate) = started([("PUBLIC_PATHS", "/")]).await?;
    let mut raw = Raw::open(&gate).await?;
    raw.write(&raw_get(1, "/ä?ö")).await?;
    assert_eq!(raw.outcome(1).await?, Outcome::Status(200));
    assert_eq!(
        echo.only().target,
        "/ä?ö".bytes().map(char::from).collect::<String>()
    );
    Ok(())
}

#[tokio::test]
async fn limits_apply_to_http2_streams() -> Result<()> {
    let limits = [
        ("RATE_LIMIT", "1/h burst 3"),
        ("MAX_HEADER_FIELDS", "20"),
        ("PUBLIC_PATHS", "/"),
    ];
    let (echo, gate) = started(limits).await?;
    let mut http2 = Http2Client::open(&gate).await?;
    for status in [200, 200, 200, 429] {
        assert_eq!(http2.answer(&get("/")).await?.status, status);
    }
    assert_eq!(gate.send(&Request::get("/")).await?.status, 429, "together");
    let mut many = get("/");
    for number in 0..20 {
        let name = format!("x-{number}").parse::<http::HeaderName>()?;
        many.headers_mut()
            .insert(name, HeaderValue::from_static("a"));
    }
    assert_eq!(http2.answer(&many).await?.status, 431);
    assert_eq!(echo.seen().len(), 3);
    Ok(())
}

#[tokio::test]
async fn http2_can_be_turned_off_by_a_reload() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let file = folder.path().join("gate.toml");
    std::fs::write(&file, "http2 = true\n")?;
    let gate = gate(&echo.url())
        .args(["serve", "--config", &file.display().to_string()])
        .env("PUBLIC_PATHS", "/")
        .start()
        .await?;
    let mut before = Http2Client::open(&gate).await?;
    assert_eq!(before.answer(&get("/")).await?.status, 200);
    std::fs::write(&file, "http2 = false\n")?;
    gate.signal("HUP")?;
    harness::poll("HTTP/2 to be off", async || {
        let mut raw = Raw::connect(gate.proxy).await.ok()?;
        let settings = frame(SETTINGS, 0, 0, &[]);
        raw.write(&[PREFACE, &settings].concat()).await.ok()?;
        let is_refused = raw.starts_with(b"HTTP/1.1 400 ").await.ok()?;
        is_refused.then_some(())
    })
    .await?;
    assert_eq!(before.answer(&get("/")).await?.status, 200, "it had begun");
    assert_eq!(gate.send(&Request::get("/")).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn files_of_a_folder_are_sent_completely_and_in_ranges() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let content: Vec<_> = (0..3_000_000_u32).flat_map(u32::to_be_bytes).collect();
    std::fs::write(folder.path().join("large.bin"), &content)?;
    let gate = gate(&format!("dir:{}", folder.path().display()));
    let gate = gate.env("PUBLIC_PATHS", "/").start().await?;
    let mut http2 = Http2Client::open(&gate).await?;
    let whole = http2.answer(&get("/large.bin")).await?;
    assert_eq!(whole.status, 200);
    assert!(whole.body == content);
    let length = content.len().to_string();
    assert_eq!(whole.header("content-length"), Some(length.as_str()));
    let mut ranged = get("/large.bin");
    let range = HeaderValue::from_static("bytes=400000-400003,8-11");
    ranged.headers_mut().insert("range", range);
    let parts = http2.answer(&ranged).await?;
    assert_eq!(parts.status, 206);
    let text = String::from_utf8_lossy(&parts.body);
    assert!(text.contains("400000-400003/12000000"), "{text}");
    let mut head = get("/large.bin");
    *head.method_mut() = http::Method::HEAD;
    let head = http2.answer(&head).await?;
    assert_eq!(head.header("content-length"), Some(length.as_str()));
    assert!(head.body.is_empty());
    assert_eq!(http2.answer(&get("/none")).await?.status, 404);
    Ok(())
}

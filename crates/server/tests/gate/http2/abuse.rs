//! The published attacks on HTTP/2 servers, each as far as needed to show that the gate stops it.

use anyhow::{Context, Result};
use harness::{Echo, Gate, Request};

use super::wire::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Outcome, PADDED, PING, PRIORITY,
    RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, block, frame, get, post, public,
};

const ENHANCE_YOUR_CALM: u32 = 11;

const CANCEL: [u8; 4] = [0, 0, 0, 8];

async fn site<const N: usize>(settings: [(&str, &str); N]) -> Result<(Echo, Gate)> {
    let all = [&[("PUBLIC_PATHS", "/")], &settings[..]].concat();
    let echo = Echo::start().await?;
    let gate = crate::support::gate(&echo.url()).envs(all).start().await?;
    Ok((echo, gate))
}

/// Verifies that the gate has ended the connection for this reason, that the audit log says so, and that others are served.
async fn has_ended(mut raw: Raw, gate: &Gate, reason: &str) -> Result<()> {
    // If the client still writes, the kernel may drop the gate's last frames.
    if let Some(code) = raw.end().await? {
        assert_eq!(code, ENHANCE_YOUR_CALM, "{reason}");
    }
    gate.wait_for_audit(|line| line["reason"] == reason)
        .await
        .with_context(|| format!("no line says {reason}"))?;
    assert_eq!(gate.send(&Request::get("/")).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn rapid_reset_cve_2023_44487() -> Result<()> {
    let (echo, gate) = site([]).await?;
    let mut raw = Raw::open(&gate).await?;
    let mut burst = Vec::new();
    for stream in (1..2000).step_by(2) {
        burst.extend(get(stream, "/hold"));
        burst.extend(frame(RST_STREAM, 0, stream, &CANCEL));
    }
    raw.write(&burst).await?;
    has_ended(raw, &gate, "http2_flood").await?;
    // Most streams never became a request to the service.
    assert!(echo.seen().len() < 100, "{}", echo.seen().len());
    Ok(())
}

#[tokio::test]
async fn rapid_reset_slow_enough_that_each_request_is_processed() -> Result<()> {
    let (_echo, gate) = site([]).await?;
    let mut raw = Raw::open(&gate).await?;
    let mut streams = (1_u32..).step_by(2);
    for _ in 0..60 {
        let batch: Vec<_> = streams.by_ref().take(15).collect();
        let requests: Vec<_> = batch
            .iter()
            .flat_map(|stream| get(*stream, "/hold"))
            .collect();
        raw.write(&requests).await?;
        if raw.is_read().await.is_err() {
            break;
        }
        let resets = batch.iter();
        let resets = resets.flat_map(|stream| frame(RST_STREAM, 0, *stream, &CANCEL));
        raw.write(&resets.collect::<Vec<_>>()).await?;
    }
    has_ended(raw, &gate, "http2_rapid_reset").await
}

#[tokio::test]
async fn a_few_resets_among_many_requests_are_tolerated() -> Result<()> {
    let (echo, gate) = site([]).await?;
    let mut raw = Raw::open(&gate).await?;
    let mut streams = (1_u32..).step_by(2);
    for _ in 0..60 {
        let mut next = || streams.next().context("numbers do not end");
        for stream in [next()?, next()?] {
            raw.write(&get(stream, "/")).await?;
            assert_eq!(raw.outcome(stream).await?, Outcome::Status(200));
        }
        let stream = next()?;
        raw.write(&get(stream, "/hold")).await?;
        raw.is_read().await?;
        raw.write(&frame(RST_STREAM, 0, stream, &CANCEL)).await?;
    }
    drop(echo);
    raw.is_read().await
}

#[tokio::test]
async fn made_you_reset_cve_2025_8671() -> Result<()> {
    let (echo, gate) = site([]).await?;
    // Each makes the gate reset a stream that the client has opened.
    let by_too_much = |stream| frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]);
    let too_long = |stream| frame(DATA, END_STREAM, stream, b"more than announced");
    let ways: [&dyn Fn(u32) -> Vec<u8>; 2] = [&by_too_much, &too_long];
    for way in ways {
        let mut raw = Raw::open(&gate).await?;
        let mut attack = Vec::new();
        for stream in (1..1000).step_by(2) {
            attack.extend(post(stream, "/hold", &[("content-length", "1")]));
            attack.extend(way(stream));
        }
        raw.write(&attack).await?;
        has_ended(raw, &gate, "http2_flood").await?;
    }
    // No more than may be reset before the connection ends.
    assert!(echo.seen().len() < 2 * 120, "{}", echo.seen().len());
    // This frame ends the connection at once.
    let mut raw = Raw::open(&gate).await?;
    raw.write(&post(1, "/hold", &[])).await?;
    raw.write(&frame(WINDOW_UPDATE, 0, 1, &[0; 4])).await?;
    assert_eq!(raw.outcome(1).await?, Outcome::Away(1));
    Ok(())
}

#[tokio::test]
async fn continuation_flood_vu_421644() -> Result<()> {
    let (echo, gate) = site([]).await?;
    let head = frame(HEADERS, END_STREAM, 1, &block(&public("/")));
    let large = block(&[("x-a", &"b".repeat(16_000))]);
    for payload in [&[][..], &block(&[("x-a", "b")]), &large] {
        let mut raw = Raw::open(&gate).await?;
        raw.write(&head).await?;
        // No frame ends the head.
        let flood = frame(CONTINUATION, 0, 1, payload).repeat(1000);
        raw.write(&flood).await?;
        has_ended(raw, &gate, "http2_flood").await?;
    }
    assert!(echo.seen().iter().all(|seen| seen.target == "/"));
    Ok(())
}

#[tokio::test]
async fn an_hpack_bomb_is_refused() -> Result<()> {
    let (echo, gate) = site([]).await?;
    let mut raw = Raw::open(&gate).await?;
    // A field of 4,000 bytes for the gate's table (RFC 7541 §6.2.1), and then a thousand references to it.
    let mut bomb = block(&public("/"));
    bomb.push(0x40);
    bomb.extend([3, b'x', b'-', b'a', 127, 0xa1, 0x1e]);
    bomb.extend([b'b'; 4000]);
    bomb.extend([0xbe; 1000]);
    raw.write(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb))
        .await?;
    assert_eq!(raw.outcome(1).await?, Outcome::Away(ENHANCE_YOUR_CALM));
    // A head slightly beyond the limit gets an answer.
    let mut raw = Raw::open(&gate).await?;
    let more = [("x-a", "b".repeat(8000))];
    let more: Vec<_> = more
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let fields = [&public("/")[..], &more.repeat(9)].concat();
    let head = block(&fields);
    let mut frames = Vec::new();
    let mut pieces = head.chunks(16_000).peekable();
    let mut kind = HEADERS;
    while let Some(piece) = pieces.next() {
        let ends = if pieces.peek().is_none() {
            END_HEADERS
        } else {
            0
        };
        let flags = if kind == HEADERS {
            END_STREAM | ends
        } else {
            ends
        };
        frames.extend(frame(kind, flags, 1, piece));
        kind = CONTINUATION;
    }
    raw.write(&frames).await?;
    assert_eq!(raw.outcome(1).await?, Outcome::Status(431));
    assert!(echo.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn floods_of_empty_frames_cve_2019_9511_to_9518() -> Result<()> {
    let (_echo, gate) = site([]).await?;
    let held = post(1, "/hold", &[]);
    for (name, opening, flood) in [
        ("PING, CVE-2019-9512", &[][..], frame(PING, 0, 0, &[0; 8])),
        ("SETTINGS, CVE-2019-9515", &[], frame(SETTINGS, 0, 0, &[])),
        (
            "PRIORITY, CVE-2019-9513",
            &[],
            frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 16]),
        ),
        (
            "WINDOW_UPDATE",
            &[],
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        ),
        ("unknown frames", &[], frame(0x42, 0, 0, b"any")),
        ("empty DATA, CVE-2019-9518", &held, frame(DATA, 0, 1, &[])),
        (
            "DATA that is padding, CVE-2019-9518",
            &held,
            frame(DATA, PADDED, 1, &[0]),
        ),
    ] {
        let mut raw = Raw::open(&gate).await?;
        raw.write(opening).await?;
        raw.write(&flood.repeat(50_000)).await?;
        has_ended(raw, &gate, "http2_flood")
            .await
            .with_context(|| name.to_owned())?;
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_without_window_is_given_up_cve_2019_9511_cve_2019_9517() -> Result<()> {
    let (_echo, gate) = site([("CLIENT_BODY_TIMEOUT", "1")]).await?;
    let cut = |path: &'static str| {
        gate.wait_for_audit(move |line| line["path"] == path && line["ended"] == "cut")
    };
    // A window of zero for streams (SETTINGS_INITIAL_WINDOW_SIZE).
    let mut raw = Raw::open_with(&gate, &[(4, 0)]).await?;
    raw.write(&get(1, "/big")).await?;
    assert_eq!(raw.outcome(1).await?, Outcome::Status(200));
    assert!(matches!(raw.outcome(1).await?, Outcome::Reset(_)));
    cut("/big").await?;
    raw.write(&get(3, "/status/204")).await?;
    assert_eq!(raw.outcome(3).await?, Outcome::Status(204));

    // The largest window, and a client that reads nothing.
    let mut raw = Raw::open_with(&gate, &[(4, i32::MAX.unsigned_abs())]).await?;
    let room = (i32::MAX.unsigned_abs() - 65_535).to_be_bytes();
    raw.write(&frame(WINDOW_UPDATE, 0, 0, &room)).await?;
    raw.write(&get(1, "/big?bytes=50000000")).await?;
    let line = gate
        .wait_for_audit(|line| line["path"] == "/big" && line["bytes_out"].as_u64() > Some(100_000))
        .await?;
    assert_ne!(line["ended"], "whole", "{line}");
    drop(raw);
    Ok(())
}

#[tokio::test]
async fn a_reader_that_opens_its_window_byte_by_byte_is_cut_off() -> Result<()> {
    let limits = [
        ("CLIENT_BODY_TIMEOUT", "1"),
        ("LEAST_DOWNLOAD_RATE", "4000000000"),
    ];
    let (_echo, gate) = site(limits).await?;
    let mut raw = Raw::open_with(&gate, &[(4, 1)]).await?;
    raw.write(&get(1, "/big")).await?;
    loop {
        let Some(next) = raw.next().await? else {
            anyhow::bail!("the connection ended");
        };
        match next.kind {
            DATA => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                raw.write(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]))
                    .await?;
            }
            RST_STREAM => break,
            _ => {}
        }
    }
    let line = gate.wait_for_audit(|line| line["path"] == "/big").await?;
    assert_eq!(line["ended"], "cut", "{line}");
    Ok(())
}

#[tokio::test]
async fn a_stalling_client_loses_its_stream_or_its_connection() -> Result<()> {
    let times = [
        ("CLIENT_HEADER_TIMEOUT", "1"),
        ("CLIENT_BODY_TIMEOUT", "1"),
        ("CLIENT_IDLE_TIMEOUT", "1"),
    ];
    let (echo, gate) = site(times).await?;
    // A preface that never ends.
    let mut silent = Raw::connect(gate.proxy).await?;
    silent.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r").await?;
    assert_eq!(silent.end().await?, None);
    // A body that never arrives.
    let mut raw = Raw::open(&gate).await?;
    raw.write(&post(1, "/", &[])).await?;
    assert_eq!(raw.outcome(1).await?, Outcome::Status(408));
    // A head that never ends, and no other frames.
    raw.write(&frame(HEADERS, END_STREAM, 3, &block(&public("/"))))
        .await?;
    assert!(
        raw.end().await?.is_some(),
        "GOAWAY, and the connection is closed"
    );
    assert!(echo.seen().iter().all(|seen| !seen.complete));
    Ok(())
}

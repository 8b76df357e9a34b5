//! The rules of RFC 9113 §4 to §6 and §8, case by case: a client that breaks one loses its stream or its connection, with the
//! error code that the RFC defines.

mod case;
mod connections;
mod streams;

use anyhow::Result;

use self::case::Effect::{Away, Ends, Is};
use self::case::{Case, PROTOCOL_ERROR, REFUSED_STREAM};
use self::connections::on_connections;
use self::streams::on_streams;
use super::wire::{Outcome, PREFACE, Raw, SETTINGS, frame, get};
use crate::support::started;

#[tokio::test]
async fn each_protocol_violation_ends_the_stream_or_the_connection() -> Result<()> {
    let (echo, gate) = started([("PUBLIC_PATHS", "/")]).await?;
    let mut wrong = Vec::new();
    for Case(name, bytes, fate) in on_connections().into_iter().chain(on_streams()) {
        let mut raw = Raw::open(&gate).await?;
        raw.write(&bytes).await?;
        let outcome = raw.outcome(1).await?;
        let is_right = match fate {
            // RFC 9113 §5.4.1 leaves it to the gate how precise the code is; `h2` does not always report a wrong size as such.
            Away(code) => [code, PROTOCOL_ERROR].map(Outcome::Away).contains(&outcome),
            Is(status) => outcome == Outcome::Status(status),
            Ends(code) => [
                Outcome::Away(code),
                Outcome::Away(PROTOCOL_ERROR),
                Outcome::Reset(code),
            ]
            .contains(&outcome),
        };
        if !is_right {
            wrong.push(format!("{name}: {outcome:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let seen = echo.seen();
    let is_whole =
        |seen: &&harness::ReceivedRequest| seen.complete && !seen.path().starts_with("/public");
    assert_eq!(seen.iter().filter(is_whole).count(), 0, "{seen:#?}");
    Ok(())
}

#[tokio::test]
async fn streams_over_the_limit_are_refused_and_can_be_retried() -> Result<()> {
    let (echo, gate) = started([("PUBLIC_PATHS", "/")]).await?;
    let mut raw = Raw::open(&gate).await?;
    let streams = (0..101).map(|number| number * 2 + 1);
    let requests: Vec<_> = streams.flat_map(|stream| get(stream, "/hold")).collect();
    raw.write(&requests).await?;
    assert_eq!(raw.outcome(201).await?, Outcome::Reset(REFUSED_STREAM));
    for _ in 0..100 {
        echo.release();
    }
    assert_eq!(raw.outcome(199).await?, Outcome::Status(200));
    raw.write(&get(203, "/")).await?;
    assert_eq!(raw.outcome(203).await?, Outcome::Status(200));
    Ok(())
}

#[tokio::test]
async fn a_preface_may_arrive_in_pieces_and_only_at_the_start() -> Result<()> {
    let (_echo, gate) = started([("PUBLIC_PATHS", "/")]).await?;
    let opening = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &get(1, "/")].concat();
    for size in [1, 5, 20, 23] {
        let mut raw = Raw::connect(gate.proxy).await?;
        for piece in opening.chunks(size) {
            raw.write(piece).await?;
            tokio::task::yield_now().await;
        }
        assert_eq!(raw.outcome(1).await?, Outcome::Status(200), "{size}");
    }
    let mut client = gate.connect().await?;
    assert_eq!(client.get("/").await?.status, 200);
    client.raw(&opening).await?;
    assert_eq!(client.response().await?.status, 400);
    client.closed().await?;
    // The following bytes are not a preface.
    let mut raw = Raw::connect(gate.proxy).await?;
    raw.write(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await?;
    raw.end().await?;
    Ok(())
}

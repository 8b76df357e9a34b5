//! The limit of sessions from one address that do not open, or that no store knows.

use anyhow::Result;
use harness::{Echo, Gate, Mint, Request};

use super::{BEHIND_PROXY, from};
use crate::support::{gate, signed_in, sqlite, started};

const ADA: &str = "192.0.2.1";
const BOB: &str = "192.0.2.2";

async fn status(gate: &Gate, address: &str, cookie: &str) -> Result<u16> {
    let request = from(address, Request::get("/").cookie(cookie));
    Ok(gate.send(&request).await?.status)
}

#[tokio::test]
async fn bad_sessions_of_an_address_are_rate_limited() -> Result<()> {
    let limit = ("BAD_SESSION_RATE_LIMIT", "2/h");
    let (_echo, gate) = started([BEHIND_PROXY, limit]).await?;
    let forged = Mint::user("ada")
        .secret("another-secret-8g4lR0yX3nWc9Sa2MuZd6")
        .authjs();
    let expired = Mint::user("ada").expiring_in(-60).authjs();
    for (cookie, wanted) in [
        (&*expired, 401),
        (&*forged, 401),
        ("other=1", 401),
        ("authjs.session-token=none", 401),
        // Two bad sessions so far: an expired session is genuine, and a request without a session is no guess.
        (&*forged, 429),
        (&*expired, 401),
        ("other=1", 401),
    ] {
        assert_eq!(status(&gate, ADA, cookie).await?, wanted, "{cookie}");
    }
    let good = from(ADA, signed_in("/", "ada"));
    assert_eq!(
        gate.send(&good).await?.status,
        200,
        "other users may have that address"
    );
    assert_eq!(status(&gate, BOB, &forged).await?, 401);
    let counted = ["limit=\"bad-session\""];
    let counted = gate
        .metric("sessiongate_rate_limited_total", counted)
        .await?;
    assert_eq!(counted, 1.0);
    Ok(())
}

#[tokio::test]
async fn made_up_tokens_cause_few_database_lookups() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let file = folder.path().join("app.db");
    let tables = r#"
CREATE TABLE users (id text PRIMARY KEY, name text, email text, "emailVerified" integer, image text);
CREATE TABLE sessions ("sessionToken" text PRIMARY KEY, "userId" text, expires integer);
INSERT INTO users (id, name, email) VALUES ('1', 'Ada', 'ada@example.com');
INSERT INTO sessions VALUES ('of-ada', '1', 9999999999999), ('on-her-phone', '1', 9999999999999);"#;
    sqlite(&file, tables).await?;
    let gate = gate(&echo.url())
        .env("SESSION_FORMAT", "authjs-database")
        .env("DATABASE_URL", format!("sqlite://{}", file.display()))
        .env("ABSENT_CACHE_TTL", "0")
        .env("BAD_SESSION_RATE_LIMIT", "2/h")
        .envs([BEHIND_PROXY])
        .start()
        .await?;
    let status = async |address, token: &str| {
        status(&gate, address, &format!("authjs.session-token={token}")).await
    };
    let lookups = async |result| {
        let labels = ["source=\"sqlite\"", result];
        gate.metric("sessiongate_session_check_total", labels).await
    };
    assert_eq!(status(ADA, "of-ada").await?, 200);
    for number in 0..5 {
        let wanted = if number < 2 { 401 } else { 429 };
        assert_eq!(status(ADA, &format!("made-up-{number}")).await?, wanted);
    }
    assert_eq!(
        lookups("\"absent\"").await?,
        2.0,
        "the others caused no lookup"
    );
    assert_eq!(
        lookups("\"present\"").await?,
        1.0,
        "good sessions do not count"
    );
    let line = gate.wait_for_audit(|line| line["status"] == 429).await?;
    assert_eq!(line["reason"], "rate_limited");
    // Cached sessions still enter from that address, and others enter from another address.
    assert_eq!(status(ADA, "of-ada").await?, 200);
    assert_eq!(status(ADA, "on-her-phone").await?, 429);
    assert_eq!(status(BOB, "on-her-phone").await?, 200);
    assert_eq!(status(ADA, "on-her-phone").await?, 200);
    Ok(())
}

#[tokio::test]
async fn the_bad_session_limit_can_be_turned_off() -> Result<()> {
    let limit = ("BAD_SESSION_RATE_LIMIT", "off");
    let (_echo, gate) = started([limit]).await?;
    let mut client = gate.connect().await?;
    let request = Request::get("/").cookie("authjs.session-token=none");
    for _ in 0..1100 {
        assert_eq!(client.send(&request).await?.status, 401);
    }
    Ok(())
}

//! The audit log: one line per decision, and no secret in any of them.

use anyhow::{Context, Result};
use harness::{Mint, Postgres, Redis, Request, mint};
use serde_json::Value;

use crate::support::{gate, signed_in, started};

#[tokio::test]
async fn an_admitted_request_has_one_complete_audit_line() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let answer = gate
        .send(&signed_in("/reports/2026?token=hidden", "ada").header("Host", "app.example"))
        .await?;
    let id = answer
        .header("x-request-id")
        .context("the answer names the request")?
        .to_owned();
    let line = gate
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    for (field, value) in [
        ("mode", "proxy"),
        ("outcome", "allow"),
        ("reason", "session"),
        ("method", "GET"),
        ("host", "app.example"),
        ("path", "/reports/2026"),
        ("client_ip", "127.0.0.1"),
        ("peer_ip", "127.0.0.1"),
        ("user_id", "ada"),
        ("cred", "authjs5"),
        ("user_check", "skipped"),
    ] {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    assert_eq!(line["status"], 200);
    assert!(line["duration_us"].is_u64());
    let ts = line["ts"].as_str().context("a time")?;
    assert!(
        ts.len() >= 20 && ts.contains('T') && ts.ends_with('Z'),
        "{ts}"
    );
    assert_eq!(echo.only().headers.get("x-request-id"), Some(id.as_str()));

    let lines: Vec<_> = gate.audit_lines();
    assert_eq!(
        lines
            .iter()
            .filter(|line| line["request_id"] == id.as_str())
            .count(),
        1
    );
    Ok(())
}

#[tokio::test]
async fn a_request_of_a_departed_client_has_an_audit_line() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let mut client = gate.connect().await?;
    client
        .raw(&signed_in("/slow?ms=60000", "ada").bytes(gate.proxy))
        .await?;
    echo.wait_for(|seen| seen.path() == "/slow").await?;
    drop(client);
    let line = gate.wait_for_audit(|line| line["path"] == "/slow").await?;
    assert_eq!(
        (line["status"].as_u64(), &line["user_id"]),
        (Some(499), &Value::from("ada"))
    );
    Ok(())
}

#[tokio::test]
async fn every_refusal_has_a_stable_reason() -> Result<()> {
    let (_echo, gate) = started([("PUBLIC_PATHS", "/public/")]).await?;
    for (what, request, reason, cred, status) in [
        ("nothing", Request::get("/"), "no_credential", "none", 401),
        (
            "expired",
            Request::get("/").cookie(Mint::user("ada").expiring_in(-60).authjs()),
            "expired",
            "",
            401,
        ),
        (
            "a path with two readings",
            Request::get("/public/../x"),
            "ambiguous_path",
            "",
            400,
        ),
    ] {
        let answer = gate.send(&request).await?;
        let id = answer
            .header("x-request-id")
            .context("the answer names the request")?
            .to_owned();
        let line = gate
            .wait_for_audit(|line| line["request_id"] == id.as_str())
            .await?;
        assert_eq!(
            (line["outcome"].as_str(), line["reason"].as_str()),
            (Some("deny"), Some(reason)),
            "{what}"
        );
        assert_eq!(line["status"], status, "{what}");
        if !cred.is_empty() {
            assert_eq!(line["cred"], cred, "{what}");
        }
    }
    gate.send(&Request::get("/public/x")).await?;
    let line = gate
        .wait_for_audit(|line| line["path"] == "/public/x")
        .await?;
    assert_eq!(
        (line["outcome"].as_str(), line["reason"].as_str()),
        (Some("allow"), Some("public"))
    );
    Ok(())
}

#[tokio::test]
async fn no_value_can_inject_an_audit_line_or_field() -> Result<()> {
    let (_echo, gate) = started([]).await?;
    let evil = "ada\",\"outcome\":\"deny\",\"x\":\"\u{2028}\u{85}é";
    let request = signed_in("/%22%0A{\"outcome\":\"deny\"}?x", evil).header("Host", "evil.example");
    let answer = gate.send(&request).await?;
    let first = gate.stdout().wait_for(|line| Some(line.to_owned())).await?;
    let line: Value = serde_json::from_str(&first).with_context(|| first.clone())?;
    assert_eq!(line["status"], answer.status);
    if answer.status == 200 {
        assert_eq!(
            (line["outcome"].as_str(), line["user_id"].as_str()),
            (Some("allow"), Some(evil))
        );
    }
    gate.send(&Request::get("/next")).await?;
    gate.wait_for_audit(|line| line["path"] == "/next").await?;
    assert_eq!(
        gate.stdout().all().len(),
        2,
        "one line per decision: {:#?}",
        gate.stdout().all()
    );
    Ok(())
}

#[tokio::test]
async fn no_secret_is_ever_printed() -> Result<()> {
    let redis = Redis::options()
        .password("redis-password-hidden")
        .start()
        .await?;
    let postgres = Postgres::start().await?;
    postgres
        .execute("CREATE TABLE users (id text); INSERT INTO users VALUES ('ada')")
        .await?;
    let echo = harness::Echo::start().await?;
    let bypass = "a-bypass-value-that-nobody-guesses-77";
    let mut gate = gate(&echo.url())
        .env("ENABLE_DB_CHECK", "true")
        .env("DATABASE_URL", postgres.url(Postgres::DATABASE))
        .env("REDIS_URL", redis.url())
        .env("ALLOW_BYPASS", "true")
        .env("BYPASS_HEADER_VALUE", bypass)
        .env("RUST_LOG", "trace")
        .start()
        .await?;
    let good = Mint::user("ada").authjs();
    let expired = Mint::user("ada").expiring_in(-60).authjs();
    let foreign = Mint::user("ada")
        .secret("another-secret-of-enough-length-3f7a")
        .authjs();
    let bearer = Mint::user("ada").nextauth_token();
    for request in [
        Request::get("/?token=query-hidden").cookie(&good),
        Request::get("/").cookie(&expired),
        Request::get("/").cookie(&foreign),
        Request::get("/").cookie("authjs.session-token=garbage-hidden"),
        Request::get("/").header("Authorization", format!("Bearer {bearer}")),
        Request::get("/").header("X-Bypass-Auth", bypass),
        Request::get("/").as_navigation(),
    ] {
        gate.send(&request).await?;
    }
    let mut malformed = gate.connect().await?;
    malformed
        .raw(
            format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {good}\r\nContent-Length: x\r\n\r\n")
                .as_bytes(),
        )
        .await?;
    // Another test checks how it is refused.
    let _ = malformed.response().await;
    let metrics = gate.admin("/metrics").await?.text();
    let ready = gate.admin("/readyz").await?.text();
    gate.signal("TERM")?;
    assert!(gate.wait().await?.success());

    let printed = [
        gate.stdout().all().join("\n"),
        gate.stderr().all().join("\n"),
        metrics,
        ready,
    ]
    .join("\n");
    let token = |cookie: &str| {
        cookie
            .split_once('=')
            .map(|(_, token)| token[token.len() - 40..].to_owned())
    };
    let hidden = [
        mint::SECRET.to_owned(),
        bypass.to_owned(),
        Postgres::PASSWORD.to_owned(),
        "redis-password-hidden".to_owned(),
        "query-hidden".to_owned(),
        "garbage-hidden".to_owned(),
        bearer[bearer.len() - 40..].to_owned(),
    ];
    for secret in hidden.into_iter().chain(
        [&good, &expired, &foreign]
            .into_iter()
            .filter_map(|cookie| token(cookie)),
    ) {
        let leak = printed.lines().find(|line| line.contains(&secret));
        assert!(
            leak.is_none(),
            "{secret} was printed: {}",
            leak.unwrap_or_default()
        );
    }
    Ok(())
}

#[tokio::test]
async fn turning_the_audit_log_off_keeps_the_start_up_log() -> Result<()> {
    let (_echo, mut gate) = started([("AUDIT_LOG", "false")]).await?;
    let warned = |line: &str| line.contains("AUDIT_LOG is off").then_some(());
    gate.stderr().wait_for(warned).await?;
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);
    let labels = ["outcome=\"allow\"", "reason=\"session\""];
    let counted = gate.metric("sessiongate_decisions_total", labels).await?;
    assert_eq!(counted, 1.0, "the counters continue");
    gate.signal("TERM")?;
    gate.wait().await?;
    assert!(gate.stdout().all().is_empty(), "{:?}", gate.stdout().all());
    Ok(())
}

#[tokio::test]
async fn the_text_format_has_the_same_decision() -> Result<()> {
    let (_echo, gate) = started([("LOG_FORMAT", "text")]).await?;
    gate.send(&signed_in("/reports?token=hidden", "ada\u{1b}[31m\nallow"))
        .await?;
    gate.send(&signed_in("/reports?token=hidden", "ada"))
        .await?;
    let line = gate
        .stdout()
        .wait_for(|line| line.contains("ada").then(|| line.to_owned()))
        .await?;
    assert!(
        line.contains("allow") && line.contains("/reports") && !line.contains("hidden"),
        "{line}"
    );
    assert!(
        gate.stdout()
            .all()
            .iter()
            .all(|line| !line.contains('\u{1b}'))
    );
    Ok(())
}

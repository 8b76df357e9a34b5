//! The bypass for development, by which requests enter without a session.

use anyhow::Result;
use harness::{Echo, Request};

use crate::support::{gate, signed_in, started};

const LONG: &str = "a-bypass-value-that-nobody-guesses-5e1f";

#[tokio::test]
async fn the_bypass_is_off_by_default_and_its_header_is_never_forwarded() -> Result<()> {
    let (echo, gate) = started([]).await?;
    assert_eq!(
        gate.send(&Request::get("/").header("X-Bypass-Auth", "true"))
            .await?
            .status,
        401
    );
    let request = signed_in("/", "ada")
        .header("X-Bypass-Auth", "true")
        .header("X_Bypass_Auth", "true");
    assert_eq!(gate.send(&request).await?.status, 200);
    let seen = echo.only();
    assert!(
        seen.headers
            .iter()
            .all(|(name, _)| !name.to_lowercase().contains("bypass")),
        "{:?}",
        seen.headers
    );
    Ok(())
}

#[tokio::test]
async fn a_configured_bypass_admits_without_identity_and_is_always_logged() -> Result<()> {
    let settings = [
        ("ALLOW_BYPASS", "true"),
        ("BYPASS_HEADER", "X-Dev"),
        ("BYPASS_HEADER_VALUE", LONG),
    ];
    let (echo, gate) = started(settings).await?;
    gate.stderr()
        .wait_for(|line| line.contains("ALLOW_BYPASS").then_some(()))
        .await?;

    let request = Request::get("/")
        .header("X-Dev", LONG)
        .header("X-User-Id", "root");
    assert_eq!(gate.send(&request).await?.status, 200);
    let seen = echo.only();
    assert_eq!(seen.headers.get("x-user-id").unwrap_or_default(), "");
    assert_eq!(seen.headers.get("x-dev"), None);
    let line = gate.wait_for_audit(|line| line["cred"] == "bypass").await?;
    assert_eq!(line["outcome"], "allow");
    assert!(gate.metric("sessiongate_bypass_total", []).await? >= 1.0);

    for wrong in [
        "true",
        "",
        "a-bypass-value-that-nobody-guesses-5e1",
        "A-bypass-value-that-nobody-guesses-5e1f",
    ] {
        assert_eq!(
            gate.send(&Request::get("/").header("X-Dev", wrong))
                .await?
                .status,
            401,
            "{wrong}"
        );
    }
    let twice = Request::get("/")
        .header("X-Dev", LONG)
        .header("X-Dev", LONG);
    assert_eq!(gate.send(&twice).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn the_old_default_bypass_value_works_only_from_this_machine() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(&echo.url())
        .env("ALLOW_BYPASS", "true")
        .env("TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await?;
    let direct = Request::get("/").header("X-Bypass-Auth", "true");
    assert_eq!(gate.send(&direct).await?.status, 200);
    let passed_on = direct.header("X-Forwarded-For", "203.0.113.7");
    assert_eq!(gate.send(&passed_on).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn start_up_refuses_a_weak_bypass_value_and_any_bypass_in_production() -> Result<()> {
    for (what, settings) in [
        ("a short value", ("BYPASS_HEADER_VALUE", "letmein")),
        ("NODE_ENV", ("NODE_ENV", "production")),
        ("APP_ENV", ("APP_ENV", "production")),
        ("SESSIONGATE_ENV", ("SESSIONGATE_ENV", "production")),
    ] {
        let finished = gate("http://127.0.0.1:9")
            .env("ALLOW_BYPASS", "true")
            .envs([settings])
            .run()
            .await?;
        assert!(!finished.status.success(), "{what}");
        assert!(
            finished.stderr.contains("BYPASS"),
            "{what}: {}",
            finished.stderr
        );
    }
    Ok(())
}

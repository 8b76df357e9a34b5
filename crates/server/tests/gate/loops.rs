//! The loop breaker: it stops redirecting a browser that comes back from signing in and is still refused.

use std::process::Command;

use anyhow::{Context, Result};
use harness::interop::AuthApp;
use harness::{Echo, Gate, Request, Response};

use crate::support::{gate, started};

const SIGN_IN: (&str, &str) = ("SIGN_IN_URL", "https://app.example/signin");

/// Returns the counting cookie of an answer as a browser sends it back.
fn counted(answer: &Response) -> Result<String> {
    let cookie = answer
        .header("set-cookie")
        .context("a cookie that counts")?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

/// Opens a page as a browser that keeps the cookie, at the gates in turn; returns the last answer.
async fn open_page(gates: &[&Gate], times: usize) -> Result<Response> {
    let mut cookies = "theme=dark".to_owned();
    let mut last = None;
    for index in 0..times {
        let request = Request::get("/reports").as_navigation().cookie(&cookies);
        let answer = gates[index % gates.len()].send(&request).await?;
        if answer.status == 302 {
            cookies = format!("theme=dark; {}", counted(&answer)?);
        }
        last = Some(answer);
    }
    last.context("at least once")
}

#[tokio::test]
async fn the_fourth_redirect_becomes_an_explaining_page() -> Result<()> {
    let (echo, gate) = started([SIGN_IN]).await?;
    let third = open_page(&[&gate], 3).await?;
    assert_eq!(third.status, 302);
    let page = open_page(&[&gate], 4).await?;
    assert_eq!((page.status, page.header("location")), (401, None));
    assert_eq!(page.header("set-cookie"), None);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let text = page.text();
    let id = page.header("x-request-id").context("an id")?;
    for part in [
        id,
        "Secure",
        "SameSite",
        "secret",
        "salt",
        "clock",
        "host or domain",
    ] {
        assert!(text.contains(part), "{part} is missing from {text}");
    }
    assert!(
        text.contains("href=\"https://app.example/signin?callbackUrl=%2Freports\""),
        "{text}"
    );
    for kept in ["no_credential", "credential"] {
        assert!(!text.contains(kept), "{text}");
    }
    let line = gate.wait_for_audit(|line| line["request_id"] == id).await?;
    assert_eq!(line["reason"], "no_credential");
    assert_eq!(line["redirect_loop"], true);
    assert_eq!(line["status"], 401);
    let others = gate.audit_lines();
    let others = others.iter().filter(|line| line["status"] == 302);
    assert!(
        others
            .into_iter()
            .all(|line| line.get("redirect_loop").is_none())
    );
    assert_eq!(
        gate.metric("sessiongate_redirect_loops_total", []).await?,
        1.0
    );
    assert!(echo.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn gates_with_the_same_secret_share_the_redirect_count() -> Result<()> {
    let (_echo, one) = started([SIGN_IN]).await?;
    let (_echo, same) = started([SIGN_IN]).await?;
    assert_eq!(open_page(&[&one, &same], 4).await?.status, 401);
    let other = [
        SIGN_IN,
        ("AUTH_SECRET", "another-secret-of-enough-length-3f7a"),
    ];
    let (_echo, other) = started(other).await?;
    assert_eq!(open_page(&[&one, &other], 4).await?.status, 302);
    Ok(())
}

#[tokio::test]
async fn programs_get_401_and_are_not_counted() -> Result<()> {
    let (_echo, gate) = started([SIGN_IN]).await?;
    for _ in 0..5 {
        let answer = gate.send(&Request::get("/api")).await?;
        assert_eq!((answer.status, answer.header("set-cookie")), (401, None));
        answer.json()?;
    }
    assert_eq!(
        gate.metric("sessiongate_redirect_loops_total", []).await?,
        0.0
    );
    Ok(())
}

#[tokio::test]
async fn the_redirect_counter_cookie_is_minimal() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(&echo.url())
        .envs([SIGN_IN, ("TRUSTED_PROXIES", "127.0.0.1")])
        .start()
        .await?;
    let page = || Request::get("/").as_navigation();
    let plain = gate.send(&page()).await?;
    let plain = plain.header("set-cookie").context("a cookie")?;
    assert!(
        plain.ends_with("; Path=/; Max-Age=10; HttpOnly; SameSite=Lax"),
        "{plain}"
    );
    let secure = page().header("X-Forwarded-Proto", "https");
    let secure = gate.send(&secure).await?;
    let secure = secure.header("set-cookie").context("a cookie")?;
    assert!(secure.ends_with("; SameSite=Lax; Secure"), "{secure}");
    Ok(())
}

#[tokio::test]
async fn a_browser_in_a_sign_in_loop_ends_at_the_explaining_page() -> Result<()> {
    let app = AuthApp::start("the-secret-that-only-the-app-knows-5b2e").await?;
    let echo = Echo::start().await?;
    let origin = format!("127.0.0.1:{}", harness::free_port());
    let gate = gate(&echo.url())
        .env("LISTEN", &origin)
        .env("PUBLIC_URL", format!("http://{origin}"))
        .env("SIGN_IN_URL", format!("http://{}/signin", app.address))
        .start()
        .await?;
    // Cookies do not distinguish ports: the gate receives the session of the app, and cannot open it.
    let shown = chromium(&format!("http://{origin}/reports")).await?;
    assert!(
        shown.contains("Signing in does not get you here"),
        "{shown}"
    );
    let line = gate
        .wait_for_audit(|line| line["redirect_loop"] == true)
        .await?;
    assert_eq!(line["reason"], "unknown_key");
    let id = line["request_id"].as_str().context("an id")?;
    assert!(shown.contains(id), "{shown}");
    // The browser may use several connections, whose lines come in any order.
    let mut redirects = 0;
    gate.wait_for_audit(|line| {
        redirects += u32::from(line["status"] == 302);
        redirects == 3
    })
    .await?;
    let lines = gate.audit_lines();
    let redirects = lines.iter().filter(|line| line["status"] == 302);
    assert_eq!(redirects.count(), 3);
    assert!(echo.seen().is_empty());
    Ok(())
}

/// Returns the page that a new Chromium shows after following all redirects from `url`.
async fn chromium(url: &str) -> Result<String> {
    let profile = tempfile::tempdir()?;
    let mut chromium = Command::new("chromium");
    chromium
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
        ])
        .args(["--no-first-run", "--disable-background-networking"])
        .args([
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", url]);
    harness::run(chromium, "chromium").await
}

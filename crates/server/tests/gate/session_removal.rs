//! `FORWARD_SESSION_COOKIE=false`: the service receives nothing with which it could act as a user of the application.

use anyhow::{Context, Result};
use harness::interop::{BetterAuth, Browser};
use harness::{Echo, Gate, Mint, Postgres, Request};

use crate::support::{gate, started};

const SECRET: (&str, &str) = ("BETTER_AUTH_SECRET", BetterAuth::SECRET);

/// Sends a request with these cookies; returns the names of those that arrive, in the order sent.
async fn arriving_cookies(
    gate: &Gate,
    echo: &Echo,
    path: &str,
    cookies: &str,
) -> Result<Vec<String>> {
    let answer = gate.send(&Request::get(path).cookie(cookies)).await?;
    assert_eq!(answer.status, 200, "{path}");
    let seen = echo.seen().pop().context("it arrived")?;
    let header = seen.headers.get("cookie").unwrap_or_default().to_owned();
    let pairs = header.split("; ").filter_map(|pair| pair.split_once('='));
    Ok(pairs.map(|(name, _)| name.to_owned()).collect())
}

#[tokio::test]
async fn cookies_of_other_accounts_and_of_the_impersonating_admin_are_removed() -> Result<()> {
    let postgres = Postgres::start().await?;
    let url = postgres.url(Postgres::DATABASE);
    let echo = Echo::start().await?;
    for (secure, prefix) in [("false", ""), ("true", "__Secure-")] {
        let app = BetterAuth::start([
            SECRET,
            ("DATABASE_URL", url.as_str()),
            ("SECURE_COOKIES", secure),
            ("CACHE_STRATEGY", "compact"),
            ("PLUGINS", "admin,multi-session"),
        ])
        .await?;
        let ada = app.sign_up(&format!("Ada{secure}")).await?;
        postgres
            .execute(&format!(
                r#"UPDATE "user" SET role = 'admin' WHERE id = '{}'"#,
                ada.id
            ))
            .await?;
        let bob = app.sign_up(&format!("Bob{secure}")).await?;
        // In one browser: Ada signs in, then Bob, then Ada again, who impersonates Bob.
        let mut browser = ada.browser.clone();
        app.sign_in_within(&mut browser, &bob.name).await?;
        app.sign_in_within(&mut browser, &ada.name).await?;
        app.impersonate_within(&mut browser, &bob.id).await?;
        let cookies = browser.cookies();
        let session = format!("{prefix}better-auth.session_token");
        for name in [
            format!("{session}_multi-"),
            format!("{prefix}better-auth.admin_session"),
        ] {
            assert!(cookies.contains(&name), "{name}: {cookies}");
        }
        // Such a token is a valid session under the name of the session cookie.
        let other = browser_cookie(&browser, &format!("{session}_multi-"))?;
        assert!(
            app.session(&format!("{session}={other}"))
                .await?
                .is_object()
        );

        let cookies = format!("theme=dark; {cookies}; legacy={other}; lang=en");
        let gate = gate(&echo.url())
            .without("AUTH_SECRET")
            .env("SESSION_FORMAT", "better-auth")
            .env("DATABASE_URL", &url)
            .env("PUBLIC_PATHS", "/public/")
            .env("FORWARD_SESSION_COOKIE", "false")
            .envs([SECRET])
            .start()
            .await?;
        for path in ["/", "/public/x"] {
            let mut arrived = arriving_cookies(&gate, &echo, path, &cookies).await?;
            arrived.retain(|name| name != &format!("{prefix}better-auth.dont_remember"));
            assert_eq!(arrived, ["theme", "lang"], "{path}");
        }
        // The token does not arrive as a Bearer value either, beside the session's cookie or on a public path.
        for scheme in ["Bearer", "bearer ", "BEARER"] {
            for request in [
                Request::get("/").cookie(&cookies),
                Request::get("/public/x"),
            ] {
                let request = request.header("Authorization", format!("{scheme} {other}"));
                assert_eq!(gate.send(&request).await?.status, 200);
                let seen = echo.seen().pop().context("it arrived")?;
                assert_eq!(seen.headers.get("authorization"), None, "{scheme}");
            }
        }
    }
    Ok(())
}

/// Returns the value of the first cookie whose name begins with `start`.
fn browser_cookie(browser: &Browser, start: &str) -> Result<String> {
    let cookies = browser.cookies();
    let pair = cookies.split("; ").find(|pair| pair.starts_with(start));
    let value = pair.and_then(|pair| pair.split_once('='));
    Ok(value.context("such a cookie")?.1.to_owned())
}

#[tokio::test]
async fn encrypted_sessions_are_removed_from_every_cookie_and_bearer_header() -> Result<()> {
    let (echo, gate) = started([
        ("FORWARD_SESSION_COOKIE", "false"),
        ("PUBLIC_PATHS", "/public/"),
    ])
    .await?;
    let token = Mint::user("ada").authjs_token();
    let cookies = format!(
        "theme=dark; {}; legacy={token}; __Host-authjs.session-token={token}; lang=en",
        Mint::user("ada").authjs()
    );
    for path in ["/", "/public/x"] {
        assert_eq!(
            arriving_cookies(&gate, &echo, path, &cookies).await?,
            ["theme", "lang"]
        );
    }
    let bearer = Request::get("/public/x").header("Authorization", format!("Bearer {token}"));
    // The empty value of a deleted cookie does not change how the Bearer value is handled.
    let beside = Request::get("/")
        .cookie("authjs.session-token=")
        .header("Authorization", format!("Bearer {token}"));
    for request in [bearer, beside] {
        assert_eq!(gate.send(&request).await?.status, 200);
        let seen = echo.seen().pop().context("it arrived")?;
        assert_eq!(seen.headers.get("authorization"), None);
    }
    let other = Request::get("/public/x").header("Authorization", "Bearer of-the-service");
    gate.send(&other).await?;
    let seen = echo.seen().pop().context("it arrived")?;
    assert_eq!(
        seen.headers.get("authorization"),
        Some("Bearer of-the-service")
    );
    Ok(())
}

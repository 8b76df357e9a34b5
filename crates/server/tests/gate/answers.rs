//! The answers to a client that is not permitted: the table of DESIGN §7.

use anyhow::{Context, Result};
use harness::{CutProxy, Echo, Mint, Postgres, Request};

use crate::support::{gate, signed_in, started};

/// The setting with the paths that must be public for a sign-in page behind the gate.
const SIGNING_IN: (&str, &str) = ("PUBLIC_PATHS", "/signin,/api/auth/");

#[tokio::test]
async fn navigations_are_redirected_to_sign_in_and_other_requests_get_401() -> Result<()> {
    let (echo, gate) = started([("SIGN_IN_URL", "https://app.example/signin")]).await?;
    let expired = Mint::user("ada").expiring_in(-60).authjs();
    let sign_in = "https://app.example/signin?callbackUrl=%2Freports%3Fyear%3D2026";
    let target = "/reports?year=2026";
    for (what, request, location) in [
        (
            "a navigation",
            Request::get(target).as_navigation(),
            Some(sign_in),
        ),
        (
            "a page by an old browser",
            Request::get(target).header("Accept", "text/html"),
            Some(sign_in),
        ),
        (
            "a HEAD for a page",
            Request::new("HEAD", target).header("Accept", "text/html"),
            Some(sign_in),
        ),
        (
            "an expired session",
            Request::get(target).as_navigation().cookie(expired),
            Some(sign_in),
        ),
        (
            "an API call",
            Request::get(target).header("Accept", "application/json"),
            None,
        ),
        (
            "a script",
            Request::get(target)
                .header("Sec-Fetch-Mode", "cors")
                .header("Accept", "text/html"),
            None,
        ),
        (
            "a WebSocket",
            Request::get(target)
                .websocket()
                .header("Accept", "text/html"),
            None,
        ),
        ("a bare request", Request::get(target), None),
    ] {
        let answer = gate.send(&request).await?;
        match location {
            Some(location) => {
                assert_eq!(
                    (answer.status, answer.header("location")),
                    (302, Some(location)),
                    "{what}"
                );
                assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
            }
            None => {
                assert_eq!(
                    (answer.status, answer.header("www-authenticate")),
                    (401, Some("Bearer")),
                    "{what}"
                );
                let body = answer.json()?;
                assert_eq!(
                    body["request_id"].as_str(),
                    answer.header("x-request-id"),
                    "{what}"
                );
            }
        }
    }
    assert!(echo.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn the_return_url_never_leaves_the_site() -> Result<()> {
    let (_echo, gate) = started([("SIGN_IN_URL", "/signin"), SIGNING_IN]).await?;
    for (target, host) in [
        ("//evil.example/x", "app.example"),
        ("/x", "evil.example"),
        ("/\\evil.example", "app.example"),
    ] {
        let answer = gate
            .send(&Request::get(target).as_navigation().header("Host", host))
            .await?;
        if answer.status == 302 {
            let location = answer.header("location").unwrap_or_default();
            assert!(
                location.starts_with("/signin?callbackUrl=%2F"),
                "{target}: {location}"
            );
            assert!(!location.contains("evil"), "{target}: {location}");
        } else {
            assert_eq!(answer.status, 400, "{target}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn without_a_sign_in_page_a_browser_gets_an_explaining_page() -> Result<()> {
    let (_echo, gate) = started([]).await?;
    let answer = gate.send(&Request::get("/").as_navigation()).await?;
    assert_eq!(answer.status, 401);
    assert!(
        answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"))
    );
    let id = answer
        .header("x-request-id")
        .expect("every answer names its request")
        .to_owned();
    assert!(answer.text().contains(&id), "{}", answer.text());
    Ok(())
}

#[tokio::test]
async fn an_unknown_user_gets_403_and_a_lost_database_503() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres
        .execute("CREATE TABLE users (id text PRIMARY KEY); INSERT INTO users VALUES ('ada')")
        .await?;
    let wire = CutProxy::start(&postgres.address()).await?;
    let echo = Echo::start().await?;
    let gate = gate(&echo.url())
        .env("ENABLE_DB_CHECK", "true")
        .env(
            "DATABASE_URL",
            postgres.url_through(&wire.address(), Postgres::DATABASE),
        )
        .env("DATABASE_TIMEOUT", "1000")
        .envs([("SIGN_IN_URL", "/signin"), SIGNING_IN])
        .start()
        .await?;

    for (status, user) in [(403, "nobody"), (503, "ada")] {
        if status == 503 {
            wire.cut().await?;
        }
        let api = gate.send(&signed_in("/", user)).await?;
        assert_eq!(api.status, status);
        assert_eq!(
            api.json()?["request_id"].as_str(),
            api.header("x-request-id")
        );
        assert_eq!(api.header("retry-after").is_some(), status == 503);
        let page = gate.send(&signed_in("/", user).as_navigation()).await?;
        assert_eq!(
            page.status, status,
            "a browser is not sent to sign in again"
        );
        assert!(
            page.header("content-type")
                .is_some_and(|kind| kind.starts_with("text/html"))
        );
    }
    assert!(echo.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_malformed_request_is_refused_and_its_connection_closed() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let cookie = Mint::user("ada").authjs();
    let with =
        |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n{fields}\r\n");
    for (what, bytes) in [
        (
            "two lengths",
            with("Content-Length: 1\r\nContent-Length: 1\r\n") + "x",
        ),
        (
            "length and coding",
            with("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
        ),
        ("a signed length", with("Content-Length: +1\r\n") + "x"),
        ("a space before the colon", with("X-Odd : 1\r\n")),
        ("a folded line", with("X-Odd: 1\r\n 2\r\n")),
        (
            "no host",
            format!("GET / HTTP/1.1\r\nCookie: {cookie}\r\n\r\n"),
        ),
        (
            "a fragment",
            format!("GET /a#b HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n"),
        ),
        (
            "a control byte",
            format!("GET /?\u{7f} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n"),
        ),
        ("two hosts", with("Host: b\r\n")),
        (
            "a bare line feed",
            format!("GET / HTTP/1.1\nHost: a\r\nCookie: {cookie}\r\n\r\n"),
        ),
        ("no request line", "hello\r\n\r\n".to_owned()),
        (
            "an authority as target",
            format!("GET a:80 HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n"),
        ),
    ] {
        let mut client = gate.connect().await?;
        client.raw(bytes.as_bytes()).await?;
        assert_eq!(client.response().await.context(what)?.status, 400, "{what}");
        client.closed().await.context(what)?;
    }
    assert!(echo.seen().is_empty(), "{:#?}", echo.seen());
    Ok(())
}

#[tokio::test]
async fn a_preflight_is_refused_unless_preflights_may_pass() -> Result<()> {
    let preflight = || {
        Request::new("OPTIONS", "/api")
            .header("Origin", "https://other.example")
            .header("Access-Control-Request-Method", "POST")
    };
    let (echo, strict) = started([]).await?;
    assert_eq!(strict.send(&preflight()).await?.status, 401);
    assert!(echo.seen().is_empty());

    let (echo, open) = started([("CORS_PREFLIGHT", "pass")]).await?;
    assert_eq!(
        open.send(&preflight().header("X-User-Id", "root"))
            .await?
            .status,
        200
    );
    assert_eq!(echo.only().headers.get("x-user-id").unwrap_or_default(), "");
    for (what, request) in [
        ("a bare OPTIONS", Request::new("OPTIONS", "/api")),
        (
            "without a method",
            Request::new("OPTIONS", "/api").header("Origin", "https://other.example"),
        ),
        (
            "without an origin",
            Request::new("OPTIONS", "/api").header("Access-Control-Request-Method", "POST"),
        ),
        (
            "a GET with its headers",
            Request::get("/api")
                .header("Origin", "https://x")
                .header("Access-Control-Request-Method", "POST"),
        ),
    ] {
        assert_eq!(open.send(&request).await?.status, 401, "{what}");
    }
    assert_eq!(echo.seen().len(), 1);
    Ok(())
}

//! The form of a refusal for each kind of client: pages for people, statuses for scripts, trailers for gRPC-Web.

use anyhow::{Context, Result};
use harness::Request;

use crate::support::{gate, signed_in, started};

#[tokio::test]
async fn a_form_gets_an_html_page_for_every_refusal() -> Result<()> {
    let (echo, open) = started([("SIGN_IN_URL", "https://app.example/signin")]).await?;
    let form = |request: Request| {
        request
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
    };
    // This gate has no service behind it: 502 for every request that is permitted.
    let unused_port = harness::free_port();
    let dead = gate(&format!("http://127.0.0.1:{unused_port}"))
        .start()
        .await?;
    let cases = [
        (&open, form(Request::post("/orders", "a=b")), 401),
        (
            &open,
            Request::post("/orders", "a=b")
                .header("Sec-Fetch-Mode", "navigate")
                .header("Accept", "*/*"),
            401,
        ),
        (
            &dead,
            form(Request::post("/orders", "a=b")).cookie(harness::Mint::user("ada").authjs()),
            502,
        ),
    ];
    for (gate, request, status) in cases {
        let answer = gate.send(&request).await?;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8"),
            "{status}"
        );
        assert_eq!(answer.header("location"), None);
        assert!(answer.text().starts_with("<!DOCTYPE html>"));
    }
    assert!(echo.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn scripts_get_a_status_even_without_sec_fetch_headers() -> Result<()> {
    let (_echo, gate) = started([("SIGN_IN_URL", "/signin"), ("PUBLIC_PATHS", "/signin")]).await?;
    let html = "text/html, */*; q=0.01";
    for (name, value) in [
        ("X-Requested-With", "XMLHttpRequest"),
        ("HX-Request", "true"),
        ("RSC", "1"),
        ("Sec-Purpose", "prefetch"),
        ("Origin", "http://other.example"),
        ("Sec-Fetch-Mode", "no-cors"),
    ] {
        let request = Request::get("/data")
            .header("Accept", html)
            .header(name, value);
        let answer = gate.send(&request).await?;
        assert_eq!(answer.status, 401, "{name}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{name}"
        );
        assert_eq!(answer.json()?["error"], "unauthorized", "{name}");
    }
    let page = gate
        .send(&Request::get("/data").header("Accept", html))
        .await?;
    assert_eq!(page.status, 302);
    Ok(())
}

#[tokio::test]
async fn grpc_web_clients_get_grpc_web_refusals() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let call = |content_type: &str| {
        Request::post("/app.Orders/List", vec![0; 5]).header("Content-Type", content_type)
    };
    let answer = gate.send(&call("application/grpc-web+proto")).await?;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/grpc-web+proto")
    );
    assert_eq!(answer.body, b"\x80\0\0\0\x11grpc-status: 16\r\n");
    let answer = gate.send(&call("application/grpc-web-text")).await?;
    assert_eq!(
        answer.header("content-type"),
        Some("application/grpc-web-text+proto")
    );
    assert_eq!(answer.text(), "gAAAABFncnBjLXN0YXR1czogMTYNCg==");
    let native = gate.send(&call("application/grpc")).await?;
    assert_eq!(native.header("grpc-status"), Some("16"));
    // The request is still refused.
    let id = answer.header("x-request-id").context("an id")?.to_owned();
    let refused = gate
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    assert_eq!(
        (&refused["outcome"], &refused["status"]),
        (&"deny".into(), &200.into())
    );
    assert!(echo.seen().is_empty());
    gate.send(&call("application/grpc-web").cookie(harness::Mint::user("ada").authjs()))
        .await?;
    assert_eq!(echo.seen().len(), 1);
    Ok(())
}

#[tokio::test]
async fn listed_origins_may_read_refusals_and_send_preflights() -> Result<()> {
    const APP: &str = "https://app.example.com";
    let unused_port = harness::free_port();
    let settings = [("CORS_ORIGINS", APP), ("PUBLIC_PATHS", "/public/")];
    let (echo, gate) = started(settings).await?;
    let from = |request: Request, origin: &str| request.header("Origin", origin);
    let preflight = |target: &str| {
        Request::new("OPTIONS", target)
            .header("Access-Control-Request-Method", "PUT")
            .header("Access-Control-Request-Headers", "content-type")
    };
    let dead = crate::support::gate(&format!("http://127.0.0.1:{unused_port}"))
        .envs(settings)
        .start()
        .await?;
    for (gate, request, status) in [
        (&gate, Request::get("/data"), 401),
        (&gate, Request::post("/data", "x"), 401),
        (&gate, Request::get("/public/%00"), 400),
        (&dead, signed_in("/data", "ada"), 502),
    ] {
        let answer = gate.send(&from(request.clone(), APP)).await?;
        assert_eq!(answer.status, status);
        for (name, value) in [
            ("access-control-allow-origin", APP),
            ("access-control-allow-credentials", "true"),
            ("vary", "Origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{status} {name}");
        }
        let other = gate.send(&from(request, "https://evil.example")).await?;
        assert_eq!(other.header("access-control-allow-origin"), None);
        assert_eq!(other.header("vary"), Some("Origin"));
    }

    let answer = gate.send(&from(preflight("/data"), APP)).await?;
    assert_eq!(answer.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", APP),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "PUT"),
        ("access-control-allow-headers", "content-type"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let line = gate
        .wait_for_audit(|line| line["reason"] == "preflight_answered")
        .await?;
    assert_eq!(line["outcome"], "allow");
    // Nothing has reached the service yet: neither that preflight nor requests that only look like one.
    let bare = gate
        .send(&from(Request::new("OPTIONS", "/data"), APP))
        .await?;
    assert_eq!(bare.status, 401);
    let other = gate
        .send(&from(preflight("/data"), "https://evil.example"))
        .await?;
    assert_eq!(other.status, 401);
    assert!(echo.seen().is_empty());
    // On a public path, the service answers preflights itself.
    gate.send(&from(preflight("/public/x"), APP)).await?;
    assert_eq!(echo.seen().len(), 1);
    // The gate adds no CORS fields to the service's answers.
    let passed = gate.send(&from(signed_in("/data", "ada"), APP)).await?;
    assert_eq!(passed.header("access-control-allow-origin"), None);
    Ok(())
}

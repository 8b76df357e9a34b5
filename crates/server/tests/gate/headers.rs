//! The identity headers that the upstream receives: from the gate, never from the client.

use anyhow::Result;
use harness::{Mint, Request};

use crate::support::{signed_in, started};

/// Spellings under which some upstream reads an identity header, and identity headers of other proxies.
const FORGED: [&str; 20] = [
    "X-User-Id",
    "x-user-id",
    "X_User_Id",
    "X.User.Id",
    "X-User_Id",
    "X-USER-EMAIL",
    "X_User_Email",
    "X-User-Name",
    "X.User.Name",
    "Remote-User",
    "Remote_User",
    "Remote-Email",
    "X-Forwarded-User",
    "X_Forwarded_User",
    "X-Forwarded-Email",
    "X-Auth-Request-User",
    "X-WebAuth-User",
    "X-authentik-username",
    "X-Pomerium-Jwt-Assertion",
    "X-Middleware-Subrequest",
];

#[tokio::test]
async fn forged_identity_headers_never_reach_the_service() -> Result<()> {
    let (echo, gate) = started([("PUBLIC_PATHS", "/public/")]).await?;
    for (request, user) in [
        (Request::get("/public/x"), None),
        (signed_in("/private", "ada"), Some("ada")),
    ] {
        let forged = FORGED
            .iter()
            .fold(request, |request, name| request.header(name, "forged"));
        assert_eq!(gate.send(&forged).await?.status, 200);
        let seen = echo.seen().pop().expect("the request arrived");
        let forged: Vec<_> = seen
            .headers
            .iter()
            .filter(|(_, value)| value.contains("forged"))
            .collect();
        assert_eq!(forged, [], "on {}", seen.target);
        assert_eq!(
            seen.headers.get("x-user-id").filter(|id| !id.is_empty()),
            user
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_client_cannot_make_the_gate_drop_its_own_headers() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let request = signed_in("/", "ada")
        .header(
            "Connection",
            "keep-alive, X-User-Id, X-Forwarded-For, Host, X-Hop",
        )
        .header("X-Hop", "1")
        .header("Keep-Alive", "timeout=5")
        .header("TE", "trailers")
        .header("Proxy-Authorization", "Basic eDp5");
    assert_eq!(gate.send(&request).await?.status, 200);
    let seen = echo.only();
    assert_eq!(seen.headers.get("x-user-id"), Some("ada"));
    assert_eq!(seen.headers.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(
        seen.headers.get("host"),
        Some(gate.proxy.to_string().as_str())
    );
    for name in ["x-hop", "keep-alive", "te", "proxy-authorization"] {
        assert_eq!(seen.headers.get(name), None, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_value_that_is_invalid_in_a_header_is_percent_encoded() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let zoe = Mint::user("user 1")
        .claim("name", "Zoë Müller")
        .claim("email", "z@example.com\r\nX-Admin: 1");
    assert_eq!(
        gate.send(&Request::get("/").cookie(zoe.authjs()))
            .await?
            .status,
        200
    );
    let seen = echo.only();
    assert_eq!(seen.headers.get("x-user-id"), Some("user 1"));
    assert_eq!(
        seen.headers.get("x-user-name"),
        Some("Zo%C3%AB%20M%C3%BCller")
    );
    assert_eq!(
        seen.headers.get("x-user-email"),
        Some("z%40example.com%0D%0AX-Admin%3A%201")
    );
    assert_eq!(seen.headers.get("x-admin"), None);
    Ok(())
}

#[tokio::test]
async fn forwarding_headers_describe_the_connection_only() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let claims = [
        ("X-Forwarded-For", "6.6.6.6"),
        ("X_Forwarded_For", "6.6.6.6"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Prefix", "/evil"),
        ("Forwarded", "for=6.6.6.6"),
        ("X-Real-IP", "6.6.6.6"),
        ("X-Original-URL", "/admin"),
        ("X-Rewrite-URL", "/admin"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-Request-Id", "evil"),
    ];
    let request = claims
        .iter()
        .fold(signed_in("/", "ada"), |request, (name, value)| {
            request.header(name, *value)
        });
    let answer = gate.send(&request.header("Host", "app.example")).await?;
    assert_eq!(answer.status, 200);
    let seen = echo.only();
    assert_eq!(seen.headers.get("host"), Some("app.example"));
    assert_eq!(seen.headers.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.headers.get("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.headers.get("x-forwarded-host"), Some("app.example"));
    for name in [
        "x_forwarded_for",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "forwarded",
        "x-real-ip",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
    ] {
        assert_eq!(seen.headers.get(name), None, "{name}");
    }
    let id = seen
        .headers
        .get("x-request-id")
        .expect("every request has an id");
    assert_ne!(id, "evil");
    assert_eq!(answer.header("x-request-id"), Some(id));
    Ok(())
}

#[tokio::test]
async fn forwarding_headers_of_a_listed_proxy_are_used() -> Result<()> {
    let (echo, gate) = started([("TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8")]).await?;
    let request = signed_in("/", "ada")
        .header("X-Forwarded-For", "203.0.113.7, 10.1.2.3")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "app.example")
        .header("X-Request-Id", "edge-42");
    let answer = gate.send(&request).await?;
    assert_eq!(answer.header("x-request-id"), Some("edge-42"));
    let seen = echo.only();
    assert_eq!(
        seen.headers.get("x-forwarded-for"),
        Some("203.0.113.7, 10.1.2.3, 127.0.0.1")
    );
    assert_eq!(seen.headers.get("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.headers.get("x-forwarded-host"), Some("app.example"));
    assert_eq!(seen.headers.get("x-request-id"), Some("edge-42"));
    let line = gate
        .wait_for_audit(|line| line["request_id"] == "edge-42")
        .await?;
    assert_eq!(
        (line["client_ip"].as_str(), line["peer_ip"].as_str()),
        (Some("203.0.113.7"), Some("127.0.0.1"))
    );
    Ok(())
}

#[tokio::test]
async fn the_session_cookie_is_forwarded_by_default() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let cookie = format!("theme=dark; {}; lang=en", Mint::user("ada").authjs());
    gate.send(&Request::get("/").cookie(&cookie)).await?;
    assert_eq!(echo.only().headers.get("cookie"), Some(cookie.as_str()));
    Ok(())
}

#[tokio::test]
async fn the_session_alone_can_be_removed_from_forwarded_requests() -> Result<()> {
    let (echo, gate) = started([("FORWARD_SESSION_COOKIE", "false")]).await?;
    let ada = Mint::user("ada");
    for (what, session) in [
        ("plain", ada.authjs()),
        ("in chunks", ada.authjs_chunked(150)),
        ("v4", ada.nextauth()),
    ] {
        let cookie = format!("theme=dark; {session}; authjs.session-token-hint=1; lang=en");
        assert_eq!(
            gate.send(&Request::get("/").cookie(cookie)).await?.status,
            200,
            "{what}"
        );
        let seen = echo.seen().pop().expect("the request arrived");
        let kept = seen.headers.get("cookie").expect("the other cookies stay");
        let kept: Vec<_> = kept.split(';').map(str::trim).collect();
        assert_eq!(
            kept,
            ["theme=dark", "authjs.session-token-hint=1", "lang=en"],
            "{what}"
        );
    }
    let bearer = format!("Bearer {}", ada.authjs_token());
    assert_eq!(
        gate.send(&Request::get("/").header("Authorization", bearer))
            .await?
            .status,
        200
    );
    let seen = echo.seen().pop().expect("the request arrived");
    assert_eq!(
        (
            seen.headers.get("authorization"),
            seen.headers.get("cookie")
        ),
        (None, None)
    );
    Ok(())
}

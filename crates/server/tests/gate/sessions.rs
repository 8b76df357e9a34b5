//! Sessions that open, and sessions that are refused.

use anyhow::{Context, Result};
use harness::{Mint, Request, mint};

use crate::support::{gate, signed_in, started};

#[tokio::test]
async fn sessions_of_every_format_open_and_name_their_user() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let ada = Mint::user("ada")
        .claim("email", "ada@example.com")
        .claim("name", "Ada");
    let big = ada.clone().claim("notes", "x".repeat(9000));
    for (what, request, cred) in [
        (
            "Auth.js v5",
            Request::get("/").cookie(ada.authjs()),
            "authjs5",
        ),
        (
            "Auth.js v5, A256GCM",
            Request::get("/").cookie(ada.authjs_gcm()),
            "authjs5",
        ),
        (
            "Auth.js v5 over HTTPS",
            Request::get("/").cookie(ada.clone().named("__Secure-authjs.session-token").authjs()),
            "authjs5",
        ),
        (
            "Auth.js v5 in chunks",
            Request::get("/").cookie(big.authjs()),
            "authjs5",
        ),
        (
            "NextAuth v4",
            Request::get("/").cookie(ada.nextauth()),
            "nextauth4",
        ),
        (
            "NextAuth v4 over HTTPS",
            Request::get("/").cookie(
                ada.clone()
                    .named("__Secure-next-auth.session-token")
                    .nextauth(),
            ),
            "nextauth4",
        ),
        (
            "NextAuth v4 in chunks",
            Request::get("/").cookie(big.nextauth()),
            "nextauth4",
        ),
        (
            "Auth.js v5 as a bearer",
            Request::get("/").header("Authorization", format!("Bearer {}", ada.authjs_token())),
            "authjs5",
        ),
        (
            "NextAuth v4 as a bearer",
            Request::get("/").header("Authorization", format!("Bearer {}", ada.nextauth_token())),
            "nextauth4",
        ),
    ] {
        let answer = gate.send(&request).await.context(what)?;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let seen = echo
            .seen()
            .pop()
            .context("the request reached the upstream")?;
        assert_eq!(seen.headers.get("x-user-id"), Some("ada"), "{what}");
        assert_eq!(
            seen.headers.get("x-user-email"),
            Some("ada@example.com"),
            "{what}"
        );
        assert_eq!(seen.headers.get("x-user-name"), Some("Ada"), "{what}");
        let id = answer
            .header("x-request-id")
            .context("the answer names the request")?
            .to_owned();
        let line = gate
            .wait_for_audit(|line| line["request_id"] == id.as_str())
            .await?;
        assert_eq!(
            (line["outcome"].as_str(), line["cred"].as_str()),
            (Some("allow"), Some(cred)),
            "{what}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn every_invalid_session_gets_the_same_refusal() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let ada = Mint::user("ada");
    let good = ada.authjs();
    let chunked = ada.authjs_chunked(200);
    let mut bent = good.clone().into_bytes();
    let middle = good.len() / 2;
    bent[middle] = if bent[middle] == b'A' { b'B' } else { b'A' };
    let cases = [
        ("no session", String::from("theme=dark"), "no_credential"),
        ("expired", ada.clone().expiring_in(-60).authjs(), "expired"),
        (
            "without an expiry",
            ada.clone().without("exp").authjs(),
            "missing_expiry",
        ),
        (
            "without a user",
            ada.clone().without("sub").authjs(),
            "missing_subject",
        ),
        (
            "a fraction as the user",
            ada.clone().claim("sub", 7.5).authjs(),
            "",
        ),
        (
            "a line break in the user",
            Mint::user("ada\r\nX-User-Id: root").authjs(),
            "",
        ),
        (
            "from the future",
            ada.clone().issued_ago(-3600).authjs(),
            "issued_in_future",
        ),
        (
            "not yet valid",
            ada.clone().claim("nbf", mint::now() + 3600).authjs(),
            "not_yet_valid",
        ),
        (
            "of another secret",
            ada.clone()
                .secret("another-secret-of-enough-length-3f7a")
                .authjs(),
            "",
        ),
        (
            "of another secret, v4",
            ada.clone()
                .secret("another-secret-of-enough-length-3f7a")
                .nextauth(),
            "",
        ),
        ("one letter changed", String::from_utf8(bent)?, ""),
        ("cut short", good[..good.len() - 1].to_owned(), ""),
        (
            "under the name of the other format",
            good.replace("authjs.", "next-auth."),
            "",
        ),
        ("under the secure name", format!("__Secure-{good}"), ""),
        (
            "a chunk missing",
            chunked.replacen("token.1=", "other.1=", 1),
            "",
        ),
        (
            "a chunk twice",
            format!("{chunked}; {}=x", "authjs.session-token.0"),
            "",
        ),
        (
            "a chunk with a leading zero",
            chunked.replacen("token.1=", "token.01=", 1),
            "",
        ),
        ("plain and chunked", format!("{good}; {chunked}"), ""),
        (
            "twice, differing",
            format!("{good}; {}", Mint::user("eve").authjs()),
            "ambiguous_cookie",
        ),
        ("garbage", String::from("authjs.session-token=garbage"), ""),
        ("nothing", String::from("authjs.session-token="), ""),
        (
            "more than a session can hold",
            format!("authjs.session-token={}", "A".repeat(14_000)),
            "",
        ),
    ];
    let mut faces = Vec::new();
    for (what, cookie, reason) in cases {
        let answer = gate
            .send(&Request::get("/").cookie(cookie))
            .await
            .context(what)?;
        assert_eq!(answer.status, 401, "{what}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{what}");
        let id = answer
            .header("x-request-id")
            .context("the answer names the request")?
            .to_owned();
        faces.push(answer.text().replace(&id, "…"));
        let line = gate
            .wait_for_audit(|line| line["request_id"] == id.as_str())
            .await?;
        assert_eq!(line["outcome"], "deny", "{what}");
        if !reason.is_empty() {
            assert_eq!(line["reason"], reason, "{what}");
        }
    }
    faces.dedup();
    assert_eq!(
        faces.len(),
        1,
        "a stranger learns nothing from the difference: {faces:#?}"
    );
    assert!(echo.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn cookies_with_similar_names_are_ignored() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let cookie = format!(
        "authjs.session-token-hint=x; {}; theme=dark",
        Mint::user("ada").authjs()
    );
    assert_eq!(
        gate.send(&Request::get("/").cookie(cookie)).await?.status,
        200
    );
    assert_eq!(echo.only().headers.get("x-user-id"), Some("ada"));
    Ok(())
}

#[tokio::test]
async fn a_bad_cookie_is_refused_even_beside_a_good_bearer_token() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let bearer = format!("Bearer {}", Mint::user("ada").authjs_token());
    let request = Request::get("/")
        .cookie(Mint::user("ada").expiring_in(-60).authjs())
        .header("Authorization", bearer);
    assert_eq!(gate.send(&request).await?.status, 401);
    assert!(echo.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn sessions_sealed_with_any_rotated_secret_open() -> Result<()> {
    let (old, new) = (
        "the-old-secret-of-the-rotation-8d2",
        "the-new-secret-of-the-rotation-1c9",
    );
    let (_echo, gate) = started([("AUTH_SECRET_1", old), ("AUTH_SECRET_2", new)]).await?;
    for secret in [mint::SECRET, old, new] {
        let request = Request::get("/").cookie(Mint::user("ada").secret(secret).authjs());
        assert_eq!(gate.send(&request).await?.status, 200, "{secret}");
    }
    // NextAuth v4 knows only one secret, so for its sessions the gate uses only the current one.
    for (secret, status) in [(new, 200), (old, 401), (mint::SECRET, 401)] {
        let request = Request::get("/").cookie(Mint::user("ada").secret(secret).nextauth());
        assert_eq!(gate.send(&request).await?.status, status, "v4, {secret}");
    }
    Ok(())
}

#[tokio::test]
async fn secrets_are_read_from_every_variable_name_and_from_files() -> Result<()> {
    let echo = harness::Echo::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{}\n", mint::SECRET))?;
    let file = file.display().to_string();
    for (name, value) in [
        ("AUTH_SECRET", mint::SECRET),
        ("JWT_SECRET", mint::SECRET),
        ("NEXTAUTH_SECRET", mint::SECRET),
        ("AUTH_SECRET_FILE", &file),
        ("JWT_SECRET_FILE", &file),
    ] {
        let gate = gate(&echo.url())
            .without("AUTH_SECRET")
            .env(name, value)
            .start()
            .await
            .context(name)?;
        assert_eq!(
            gate.send(&signed_in("/", "ada")).await?.status,
            200,
            "{name}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_configured_salt_limits_sessions_to_that_cookie_name() -> Result<()> {
    let (_echo, gate) = started([("JWT_SALT", "our.session")]).await?;
    let ours = Request::get("/").cookie(Mint::user("ada").named("our.session").authjs());
    assert_eq!(gate.send(&ours).await?.status, 200);
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn a_session_without_the_required_claims_is_refused() -> Result<()> {
    let demands = [
        ("TOKEN_ISSUER", "https://app.example"),
        ("TOKEN_AUDIENCE", "reports"),
        ("TOKEN_MAX_AGE", "600"),
    ];
    let (_echo, gate) = started(demands).await?;
    let good = Mint::user("ada")
        .claim("iss", "https://app.example")
        .claim("aud", "reports");
    let both = vec!["billing", "reports"];
    for (what, mint, status) in [
        ("all met", good.clone(), 200),
        (
            "one audience of several",
            good.clone().claim("aud", both),
            200,
        ),
        (
            "another issuer",
            good.clone().claim("iss", "https://evil.example"),
            401,
        ),
        ("no issuer", good.clone().without("iss"), 401),
        (
            "another audience",
            good.clone().claim("aud", "billing"),
            401,
        ),
        ("no audience", good.clone().without("aud"), 401),
        ("too old", good.clone().issued_ago(700), 401),
        ("of unknown age", good.clone().without("iat"), 401),
    ] {
        let answer = gate.send(&Request::get("/").cookie(mint.authjs())).await?;
        assert_eq!(answer.status, status, "{what}");
    }
    Ok(())
}

//! The claim that names the user, and sessions that the app signs instead of encrypting them.

use anyhow::{Context, Result};
use harness::interop::{AuthApp, Browser, mint as minted};
use harness::{Echo, Gate, Mint, Request, mint};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{gate, sqlite, started};

/// Returns the user id as which this request enters, or the reason of the refusal.
async fn user_or_reason(
    gate: &Gate,
    echo: &Echo,
    request: Request,
) -> Result<Result<String, String>> {
    let answer = gate.send(&request).await?;
    if answer.status == 200 {
        let seen = echo.seen().pop().context("it reached the upstream")?;
        let id = seen.headers.get("x-user-id").context("an identity")?;
        return Ok(Ok(id.to_owned()));
    }
    assert_eq!(answer.status, 401);
    let id = answer.header("x-request-id").context("an id")?.to_owned();
    let line = gate
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    Ok(Err(line["reason"].as_str().context("a reason")?.to_owned()))
}

fn with_cookies(cookies: impl Into<String>) -> Request {
    Request::get("/").cookie(cookies)
}

#[tokio::test]
async fn a_numeric_subject_becomes_decimal_text() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("users.db");
    let users = "CREATE TABLE users (id integer PRIMARY KEY); INSERT INTO users VALUES (42);";
    sqlite(&file, users).await?;
    let echo = Echo::start().await?;
    let trusting = gate(&echo.url()).start().await?;
    let checking = gate(&echo.url())
        .env("ENABLE_DB_CHECK", "true")
        .env("DATABASE_URL", format!("sqlite://{}", file.display()))
        .start()
        .await?;
    let numbered = |id: Value| Mint::user("x").claim("sub", id);
    for (id, text) in [
        (json!(42), "42"),
        (json!(0), "0"),
        (json!(-42), "-42"),
        (json!(9_007_199_254_740_992_u64), "9007199254740992"),
    ] {
        for cookies in [numbered(id.clone()).authjs(), numbered(id).nextauth()] {
            let entered = user_or_reason(&trusting, &echo, with_cookies(cookies)).await?;
            assert_eq!(entered.as_deref(), Ok(text));
        }
    }
    for id in [
        json!(42.5),
        json!(42.0),
        json!(1e21),
        json!(9_007_199_254_740_993_u64),
        json!(true),
        json!([42]),
    ] {
        let refused = user_or_reason(
            &trusting,
            &echo,
            with_cookies(numbered(id.clone()).authjs()),
        )
        .await?;
        assert_eq!(refused.unwrap_err(), "malformed_claim", "{id}");
    }
    let entered =
        user_or_reason(&checking, &echo, with_cookies(numbered(json!(42)).authjs())).await?;
    assert_eq!(entered.as_deref(), Ok("42"));
    Ok(())
}

#[tokio::test]
async fn a_configured_claim_names_the_user_of_sessions_and_tokens() -> Result<()> {
    let bearer = "bearer-secret-0c2mB7vXq9TzR4sLkW8nYd1JhF5gPa3E";
    let issuer = [
        ("SUBJECT_CLAIM", "id"),
        ("BEARER_SECRET", bearer),
        ("BEARER_ISSUER", "issuer"),
        ("BEARER_AUDIENCE", "api"),
    ];
    let (echo, same) = started(issuer).await?;
    let other = gate(&echo.url())
        .envs(issuer)
        .env("BEARER_SUBJECT_CLAIM", "https://example.com/uid");
    let other = other.start().await?;

    let session = Mint::user("provider-account").claim("id", 42);
    for cookies in [session.authjs(), session.nextauth()] {
        let entered = user_or_reason(&same, &echo, with_cookies(cookies)).await?;
        assert_eq!(entered.as_deref(), Ok("42"));
    }
    let without = Mint::user("provider-account").authjs();
    let refused = user_or_reason(&same, &echo, with_cookies(without)).await?;
    assert_eq!(refused.unwrap_err(), "missing_subject");

    let claims = json!({
        "iss": "issuer", "aud": "api", "sub": "job", "exp": mint::now() + 300,
        "id": "by-id", "https://example.com/uid": 7
    });
    let key = EncodingKey::from_secret(bearer.as_bytes());
    let value = format!("Bearer {}", encode(&Header::default(), &claims, &key)?);
    for (gate, id) in [(&same, "by-id"), (&other, "7")] {
        let request = Request::get("/").header("Authorization", &value);
        assert_eq!(
            user_or_reason(gate, &echo, request).await?.as_deref(),
            Ok(id)
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_subject_claim_that_is_unusable_or_without_effect_is_reported() -> Result<()> {
    let finished = gate("http://127.0.0.1:3000")
        .env("SUBJECT_CLAIM", "exp")
        .env("BEARER_SUBJECT_CLAIM", " id")
        .args(["check-config"])
        .run()
        .await?;
    for line in [
        "SUBJECT_CLAIM: `exp`: this claim does not identify a user",
        "BEARER_SUBJECT_CLAIM: ` id`: spaces before or after the name would be part of it; remove them",
    ] {
        assert!(finished.stderr.contains(line), "{}", finished.stderr);
    }
    let finished = gate("http://127.0.0.1:3000")
        .env("SESSION_FORMAT", "better-auth")
        .env("SUBJECT_CLAIM", "id")
        .env("BEARER_SUBJECT_CLAIM", "id")
        .args(["check-config"])
        .run()
        .await?;
    assert!(finished.status.success(), "{}", finished.stderr);
    let printed = finished.stdout + &finished.stderr;
    for line in [
        "SUBJECT_CLAIM has no effect: sessions of this SESSION_FORMAT always contain the id from the app's user table",
        "BEARER_SUBJECT_CLAIM has no effect without BEARER_SECRET or BEARER_JWKS",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
    Ok(())
}

fn signed(alg: &str, secret: &str, claims: Value) -> Value {
    json!({ "format": "signed", "alg": alg, "secret": secret, "claims": claims, "maxAge": 3600 })
}

#[tokio::test]
async fn sessions_signed_by_the_app_open_if_that_format_is_configured() -> Result<()> {
    let older = "an-older-secret-of-the-same-app-Y2q8Lm4Tz7";
    let (echo, accepts_signed) = started([
        ("SESSION_FORMAT", "authjs-signed"),
        ("AUTH_SECRET_1", older),
    ])
    .await?;
    let unasked = gate(&echo.url()).start().await?;
    let claims = json!({"sub": "ada", "email": "ada@example.com", "name": "Ada"});
    let mut orders = Vec::new();
    for alg in ["HS256", "HS384", "HS512"] {
        orders.extend([mint::SECRET, older].map(|secret| signed(alg, secret, claims.clone())));
    }
    let long = json!({"sub": "ada", "roles": "r".repeat(9000)});
    orders.push(signed("HS256", mint::SECRET, long));
    let tokens = minted(&orders).await?;
    for token in &tokens {
        for name in ["authjs.session-token", "__Secure-next-auth.session-token"] {
            let name = name.parse()?;
            let chunks = session::seal::chunks(&name, token, session::seal::AUTHJS_CHUNK_LEN);
            let pairs: Vec<_> = chunks
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let cookies = pairs.join("; ");
            let entered = user_or_reason(&accepts_signed, &echo, with_cookies(&cookies)).await?;
            assert_eq!(entered.as_deref(), Ok("ada"));
            // A gate without the setting does not accept signed sessions.
            let refused = user_or_reason(&unasked, &echo, with_cookies(&cookies)).await?;
            assert_eq!(refused.unwrap_err(), "malformed_token");
        }
    }
    let value = format!("Bearer {}", tokens[0]);
    let request = Request::get("/").header("Authorization", value);
    let answer = accepts_signed.send(&request).await?;
    assert_eq!(answer.status, 200);
    let id = answer.header("x-request-id").context("an id")?.to_owned();
    let line = accepts_signed
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    assert_eq!(line["user_id"], "ada");
    assert_eq!(line["format"], "authjs-signed");
    assert_eq!(line["cred"], "authjs-signed");
    Ok(())
}

#[tokio::test]
async fn a_user_of_a_real_app_with_signed_sessions_enters() -> Result<()> {
    let (echo, gate) = started([("SESSION_FORMAT", "authjs-signed")]).await?;
    for alg in ["HS256", "HS512"] {
        let app = AuthApp::start_signing(mint::SECRET, alg).await?;
        let mut browser = Browser::new(app.address);
        let csrf = browser.get("/auth/csrf").await?.json()?;
        let token = csrf["csrfToken"].as_str().context("a CSRF token")?;
        let password = AuthApp::PASSWORD.replace(' ', "+");
        let form = format!("csrfToken={token}&username=ada&password={password}");
        browser
            .post_form("/auth/callback/credentials", &form)
            .await?;
        // The app itself accepts its session.
        let whoami = browser.get("/whoami").await?.json()?;
        assert_eq!(whoami["user"]["name"], "ada");
        let entered = user_or_reason(&gate, &echo, with_cookies(browser.cookies())).await?;
        assert_eq!(entered.as_deref(), Ok("user-ada"), "{alg}");
    }
    Ok(())
}

#[tokio::test]
async fn unsigned_or_wrongly_signed_sessions_are_refused() -> Result<()> {
    let (echo, gate) = started([("SESSION_FORMAT", "authjs-signed")]).await?;
    let claims = json!({"sub": "ada"});
    let strange = "another-secret-that-is-long-enough-K8v2Wq5Z";
    let endless = json!({
        "format": "signed", "alg": "HS256", "secret": mint::SECRET, "claims": claims
    });
    let tokens = minted(&[signed("HS256", strange, claims), endless.clone()]).await?;
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.AAAA";
    let rsa = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.AAAA";
    let encrypted = Mint::user("ada").authjs_token();
    for (token, reason) in [
        (&*tokens[0], "rejected_signature"),
        (&*tokens[1], "missing_expiry"),
        (none, "unsupported_algorithm"),
        (rsa, "unsupported_algorithm"),
        (&*encrypted, "malformed_token"),
    ] {
        let cookies = format!("authjs.session-token={token}");
        let refused = user_or_reason(&gate, &echo, with_cookies(cookies)).await?;
        assert_eq!(refused.unwrap_err(), reason);
    }

    let (echo, bounded) = started([
        ("SESSION_FORMAT", "authjs-signed"),
        ("TOKEN_MAX_AGE", "600"),
    ])
    .await?;
    let cookies = format!("authjs.session-token={}", tokens[1]);
    let entered = user_or_reason(&bounded, &echo, with_cookies(cookies)).await?;
    assert_eq!(entered.as_deref(), Ok("ada"));
    Ok(())
}

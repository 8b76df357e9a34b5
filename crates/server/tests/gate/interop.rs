//! The real frameworks issue the sessions; the running gate accepts them.

use anyhow::{Context, Result};
use harness::interop::{self, AuthApp};
use harness::{Client, Echo, Mint, Request, mint};
use serde_json::json;

use crate::support::{gate, started};

#[tokio::test]
async fn sessions_encoded_by_the_frameworks_open() -> Result<()> {
    let rotated = [
        "the-current-secret-of-the-app-71b",
        "the-previous-secret-of-the-app-02d",
    ];
    let claims = json!({ "sub": "ada", "name": "Ada", "email": "ada@example.com" });
    let long = json!({ "sub": "ada", "name": "Ada", "email": "ada@example.com", "notes": "x".repeat(9000) });
    let (plain, secure) = ("authjs.session-token", "__Secure-authjs.session-token");
    let orders = [
        json!({ "format": "authjs5", "secret": mint::SECRET, "salt": plain, "claims": claims }),
        json!({ "format": "authjs5", "secret": mint::SECRET, "salt": secure, "claims": claims }),
        json!({ "format": "authjs5", "secret": rotated, "salt": plain, "claims": claims, "maxAge": 60 }),
        json!({ "format": "authjs5", "secret": rotated[1], "salt": plain, "claims": claims }),
        json!({ "format": "authjs5", "secret": mint::SECRET, "salt": plain, "claims": long }),
        json!({ "format": "nextauth4", "secret": rotated[0], "claims": claims }),
        json!({ "format": "nextauth4", "secret": rotated[0], "claims": long }),
    ];
    let cookies = [
        plain,
        secure,
        plain,
        plain,
        plain,
        "next-auth.session-token",
        "__Secure-next-auth.session-token",
    ];
    let tokens = interop::mint(&orders).await?;
    assert_eq!(tokens.len(), orders.len());

    let (echo, gate) =
        started([("AUTH_SECRET_2", rotated[0]), ("AUTH_SECRET_1", rotated[1])]).await?;
    for ((order, token), cookie) in orders.iter().zip(&tokens).zip(cookies) {
        let chunk = if cookie.contains("next-auth") {
            3933
        } else {
            3936
        };
        let header = match token.len() <= chunk {
            true => format!("{cookie}={token}"),
            false => chunks(cookie, token, chunk),
        };
        for request in [
            Request::get("/").cookie(header),
            Request::get("/").header("Authorization", format!("Bearer {token}")),
        ] {
            // A token sealed for the secure name opens as a bearer too, since both names are recognized.
            assert_eq!(gate.send(&request).await?.status, 200, "{order}");
            let seen = echo.seen().pop().context("it reached the upstream")?;
            assert_eq!(seen.headers.get("x-user-id"), Some("ada"), "{order}");
            assert_eq!(
                seen.headers.get("x-user-email"),
                Some("ada@example.com"),
                "{order}"
            );
        }
    }
    Ok(())
}

fn chunks(cookie: &str, token: &str, length: usize) -> String {
    let pieces = token.as_bytes().chunks(length).enumerate();
    let pieces =
        pieces.map(|(index, piece)| format!("{cookie}.{index}={}", String::from_utf8_lossy(piece)));
    pieces.collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn framework_sessions_with_another_secret_or_expired_are_refused() -> Result<()> {
    let (plain, claims) = ("authjs.session-token", json!({ "sub": "ada" }));
    let other = "another-secret-of-enough-length-3f7a";
    let tokens = interop::mint(&[
        json!({ "format": "authjs5", "secret": other, "salt": plain, "claims": claims }),
        json!({ "format": "authjs5", "secret": mint::SECRET, "salt": plain, "claims": claims, "maxAge": -60 }),
        json!({ "format": "authjs5", "secret": mint::SECRET, "salt": "authjs.pkce.code_verifier", "claims": claims }),
    ])
    .await?;
    let (echo, gate) = started([]).await?;
    for token in tokens {
        assert_eq!(
            gate.send(&Request::get("/").cookie(format!("{plain}={token}")))
                .await?
                .status,
            401
        );
    }
    assert!(echo.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_user_signed_in_to_a_real_app_enters() -> Result<()> {
    let app = AuthApp::start(mint::SECRET).await?;
    let mut browser = Client::connect(app.address).await?;
    let csrf = browser.get("/auth/csrf").await?;
    let token = csrf.json()?["csrfToken"]
        .as_str()
        .context("a CSRF token")?
        .to_owned();
    let form = format!(
        "csrfToken={token}&username=ada&password={}",
        AuthApp::PASSWORD.replace(' ', "+")
    );
    let request = Request::post("/auth/callback/credentials", form)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .cookie(cookies(&csrf.headers));
    let signed_in = browser.send(&request).await?;
    assert_eq!(signed_in.status, 302, "{}", signed_in.text());
    let session = cookies(&signed_in.headers);
    assert!(session.contains("authjs.session-token="), "{session}");

    let echo = Echo::start().await?;
    let gate = gate(&echo.url()).start().await?;
    assert_eq!(
        gate.send(&Request::get("/").cookie(&session)).await?.status,
        200
    );
    let seen = echo.only();
    assert_eq!(seen.headers.get("x-user-id"), Some("user-ada"));
    assert_eq!(seen.headers.get("x-user-email"), Some("ada@example.com"));
    Ok(())
}

#[tokio::test]
async fn the_real_app_accepts_sessions_made_by_mint() -> Result<()> {
    let app = AuthApp::start(mint::SECRET).await?;
    let gate = gate(&format!("http://{}", app.address))
        .env("PUBLIC_PATHS", "/auth/")
        .start()
        .await?;
    assert_eq!(gate.send(&Request::get("/whoami")).await?.status, 401);
    assert_eq!(gate.send(&Request::get("/auth/csrf")).await?.status, 200);
    let ada = Mint::user("user-ada")
        .claim("name", "Ada")
        .claim("email", "ada@example.com");
    let answer = gate
        .send(&Request::get("/whoami").cookie(ada.authjs()))
        .await?;
    assert_eq!(
        answer.json()?["user"]["email"],
        "ada@example.com",
        "{}",
        answer.text()
    );
    Ok(())
}

/// Returns the cookies that a browser would send back.
fn cookies(headers: &harness::Headers) -> String {
    let set = headers.all("set-cookie");
    let pairs: Vec<_> = set
        .iter()
        .filter_map(|cookie| cookie.split(';').next())
        .collect();
    pairs.join("; ")
}

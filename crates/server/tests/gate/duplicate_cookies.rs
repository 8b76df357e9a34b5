//! Several session cookies in one browser: with the same name, and of several frameworks.

use anyhow::Result;
use harness::interop::BetterAuth;
use harness::{Echo, Gate, Mint, Request};
use serde_json::{Value, json};
use session::{Secret, UnixTime, seal};

use crate::support::{gate, sqlite, started};

/// Returns the status of a request with these cookies, and the name of the user as whom it entered.
async fn status_and_user(gate: &Gate, echo: &Echo, cookies: &str) -> Result<(u16, String)> {
    let status = gate.send(&Request::get("/").cookie(cookies)).await?.status;
    let seen = echo.seen().pop().filter(|_| status == 200);
    let name = seen.and_then(|seen| seen.headers.get("x-user-name").map(str::to_owned));
    Ok((status, name.unwrap_or_default()))
}

/// Returns the reason for which a request with these cookies is refused.
async fn reason(gate: &Gate, cookies: &str) -> Result<Value> {
    let answer = gate.send(&Request::get("/").cookie(cookies)).await?;
    let id = answer.header("x-request-id").unwrap_or_default().to_owned();
    let line = gate
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    Ok(line["reason"].clone())
}

fn named(user: &str, name: &str, issued_ago: i64) -> Mint {
    Mint::user(user).claim("name", name).issued_ago(issued_ago)
}

#[tokio::test]
async fn the_newest_of_two_sessions_of_one_user_is_used() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let (old, new) = (named("ada", "old", 600), named("ada", "new", 60));
    for (first, second) in [(&old, &new), (&new, &old)] {
        let entered_as = |name: &str| (200, name.to_owned());
        let both = format!("{}; {}", first.authjs(), second.authjs());
        assert_eq!(
            status_and_user(&gate, &echo, &both).await?,
            entered_as("new")
        );
        let chunked = format!(
            "{}; {}",
            first.authjs_chunked(120),
            second.authjs_chunked(90)
        );
        assert_eq!(
            status_and_user(&gate, &echo, &chunked).await?,
            entered_as("new")
        );
    }
    Ok(())
}

#[tokio::test]
async fn invalid_cookies_beside_a_valid_session_are_ignored() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let good = named("ada", "good", 60).authjs();
    let ended = Mint::user("ada").expiring_in(-60).authjs();
    let foreign = Mint::user("bob")
        .secret("another-secret-of-another-app-0123456789")
        .authjs();
    for other in [
        "authjs.session-token=",
        "authjs.session-token=junk",
        &ended,
        &foreign,
        &format!("{ended}; {foreign}; authjs.session-token="),
    ] {
        for cookies in [format!("{other}; {good}"), format!("{good}; {other}")] {
            let status_and_user = status_and_user(&gate, &echo, &cookies).await?;
            assert_eq!(status_and_user, (200, "good".to_owned()), "{other}");
        }
    }
    assert_eq!(
        reason(&gate, &format!("{ended}; {foreign}")).await?,
        "expired"
    );
    Ok(())
}

#[tokio::test]
async fn sessions_of_two_users_or_more_than_four_values_are_ambiguous() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let (ada, bob) = (Mint::user("ada").authjs(), Mint::user("bob").authjs());
    assert_eq!(
        reason(&gate, &format!("{ada}; {bob}")).await?,
        "ambiguous_cookie"
    );
    let many = |count| -> String {
        (0..count)
            .map(|n| format!("authjs.session-token=x{n}; "))
            .collect()
    };
    assert_eq!(
        status_and_user(&gate, &echo, &(many(3) + &ada)).await?.0,
        200
    );
    assert_eq!(
        status_and_user(&gate, &echo, &(many(4) + &ada)).await?.0,
        401
    );
    assert_eq!(reason(&gate, &(many(4) + &ada)).await?, "ambiguous_cookie");
    Ok(())
}

/// Returns Better Auth's token and cookie cache, as a stateless application sets them.
fn better_auth(user: &str) -> String {
    let secret = Secret::new(BetterAuth::SECRET);
    let token = "mWDgQ6D0uEGUhaKnhr3ShAc8oBX5gWti";
    let cached = json!({
        "session": {"id": "s", "token": token, "userId": user, "expiresAt": "2100-01-01T00:00:00.000Z"},
        "user": {"id": user, "email": "ada@example.com", "name": "better"},
        "updatedAt": 1, "version": "1",
    });
    let end = UnixTime::from_secs(4_000_000_000);
    let cached = seal::better_auth_compact(&secret, cached.as_object().expect("an object"), end);
    format!(
        "better-auth.session_token={}; better-auth.session_data={cached}",
        seal::better_auth_token(&secret, token)
    )
}

#[tokio::test]
async fn a_stale_cookie_of_one_framework_does_not_hide_a_good_one_of_another() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(&echo.url()).env("BETTER_AUTH_SECRET", BetterAuth::SECRET);
    let gate = gate.start().await?;
    let good = better_auth("ada");
    for stale in [
        Mint::user("ada").expiring_in(-60).authjs(),
        Mint::user("ada").expiring_in(-60).nextauth(),
        Mint::user("bob")
            .secret("another-secret-of-another-app-0123456789")
            .authjs(),
        "authjs.session-token.3=junk".to_owned(),
        "__Secure-authjs.session-token=; next-auth.session-token=junk".to_owned(),
    ] {
        let status_and_user = status_and_user(&gate, &echo, &format!("{stale}; {good}")).await?;
        assert_eq!(status_and_user, (200, "better".to_owned()), "{stale}");
    }
    // The other way round: here the stale cookie could only be looked up.
    let stale = better_auth("ada").replace("session_data", "other_data");
    let both = format!("{stale}; {}", named("ada", "auth", 60).authjs());
    assert_eq!(
        status_and_user(&gate, &echo, &both).await?,
        (200, "auth".to_owned())
    );
    let old = Mint::user("ada")
        .named("__Secure-authjs.session-token")
        .expiring_in(-60)
        .authjs();
    let both = format!("{old}; {}", named("ada", "plain", 60).authjs());
    assert_eq!(
        status_and_user(&gate, &echo, &both).await?,
        (200, "plain".to_owned())
    );
    Ok(())
}

#[tokio::test]
async fn each_of_several_session_tokens_is_looked_up() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.db");
    let tables = r#"
        CREATE TABLE users (id text PRIMARY KEY, name text, email text);
        CREATE TABLE sessions (sessionToken text UNIQUE, userId text, expires integer);
        INSERT INTO users VALUES ('ada', 'Ada', 'ada@example.com'), ('bob', 'Bob', 'bob@example.com');
        INSERT INTO sessions VALUES ('old', 'ada', 4000000000000), ('new', 'ada', 4100000000000),
            ('ended', 'ada', 1000), ('bobs', 'bob', 4000000000000);
    "#;
    sqlite(&file, tables).await?;
    let echo = Echo::start().await?;
    let gate = gate(&echo.url())
        .env("SESSION_FORMAT", "authjs-database")
        .env("DATABASE_URL", format!("sqlite://{}", file.display()))
        .start()
        .await?;
    let cookies = |tokens: &[&str]| {
        let pairs = tokens
            .iter()
            .map(|token| format!("authjs.session-token={token}"));
        pairs.collect::<Vec<_>>().join("; ")
    };
    for (tokens, status, name) in [
        (&["new"][..], 200, "Ada"),
        (&["gone", "new"], 200, "Ada"),
        (&["new", "ended", "gone"], 200, "Ada"),
        (&["old", "new"], 200, "Ada"),
        (&["ended", "gone"], 401, ""),
        (&["new", "bobs"], 401, ""),
    ] {
        let status_and_user = status_and_user(&gate, &echo, &cookies(tokens)).await?;
        assert_eq!(status_and_user, (status, name.to_owned()), "{tokens:?}");
    }
    assert_eq!(
        reason(&gate, &cookies(&["new", "bobs"])).await?,
        "ambiguous_cookie"
    );
    assert_eq!(
        reason(&gate, &cookies(&["ended", "gone"])).await?,
        "expired"
    );
    Ok(())
}

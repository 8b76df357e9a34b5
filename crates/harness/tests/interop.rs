//! Tests that the real apps sign users in and out, in every way in which the gate is tested against them.

use anyhow::Result;
use harness::interop::{BetterAuth, DatabaseApp, SignedIn};
use harness::{Postgres, Redis, mint};
use serde_json::Value;

#[tokio::test]
async fn better_auth_keeps_sessions_in_postgres_and_caches_them_in_cookies() -> Result<()> {
    let postgres = Postgres::start().await?;
    let url = postgres.url(Postgres::DATABASE);
    for strategy in ["", "compact", "jwt", "jwe"] {
        let app = BetterAuth::start([
            ("BETTER_AUTH_SECRET", BetterAuth::SECRET),
            ("DATABASE_URL", &url),
            ("CACHE_STRATEGY", strategy),
        ])
        .await?;
        let mut user = app.sign_up(&format!("Ada{strategy}")).await?;
        let cookies = user.browser.cookies();
        let cached = cookies.contains("better-auth.session_data=");
        assert_eq!(cached, !strategy.is_empty(), "{cookies}");
        assert_eq!(app.session(&cookies).await?["user"]["id"], user.id.as_str());
        let count = format!(
            "SELECT count(*) FROM session WHERE \"userId\" = '{}'",
            user.id
        );
        assert_eq!(postgres.execute(&count).await?, "1");
        app.sign_out(&mut user).await?;
        assert_eq!(user.browser.cookies(), "");
        assert_eq!(postgres.execute(&count).await?, "0");
        // A copy of the cookies outlives the sign-out for as long as the cache does.
        assert_eq!(app.session(&cookies).await?.is_object(), cached);

        let mut again = app.sign_in(&user.name).await?;
        assert_eq!(again.id, user.id);
        app.delete_user(&mut again).await?;
        assert!(app.sign_in(&user.name).await.is_err());
    }
    Ok(())
}

#[tokio::test]
async fn better_auth_chunks_long_sessions() -> Result<()> {
    for strategy in ["compact", "jwt", "jwe"] {
        let app = BetterAuth::start([
            ("BETTER_AUTH_SECRET", BetterAuth::SECRET),
            ("CACHE_STRATEGY", strategy),
        ])
        .await?;
        let user = app.sign_up_with_notes("Ada", &"x".repeat(9000)).await?;
        let cookies = user.browser.cookies();
        assert!(
            cookies.contains("better-auth.session_data.2="),
            "{strategy}"
        );
        assert_eq!(app.session(&cookies).await?["user"]["id"], user.id.as_str());
    }
    Ok(())
}

#[tokio::test]
async fn better_auth_names_its_cookies_as_configured() -> Result<()> {
    for (setting, value, name) in [
        ("COOKIE_PREFIX", "shop", "shop.session_token"),
        (
            "SECURE_COOKIES",
            "true",
            "__Secure-better-auth.session_token",
        ),
        ("SESSION_COOKIE", "sid", "sid"),
    ] {
        let secret = ("BETTER_AUTH_SECRET", BetterAuth::SECRET);
        let app = BetterAuth::start([secret, (setting, value)]).await?;
        let user = app.sign_up("Ada").await?;
        assert!(user.browser.cookie(name).is_some(), "{:?}", user.browser);
        assert!(app.session(&user.browser.cookies()).await?.is_object());
    }
    Ok(())
}

#[tokio::test]
async fn better_auth_keeps_sessions_in_redis() -> Result<()> {
    let (redis, postgres) = (Redis::start().await?, Postgres::start().await?);
    let (url, redis_url) = (postgres.url(Postgres::DATABASE), redis.url());
    // `false` comes first, because then there is no table of sessions yet.
    for in_database in ["false", "true"] {
        let app = BetterAuth::start([
            ("BETTER_AUTH_SECRET", BetterAuth::SECRET),
            ("DATABASE_URL", &url),
            ("REDIS_URL", &redis_url),
            ("STORE_IN_DATABASE", in_database),
        ])
        .await?;
        let mut user = app.sign_up(&format!("Ada-{in_database}")).await?;
        let key = redis_key(&app, &user).await?;
        assert!(redis.cli(["GET", &key]).await?.contains(&user.id));
        let rows = postgres.execute("SELECT count(*) FROM session").await;
        match in_database {
            "true" => assert_eq!(rows?, "1"),
            _ => assert!(rows.is_err(), "{rows:?}"),
        }
        let cookies = user.browser.cookies();
        app.sign_out(&mut user).await?;
        assert_eq!(redis.cli(["EXISTS", &key]).await?, "0");
        assert_eq!(app.session(&cookies).await?, Value::Null);

        let mut user = app.sign_in(&user.name).await?;
        let (cookies, key) = (user.browser.cookies(), redis_key(&app, &user).await?);
        let session = redis.cli(["GET", &key]).await?;
        app.revoke_sessions(&mut user).await?;
        let marker = format!("better-auth:revoked-sessions-before-{}", user.id);
        assert_eq!(redis.cli(["EXISTS", &marker]).await?, "1");
        // A write that was in flight when the sessions were revoked does not bring one back.
        redis.cli(["SET", &key, &session]).await?;
        assert_eq!(app.session(&cookies).await?, Value::Null);
        redis.cli(["DEL", &marker]).await?;
        assert!(app.session(&cookies).await?.is_object());
    }
    Ok(())
}

async fn redis_key(app: &BetterAuth, user: &SignedIn) -> Result<String> {
    let session = app.session(&user.browser.cookies()).await?;
    let token = session["session"]["token"].as_str();
    Ok(format!("better-auth:{}", token.unwrap_or_default()))
}

#[tokio::test]
async fn better_auth_opens_only_sealed_caches_under_an_earlier_secret() -> Result<()> {
    let postgres = Postgres::start().await?;
    let url = postgres.url(Postgres::DATABASE);
    let (old, new) = (
        "old-better-auth-secret-9fK2mX7qLw4Rz1Tb",
        "new-better-auth-secret-3hP8vN5yQs6Jd0Gc",
    );
    let database = ("DATABASE_URL", url.as_str());
    for strategy in ["compact", "jwt", "jwe"] {
        let cache = ("CACHE_STRATEGY", strategy);
        let app = BetterAuth::start([("BETTER_AUTH_SECRET", old), database, cache]).await?;
        let user = app.sign_up(&format!("Ada{strategy}")).await?;
        let cookies = user.browser.cookies();
        let session = app.session(&cookies).await?;
        drop(app);

        let secrets = format!("2:{new},1:{old}");
        let app = BetterAuth::start([("BETTER_AUTH_SECRETS", &*secrets), database, cache]).await?;
        // Only the current secret verifies the signature of the token, so every user is signed out.
        assert_eq!(app.session(&cookies).await?, Value::Null, "{strategy}");

        // Without a row, only the cache vouches for the session.
        postgres.execute("DELETE FROM session").await?;
        let token = session["session"]["token"].as_str().expect("a token");
        let signed = BetterAuth::signed(new, token).await?;
        let data = user.browser.cookie("better-auth.session_data");
        let data = data.expect("a cached session");
        let cookies =
            format!("better-auth.session_token={signed}; better-auth.session_data={data}");
        let opened = app.session(&cookies).await?.is_object();
        assert_eq!(opened, strategy == "jwe", "{strategy}");
    }
    Ok(())
}

#[tokio::test]
async fn auth_js_keeps_sessions_in_postgres() -> Result<()> {
    let postgres = Postgres::start().await?;
    let url = postgres.url(Postgres::DATABASE);
    for (secure, name) in [
        ("false", "authjs.session-token"),
        ("true", "__Secure-authjs.session-token"),
    ] {
        let app = DatabaseApp::start(mint::SECRET, &url, [("SECURE_COOKIES", secure)]).await?;
        let mut user = app.sign_in("ada").await?;
        assert_eq!(
            (user.name.as_str(), user.email.as_str()),
            ("ada", "ada@example.com")
        );
        let token = user.browser.cookie(name).expect("a session").to_owned();
        let row = format!("SELECT \"userId\" FROM sessions WHERE \"sessionToken\" = '{token}'");
        assert_eq!(postgres.execute(&row).await?, user.id);

        let cookies = user.browser.cookies();
        app.sign_out(&mut user).await?;
        assert_eq!(user.browser.cookie(name), None);
        assert_eq!(postgres.execute(&row).await?, "");
        assert_eq!(app.session(&cookies).await?, Value::Null);
    }
    Ok(())
}

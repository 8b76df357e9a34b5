//! A real Better Auth server signs users in and out; the running gate permits and refuses their requests.

mod secondary_storage;

use anyhow::{Context, Result};
use harness::interop::{BetterAuth, SignedIn};
use harness::{CutProxy, Echo, GateCommand, Postgres, Redis, poll};
use serde_json::Value;

use crate::support::{BETTER_AUTH_SECRET, better_auth, cached_in, enters, status};

const STRATEGIES: [&str; 3] = ["compact", "jwt", "jwe"];
/// The format in the audit log of a session that the gate looked up, because no cookie cache contained it.
const LOOKED_UP: &str = "better-auth-signed-token";

/// A database and an upstream.
struct World {
    postgres: Postgres,
    url: String,
    echo: Echo,
}

impl World {
    async fn start() -> Result<Self> {
        let postgres = Postgres::start().await?;
        Ok(Self {
            url: postgres.url(Postgres::DATABASE),
            postgres,
            echo: Echo::start().await?,
        })
    }

    /// Starts a server that keeps its users, and unless `settings` say otherwise its sessions, in the database.
    async fn app<const N: usize>(&self, settings: [(&str, &str); N]) -> Result<BetterAuth> {
        let stated = [BETTER_AUTH_SECRET, ("DATABASE_URL", self.url.as_str())];
        BetterAuth::start(stated.into_iter().chain(settings)).await
    }

    /// Returns the command of a gate that looks sessions up in the database and caches nothing.
    fn gate(&self) -> GateCommand {
        better_auth(&self.echo).env("DATABASE_URL", &self.url)
    }
}

/// Returns the token under which the server keeps the user's session.
async fn token(app: &BetterAuth, user: &SignedIn) -> Result<String> {
    let session = app.session(&user.browser.cookies()).await?;
    let token = session["session"]["token"].as_str();
    Ok(token.context("signed in")?.to_owned())
}

fn format(strategy: &str) -> String {
    format!("better-auth-{strategy}")
}

#[tokio::test]
async fn a_better_auth_user_enters_by_token_or_cookie_cache_until_sign_out() -> Result<()> {
    let world = World::start().await?;
    let trusting = world.gate().start().await?;
    let checking = world
        .gate()
        .env("TRUST_COOKIE_CACHE", "false")
        .start()
        .await?;
    for strategy in ["", "compact", "jwt", "jwe"] {
        let app = world.app([("CACHE_STRATEGY", strategy)]).await?;
        let mut user = app.sign_up(&format!("Ada-{strategy}")).await?;
        let cookies = user.browser.cookies();

        let line = enters(&trusting, &world.echo, &cookies, &user).await?;
        assert_eq!(line["cred"], "better-auth");
        if strategy.is_empty() {
            assert_eq!(line["format"], LOOKED_UP);
            assert_eq!(line["session_check"], "postgres");
        } else {
            assert_eq!(line["format"], format(strategy));
        }
        let line = enters(&checking, &world.echo, &cookies, &user).await?;
        assert_eq!(line["format"], LOOKED_UP, "{strategy}");
        assert_eq!(line["session_check"], "postgres", "{strategy}");

        app.sign_out(&mut user).await?;
        assert_eq!(status(&checking, &cookies).await?, 401, "{strategy}");
        // The server also accepts a copy of the cookies for as long as the cookie cache is valid.
        let cached = app.session(&cookies).await?.is_object();
        let outlives = if cached { 200 } else { 401 };
        assert_eq!(status(&trusting, &cookies).await?, outlives, "{strategy}");
    }
    Ok(())
}

#[tokio::test]
async fn only_the_configured_cache_strategy_is_trusted() -> Result<()> {
    let world = World::start().await?;
    let mut users = Vec::new();
    for strategy in STRATEGIES {
        let app = world.app([("CACHE_STRATEGY", strategy)]).await?;
        users.push((strategy, app.sign_up(&format!("Ada-{strategy}")).await?));
    }
    for wanted in STRATEGIES {
        let gate = world.gate().env("BETTER_AUTH_CACHE_STRATEGY", wanted);
        let gate = gate.start().await?;
        for (strategy, user) in &users {
            let line = enters(&gate, &world.echo, &user.browser.cookies(), user).await?;
            let trusted = format(strategy);
            let expected = if *strategy == wanted {
                &trusted
            } else {
                LOOKED_UP
            };
            assert_eq!(line["format"], expected, "{wanted}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn cookies_are_found_under_the_names_configured_in_better_auth() -> Result<()> {
    let world = World::start().await?;
    let usual = world.gate().start().await?;
    for (setting, value, gate_setting) in [
        ("SECURE_COOKIES", "true", None),
        ("COOKIE_PREFIX", "shop", Some("BETTER_AUTH_COOKIE_PREFIX")),
        ("SESSION_COOKIE", "sid", Some("AUTH_COOKIE_NAME")),
    ] {
        let configured = match gate_setting {
            Some(name) => Some(world.gate().env(name, value).start().await?),
            None => None,
        };
        let gate = configured.as_ref().unwrap_or(&usual);
        for strategy in ["", "jwe"] {
            let app = world
                .app([(setting, value), ("CACHE_STRATEGY", strategy)])
                .await?;
            let user = app.sign_up(&format!("Ada-{value}-{strategy}")).await?;
            let cookies = user.browser.cookies();
            let line = enters(gate, &world.echo, &cookies, &user).await?;
            if strategy.is_empty() {
                assert_eq!(line["format"], LOOKED_UP, "{cookies}");
            }
            if configured.is_some() {
                assert_eq!(status(&usual, &cookies).await?, 401, "{cookies}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn without_any_store_the_cookie_cache_is_the_session() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = better_auth(&echo).start().await?;
    // The default of Better Auth without a database.
    let app = BetterAuth::start([BETTER_AUTH_SECRET]).await?;
    let user = app.sign_up("Ada").await?;
    let line = enters(&gate, &echo, &user.browser.cookies(), &user).await?;
    assert_eq!(line["format"], "better-auth-jwe");

    let cookie = |name: &str| {
        let value = user.browser.cookie(name).unwrap_or_default();
        format!("{name}={value}")
    };
    let (token, data) = (
        cookie("better-auth.session_token"),
        cookie("better-auth.session_data"),
    );
    for alone in [&token, &data] {
        assert_eq!(status(&gate, alone).await?, 401, "{alone}");
    }
    let (rest, last) = data.split_at(data.len() - 1);
    let other = if last == "A" { "Q" } else { "A" };
    let forged = format!("{token}; {rest}{other}");
    assert_eq!(status(&gate, &forged).await?, 401);
    Ok(())
}

#[tokio::test]
async fn long_sessions_in_chunked_cookies_open() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = better_auth(&echo).start().await?;
    for strategy in STRATEGIES {
        for (setting, value, prefix) in [
            ("COOKIE_PREFIX", "better-auth", ""),
            ("SECURE_COOKIES", "true", "__Secure-"),
        ] {
            let cache = ("CACHE_STRATEGY", strategy);
            let app = BetterAuth::start([BETTER_AUTH_SECRET, cache, (setting, value)]).await?;
            let user = app.sign_up_with_notes("Ada", &"x".repeat(9000)).await?;
            let cookies = user.browser.cookies();
            let last = format!("{prefix}better-auth.session_data.2=");
            assert!(cookies.contains(&last), "{strategy}");
            let line = enters(&gate, &echo, &cookies, &user).await?;
            assert_eq!(line["format"], format(strategy));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_stale_cookie_cache_causes_a_database_lookup() -> Result<()> {
    let world = World::start().await?;
    let gate = world.gate().start().await?;
    for strategy in STRATEGIES {
        let app = world
            .app([("CACHE_STRATEGY", strategy), ("CACHE_MAX_AGE", "1")])
            .await?;
        let mut user = app.sign_up(&format!("Ada-{strategy}")).await?;
        let cookies = user.browser.cookies();
        let line = poll("the cache to grow stale", async || {
            let line = enters(&gate, &world.echo, &cookies, &user).await;
            line.map(|line| (line["format"] == LOOKED_UP).then_some(line))
                .transpose()
        })
        .await??;
        assert_eq!(line["session_check"], "postgres");
        app.sign_out(&mut user).await?;
        assert_eq!(status(&gate, &cookies).await?, 401, "{strategy}");
    }
    Ok(())
}

#[tokio::test]
async fn a_cookie_cache_of_another_version_causes_a_database_lookup() -> Result<()> {
    let world = World::start().await?;
    let (first, second) = (
        world.gate().start().await?,
        world
            .gate()
            .env("BETTER_AUTH_CACHE_VERSION", "2")
            .start()
            .await?,
    );
    for strategy in STRATEGIES {
        let app = world
            .app([("CACHE_STRATEGY", strategy), ("CACHE_VERSION", "2")])
            .await?;
        let user = app.sign_up(&format!("Ada-{strategy}")).await?;
        let cookies = user.browser.cookies();
        let line = enters(&first, &world.echo, &cookies, &user).await?;
        assert_eq!(line["format"], LOOKED_UP);
        let line = enters(&second, &world.echo, &cookies, &user).await?;
        assert_eq!(line["format"], format(strategy));
    }
    Ok(())
}

#[tokio::test]
async fn rotated_secrets_open_the_same_sessions_as_better_auth() -> Result<()> {
    let world = World::start().await?;
    let (old, new) = (
        BetterAuth::SECRET,
        "better-auth-rotated-secret-3hP8vN5yQs6Jd0Gc",
    );
    let secrets = format!("2:{new},1:{old}");
    let rotated = world
        .gate()
        .without("BETTER_AUTH_SECRET")
        .env("BETTER_AUTH_SECRETS", &secrets)
        .start()
        .await?;
    for strategy in STRATEGIES {
        let app = world.app([("CACHE_STRATEGY", strategy)]).await?;
        let user = app.sign_up(&format!("Ada-{strategy}")).await?;
        let (cookies, token) = (user.browser.cookies(), token(&app, &user).await?);
        drop(app);

        let app = BetterAuth::start([
            ("BETTER_AUTH_SECRETS", secrets.as_str()),
            ("DATABASE_URL", &world.url),
            ("CACHE_STRATEGY", strategy),
        ])
        .await?;
        let again = app.sign_in(&user.name).await?;
        let line = enters(&rotated, &world.echo, &again.browser.cookies(), &again).await?;
        assert_eq!(line["format"], format(strategy));

        // Only tokens signed with the current secret are valid: users who signed in before must do so again.
        assert_eq!(app.session(&cookies).await?, Value::Null);
        assert_eq!(status(&rotated, &cookies).await?, 401);

        // Beside a newly signed token, an earlier cache is valid if it is encrypted. There is no row to fall back on.
        world.postgres.execute("DELETE FROM session").await?;
        let signed = BetterAuth::signed(new, &token).await?;
        let data = user.browser.cookie("better-auth.session_data");
        let data = data.context("a cached session")?;
        let cookies =
            format!("better-auth.session_token={signed}; better-auth.session_data={data}");
        if strategy == "jwe" {
            assert!(app.session(&cookies).await?.is_object());
            let line = enters(&rotated, &world.echo, &cookies, &user).await?;
            assert_eq!(line["format"], "better-auth-jwe");
        } else {
            assert_eq!(app.session(&cookies).await?, Value::Null);
            assert_eq!(status(&rotated, &cookies).await?, 401, "{strategy}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_deleted_or_expired_session_is_refused() -> Result<()> {
    let world = World::start().await?;
    let gate = world.gate().start().await?;
    let app = world.app([]).await?;
    let mut by_themselves = app.sign_up("Ada").await?;
    let by_hand = app.sign_up("Eve").await?;
    let run_out = app.sign_up("Bob").await?;
    for user in [&by_themselves, &by_hand, &run_out] {
        enters(&gate, &world.echo, &user.browser.cookies(), user).await?;
    }
    let cookies = by_themselves.browser.cookies();
    app.delete_user(&mut by_themselves).await?;
    assert_eq!(status(&gate, &cookies).await?, 401);

    let delete = format!("DELETE FROM \"user\" WHERE id = '{}'", by_hand.id);
    world.postgres.execute(&delete).await?;
    let cookies = by_hand.browser.cookies();
    assert_eq!(status(&gate, &cookies).await?, 401);

    let expire = "UPDATE session SET \"expiresAt\" = now() - interval '1 second'";
    world.postgres.execute(expire).await?;
    let cookies = run_out.browser.cookies();
    assert_eq!(status(&gate, &cookies).await?, 401);
    Ok(())
}

#[tokio::test]
async fn the_user_of_a_cached_session_is_checked_if_the_user_check_is_on() -> Result<()> {
    let world = World::start().await?;
    let gate = world
        .gate()
        .env("ENABLE_DB_CHECK", "true")
        .env("USER_TABLE", "user")
        .start()
        .await?;
    let app = world.app([("CACHE_STRATEGY", "jwe")]).await?;
    let user = app.sign_up("Ada").await?;
    let cookies = user.browser.cookies();
    let line = enters(&gate, &world.echo, &cookies, &user).await?;
    assert_eq!(line["format"], "better-auth-jwe");
    assert_eq!(line["user_check"], "postgres");
    world.postgres.execute("DELETE FROM \"user\"").await?;
    assert_eq!(status(&gate, &cookies).await?, 403);
    Ok(())
}

#[tokio::test]
async fn a_forged_token_is_refused_and_a_forged_cache_ignored() -> Result<()> {
    let world = World::start().await?;
    let gate = world.gate().start().await?;
    let app = world.app([("CACHE_STRATEGY", "jwe")]).await?;
    let (ada, eve) = (app.sign_up("Ada").await?, app.sign_up("Eve").await?);
    let for_now = app.sign_in_without_remember_me("Eve").await?;
    enters(&gate, &world.echo, &for_now.browser.cookies(), &for_now).await?;
    let known = token(&app, &ada).await?;
    let (name, data) = ("better-auth.session_token", "better-auth.session_data");
    let cookie = |user: &SignedIn, name: &str| {
        let value = user.browser.cookie(name).map(str::to_owned);
        value.with_context(|| format!("{name} of {}", user.name))
    };

    let foreign = "another-secret-of-enough-length-3f7a9c2e51";
    for forged in [
        BetterAuth::signed(foreign, &known).await?,
        // Signed for another purpose.
        cookie(&for_now, "better-auth.dont_remember")?,
        // Signed, but not the token of a session of this server.
        BetterAuth::signed(BetterAuth::SECRET, &"A".repeat(32)).await?,
        BetterAuth::signed(BetterAuth::SECRET, "' OR ''='").await?,
        known.clone(),
        format!("{known}."),
        String::new(),
    ] {
        let header = format!("{name}={forged}");
        assert_eq!(status(&gate, &header).await?, 401, "{header}");
        let header = format!("{header}; {data}={}", cookie(&ada, data)?);
        assert_eq!(status(&gate, &header).await?, 401, "{header}");
        assert_eq!(app.session(&header).await?, Value::Null, "{header}");
    }

    // The token identifies the user; a cache of another user's session, or a broken one, is ignored.
    let (token, of_ada) = (cookie(&eve, name)?, cookie(&ada, data)?);
    for cache in [of_ada.as_str(), &of_ada[..of_ada.len() - 2], "garbage", ""] {
        let header = format!("{name}={token}; {data}={cache}");
        let line = enters(&gate, &world.echo, &header, &eve).await?;
        assert_eq!(line["format"], LOOKED_UP, "{cache}");
    }
    Ok(())
}

#[tokio::test]
async fn without_the_database_only_cached_sessions_enter() -> Result<()> {
    let world = World::start().await?;
    let wire = CutProxy::start(&world.postgres.address()).await?;
    let through = world
        .postgres
        .url_through(&wire.address(), Postgres::DATABASE);
    let gate = world
        .gate()
        .env("DATABASE_URL", through)
        .env("DATABASE_TIMEOUT", "1000")
        .start()
        .await?;
    let (asked, cached) = (
        world.app([]).await?.sign_up("Ada").await?,
        world
            .app([("CACHE_STRATEGY", "compact")])
            .await?
            .sign_up("Eve")
            .await?,
    );
    let cookies = asked.browser.cookies();
    enters(&gate, &world.echo, &cookies, &asked).await?;

    wire.cut().await?;
    assert_eq!(status(&gate, &cookies).await?, 503, "cut");
    enters(&gate, &world.echo, &cached.browser.cookies(), &cached).await?;
    wire.restore().await?;
    wire.stall();
    assert_eq!(status(&gate, &cookies).await?, 503, "stalled");
    wire.restore().await?;
    poll("the database to be used again", async || {
        match status(&gate, &cookies).await {
            Ok(200) => Some(()),
            Ok(503) => None,
            other => panic!("neither served nor unavailable: {other:?}"),
        }
    })
    .await
}

#[tokio::test]
async fn the_cache_holds_no_session_token() -> Result<()> {
    let (world, redis) = (World::start().await?, Redis::start().await?);
    let gate = world
        .gate()
        .env("REDIS_URL", redis.url())
        .env("REDIS_CACHE_TTL", "60")
        .start()
        .await?;
    let app = world.app([]).await?;
    let user = app.sign_up("Ada").await?;
    let (cookies, token) = (user.browser.cookies(), token(&app, &user).await?);
    let line = enters(&gate, &world.echo, &cookies, &user).await?;
    assert_eq!(line["session_check"], "postgres");
    let cached = cached_in(&redis).await?;
    assert!(!cached.contains(&token), "{cached}");
    let line = enters(&gate, &world.echo, &cookies, &user).await?;
    assert_eq!(line["session_check"], "redis");
    Ok(())
}

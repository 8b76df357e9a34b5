//! Special cases of the real Better Auth: cookie caches that are not renewed, rows that the app keeps but does not read,
//! custom cookie names, and users who are banned in the table.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use harness::interop::{BetterAuth, SignedIn};
use harness::{Echo, Gate, Postgres, Redis, Request};
use serde_json::Value;
use session::{Secret, seal};

use crate::support::{BETTER_AUTH_SECRET, better_auth, enters, gate, status};

/// Returns the reason for which these cookies are refused.
async fn reason(gate: &Gate, cookies: &str) -> Result<String> {
    let answer = gate.send(&Request::get("/").cookie(cookies)).await?;
    ensure!(answer.status == 401, "{}", answer.status);
    let id = answer.header("x-request-id").context("an id")?.to_owned();
    let line = gate
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    Ok(line["reason"].as_str().unwrap_or_default().to_owned())
}

/// Returns the JSON of `sessiongate open` about these cookies.
fn explained(cookies: &str) -> Result<Value> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sessiongate"))
        .args(["open", "--json"])
        .env_clear()
        .envs([BETTER_AUTH_SECRET])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("standard input")?;
    input.write_all(cookies.as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Returns the cookies without the cookie cache, as they are after the app has removed an expired one.
fn without_cache(user: &SignedIn) -> String {
    let cookies = user.browser.cookies();
    let kept = cookies
        .split("; ")
        .filter(|pair| !pair.starts_with("better-auth.session_data"));
    kept.collect::<Vec<_>>().join("; ")
}

/// Returns everything on standard error.
fn log(gate: &Gate) -> String {
    gate.stderr().all().join("\n")
}

const NO_STORE: &str = "without a session store (SESSION_FORMAT=better-auth with DATABASE_URL or SESSION_STORE=redis), a \
                        session of Better Auth is accepted only while its cookie cache is valid. A session started \
                        with `rememberMe: false`, or of an admin who impersonates a user, is refused for good after \
                        60 s (300 s with the strategies `jwt` and `jwe`): the app does not renew their cache";

#[tokio::test]
async fn a_session_without_remember_me_ends_with_its_cache_if_there_is_no_store() -> Result<()> {
    let (postgres, echo) = (Postgres::start().await?, Echo::start().await?);
    let url = postgres.url(Postgres::DATABASE);
    let (alone, with_database) = (
        better_auth(&echo).start().await?,
        better_auth(&echo).env("DATABASE_URL", &url).start().await?,
    );
    assert!(log(&alone).contains(NO_STORE), "{}", log(&alone));
    assert!(
        !log(&with_database).contains("without a session store"),
        "{}",
        log(&with_database)
    );
    for (strategy, lasts) in [("compact", 60), ("jwt", 300), ("jwe", 300)] {
        let app = BetterAuth::start([
            BETTER_AUTH_SECRET,
            ("DATABASE_URL", &url),
            ("CACHE_STRATEGY", strategy),
            ("CACHE_MAX_AGE", "1000"),
            ("PLUGINS", "admin"),
        ])
        .await?;
        let ada = app.sign_up(&format!("Ada-{strategy}")).await?;
        let admin = app.sign_up(&format!("Root-{strategy}")).await?;
        let promote = format!(
            "UPDATE \"user\" SET role = 'admin' WHERE id = '{}'",
            admin.id
        );
        postgres.execute(&promote).await?;
        let admin = app.sign_in(&admin.name).await?;
        for mut user in [
            app.sign_in_without_remember_me(&ada.name).await?,
            app.impersonate(&admin, &ada).await?,
        ] {
            assert_eq!(user.id, ada.id);
            let cookies = user.browser.cookies();
            enters(&alone, &echo, &cookies, &user).await?;
            let cache = explained(&cookies)?["cache"].clone();
            let left = cache["expires_in"].as_u64().context("a term")?;
            assert!((lasts - 30..=lasts).contains(&left), "{strategy}: {left}");
            assert_eq!(cache["not_renewed"], true, "{strategy}");

            let ended = without_cache(&user);
            assert_eq!(
                reason(&alone, &ended).await?,
                "cache_not_renewed",
                "{strategy}"
            );
            enters(&with_database, &echo, &ended, &user).await?;

            // The app knows the session, but does not renew the cache.
            user.browser = harness::interop::Browser::with_cookies(app.address, &ended);
            assert_eq!(app.visit(&mut user).await?["user"]["id"], user.id.as_str());
            assert_eq!(
                user.browser.cookie("better-auth.session_data"),
                None,
                "{strategy}"
            );
        }

        // A remembered session gets a new cache.
        let mut remembered = app.sign_in(&ada.name).await?;
        let cache = explained(&remembered.browser.cookies())?["cache"].clone();
        assert_eq!(cache.get("not_renewed"), None);
        assert!(
            cache["expires_in"].as_u64() > Some(900),
            "{strategy}: {cache}"
        );
        let ended = without_cache(&remembered);
        assert_eq!(
            reason(&alone, &ended).await?,
            "no_session_store",
            "{strategy}"
        );
        remembered.browser = harness::interop::Browser::with_cookies(app.address, &ended);
        app.visit(&mut remembered).await?;
        let cookies = remembered.browser.cookies();
        enters(&alone, &echo, &cookies, &remembered).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_expired_cookie_cache_is_explained_with_its_renewal() -> Result<()> {
    let echo = Echo::start().await?;
    let alone = better_auth(&echo).start().await?;
    let secret = Secret::new(BetterAuth::SECRET);
    let token = "abcdefghijklmnopqrstuvwxyz012345";
    let cached = serde_json::json!({
        "session": {"id": "s", "token": token, "userId": "ada", "expiresAt": "2035-03-24T17:46:40.000Z"},
        "user": {"id": "ada", "name": "Ada", "email": "ada@example.com"},
        "updatedAt": 1_700_000_000_000_u64,
        "version": "1",
    });
    let cached = cached.as_object().context("an object")?;
    let end = session::UnixTime::from_secs(1_700_000_060);
    let header = format!(
        "better-auth.session_token={}; better-auth.session_data={}",
        seal::better_auth_token(&secret, token),
        seal::better_auth_compact(&secret, cached, end)
    );
    assert_eq!(reason(&alone, &header).await?, "expired");
    let mark = |text: &str| seal::better_auth_token(&secret, text);
    let marked = |name: &str, value: &str| format!("{header}; {name}={value}");
    for name in [
        "better-auth.dont_remember",
        "__Secure-better-auth.dont_remember",
    ] {
        let cookies = marked(name, &mark("true"));
        assert_eq!(reason(&alone, &cookies).await?, "cache_not_renewed");
    }
    let unsigned = marked("better-auth.dont_remember", "true");
    assert_eq!(reason(&alone, &unsigned).await?, "expired");
    // Where no cookie cache is trusted, the reason cannot be that it has expired.
    let with_database = better_auth(&echo)
        .env("TRUST_COOKIE_CACHE", "false")
        .start()
        .await?;
    let cookies = marked("better-auth.dont_remember", &mark("true"));
    assert_eq!(reason(&with_database, &cookies).await?, "no_session_store");
    Ok(())
}

#[tokio::test]
async fn every_better_auth_setting_without_a_store_causes_the_warning() -> Result<()> {
    let check = || gate("http://127.0.0.1:3000").args(["check-config"]);
    let expected = format!("warning: {NO_STORE}\n");
    for (name, value) in [
        ("SESSION_FORMAT", "better-auth"),
        ("BETTER_AUTH_SECRET", BetterAuth::SECRET),
        ("BETTER_AUTH_COOKIE_PREFIX", "shop"),
    ] {
        let finished = check().env(name, value).run().await?;
        assert!(
            finished.stdout.contains(&expected),
            "{name}: {}",
            finished.stdout
        );
    }
    let blind = check()
        .env("SESSION_FORMAT", "better-auth")
        .env("TRUST_COOKIE_CACHE", "false")
        .run()
        .await?;
    let warning = "warning: TRUST_COOKIE_CACHE is off, and there is no session store: all sessions of Better Auth are \
         refused\n";
    assert!(blind.stdout.contains(warning), "{}", blind.stdout);
    for settings in [
        &[][..],
        &[("SESSION_FORMAT", "authjs")],
        &[
            ("SESSION_FORMAT", "better-auth"),
            ("DATABASE_URL", "postgres://gate:x@db/app"),
        ],
    ] {
        let finished = check().envs(settings.iter().copied()).run().await?;
        assert!(
            !finished.stdout.contains("session store"),
            "{settings:?}: {}",
            finished.stdout
        );
    }
    Ok(())
}

#[tokio::test]
async fn sessions_of_an_app_that_preserves_rows_need_redis_alone() -> Result<()> {
    let (postgres, redis) = (Postgres::start().await?, Redis::start().await?);
    let echo = Echo::start().await?;
    let (url, redis_url) = (postgres.url(Postgres::DATABASE), redis.url());
    let with = |store: &str| {
        better_auth(&echo)
            .env("SESSION_STORE", store)
            .env("REDIS_URL", &redis_url)
    };
    let right = with("redis").start().await?;
    let other = with("redis-then-database")
        .env("DATABASE_URL", &url)
        .start()
        .await?;
    let app = BetterAuth::start([
        BETTER_AUTH_SECRET,
        ("DATABASE_URL", &url),
        ("REDIS_URL", &redis_url),
        ("STORE_IN_DATABASE", "true"),
        ("PRESERVE_IN_DATABASE", "true"),
    ])
    .await?;
    let user = app.sign_up("Ada").await?;
    let cookies = user.browser.cookies();
    for gate in [&right, &other] {
        let line = enters(gate, &echo, &cookies, &user).await?;
        assert_eq!(line["session_check"], "redis");
    }

    redis.cli(["FLUSHALL"]).await?;
    assert_eq!(
        postgres
            .execute("SELECT count(*) FROM session")
            .await?
            .trim(),
        "1"
    );
    assert_eq!(app.session(&cookies).await?, Value::Null);
    assert_eq!(status(&right, &cookies).await?, 401);
    // The other setting is for apps that do read the row, and start-up says so.
    let line = enters(&other, &echo, &cookies, &user).await?;
    assert_eq!(line["session_check"], "postgres");
    let warning = "SESSION_STORE=redis-then-database is only for apps that set `storeSessionInDatabase` without \
                   `preserveSessionInDatabase`. With both, the app never reads sessions from its database, so the \
                   gate would accept sessions that the app refuses: set SESSION_STORE=redis";
    assert!(log(&other).contains(warning), "{}", log(&other));
    assert!(
        !log(&right).contains("preserveSessionInDatabase"),
        "{}",
        log(&right)
    );
    let checked = with("redis-then-database")
        .env("DATABASE_URL", &url)
        .args(["check-config"])
        .run()
        .await?;
    assert!(
        checked.stdout.contains(&format!("warning: {warning}\n")),
        "{}",
        checked.stdout
    );
    Ok(())
}

#[tokio::test]
async fn the_cookie_cache_alone_may_have_a_custom_name() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = better_auth(&echo)
        .env("BETTER_AUTH_DATA_COOKIE_NAME", "cache")
        .start()
        .await?;
    let usual = better_auth(&echo).start().await?;
    for secure in ["false", "true"] {
        let app = BetterAuth::start([
            BETTER_AUTH_SECRET,
            ("CACHE_STRATEGY", "jwe"),
            ("DATA_COOKIE", "cache"),
            ("SECURE_COOKIES", secure),
        ])
        .await?;
        let user = app.sign_up("Ada").await?;
        let cookies = user.browser.cookies();
        assert!(cookies.contains("cache="), "{cookies}");
        let line = enters(&gate, &echo, &cookies, &user).await?;
        assert_eq!(line["format"], "better-auth-jwe", "{secure}");
        assert_eq!(reason(&usual, &cookies).await?, "no_session_store");
    }
    Ok(())
}

#[tokio::test]
async fn the_documented_view_refuses_banned_users() -> Result<()> {
    let (postgres, echo) = (Postgres::start().await?, Echo::start().await?);
    let url = postgres.url(Postgres::DATABASE);
    let app = BetterAuth::start([
        BETTER_AUTH_SECRET,
        ("DATABASE_URL", &url),
        ("PLUGINS", "admin"),
        ("CACHE_STRATEGY", "compact"),
    ])
    .await?;
    // The view is created before any user exists, as documented; psql runs all statements as the owner of the tables.
    let sql = from_documentation("docs/better-auth.md", "CREATE VIEW")?;
    postgres
        .execute("CREATE ROLE reader LOGIN PASSWORD 'reader-password'")
        .await?;
    postgres.execute(&sql.replace("gate;", "reader;")).await?;
    let reader = format!(
        "postgres://reader:reader-password@{}/{}",
        postgres.address(),
        Postgres::DATABASE
    );
    let looking_up = better_auth(&echo)
        .env("DATABASE_URL", reader)
        .env("USER_TABLE", "admitted_user");
    let with_database = looking_up
        .clone()
        .env("TRUST_COOKIE_CACHE", "false")
        .start()
        .await?;
    let checking = looking_up.env("ENABLE_DB_CHECK", "true").start().await?;

    let (ada, eve) = (app.sign_up("Ada").await?, app.sign_up("Eve").await?);
    let cookies = eve.browser.cookies();
    let set = async |assignments: &str| {
        let sql = format!("UPDATE \"user\" SET {assignments} WHERE id = '{}'", eve.id);
        postgres.execute(&sql).await
    };
    for (assignments, is_banned) in [
        ("banned = NULL", false),
        ("banned = true", true),
        ("\"banExpires\" = now() + interval '1 hour'", true),
        ("\"banExpires\" = now() - interval '1 second'", false),
        ("\"banExpires\" = NULL", true),
        ("banned = false", false),
    ] {
        set(assignments).await?;
        // The app itself checks the ban only when it creates a session.
        assert_eq!(app.session(&cookies).await?["user"]["id"], eve.id.as_str());
        let (looked_up, cached) = (
            status(&with_database, &cookies).await?,
            status(&checking, &cookies).await?,
        );
        let expected = if is_banned { (401, 403) } else { (200, 200) };
        assert_eq!((looked_up, cached), expected, "{assignments}");
        enters(&with_database, &echo, &ada.browser.cookies(), &ada).await?;
    }
    Ok(())
}

/// The indented block of a page that begins with these words.
fn from_documentation(page: &str, start: &str) -> Result<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    let text = std::fs::read_to_string(format!("{root}{page}"))?;
    let lines = text
        .lines()
        .skip_while(|line| line.trim_start() != start && !line.trim_start().starts_with(start));
    let block: Vec<_> = lines
        .take_while(|line| line.starts_with("    ") || line.is_empty())
        .collect();
    ensure!(
        !block.is_empty(),
        "{page} has no block that begins with {start}"
    );
    Ok(block.join("\n"))
}

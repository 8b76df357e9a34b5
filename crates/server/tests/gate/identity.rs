//! Which email addresses the gate writes as identity, and how it treats guests and users who are impersonated.

use anyhow::{Context, Result};
use harness::interop::{BetterAuth, SignedIn};
use harness::{Client, Echo, Gate, GateCommand, Mint, Postgres, Redis, Request, mint};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{BETTER_AUTH_SECRET, better_auth, gate, sqlite, started, status};

const ADA: &str = "ada@example.com";

/// Sends these cookies and verifies that the request enters; returns the address that the service gets, and the audit line.
async fn address(gate: &Gate, echo: &Echo, cookies: &str) -> Result<(String, Value)> {
    let answer = gate.send(&Request::get("/").cookie(cookies)).await?;
    let id = answer.header("x-request-id").context("an id")?.to_owned();
    let line = gate
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    assert_eq!(answer.status, 200, "{line}");
    let seen = echo.seen().pop().context("it reached the upstream")?;
    let email = seen.headers.get("x-user-email").context("a header")?;
    Ok((email.to_owned(), line))
}

/// Returns the reason for which this request is refused, and the status.
async fn refused(gate: &Gate, request: Request) -> Result<(String, u16)> {
    let answer = gate.send(&request).await?;
    let id = answer.header("x-request-id").context("an id")?.to_owned();
    let line = gate
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    let reason = line["reason"].as_str().context("a reason")?;
    Ok((reason.to_owned(), answer.status))
}

fn count_log_lines(gate: &Gate, text: &str) -> usize {
    let lines = gate.stderr().all();
    lines.iter().filter(|line| line.contains(text)).count()
}

#[tokio::test]
async fn an_unverified_email_of_a_sealed_session_is_not_written() -> Result<()> {
    let (echo, strict) = started([]).await?;
    let always = gate(&echo.url()).env("EMAIL_HEADER", "always");
    let always = always.start().await?;
    let session = |name: &str, value: Value| {
        let mint = Mint::user("ada").claim("email", ADA).claim(name, value);
        [mint.authjs(), mint.nextauth()]
    };
    for (name, value, written) in [
        ("email_verified", json!(false), ""),
        ("email_verified", json!("false"), ""),
        ("emailVerified", json!(false), ""),
        ("email_verified", json!(true), ADA),
        ("email_verified", json!("true"), ADA),
        ("emailVerified", json!("2026-01-02T03:04:05.000Z"), ADA),
        ("emailVerified", json!(null), ADA),
        ("unrelated", json!(false), ADA),
    ] {
        for cookies in session(name, value.clone()) {
            let (email, _) = address(&strict, &echo, &cookies).await?;
            assert_eq!(email, written, "{name} {value}");
            let (email, _) = address(&always, &echo, &cookies).await?;
            assert_eq!(email, ADA, "{name} {value}");
        }
    }
    let hint = "EMAIL_HEADER=always forwards such addresses too";
    assert_eq!(count_log_lines(&strict, hint), 1);
    assert_eq!(count_log_lines(&always, hint), 0);
    assert_eq!(count_log_lines(&always, "EMAIL_HEADER is `always`"), 1);

    // If the address is the user id, an unverified address leaves no id, so the request is refused.
    let mint = Mint::user(ADA).claim("email", ADA);
    let cookies = mint.claim("email_verified", false).authjs();
    let request = Request::get("/").cookie(&cookies);
    let (reason, code) = refused(&strict, request).await?;
    assert_eq!((&*reason, code), ("email_unverified", 403));
    assert_eq!(status(&always, &cookies).await?, 200);
    Ok(())
}

#[tokio::test]
async fn no_drop_in_endpoint_writes_an_unverified_email() -> Result<()> {
    let deciding = |email_header: &str| {
        gate("http://127.0.0.1:9")
            .without("UPSTREAM")
            .env("AUTH_LISTEN", "127.0.0.1:0")
            .env("EMAIL_HEADER", email_header)
    };
    let strict = deciding("verified").start().await?;
    let always = deciding("always").start().await?;
    let mint = Mint::user("ada").claim("email", ADA);
    let unverified = mint.clone().claim("email_verified", false).authjs();
    let silent = mint.authjs();
    let forwarded: &[_] = &[
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "a.example"),
        ("X-Forwarded-Uri", "/"),
    ];
    let original: &[_] = &[
        ("X-Original-URL", "https://a.example/"),
        ("X-Original-Method", "GET"),
    ];
    for (path, described, header) in [
        ("/auth", forwarded, "x-user-email"),
        ("/auth/nginx", original, "x-user-email"),
        ("/auth/envoy/", &[], "x-user-email"),
        ("/oauth2/auth", &[], "x-auth-request-email"),
        ("/api/authz/forward-auth", forwarded, "remote-email"),
        (
            "/outpost.goauthentik.io/auth/caddy",
            forwarded,
            "x-authentik-email",
        ),
        ("/validate", &[], "x-vouch-user"),
    ] {
        for (gate, cookies, written) in [
            (&strict, &unverified, ""),
            (&strict, &silent, ADA),
            (&always, &unverified, ADA),
        ] {
            let request = Request::get(path).cookie(cookies);
            let request = described.iter().fold(request, |request, (name, value)| {
                request.header(name, *value)
            });
            let mut host = Client::connect(gate.decisions_port()?).await?;
            let answer = host.send(&request).await?;
            assert!((200..300).contains(&answer.status), "{path}");
            assert_eq!(answer.header(header), Some(written), "{path}");
        }
    }
    Ok(())
}

/// Better Auth reports whether an address is verified in every store and cache from which the gate reads the session.
#[tokio::test]
async fn better_auth_email_verification_is_read_from_every_store() -> Result<()> {
    let (postgres, redis, echo) = (
        Postgres::start().await?,
        Redis::start().await?,
        Echo::start().await?,
    );
    let (database, redis) = (postgres.url(Postgres::DATABASE), redis.url());
    let from_database = better_auth(&echo)
        .env("DATABASE_URL", &database)
        .start()
        .await?;
    let from_cache = better_auth(&echo)
        .env("DATABASE_URL", &database)
        .env("REDIS_URL", &redis)
        .env("REDIS_CACHE_TTL", "60")
        .start()
        .await?;
    let from_redis = better_auth(&echo)
        .env("SESSION_STORE", "redis")
        .env("REDIS_URL", &redis)
        .start()
        .await?;
    for (verified, strategy) in [
        ("true", ""),
        ("false", ""),
        ("true", "jwe"),
        ("false", "jwe"),
    ] {
        let settings = [
            BETTER_AUTH_SECRET,
            ("DATABASE_URL", &database),
            ("EMAIL_VERIFIED", verified),
            ("CACHE_STRATEGY", strategy),
        ];
        let app = BetterAuth::start(settings).await?;
        let user = app.sign_up(&format!("Ada-{verified}-{strategy}")).await?;
        let written = if verified == "true" { &*user.email } else { "" };
        for gate in [&from_database, &from_cache, &from_cache] {
            let (email, line) = address(gate, &echo, &user.browser.cookies()).await?;
            assert_eq!(email, written, "{line}");
            assert!(line["anonymous"].is_null() && line["impersonated_by"].is_null());
        }

        let settings = [
            BETTER_AUTH_SECRET,
            ("DATABASE_URL", &database),
            ("REDIS_URL", &redis),
            ("EMAIL_VERIFIED", verified),
        ];
        let app = BetterAuth::start(settings).await?;
        let user = app.sign_up(&format!("Eve-{verified}-{strategy}")).await?;
        let written = if verified == "true" { &*user.email } else { "" };
        let (email, line) = address(&from_redis, &echo, &user.browser.cookies()).await?;
        assert_eq!(email, written, "{line}");
    }
    Ok(())
}

/// An app with plugins of Better Auth, and one gate that permits guests and one that refuses them.
struct Plugins {
    app: BetterAuth,
    looking_up: Gate,
    refusing: Gate,
    echo: Echo,
    _postgres: Postgres,
}

impl Plugins {
    async fn start(strategy: &str) -> Result<Self> {
        let (postgres, echo) = (Postgres::start().await?, Echo::start().await?);
        let url = postgres.url(Postgres::DATABASE);
        let settings = [
            BETTER_AUTH_SECRET,
            ("DATABASE_URL", &url),
            ("CACHE_STRATEGY", strategy),
            ("PLUGINS", "anonymous,admin"),
        ];
        let app = BetterAuth::start(settings).await?;
        let gate = || better_auth(&echo).env("DATABASE_URL", &url);
        let looking_up = gate().start().await?;
        let refusing = gate()
            .env("ALLOW_ANONYMOUS", "false")
            .env("SIGN_IN_URL", "https://app.example.com/signin")
            .start()
            .await?;
        Ok(Self {
            app,
            looking_up,
            refusing,
            echo,
            _postgres: postgres,
        })
    }

    async fn line(&self, user: &SignedIn) -> Result<Value> {
        let (_, line) = address(&self.looking_up, &self.echo, &user.browser.cookies()).await?;
        assert_eq!(line["user_id"], user.id.as_str());
        Ok(line)
    }
}

#[tokio::test]
async fn guests_and_impersonated_users_are_marked_and_guests_can_be_refused() -> Result<()> {
    for strategy in ["", "compact"] {
        let world = Plugins::start(strategy).await?;
        let guest = world.app.guest().await?;
        let hint = "ALLOW_ANONYMOUS=false refuses guests";
        assert_eq!(count_log_lines(&world.looking_up, hint), 0);
        for _ in 0..2 {
            let line = world.line(&guest).await?;
            assert_eq!(line["anonymous"], true, "{strategy}");
        }
        assert_eq!(count_log_lines(&world.looking_up, hint), 1);

        let (admin, ada) = (
            world.app.sign_up("admin").await?,
            world.app.sign_up("Ada").await?,
        );
        let line = world.line(&ada).await?;
        assert!(line["anonymous"].is_null() && line["impersonated_by"].is_null());
        let acting = world.app.impersonate(&admin, &ada).await?;
        assert_eq!(acting.id, ada.id);
        let line = world.line(&acting).await?;
        assert_eq!(line["impersonated_by"], admin.id.as_str(), "{strategy}");

        let cookies = guest.browser.cookies();
        let request = Request::get("/").cookie(&cookies);
        let (reason, status) = refused(&world.refusing, request.clone()).await?;
        assert_eq!((&*reason, status), ("anonymous", 401), "{strategy}");
        let (reason, status) = refused(&world.refusing, request.as_navigation()).await?;
        assert_eq!((&*reason, status), ("anonymous", 302), "{strategy}");
        let lines = world.refusing.audit_lines();
        let line = lines.last().context("a line")?;
        assert_eq!(line["user_id"], guest.id.as_str());
        assert_eq!(line["anonymous"], true);
        let cookies = acting.browser.cookies();
        address(&world.refusing, &world.echo, &cookies).await?;
    }
    Ok(())
}

#[tokio::test]
async fn identity_rules_apply_to_bearer_tokens() -> Result<()> {
    let secret = "bearer-secret-0c2mB7vXq9TzR4sLkW8nYd1JhF5gPa3E";
    let (echo, gate) = started([
        ("BEARER_SECRET", secret),
        ("BEARER_ISSUER", "issuer"),
        ("BEARER_AUDIENCE", "api"),
        ("ALLOW_ANONYMOUS", "false"),
    ])
    .await?;
    let key = EncodingKey::from_secret(secret.as_bytes());
    let token = |more: Value| -> Result<String> {
        let mut claims = json!({
            "iss": "issuer", "aud": "api", "sub": "ada", "email": ADA, "exp": mint::now() + 300
        });
        let all = claims.as_object_mut().context("an object")?;
        all.extend(more.as_object().context("an object")?.clone());
        Ok(format!(
            "Bearer {}",
            encode(&Header::default(), &claims, &key)?
        ))
    };
    for (more, written) in [
        (json!({}), ADA),
        (json!({"email_verified": true}), ADA),
        (json!({"email_verified": false}), ""),
        // The `jwt` plugin of Better Auth copies the columns of the user.
        (json!({"emailVerified": false, "isAnonymous": false}), ""),
    ] {
        let request = Request::get("/").header("Authorization", token(more)?);
        assert_eq!(gate.send(&request).await?.status, 200);
        let seen = echo.seen().pop().context("it reached the upstream")?;
        assert_eq!(seen.headers.get("x-user-email"), Some(written));
    }
    for guest in [json!({"isAnonymous": true}), json!({"is_anonymous": true})] {
        let request = Request::get("/").header("Authorization", token(guest)?);
        let (reason, status) = refused(&gate, request).await?;
        assert_eq!((&*reason, status), ("anonymous", 401));
    }
    Ok(())
}

const AUTHJS_TABLES: &str = r#"
    CREATE TABLE users (id text PRIMARY KEY, name text, email text, "emailVerified" VERIFIED);
    CREATE TABLE sessions ("sessionToken" text, "userId" text, expires EXPIRES);
    INSERT INTO users VALUES ('a', 'Ada', 'ada@example.com', SOMETIME), ('b', 'Bob', 'bob@example.com', NULL);
    INSERT INTO sessions VALUES ('ta', 'a', LATER), ('tb', 'b', LATER);
"#;

/// Returns the tables of Auth.js, in which a time, or its absence, tells whether the address is verified.
fn authjs_tables(verified: &str, expires: &str, sometime: &str, later: &str) -> String {
    AUTHJS_TABLES
        .replace("VERIFIED", verified)
        .replace("EXPIRES", expires)
        .replace("SOMETIME", sometime)
        .replace("LATER", later)
}

fn database(echo: &Echo, url: &str) -> GateCommand {
    gate(&echo.url())
        .env("SESSION_FORMAT", "authjs-database")
        .env("DATABASE_URL", url)
        .env("MEMORY_CACHE_TTL", "0")
}

fn cookie(token: &str) -> String {
    format!("authjs.session-token={token}")
}

#[tokio::test]
async fn an_auth_js_row_without_email_verified_still_gives_the_email() -> Result<()> {
    let (postgres, echo) = (Postgres::start().await?, Echo::start().await?);
    let later = "now() + interval '1 hour'";
    let tables = authjs_tables("timestamptz", "timestamptz", "now()", later);
    postgres.execute(&tables).await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.db");
    let tables = authjs_tables("integer", "integer", "1767322800000", "9999999999999");
    sqlite(&file, &tables).await?;
    let on_sqlite = format!("sqlite://{}", file.display());
    for url in [postgres.url(Postgres::DATABASE), on_sqlite] {
        let gate = database(&echo, &url).start().await?;
        for (token, written) in [("ta", "ada@example.com"), ("tb", "bob@example.com")] {
            let (email, _) = address(&gate, &echo, &cookie(token)).await?;
            assert_eq!(email, written, "{url}");
        }
    }

    // An app for which a missing time means "not verified" says so in a view with a boolean.
    let view = r#"CREATE VIEW people AS SELECT id, name, email, "emailVerified" IS NOT NULL AS verified FROM users"#;
    postgres.execute(view).await?;
    let gate = database(&echo, &postgres.url(Postgres::DATABASE))
        .env("USER_TABLE", "people")
        .env("USER_EMAIL_VERIFIED_FIELD", "verified")
        .start()
        .await?;
    for (token, written) in [("ta", "ada@example.com"), ("tb", "")] {
        let (email, _) = address(&gate, &echo, &cookie(token)).await?;
        assert_eq!(email, written);
    }
    Ok(())
}

#[tokio::test]
async fn older_tables_and_rights_without_the_verified_column_still_work() -> Result<()> {
    let (postgres, echo) = (Postgres::start().await?, Echo::start().await?);
    let later = "now() + interval '1 hour'";
    let tables = authjs_tables("boolean", "timestamptz", "true", later);
    postgres.execute(&tables).await?;
    let rights = r#"
        UPDATE users SET "emailVerified" = false WHERE id = 'b';
        CREATE ROLE reader LOGIN PASSWORD 'reader';
        GRANT SELECT ("sessionToken", "userId", expires) ON sessions TO reader;
        GRANT SELECT (id, email, name) ON users TO reader;
    "#;
    postgres.execute(rights).await?;
    let own = postgres.url(Postgres::DATABASE);
    let (_, place) = own.rsplit_once('@').context("a URL with credentials")?;
    let url = format!("postgres://reader:reader@{place}");

    let gate = database(&echo, &url).start().await?;
    let (email, _) = address(&gate, &echo, &cookie("tb")).await?;
    assert_eq!(email, "bob@example.com");
    let hint = r#"GRANT SELECT (\"emailVerified\") ON \"users\""#;
    assert_eq!(count_log_lines(&gate, hint), 1, "{:?}", gate.stderr().all());

    // Once the column is readable, it takes effect without a restart.
    let grant = r#"GRANT SELECT ("emailVerified") ON users TO reader"#;
    postgres.execute(grant).await?;
    harness::poll("the column to count", async || {
        let (email, _) = address(&gate, &echo, &cookie("tb")).await.ok()?;
        email.is_empty().then_some(())
    })
    .await?;

    // The gate also works without the column, which an earlier schema may lack.
    postgres
        .execute(r#"ALTER TABLE users DROP COLUMN "emailVerified""#)
        .await?;
    let (email, _) = address(&gate, &echo, &cookie("tb")).await?;
    assert_eq!(email, "bob@example.com");

    // An SQLite database may lack it too.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.db");
    let tables = authjs_tables("integer", "integer", "1767322800000", "9999999999999");
    sqlite(&file, &tables).await?;
    let drop = r#"ALTER TABLE users DROP COLUMN "emailVerified""#;
    sqlite(&file, drop).await?;
    let on_sqlite = format!("sqlite://{}", file.display());
    let without = database(&echo, &on_sqlite).start().await?;
    let (email, _) = address(&without, &echo, &cookie("tb")).await?;
    assert_eq!(email, "bob@example.com");

    // A column that the operator names must exist.
    for url in [&url, &on_sqlite] {
        let named = database(&echo, url).env("USER_EMAIL_VERIFIED_FIELD", "verified_at");
        let named = named.start().await?;
        assert_eq!(status(&named, &cookie("tb")).await?, 503, "{url}");
    }
    Ok(())
}

#[tokio::test]
async fn refusing_guests_needs_a_readable_guest_column() -> Result<()> {
    let (postgres, echo) = (Postgres::start().await?, Echo::start().await?);
    let tables = r#"
        CREATE TABLE "user" (id text PRIMARY KEY, name text, email text, "emailVerified" boolean);
        CREATE TABLE session (token text, "userId" text, "expiresAt" timestamptz, "createdAt" timestamptz);
        CREATE ROLE reader LOGIN PASSWORD 'reader';
        GRANT SELECT ON session TO reader;
        GRANT SELECT (id, email, name, "emailVerified") ON "user" TO reader;
        INSERT INTO "user" VALUES ('a', 'Ada', 'ada@example.com', true);
        INSERT INTO session VALUES ('mWDgQ6D0uEGUhaKnhr3ShAc8oBX5gWti', 'a', now() + interval '1 hour', now());
    "#;
    postgres.execute(tables).await?;
    let own = postgres.url(Postgres::DATABASE);
    let (_, place) = own.rsplit_once('@').context("a URL with credentials")?;
    let gate = better_auth(&echo)
        .env("DATABASE_URL", format!("postgres://reader:reader@{place}"))
        .env("ALLOW_ANONYMOUS", "false")
        .start()
        .await?;
    let token =
        BetterAuth::signed(BETTER_AUTH_SECRET.1, "mWDgQ6D0uEGUhaKnhr3ShAc8oBX5gWti").await?;
    let cookies = format!("better-auth.session_token={token}");
    assert_eq!(status(&gate, &cookies).await?, 200);
    let hint = r#"has no column \"isAnonymous\""#;
    assert_eq!(count_log_lines(&gate, hint), 1, "{:?}", gate.stderr().all());

    let plugin = r#"
        ALTER TABLE "user" ADD COLUMN "isAnonymous" boolean;
        UPDATE "user" SET "isAnonymous" = true;
    "#;
    postgres.execute(plugin).await?;
    harness::poll("the column to be missed", async || {
        (status(&gate, &cookies).await.ok()? == 503).then_some(())
    })
    .await?;
    postgres
        .execute(r#"GRANT SELECT ("isAnonymous") ON "user" TO reader"#)
        .await?;
    let request = Request::get("/").cookie(&cookies);
    let (reason, _) = refused(&gate, request).await?;
    assert_eq!(reason, "anonymous");
    Ok(())
}

#[tokio::test]
async fn email_header_and_allow_anonymous_accept_only_listed_values() -> Result<()> {
    let finished = gate("http://127.0.0.1:3000")
        .env("EMAIL_HEADER", "never")
        .env("ALLOW_ANONYMOUS", "some")
        .env("USER_ANONYMOUS_FIELD", "guest")
        .args(["check-config"])
        .run()
        .await?;
    let lines: Vec<_> = finished.stderr.lines().map(str::trim).collect();
    for line in [
        "EMAIL_HEADER: `never` is not one of `verified`, `always`",
        "ALLOW_ANONYMOUS: `some` is neither `true` nor `false`",
        "USER_ANONYMOUS_FIELD: SESSION_SCHEMA is not set, so sessions are not looked up",
    ] {
        assert!(lines.contains(&line), "{line}\n{}", finished.stderr);
    }

    // A table without a column about guests.
    let finished = gate("http://127.0.0.1:3000")
        .env("SESSION_FORMAT", "authjs-database")
        .env("DATABASE_URL", "postgres://gate@db/app")
        .env("ALLOW_ANONYMOUS", "false")
        .args(["check-config"])
        .run()
        .await?;
    assert!(finished.status.success(), "{}", finished.stderr);
    let printed = finished.stdout + &finished.stderr;
    let warning = "ALLOW_ANONYMOUS is off, but no column shows which users are anonymous, so anonymous users with \
         sessions in the database are not refused; set USER_ANONYMOUS_FIELD";
    assert!(printed.contains(warning), "{printed}");
    Ok(())
}

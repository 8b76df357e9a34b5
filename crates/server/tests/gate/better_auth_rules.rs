//! Rules about data that plugins of the real Better Auth write, for sessions in a cookie cache, in the database and in Redis.

use anyhow::{Context, Result};
use harness::interop::{BetterAuth, SignedIn};
use harness::{Echo, Gate, Postgres, Redis, Request};
use serde_json::{Value, json};
use tempfile::TempDir;

const SECRET: (&str, &str) = ("BETTER_AUTH_SECRET", BetterAuth::SECRET);
const PLUGINS: (&str, &str) = ("PLUGINS", "admin,anonymous,organization,two-factor");
const SESSION_PLACES: [SessionPlace; 3] = [
    SessionPlace::CookieCache,
    SessionPlace::Database,
    SessionPlace::Redis,
];

/// The place where the gate finds the app's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SessionPlace {
    CookieCache,
    Database,
    Redis,
}

/// An app with its stores, and a gate whose file ends with some rules.
struct World {
    postgres: Postgres,
    _redis: Redis,
    echo: Echo,
    app: BetterAuth,
    gate: Gate,
    _folder: TempDir,
}

impl World {
    async fn start(place: SessionPlace, rules: &str) -> Result<Self> {
        Self::start_caching(place, 0, rules).await
    }

    /// Starts a world whose gate caches lookups for this many seconds.
    async fn start_caching(place: SessionPlace, seconds: u32, rules: &str) -> Result<Self> {
        let (postgres, redis) = (Postgres::start().await?, Redis::start().await?);
        let (url, redis_url) = (postgres.url(Postgres::DATABASE), redis.url());
        let (own, storage): (&[_], String) = match place {
            SessionPlace::CookieCache => (&[("CACHE_STRATEGY", "jwe")], String::new()),
            SessionPlace::Database => (&[], String::new()),
            SessionPlace::Redis => (
                &[("REDIS_URL", &*redis_url)],
                format!(
                    "session_store = \"redis\"\nredis_url = \"{redis_url}\"\nredis_cache_ttl = 0\n\
                     enable_db_check = true\nuser_table = \"user\"\n"
                ),
            ),
        };
        let stated = [SECRET, PLUGINS, ("DATABASE_URL", &url)];
        let app = BetterAuth::start(stated.into_iter().chain(own.iter().copied())).await?;
        let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
        let file = format!(
            "log_format = \"json\"\nsession_format = \"better-auth\"\nbetter_auth_secret = \"{}\"\n\
             database_url = \"{url}\"\nupstream = \"{}\"\nmemory_cache_ttl = {seconds}\nabsent_cache_ttl = 0\n\
             {storage}{rules}",
            BetterAuth::SECRET,
            echo.url(),
        );
        let path = folder.path().join("gate.toml");
        std::fs::write(&path, file)?;
        let path = path.to_str().context("a path")?;
        let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate")).env("SESSIONGATE_CONFIG", path);
        Ok(Self {
            gate: gate.start().await?,
            postgres,
            _redis: redis,
            echo,
            app,
            _folder: folder,
        })
    }

    /// The status and the audit line of a request with these cookies.
    async fn status_and_line(&self, target: &str, cookies: &str) -> Result<(u16, Value)> {
        let request = Request::get(target).cookie(cookies);
        let answer = self.gate.send(&request).await?;
        let id = answer.header("x-request-id").context("an id")?.to_owned();
        let line = self
            .gate
            .wait_for_audit(|line| line["request_id"] == id.as_str())
            .await?;
        Ok((answer.status, line))
    }

    /// Returns `enters`, or the reason of the refusal.
    async fn outcome(&self, target: &str, user: &SignedIn) -> Result<String> {
        let (status, line) = self
            .status_and_line(target, &user.browser.cookies())
            .await?;
        let reason = line["reason"].as_str().context("a reason")?;
        Ok(match status {
            200 => "enters".to_owned(),
            _ => reason.to_owned(),
        })
    }

    async fn set(&self, user: &SignedIn, assignments: &str) -> Result<()> {
        let sql = format!("UPDATE \"user\" SET {assignments} WHERE id = '{}'", user.id);
        self.postgres.execute(&sql).await?;
        Ok(())
    }
}

#[tokio::test]
async fn roles_and_bans_take_effect_without_a_new_session() -> Result<()> {
    const RULES: &str = r#"
active = "better-auth"
[[route]]
path = "/"
[[route]]
path = "/admin/"
require = { column = "role", contains = "admin", separator = "," }
"#;
    for place in SESSION_PLACES {
        let world = World::start(place, RULES).await?;
        let mut admin = world.app.sign_up("admin").await?;
        let bob = world.app.sign_up("bob").await?;
        let outcome = async |target: &str| world.outcome(target, &bob).await;
        assert_eq!(
            world.outcome("/admin/", &admin).await?,
            "enters",
            "{place:?}"
        );
        assert_eq!(outcome("/").await?, "enters", "{place:?}");
        assert_eq!(outcome("/admin/").await?, "rule_denied", "{place:?}");

        let body = json!({ "userId": bob.id, "role": ["user", "admin"] });
        world.app.post(&mut admin, "admin/set-role", body).await?;
        assert_eq!(outcome("/admin/").await?, "enters", "{place:?}");
        world.set(&bob, "role = 'user,superadmin'").await?;
        assert_eq!(outcome("/admin/").await?, "rule_denied", "{place:?}");

        for (row, expected) in [
            ("banned = true", "user_disabled"),
            ("banned = false", "enters"),
            (
                "banned = true, \"banExpires\" = now() + interval '1 hour'",
                "user_disabled",
            ),
            ("\"banExpires\" = now() - interval '1 second'", "enters"),
            ("\"banExpires\" = NULL", "user_disabled"),
            ("banned = NULL", "enters"),
        ] {
            world.set(&bob, row).await?;
            assert_eq!(outcome("/").await?, expected, "{place:?} {row}");
        }

        // The app ends the sessions of users whom it bans; a copy of the cookie cache remains valid.
        let body = json!({ "userId": bob.id });
        world.app.post(&mut admin, "admin/ban-user", body).await?;
        let expected = match place {
            SessionPlace::CookieCache => "user_disabled",
            SessionPlace::Database | SessionPlace::Redis => "session_missing",
        };
        assert_eq!(outcome("/").await?, expected, "{place:?}");
        let body = json!({ "userId": bob.id });
        world.app.post(&mut admin, "admin/unban-user", body).await?;
        let again = world.app.sign_in("bob").await?;
        assert_eq!(world.outcome("/", &again).await?, "enters", "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_ban_takes_effect_once_the_cache_entry_has_expired() -> Result<()> {
    for place in [SessionPlace::CookieCache, SessionPlace::Database] {
        let rules = "active = \"better-auth\"\n[[route]]\npath = \"/\"\n";
        let world = World::start_caching(place, 1, rules).await?;
        let bob = world.app.sign_up("bob").await?;
        assert_eq!(world.outcome("/", &bob).await?, "enters");
        for (row, expected) in [
            ("banned = true", "user_disabled"),
            ("banned = false", "enters"),
        ] {
            world.set(&bob, row).await?;
            harness::poll("the ban to count", async || {
                let outcome = world.outcome("/", &bob).await.ok()?;
                (outcome == expected).then_some(())
            })
            .await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_role_in_the_active_organization_is_used() -> Result<()> {
    const RULES: &str = r#"
[profile.org]
headers = { "X-Org" = { claim = "session.activeOrganizationId" } }
[[route]]
path = "/"
headers = "org"
[[route]]
path = "/settings/"
require = { organization_role = ["owner", "admin"] }
[[route]]
path = "/team/"
require = { claim = "session.activeOrganizationId", present = true }
"#;
    for place in SESSION_PLACES {
        let world = World::start(place, RULES).await?;
        let (app, echo) = (&world.app, &world.echo);
        let mut ada = app.sign_up("ada").await?;
        let mut bob = app.sign_up("bob").await?;
        let loner = app.sign_up("eve").await?;
        let body = json!({ "name": "acme", "slug": "acme" });
        let acme = app.post(&mut ada, "organization/create", body).await?["id"].clone();
        let body = json!({ "organizationId": acme });
        app.post(&mut ada, "organization/set-active", body).await?;
        let body = json!({ "email": bob.email, "role": "member", "organizationId": acme });
        let invitation = app
            .post(&mut ada, "organization/invite-member", body)
            .await?;
        let body = json!({ "invitationId": invitation["id"] });
        let accepted = app
            .post(&mut bob, "organization/accept-invitation", body)
            .await?;
        let body = json!({ "organizationId": acme });
        app.post(&mut bob, "organization/set-active", body).await?;

        let outcomes = async |user: &SignedIn| {
            let settings = world.outcome("/settings/", user).await?;
            anyhow::Ok((settings, world.outcome("/team/", user).await?))
        };
        let both = |settings: &str, team: &str| (settings.to_owned(), team.to_owned());
        assert_eq!(outcomes(&ada).await?, both("enters", "enters"), "{place:?}");
        assert_eq!(
            outcomes(&bob).await?,
            both("rule_denied", "enters"),
            "{place:?}"
        );
        assert_eq!(
            outcomes(&loner).await?,
            both("rule_denied", "rule_denied"),
            "{place:?}"
        );
        world.outcome("/", &bob).await?;
        let seen = echo.seen().pop().context("it arrived")?;
        assert_eq!(seen.headers.get("x-org"), acme.as_str(), "{place:?}");
        world.outcome("/", &loner).await?;
        let seen = echo.seen().pop().context("it arrived")?;
        assert_eq!(seen.headers.get("x-org"), Some(""), "{place:?}");

        // A changed role takes effect at once, in the same session.
        let member = &accepted["member"]["id"];
        let body =
            json!({ "memberId": member, "role": ["member", "admin"], "organizationId": acme });
        app.post(&mut ada, "organization/update-member-role", body)
            .await?;
        assert_eq!(outcomes(&bob).await?, both("enters", "enters"), "{place:?}");

        // A role in another organization has no effect in the active one.
        let body = json!({ "name": "globex", "slug": "globex" });
        let globex = app.post(&mut ada, "organization/create", body).await?["id"].clone();
        let body = json!({ "email": bob.email, "role": "member", "organizationId": globex });
        let invitation = app
            .post(&mut ada, "organization/invite-member", body)
            .await?;
        let body = json!({ "invitationId": invitation["id"] });
        app.post(&mut bob, "organization/accept-invitation", body)
            .await?;
        let body = json!({ "organizationId": globex });
        app.post(&mut bob, "organization/set-active", body).await?;
        assert_eq!(
            outcomes(&bob).await?,
            both("rule_denied", "enters"),
            "{place:?}"
        );
        let body = json!({ "organizationId": acme });
        app.post(&mut bob, "organization/set-active", body).await?;
        assert_eq!(outcomes(&bob).await?, both("enters", "enters"), "{place:?}");

        let body = json!({ "memberIdOrEmail": bob.email, "organizationId": acme });
        app.post(&mut ada, "organization/remove-member", body)
            .await?;
        assert_eq!(
            world.outcome("/settings/", &bob).await?,
            "rule_denied",
            "{place:?}"
        );
        let body = json!({ "organizationId": null });
        app.post(&mut ada, "organization/set-active", body).await?;
        assert_eq!(
            outcomes(&ada).await?,
            both("rule_denied", "rule_denied"),
            "{place:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_rule_can_refuse_guests_and_impersonating_admins() -> Result<()> {
    const RULES: &str = r#"
[[route]]
path = "/"
[[route]]
path = "/orders/"
require = { not = { claim = "user.isAnonymous", equals = true } }
[[route]]
path = "/row/"
require = { not = { column = "isAnonymous", equals = true } }
[[route]]
path = "/billing/"
require = { not = { claim = "session.impersonatedBy", present = true } }
"#;
    for place in SESSION_PLACES {
        let world = World::start(place, RULES).await?;
        let ada = world.app.sign_up("ada").await?;
        let admin = world.app.sign_up("admin").await?;
        let guest = world.app.guest().await?;
        let acting = world.app.impersonate(&admin, &ada).await?;
        assert_eq!(acting.id, ada.id);
        for (user, orders, row, billing) in [
            (&ada, "enters", "enters", "enters"),
            (&guest, "rule_denied", "rule_denied", "enters"),
            (&acting, "enters", "enters", "rule_denied"),
        ] {
            for (target, expected) in [
                ("/", "enters"),
                ("/orders/", orders),
                ("/row/", row),
                ("/billing/", billing),
            ] {
                let outcome = world.outcome(target, user).await?;
                assert_eq!(outcome, expected, "{place:?} {} {target}", user.name);
            }
        }
        let (status, line) = world
            .status_and_line("/billing/", &acting.browser.cookies())
            .await?;
        assert_eq!(status, 403);
        assert_eq!(line["impersonated_by"], admin.id.as_str(), "{place:?}");
        assert_eq!(line["user_id"], ada.id.as_str());
        assert_eq!(line["rule"], "/billing/");
        let (_, line) = world
            .status_and_line("/orders/", &guest.browser.cookies())
            .await?;
        assert_eq!(line["anonymous"], true, "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_session_without_its_second_factor_never_enters() -> Result<()> {
    const RULES: &str = r#"
[[route]]
path = "/"
[[route]]
path = "/vault/"
require = { column = "twoFactorEnabled", equals = true }
"#;
    for place in SESSION_PLACES {
        let world = World::start(place, RULES).await?;
        let mut ada = world.app.sign_up("ada").await?;
        let first = ada.browser.cookies();
        assert_eq!(
            world.outcome("/vault/", &ada).await?,
            "rule_denied",
            "{place:?}"
        );
        let codes = world.app.enable_two_factor(&mut ada).await?;
        // The row applies to every existing session at once.
        assert_eq!(world.outcome("/vault/", &ada).await?, "enters", "{place:?}");
        if place == SessionPlace::CookieCache {
            assert_eq!(world.status_and_line("/vault/", &first).await?.0, 200);
        }

        let halfway = world.app.sign_in_without_second_factor("ada").await?;
        let pending = halfway
            .cookie("better-auth.two_factor")
            .context("a challenge")?;
        let renamed = |name: &str| format!("better-auth.{name}={pending}");
        for cookies in [
            halfway.cookies(),
            renamed("session_token"),
            renamed("session_data"),
            format!("{}; {}", renamed("session_token"), renamed("session_data")),
            format!("__Secure-{}", renamed("session_token")),
        ] {
            let (status, line) = world.status_and_line("/", &cookies).await?;
            assert_eq!(status, 401, "{place:?} {line}");
        }
        assert!(world.app.session(&halfway.cookies()).await?.is_null());

        let mut whole = SignedIn {
            browser: halfway,
            ..ada.clone()
        };
        let code = json!({ "code": codes.first().context("a code")?, "trustDevice": true });
        world
            .app
            .post(&mut whole, "two-factor/verify-backup-code", code)
            .await?;
        assert_eq!(
            world.outcome("/vault/", &whole).await?,
            "enters",
            "{place:?}"
        );
        // The cookie of a trusted device shortens the app's sign-in; the gate does not accept it.
        let trusted = whole.browser.cookie("better-auth.trust_device");
        let trusted = trusted.context("a trusted device")?;
        let (status, _) = world
            .status_and_line("/", &format!("better-auth.session_token={trusted}"))
            .await?;
        assert_eq!(status, 401, "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn drizzle_tables_are_queried_by_their_column_names() -> Result<()> {
    let rules = r#"
session_schema = "better-auth-drizzle"
active = "better-auth"
[[route]]
path = "/"
require = [
  { organization_role = ["owner"] },
  { not = { claim = "session.impersonatedBy", present = true } },
]
"#;
    let world = World::start(SessionPlace::Database, "[[route]]\npath = \"/\"\n").await?;
    let views = r#"CREATE SCHEMA drizzle;
        CREATE VIEW drizzle.session AS SELECT token, "userId" AS user_id, "expiresAt" AS expires_at,
            "createdAt" AS created_at, "activeOrganizationId" AS active_organization_id,
            "impersonatedBy" AS impersonated_by FROM public.session;
        CREATE VIEW drizzle."user" AS SELECT id, email, name, "emailVerified" AS email_verified, banned,
            "banExpires" AS ban_expires, "isAnonymous" AS is_anonymous FROM public."user";
        CREATE VIEW drizzle.member AS SELECT "userId" AS user_id, "organizationId" AS organization_id, role
            FROM public.member"#;
    world.postgres.execute(views).await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gate.toml");
    let url = world.postgres.url(Postgres::DATABASE);
    let mark = if url.contains('?') { '&' } else { '?' };
    let file = format!(
        "session_format = \"better-auth\"\nbetter_auth_secret = \"{}\"\nupstream = \"{}\"\nmemory_cache_ttl = 0\n\
         database_url = \"{url}{mark}schema=drizzle\"\n{rules}",
        BetterAuth::SECRET,
        world.echo.url()
    );
    std::fs::write(&path, file)?;
    let path = path.to_str().context("a path")?;
    let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate")).env("SESSIONGATE_CONFIG", path);
    let gate = gate.start().await?;
    let mut ada = world.app.sign_up("ada").await?;
    let status = async |user: &SignedIn| {
        let request = Request::get("/").cookie(user.browser.cookies());
        anyhow::Ok(gate.send(&request).await?.status)
    };
    assert_eq!(status(&ada).await?, 403);
    let body = json!({ "name": "acme", "slug": "acme" });
    let acme = world
        .app
        .post(&mut ada, "organization/create", body)
        .await?["id"]
        .clone();
    let body = json!({ "organizationId": acme });
    world
        .app
        .post(&mut ada, "organization/set-active", body)
        .await?;
    assert_eq!(status(&ada).await?, 200);
    world.set(&ada, "banned = true").await?;
    assert_eq!(status(&ada).await?, 403);
    Ok(())
}

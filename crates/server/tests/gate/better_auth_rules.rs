//! Rules about data that plugins of the real Better Auth write, for sessions in a cookie cache, in the database and in Redis.

use anyhow::{Context, Result};
use harness::interop::{BetterAuth, SignedIn};
use harness::{Echo, Gate, Postgres, Redis, Request};
use serde_json::{Value, json};
use tempfile::TempDir;

const SECRET: (&str, &str) = ("BETTER_AUTH_SECRET", BetterAuth::SECRET);
const PLUGINS: (&str, &str) = ("PLUGINS", "admin,anonymous,organization,two-factor");
const KEEPS: [Keeps; 3] = [Keeps::CookieCache, Keeps::Database, Keeps::Redis];

/// The place where the gate finds the app's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
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
    async fn start(keeps: Keeps, rules: &str) -> Result<Self> {
        Self::start_caching(keeps, 0, rules).await
    }

    /// Starts a world whose gate caches lookups for this many seconds.
    async fn start_caching(keeps: Keeps, seconds: u32, rules: &str) -> Result<Self> {
        let (postgres, redis) = (Postgres::start().await?, Redis::start().await?);
        let (url, redis_url) = (postgres.url(Postgres::DATABASE), redis.url());
        let (own, storage): (&[_], String) = match keeps {
            Keeps::CookieCache => (&[("CACHE_STRATEGY", "jwe")], String::new()),
            Keeps::Database => (&[], String::new()),
            Keeps::Redis => (
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
    async fn ask(&self, target: &str, cookies: &str) -> Result<(u16, Value)> {
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
        let (status, line) = self.ask(target, &user.browser.cookies()).await?;
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
async fn roles_and_bans_count_without_a_new_session() -> Result<()> {
    const RULES: &str = r#"
active = "better-auth"
[[route]]
path = "/"
[[route]]
path = "/admin/"
require = { column = "role", contains = "admin", separator = "," }
"#;
    for keeps in KEEPS {
        let world = World::start(keeps, RULES).await?;
        let mut admin = world.app.sign_up("admin").await?;
        let bob = world.app.sign_up("bob").await?;
        let outcome = async |target: &str| world.outcome(target, &bob).await;
        assert_eq!(
            world.outcome("/admin/", &admin).await?,
            "enters",
            "{keeps:?}"
        );
        assert_eq!(outcome("/").await?, "enters", "{keeps:?}");
        assert_eq!(outcome("/admin/").await?, "rule_denied", "{keeps:?}");

        let body = json!({ "userId": bob.id, "role": ["user", "admin"] });
        world.app.post(&mut admin, "admin/set-role", body).await?;
        assert_eq!(outcome("/admin/").await?, "enters", "{keeps:?}");
        world.set(&bob, "role = 'user,superadmin'").await?;
        assert_eq!(outcome("/admin/").await?, "rule_denied", "{keeps:?}");

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
            assert_eq!(outcome("/").await?, expected, "{keeps:?} {row}");
        }

        // The app ends the sessions of users whom it bans; a copy of the cookie cache remains valid.
        let body = json!({ "userId": bob.id });
        world.app.post(&mut admin, "admin/ban-user", body).await?;
        let expected = match keeps {
            Keeps::CookieCache => "user_disabled",
            Keeps::Database | Keeps::Redis => "session_missing",
        };
        assert_eq!(outcome("/").await?, expected, "{keeps:?}");
        let body = json!({ "userId": bob.id });
        world.app.post(&mut admin, "admin/unban-user", body).await?;
        let again = world.app.sign_in("bob").await?;
        assert_eq!(world.outcome("/", &again).await?, "enters", "{keeps:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_ban_counts_once_what_is_remembered_has_ended() -> Result<()> {
    for keeps in [Keeps::CookieCache, Keeps::Database] {
        let rules = "active = \"better-auth\"\n[[route]]\npath = \"/\"\n";
        let world = World::start_caching(keeps, 1, rules).await?;
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
async fn the_role_in_the_active_organization_counts() -> Result<()> {
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
    for keeps in KEEPS {
        let world = World::start(keeps, RULES).await?;
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
        assert_eq!(outcomes(&ada).await?, both("enters", "enters"), "{keeps:?}");
        assert_eq!(
            outcomes(&bob).await?,
            both("rule_denied", "enters"),
            "{keeps:?}"
        );
        assert_eq!(
            outcomes(&loner).await?,
            both("rule_denied", "rule_denied"),
            "{keeps:?}"
        );
        world.outcome("/", &bob).await?;
        let seen = echo.seen().pop().context("it arrived")?;
        assert_eq!(seen.headers.get("x-org"), acme.as_str(), "{keeps:?}");
        world.outcome("/", &loner).await?;
        let seen = echo.seen().pop().context("it arrived")?;
        assert_eq!(seen.headers.get("x-org"), Some(""), "{keeps:?}");

        // A changed role takes effect at once, in the same session.
        let member = &accepted["member"]["id"];
        let body =
            json!({ "memberId": member, "role": ["member", "admin"], "organizationId": acme });
        app.post(&mut ada, "organization/update-member-role", body)
            .await?;
        assert_eq!(outcomes(&bob).await?, both("enters", "enters"), "{keeps:?}");

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
            "{keeps:?}"
        );
        let body = json!({ "organizationId": acme });
        app.post(&mut bob, "organization/set-active", body).await?;
        assert_eq!(outcomes(&bob).await?, both("enters", "enters"), "{keeps:?}");

        let body = json!({ "memberIdOrEmail": bob.email, "organizationId": acme });
        app.post(&mut ada, "organization/remove-member", body)
            .await?;
        assert_eq!(
            world.outcome("/settings/", &bob).await?,
            "rule_denied",
            "{keeps:?}"
        );
        let body = json!({ "organizationId": null });
        app.post(&mut ada, "organization/set-active", body).await?;
        assert_eq!(
            outcomes(&ada).await?,
            both("rule_denied", "rule_denied"),
            "{keeps:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn guests_and_admins_in_another_name_are_kept_out_where_a_rule_says_so() -> Result<()> {
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
    for keeps in KEEPS {
        let world = World::start(keeps, RULES).await?;
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
                assert_eq!(outcome, expected, "{keeps:?} {} {target}", user.name);
            }
        }
        let (status, line) = world.ask("/billing/", &acting.browser.cookies()).await?;
        assert_eq!(status, 403);
        assert_eq!(line["impersonated_by"], admin.id.as_str(), "{keeps:?}");
        assert_eq!(line["user_id"], ada.id.as_str());
        assert_eq!(line["rule"], "/billing/");
        let (_, line) = world.ask("/orders/", &guest.browser.cookies()).await?;
        assert_eq!(line["anonymous"], true, "{keeps:?}");
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
    for keeps in KEEPS {
        let world = World::start(keeps, RULES).await?;
        let mut ada = world.app.sign_up("ada").await?;
        let first = ada.browser.cookies();
        assert_eq!(
            world.outcome("/vault/", &ada).await?,
            "rule_denied",
            "{keeps:?}"
        );
        let codes = world.app.turn_on_two_factor(&mut ada).await?;
        // The row applies to every existing session at once.
        assert_eq!(world.outcome("/vault/", &ada).await?, "enters", "{keeps:?}");
        if keeps == Keeps::CookieCache {
            assert_eq!(world.ask("/vault/", &first).await?.0, 200);
        }

        let halfway = world.app.sign_in_halfway("ada").await?;
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
            let (status, line) = world.ask("/", &cookies).await?;
            assert_eq!(status, 401, "{keeps:?} {line}");
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
            "{keeps:?}"
        );
        // The cookie of a trusted device shortens the app's sign-in; the gate does not accept it.
        let trusted = whole.browser.cookie("better-auth.trust_device");
        let trusted = trusted.context("a trusted device")?;
        let (status, _) = world
            .ask("/", &format!("better-auth.session_token={trusted}"))
            .await?;
        assert_eq!(status, 401, "{keeps:?}");
    }
    Ok(())
}

#[tokio::test]
async fn tables_of_drizzle_are_asked_by_their_own_names() -> Result<()> {
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
    let world = World::start(Keeps::Database, "[[route]]\npath = \"/\"\n").await?;
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

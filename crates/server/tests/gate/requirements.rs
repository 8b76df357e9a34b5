//! What rules demand of sessions and of users' rows, and the messages about demands that cannot be met.

use std::path::Path;

use anyhow::{Context, Result};
use harness::interop::{AuthApp, BetterAuth, DatabaseApp};
use harness::{Echo, Finished, Gate, GateCommand, Mint, Postgres, Request, mint};

/// Returns the command of a gate with this file.
fn with_file(folder: &Path, file: &str) -> Result<GateCommand> {
    let path = folder.join("gate.toml");
    std::fs::write(&path, file)?;
    let path = path.to_str().context("a path")?;
    Ok(Gate::command(env!("CARGO_BIN_EXE_sessiongate")).env("SESSIONGATE_CONFIG", path))
}

async fn checked(file: &str) -> Result<Finished> {
    let folder = tempfile::tempdir()?;
    with_file(folder.path(), file)?
        .args(["check-config"])
        .run()
        .await
}

async fn status(gate: &Gate, target: &str, cookies: &str) -> Result<u16> {
    let request = Request::get(target).cookie(cookies);
    Ok(gate.send(&request).await?.status)
}

#[tokio::test]
async fn a_role_in_the_session_satisfies_a_rule() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let app = AuthApp::start_with_roles(mint::SECRET).await?;
    let file = format!(
        "auth_secret = \"{}\"\nupstream = \"{}\"\n[[route]]\npath = \"/\"\n\
         [[route]]\npath = \"/admin/\"\nrequire = {{ claim = \"role\", equals = \"admin\" }}\n",
        mint::SECRET,
        echo.url()
    );
    let gate = with_file(folder.path(), &file)?.start().await?;
    for (name, expected) in [("admin", 200), ("ada", 403)] {
        let cookies = app.sign_in(name).await?.cookies();
        assert_eq!(status(&gate, "/", &cookies).await?, 200, "{name}");
        assert_eq!(
            status(&gate, "/admin/", &cookies).await?,
            expected,
            "{name}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_role_in_the_user_row_satisfies_a_rule_for_database_sessions() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let postgres = Postgres::start().await?;
    let url = postgres.url(Postgres::DATABASE);
    let app = DatabaseApp::start(mint::SECRET, &url, []).await?;
    postgres
        .execute("ALTER TABLE users ADD COLUMN role text")
        .await?;
    let file = format!(
        "session_format = \"authjs-database\"\ndatabase_url = \"{url}\"\nupstream = \"{}\"\nmemory_cache_ttl = 0\n\
         [[route]]\npath = \"/\"\n\
         [[route]]\npath = \"/admin/\"\nrequire = {{ column = \"role\", one_of = [\"admin\", \"owner\"] }}\n",
        echo.url()
    );
    let gate = with_file(folder.path(), &file)?.start().await?;
    let cookies = app.sign_in("ada").await?.browser.cookies();
    assert_eq!(status(&gate, "/", &cookies).await?, 200);
    for (role, expected) in [
        ("NULL", 403),
        ("'owner'", 200),
        ("'Owner'", 403),
        ("'admin'", 200),
    ] {
        postgres
            .execute(&format!("UPDATE users SET role = {role}"))
            .await?;
        assert_eq!(
            status(&gate, "/admin/", &cookies).await?,
            expected,
            "{role}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_claim_of_the_wrong_type_is_refused_and_named_without_its_value() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let file = format!(
        "log_format = \"json\"\nauth_secret = \"{}\"\nupstream = \"{}\"\n\
         [[route]]\nname = \"admin area\"\npath = \"/\"\n\
         require = {{ any = [{{ network = \"192.0.2.0/24\" }}, {{ not = {{ claim = \"user.level\", equals = \"low\" }} }}] }}\n",
        mint::SECRET,
        echo.url()
    );
    let gate = with_file(folder.path(), &file)?.start().await?;
    let cookie = |level: serde_json::Value| {
        Mint::user("ada")
            .claim("user", serde_json::json!({ "level": level }))
            .authjs()
    };
    assert_eq!(status(&gate, "/", &cookie("high".into())).await?, 200);
    assert_eq!(status(&gate, "/", &cookie("low".into())).await?, 403);
    for _ in 0..3 {
        assert_eq!(status(&gate, "/", &cookie(471_108.into())).await?, 403);
    }
    let line = gate
        .wait_for_audit(|line| line["reason"] == "rule_incomparable")
        .await?;
    assert_eq!(
        (&line["rule"], &line["user_id"]),
        (&"admin area".into(), &"ada".into())
    );
    let wanted = "the claim `user.level` is a number, and `equals` demands another type";
    gate.stderr()
        .wait_for(|line| (line.contains(wanted) && line.contains("admin area")).then_some(()))
        .await?;
    let printed = gate.stderr().all();
    // At most twice: a minute may begin between two requests.
    assert!(
        printed.iter().filter(|line| line.contains(wanted)).count() <= 2,
        "{printed:?}"
    );
    assert!(
        !printed.iter().any(|line| line.contains("471108")),
        "{printed:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_missing_column_is_reported_with_its_place_in_the_file() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres
        .execute(
            "CREATE TABLE \"user\" (id text PRIMARY KEY, email text, name text, \"isAdmin\" boolean);
             CREATE TABLE session (token text, \"userId\" text, \"expiresAt\" timestamptz, \"createdAt\" timestamptz)",
        )
        .await?;
    let top = format!(
        "session_format = \"better-auth\"\nbetter_auth_secret = \"{}\"\nupstream = \"http://127.0.0.1:1\"\n\
         database_url = \"{}\"\n",
        BetterAuth::SECRET,
        postgres.url(Postgres::DATABASE)
    );
    for (rest, place, what) in [
        (
            "[[route]]\npath = \"/\"\n[[route]]\npath = \"/a/\"\nrequire = { column = \"is_admin\", equals = true }\n",
            "gate.toml:9: ",
            "there is no column \"is_admin\" in \"user\"; did you mean \"isAdmin\"?",
        ),
        (
            "[[route]]\npath = \"/\"\nrequire = { claim = \"session.activeTeamId\", present = true }\n",
            "gate.toml:7: ",
            "there is no column \"activeTeamId\" in \"session\"",
        ),
        (
            "active = \"better-auth\"\n[[route]]\npath = \"/\"\n",
            "gate.toml:5: ",
            "there is no column \"banned\" in \"user\"",
        ),
        (
            "[profile.a]\nheaders = { \"X-Team\" = { column = \"team\" } }\n[[route]]\npath = \"/\"\nheaders = \"a\"\n",
            "gate.toml:6: ",
            "there is no column \"team\" in \"user\"",
        ),
        (
            "[[route]]\npath = \"/\"\nrequire = { organization_role = [\"owner\"] }\n",
            "gate.toml:7: ",
            "there is no table or view \"member\"",
        ),
    ] {
        let folder = tempfile::tempdir()?;
        let ended = with_file(folder.path(), &format!("{top}{rest}"))?
            .run()
            .await?;
        assert!(!ended.status.success());
        let expected = format!("{place}{what}");
        assert!(
            ended.stderr.contains(&expected),
            "{expected}: {}",
            ended.stderr
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_claim_that_no_session_can_have_is_an_error() -> Result<()> {
    let better_auth = format!(
        "session_format = \"better-auth\"\nbetter_auth_secret = \"{}\"\nupstream = \"http://127.0.0.1:1\"\n\
         database_url = \"postgres://gate@127.0.0.1/app\"\n",
        BetterAuth::SECRET
    );
    let in_database = "session_format = \"authjs-database\"\nupstream = \"http://127.0.0.1:1\"\n\
                       database_url = \"postgres://gate@127.0.0.1/app\"\n";
    let sealed = format!(
        "auth_secret = \"{}\"\nupstream = \"http://127.0.0.1:1\"\n",
        mint::SECRET
    );
    for (top, claim, printed) in [
        (
            &*better_auth,
            "impersonatedBy",
            Some("`session.impersonatedBy`"),
        ),
        (&*better_auth, "role", Some("`user.role`")),
        (&*better_auth, "user", Some("`user.id`")),
        (&*better_auth, "session.token", Some("a session's token")),
        (&*better_auth, "user.role", None),
        (in_database, "role", Some("use a column of the user's row")),
        (in_database, "email_verified", None),
        (&*sealed, "impersonatedBy", None),
    ] {
        let file = format!(
            "{top}[[route]]\npath = \"/\"\nrequire = {{ claim = \"{claim}\", present = true }}\n"
        );
        let ended = checked(&file).await?;
        assert_eq!(
            ended.status.success(),
            printed.is_none(),
            "{claim}: {}",
            ended.stderr
        );
        if let Some(printed) = printed {
            assert!(ended.stderr.contains(printed), "{claim}: {}", ended.stderr);
            assert!(
                ended.stderr.contains("gate.toml:"),
                "{claim}: {}",
                ended.stderr
            );
        }
    }
    // Tokens of another issuer may have any claims.
    let bearer = format!(
        "{better_auth}bearer_secret = \"{}\"\nbearer_issuer = \"https://issuer.test\"\nbearer_audience = \"api\"\n\
         [[route]]\npath = \"/\"\nrequire = {{ claim = \"scope\", contains = \"read\", separator = \" \" }}\n",
        mint::SECRET
    );
    let ended = checked(&bearer).await?;
    assert!(ended.status.success(), "{}", ended.stderr);
    Ok(())
}

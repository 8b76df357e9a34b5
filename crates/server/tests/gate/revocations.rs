//! Sessions that are revoked before they expire: by command line and admin listener, in every store, on every node.

mod admin;
mod stores;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use harness::{Client, Echo, Gate, GateCommand, Mint, Request, mint, poll};
use serde_json::Value;

use crate::bearer;
use crate::exchanges::Upstream;
use crate::leases::{close_frame, websocket};
use crate::support::gate;

/// Returns the command of a gate that keeps revocations in this store and checks for new ones every second.
fn keeping(upstream: &str, place: &str) -> GateCommand {
    gate(upstream)
        .env("REVOCATION_STORE", place)
        .env("REVOCATION_INTERVAL", "1")
}

/// A gate that keeps revocations in a file, and its command, with which tests start other processes beside it.
struct World {
    _echo: Echo,
    gate: Gate,
    command: GateCommand,
    folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Result<Self> {
        Self::start_with([]).await
    }

    async fn start_with<const N: usize>(settings: [(&str, &str); N]) -> Result<Self> {
        let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
        let command = keeping(&echo.url(), &file_in(folder.path())).envs(settings);
        let gate = command.clone().start().await?;
        Ok(Self {
            _echo: echo,
            gate,
            command,
            folder,
        })
    }

    /// Runs `sessiongate` with these arguments, which must succeed, and returns its output.
    async fn run_command(&self, words: &[&str]) -> Result<String> {
        run_command(&self.command, words).await
    }
}

fn file_in(folder: &Path) -> String {
    folder.join("revocations.db").display().to_string()
}

/// Runs `sessiongate` with these arguments and the settings of `command`, which must succeed, and returns its output.
async fn run_command(command: &GateCommand, words: &[&str]) -> Result<String> {
    let done = command.clone().args(words.iter().copied()).run().await?;
    ensure!(done.status.success(), "{words:?}: {}", done.stderr);
    Ok(done.stdout)
}

/// A session that was issued a minute ago.
fn old_session(user: &str) -> Mint {
    Mint::user(user).issued_ago(60)
}

/// Returns a session that was issued later than everything so far.
fn new_session(user: &str) -> Mint {
    Mint::user(user).issued_ago(-5)
}

/// The status, and the audit line, of a request with this session.
async fn status_and_audit_line(gate: &Gate, session: &Mint) -> Result<(u16, Value)> {
    let answer = gate
        .send(&Request::get("/").cookie(session.authjs()))
        .await?;
    let id = answer.header("x-request-id").context("an id")?.to_owned();
    let line = gate
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    Ok((answer.status, line))
}

async fn status(gate: &Gate, session: &Mint) -> Result<u16> {
    Ok(status_and_audit_line(gate, session).await?.0)
}

/// Sends requests with the session until the answer has this status.
async fn wait_for_status(gate: &Gate, session: &Mint, wanted: u16) -> Result<()> {
    poll("the revocation to take effect", async || {
        let status = status(gate, session).await.ok()?;
        (status == wanted).then_some(())
    })
    .await
}

#[tokio::test]
async fn a_user_is_signed_out_everywhere_while_the_gate_runs() -> Result<()> {
    let world = World::start().await?;
    let gate = &world.gate;
    assert_eq!(status(gate, &old_session("ada")).await?, 200);
    let words = [
        "revoke",
        "--user",
        "ada",
        "--reason",
        "stolen laptop",
        "--by",
        "ops",
    ];
    let printed = world.run_command(&words).await?;
    assert!(
        printed.contains("user ada: everything issued before"),
        "{printed}"
    );
    wait_for_status(gate, &old_session("ada"), 401).await?;
    let (_, line) = status_and_audit_line(gate, &old_session("ada")).await?;
    assert_eq!(
        (&line["reason"], &line["user_id"]),
        (&"revoked".into(), &"ada".into())
    );
    assert_eq!(status(gate, &old_session("ada").without("iat")).await?, 401);
    assert_eq!(
        status(gate, &new_session("ada")).await?,
        200,
        "a session from after the revocation"
    );
    assert_eq!(status(gate, &old_session("bob")).await?, 200);

    let line = gate.wait_for_audit(|line| line["event"] == "revocation");
    let line = line.await?;
    for (name, value) in [
        ("action", "added"),
        ("realm", "default"),
        ("kind", "user"),
        ("user_id", "ada"),
        ("by", "ops"),
        ("source", "cli"),
        ("why", "stolen laptop"),
    ] {
        assert_eq!(line[name], value, "{line}");
    }
    let count = gate.metric("sessiongate_revocations_total", ["source=\"cli\""]);
    assert_eq!(count.await?, 1.0);
    assert_eq!(gate.metric("sessiongate_revocations", []).await?, 1.0);
    let decisions = gate.metric("sessiongate_decisions_total", ["reason=\"revoked\""]);
    assert!(decisions.await? >= 1.0);

    let listed: Value =
        serde_json::from_str(&world.run_command(&["revocations", "--json"]).await?)?;
    assert_eq!(listed["revocations"][0]["user_id"], "ada", "{listed}");
    let listed = world.run_command(&["revocations"]).await?;
    let cells: Vec<_> = listed
        .lines()
        .map(|line| line.split("  ").collect::<Vec<_>>())
        .collect();
    assert_eq!(cells[0][0], "realm", "{listed}");
    assert!(cells[1].contains(&"ops"), "{listed}");

    world
        .run_command(&["revocations", "remove", "--user", "ada"])
        .await?;
    wait_for_status(gate, &old_session("ada"), 200).await?;
    gate.wait_for_audit(|line| line["action"] == "removed")
        .await?;
    assert_eq!(
        world.run_command(&["revocations"]).await?,
        "nothing is revoked"
    );
    Ok(())
}

#[tokio::test]
async fn one_session_is_revoked_by_its_id_in_the_audit_log() -> Result<()> {
    let world = World::start().await?;
    let gate = &world.gate;
    let (stolen, other) = (old_session("ada"), old_session("ada"));
    let (_, line) = status_and_audit_line(gate, &stolen).await?;
    let id = line["session_id"].as_str().context("lines name sessions")?;
    world.run_command(&["revoke", "--session", id]).await?;
    wait_for_status(gate, &stolen, 401).await?;
    assert_eq!(status(gate, &other).await?, 200);
    assert_eq!(
        status(gate, &stolen.issued_ago(-5)).await?,
        401,
        "whatever its time"
    );

    // A session without `jti` has a hash as its id.
    let nameless = old_session("bob").without("jti");
    let token = nameless.authjs();
    let answer = gate.send(&Request::get("/").cookie(token.clone())).await?;
    let id = answer.header("x-request-id").context("an id")?.to_owned();
    let line = gate.wait_for_audit(|line| line["request_id"] == id.as_str());
    let line = line.await?;
    let id = line["session_id"].as_str().context("lines name sessions")?;
    assert_eq!(id.len(), 43);
    world.run_command(&["revoke", "--session", id]).await?;
    poll("the revocation to take effect", async || {
        let answer = gate.send(&Request::get("/").cookie(token.clone())).await;
        (answer.ok()?.status == 401).then_some(())
    })
    .await
}

#[tokio::test]
async fn all_sessions_before_a_time_are_revoked() -> Result<()> {
    let world = World::start().await?;
    let gate = &world.gate;
    let before = (mint::now() - 100).to_string();
    world
        .run_command(&["revoke", "--all-before", &before])
        .await?;
    let older = Mint::user("ada").issued_ago(200);
    wait_for_status(gate, &older, 401).await?;
    assert_eq!(status(gate, &old_session("ada")).await?, 200);
    // A later time replaces the earlier one.
    world
        .run_command(&["revoke", "--all-before", "now"])
        .await?;
    wait_for_status(gate, &old_session("ada"), 401).await?;
    assert_eq!(status(gate, &new_session("ada")).await?, 200);
    world
        .run_command(&["revocations", "remove", "--all"])
        .await?;
    wait_for_status(gate, &older, 200).await
}

#[tokio::test]
async fn a_bearer_token_is_revoked_like_a_session() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let key = bearer::Key::new("one");
    let publisher = bearer::Publisher::start_with(&[&key], None).await?;
    let command = bearer::gate_with_issuer(&echo)
        .env(
            "BEARER_JWKS",
            format!("http://{}/jwks.json", publisher.address),
        )
        .env("REVOCATION_STORE", file_in(folder.path()))
        .env("REVOCATION_INTERVAL", "1");
    let gate = command.clone().start().await?;
    let token = key.token()?;
    poll("the gate to have the keys", async || {
        let (status, _) = bearer::outcome(&gate, &token).await.ok()?;
        (status == 200).then_some(())
    })
    .await?;
    run_command(&command, &["revoke", "--user", "billing-job"]).await?;
    poll("the revocation to take effect", async || {
        let outcome = bearer::outcome(&gate, &token).await.ok()?;
        (outcome == (401, "revoked".to_owned())).then_some(())
    })
    .await
}

#[tokio::test]
async fn a_renewed_session_stays_revoked_if_a_claim_has_the_sign_in_time() -> Result<()> {
    let world = World::start_with([("SIGN_IN_TIME_CLAIM", "auth_time")]).await?;
    let signed_in = |ago: i64| new_session("ada").claim("auth_time", mint::now() - ago);
    world.run_command(&["revoke", "--user", "ada"]).await?;
    wait_for_status(&world.gate, &signed_in(60), 401).await?;
    assert_eq!(status(&world.gate, &signed_in(-5)).await?, 200);
    Ok(())
}

#[tokio::test]
async fn revocations_expire() -> Result<()> {
    let world = World::start_with([("REVOCATION_TTL", "5")]).await?;
    world.run_command(&["revoke", "--user", "ada"]).await?;
    wait_for_status(&world.gate, &old_session("ada"), 401).await?;
    wait_for_status(&world.gate, &old_session("ada"), 200).await?;
    assert_eq!(
        world.run_command(&["revocations"]).await?,
        "nothing is revoked"
    );
    let removed = |line: &Value| line["action"] == "removed";
    assert!(!world.gate.audit_lines().iter().any(removed));
    Ok(())
}

#[tokio::test]
async fn revocations_apply_to_one_realm() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let file = folder.path().join("gate.toml");
    let text = format!(
        "[realm.shop]\nauth_secret = \"{}\"\nauth_cookie_name = \"shop.session\"\n\n\
         [[route]]\npath = \"/\"\n\n[[route]]\npath = \"/shop/\"\nrealm = \"shop\"\n",
        mint::SECRET
    );
    std::fs::write(&file, text)?;
    let command = keeping(&echo.url(), &file_in(folder.path()))
        .env("SESSIONGATE_CONFIG", file.display().to_string());
    let gate = command.clone().start().await?;
    let asks = async |path: &str, cookie: String| -> Result<u16> {
        Ok(gate.send(&Request::get(path).cookie(cookie)).await?.status)
    };
    let of_shop = || old_session("ada").named("shop.session").authjs();
    assert_eq!(asks("/shop/", of_shop()).await?, 200);
    run_command(&command, &["revoke", "--user", "ada", "--realm", "shop"]).await?;
    poll("the revocation to take effect", async || {
        (asks("/shop/", of_shop()).await.ok()? == 401).then_some(())
    })
    .await?;
    assert_eq!(asks("/", old_session("ada").authjs()).await?, 200);
    let words = ["revoke", "--user", "ada", "--realm", "none"];
    let done = command.args(words).run().await?;
    assert!(
        done.stderr.contains("the realms are: default, shop"),
        "{}",
        done.stderr
    );
    Ok(())
}

#[tokio::test]
async fn a_websocket_of_a_revoked_user_is_closed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = file_in(folder.path());
    let settings = [
        ("REVOCATION_STORE", place.as_str()),
        ("REVOCATION_INTERVAL", "1"),
    ];
    let (upstream, gate) = Upstream::start_with(settings).await?;
    let request = Request::get("/socket").cookie(old_session("ada").authjs());
    let (mut client, _served) = websocket(&upstream, &gate, request).await?;
    let command = keeping("http://127.0.0.1:1", &place);
    run_command(&command, &["revoke", "--user", "ada"]).await?;
    let closed = close_frame(&mut client).await?;
    assert_eq!(closed, (4401, "session revoked".to_owned()));
    // A Close frame with code 1000, masked with zeros.
    client.raw(&[0x88, 0x82, 0, 0, 0, 0, 3, 0xe8]).await?;
    client.closed().await?;
    let line = gate.wait_for_audit(|line| line["event"] == "end").await?;
    assert_eq!(line["ended"], "session_revoked", "{line}");
    Ok(())
}

#[tokio::test]
async fn invalid_revocations_are_refused() -> Result<()> {
    let world = World::start().await?;
    let ahead = (mint::now() + 3600).to_string();
    for (words, printed) in [
        (
            &["revoke"][..],
            "give exactly one of --user, --session and --all-before",
        ),
        (&["revoke", "--user", ""], "the id of a user is empty"),
        (&["revoke", "--all-before", "soon"], "not a time"),
        (&["revoke", "--all-before", &ahead], "is in the future"),
        (
            &["revocations", "remove", "--user", "eve"],
            "no such revocation",
        ),
    ] {
        let done = world
            .command
            .clone()
            .args(words.iter().copied())
            .run()
            .await?;
        assert!(!done.status.success(), "{words:?}");
        assert!(done.stderr.contains(printed), "{words:?}: {}", done.stderr);
    }
    let nowhere = world.command.clone().without("REVOCATION_STORE");
    let done = nowhere.args(["revoke", "--user", "ada"]).run().await?;
    assert!(
        done.stderr.contains("REVOCATION_STORE is not set"),
        "{}",
        done.stderr
    );
    Ok(())
}

#[tokio::test]
async fn explain_reports_a_revoked_session() -> Result<()> {
    let world = World::start().await?;
    world.run_command(&["revoke", "--user", "ada"]).await?;
    let cookies = world.folder.path().join("cookies");
    std::fs::write(&cookies, old_session("ada").authjs())?;
    let file = cookies.display().to_string();
    let words = ["explain", "--cookie-file", &file, "--json", "GET", "/"];
    let done = world.command.clone().args(words).run().await?;
    let explained: Value = serde_json::from_str(&done.stdout)?;
    assert_eq!(explained["answer"]["reason"], "revoked", "{explained}");
    let notes = explained["notes"].to_string();
    assert!(notes.contains("sessiongate revocations"), "{notes}");
    let words = [&words[..], &["--no-stores"]].concat();
    let done = world.command.clone().args(words).run().await?;
    let explained: Value = serde_json::from_str(&done.stdout)?;
    assert_eq!(explained["answer"]["reason"], "session", "{explained}");
    Ok(())
}

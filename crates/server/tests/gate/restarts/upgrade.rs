//! On SIGUSR2, a new process of the same program replaces the one that serves.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use anyhow::{Context, Result};
use harness::{Client, Echo, Gate, poll};
use serde_json::Value;

use super::load::{Load, Protocols};
use super::{FEW, MANY, configure, configured, wait_for_log_lines};
use crate::support::signed_in;

/// A line of processes: the one that serves, and the number of changes so far.
pub(super) struct Succession {
    pub(super) gate: Gate,
    process: u64,
    changes: usize,
}

impl Succession {
    pub(super) fn of(gate: Gate) -> Self {
        Self {
            process: gate.id().into(),
            gate,
            changes: 0,
        }
    }

    /// Starts another process, and waits until it serves and the previous one stops.
    pub(super) async fn upgrade(&mut self) -> Result<()> {
        self.gate.signal_successor(self.process, "USR2").await?;
        self.changes += 1;
        let line = wait_for_log_lines(&self.gate, "the new process serves", self.changes).await?;
        self.process = line["process"].as_u64().context("its number")?;
        wait_for_log_lines(&self.gate, "stopping", self.changes).await?;
        Ok(())
    }
}

async fn upgrades(times: usize, protocols: Protocols) -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let file = folder.path().join("gate.toml");
    configure(&file, &echo.url(), 0, 2)?;
    let gate = protocols.of(configured(&file)?).start().await?;
    let mut load = Load::start(gate.proxy, &protocols)?;
    let mut line = Succession::of(gate);
    for turn in 1..=times {
        load.wait_for_requests(&echo).await?;
        // The number of workers goes above and below the number of sockets.
        configure(&file, &echo.url(), turn, [3, 1, 2][turn % 3])?;
        line.upgrade().await?;
    }
    load.wait_for_requests(&echo).await?;
    load.end(&format!("{times} upgrades")).await?;
    let answer = line.gate.admin("/readyz").await?;
    assert_eq!(answer.status, 200, "the last process answers");
    let lines = line.gate.stdout().all();
    let torn = |line: &&String| serde_json::from_str::<Value>(line).is_err();
    assert_eq!(
        lines.iter().find(torn),
        None,
        "lines of two processes are not mixed"
    );
    Ok(())
}

#[tokio::test]
async fn no_request_fails_while_new_processes_take_over() -> Result<()> {
    upgrades(FEW, Protocols::Clear).await
}

#[tokio::test]
#[ignore = "fifty take their time; three are part of the suite"]
async fn no_request_fails_while_new_processes_take_over_many_times() -> Result<()> {
    upgrades(MANY, Protocols::Clear).await
}

#[tokio::test]
async fn no_request_over_tls_fails_while_new_processes_take_over() -> Result<()> {
    upgrades(FEW, Protocols::tls().await?).await
}

#[tokio::test]
#[ignore = "fifty take their time; three are part of the suite"]
async fn no_request_over_tls_fails_while_new_processes_take_over_many_times() -> Result<()> {
    upgrades(MANY, Protocols::tls().await?).await
}

#[tokio::test]
async fn requests_in_flight_are_finished_by_the_old_process() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let file = folder.path().join("gate.toml");
    configure(&file, &echo.url(), 0, 2)?;
    let mut line = Succession::of(configured(&file)?.start().await?);
    let mut busy = line.gate.connect().await?;
    busy.raw(&signed_in("/hold", "ada").bytes(line.gate.proxy))
        .await?;
    echo.wait_for(|seen| seen.complete).await?;
    line.gate.signal("USR2")?;
    wait_for_log_lines(&line.gate, "the new process serves", 1).await?;
    assert_eq!(line.gate.send(&signed_in("/", "ada")).await?.status, 200);
    assert!(line.gate.running(), "it has a request to finish");
    echo.release();
    let answer = busy.response().await?;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    poll("the exit of the old process", async || {
        (!line.gate.running()).then_some(())
    })
    .await?;
    assert_eq!(line.gate.send(&signed_in("/", "ada")).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_new_process_that_fails_changes_nothing_and_is_reported() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let file = folder.path().join("gate.toml");
    configure(&file, &echo.url(), 0, 2)?;
    let gate = configured(&file)?.env("UPSTREAM", echo.url());
    let gate = gate.env("AUTH_LISTEN", "127.0.0.1:0");
    let mut line = Succession::of(gate.start().await?);
    let good = fs::read_to_string(&file)?;
    let silent = "bearer_jwks = \"http://127.0.0.1:9/\"\nbearer_issuer = \"https://a\"\nbearer_audience = \"b\"";
    for (turn, wrong, named) in [
        (1, "upstraem = 1", "upstraem"),
        (2, silent, "the issuer of tokens does not answer"),
    ] {
        fs::write(&file, format!("{good}{wrong}\n"))?;
        line.gate.signal("USR2")?;
        let failed = wait_for_log_lines(&line.gate, "does not take over", turn).await?;
        assert_eq!(failed["level"], "ERROR", "{failed}");
        let lines = line.gate.stderr().all().join("\n");
        assert!(
            lines.contains(named),
            "its own message is in the log: {lines}"
        );
        assert_eq!(line.gate.send(&signed_in("/", "ada")).await?.status, 200);
    }
    // The next process can serve.
    fs::write(&file, good)?;
    line.upgrade().await?;
    assert_eq!(line.gate.send(&signed_in("/", "ada")).await?.status, 200);
    let mut host = Client::connect(line.gate.decisions_port()?).await?;
    assert_eq!(
        host.get("/nowhere").await?.status,
        404,
        "it also answers calling proxies"
    );
    Ok(())
}

#[tokio::test]
async fn an_upgrade_starts_the_program_now_at_the_path() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let (file, program) = (
        folder.path().join("gate.toml"),
        folder.path().join("sessiongate"),
    );
    configure(&file, &echo.url(), 0, 1)?;
    symlink(env!("CARGO_BIN_EXE_sessiongate"), &program)?;
    let gate = configured(&file)?.at(&program).start().await?;
    let mut line = Succession::of(gate);
    let newer = folder.path().join("newer");
    let script = concat!(
        "#!/bin/sh\necho this is another one >&2\nexec ",
        env!("CARGO_BIN_EXE_sessiongate"),
        " \"$@\"\n"
    );
    fs::write(&newer, script)?;
    fs::set_permissions(&newer, Permissions::from_mode(0o755))?;
    fs::rename(&newer, &program)?;
    line.upgrade().await?;
    let lines = line.gate.stderr().all();
    assert!(lines.iter().any(|line| line == "this is another one"));
    assert_eq!(line.gate.send(&signed_in("/", "ada")).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn stopping_during_an_upgrade_leaves_no_process() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let file = folder.path().join("gate.toml");
    configure(&file, &echo.url(), 0, 1)?;
    let mut gate = configured(&file)?.start().await?;
    gate.signal("USR2")?;
    wait_for_log_lines(&gate, "starting a new process", 1).await?;
    gate.signal("TERM")?;
    // The gate's output ends with the last process that writes to it, and a process that has already taken over would go on.
    let handed_over = wait_for_log_lines(&gate, "finishing the requests in flight", 1).await?;
    if let Some(process) = handed_over["process"].as_u64() {
        gate.signal_successor(process, "TERM").await?;
    }
    assert!(gate.wait().await?.success());
    Ok(())
}

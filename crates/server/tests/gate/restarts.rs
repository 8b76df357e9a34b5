//! Reloads, restarts and upgrades under load: no request fails. The tests print their counts.

mod load;
mod streams;
mod systemd;
mod tickets;
mod upgrade;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use harness::{Echo, Gate, GateCommand, poll};
use serde_json::Value;

use self::load::{Load, Protocols};
use crate::support::gate;

/// How often each test repeats in a run of the whole suite.
const FEW: usize = 3;

/// How often each of the ignored tests repeats, which are run by name:
/// `cargo test -p sessiongate --test gate restarts:: -- --ignored --nocapture
/// --test-threads 1`.
const MANY: usize = 50;

/// Parses a line of the log as JSON; `None` if its message does not contain `text`.
fn parse_log_line(line: &str, text: &str) -> Option<Value> {
    let line: Value = serde_json::from_str(line).ok()?;
    let message = line["message"].as_str()?;
    message.contains(text).then_some(line)
}

/// Waits until `times` messages of the log contain `text`; returns the last of these lines.
async fn wait_for_log_lines(gate: &Gate, text: &str, times: usize) -> Result<Value> {
    poll(text, async || {
        let lines = gate.stderr().all();
        let mut lines = lines.iter().filter_map(|line| parse_log_line(line, text));
        lines.nth(times - 1)
    })
    .await
}

/// Returns the command of a gate whose settings are in this file.
fn configured(file: &Path) -> Result<GateCommand> {
    let file = file.to_str().context("a path")?;
    let gate = gate("").without("UPSTREAM").with_successors();
    Ok(gate.env("SESSIONGATE_CONFIG", file))
}

/// Writes the settings of a gate in front of this service; `turn` makes each version differ from the one before.
fn configure(file: &Path, service: &str, turn: usize, workers: usize) -> Result<()> {
    let text = format!(
        "upstream = \"{service}\"\nworkers = {workers}\nupstream_timeout = {}\n",
        60 + turn
    );
    Ok(fs::write(file, text)?)
}

async fn reloads(times: usize, protocols: Protocols) -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let file = folder.path().join("gate.toml");
    configure(&file, &echo.url(), 0, 2)?;
    let gate = protocols.of(configured(&file)?).start().await?;
    let mut load = Load::start(gate.proxy, &protocols)?;
    for turn in 1..=times {
        configure(&file, &echo.url(), turn, 2)?;
        gate.signal("HUP")?;
        wait_for_log_lines(&gate, "reloaded the configuration", turn).await?;
        load.wait_for_requests(&echo).await?;
    }
    load.end(&format!("{times} reloads")).await
}

#[tokio::test]
async fn no_request_fails_while_the_configuration_is_reloaded() -> Result<()> {
    reloads(FEW, Protocols::Clear).await
}

#[tokio::test]
async fn no_request_over_tls_fails_while_the_configuration_is_reloaded() -> Result<()> {
    reloads(FEW, Protocols::tls().await?).await
}

#[tokio::test]
#[ignore = "fifty take their time; three are part of the suite"]
async fn no_request_fails_while_the_configuration_is_reloaded_many_times() -> Result<()> {
    reloads(MANY, Protocols::Clear).await
}

#[tokio::test]
#[ignore = "fifty take their time; three are part of the suite"]
async fn no_request_over_tls_fails_while_the_configuration_is_reloaded_many_times() -> Result<()> {
    reloads(MANY, Protocols::tls().await?).await
}

//! Checks the dependencies: their licenses, their sources, whether vulnerabilities of them are known, and whether each is used.
//! `deny.toml` has the rules.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use xtask::tools::{DENY, MACHETE};

use crate::step::{command, step};

/// Runs `cargo xtask deps`.
///
/// # Errors
/// When a tool cannot be installed, or reports a problem.
pub(crate) fn run() -> Result<()> {
    if let Some(unchecked) = check()? {
        eprintln!("\nxtask: WARNING: {unchecked}");
    }
    Ok(())
}

/// Checks the dependencies of the workspace and of the fuzz targets. Returns a warning if something could not be checked on this
/// machine.
///
/// # Errors
/// When a tool cannot be installed, or reports a problem.
pub(crate) fn check() -> Result<Option<String>> {
    let machete = MACHETE.install()?;
    step(Command::new(machete).args(["--skip-target-dir", "."]))?;
    let deny = DENY.install()?;
    // An exception to the rule about duplicates fails the check when it is no longer needed.
    let bans = ["bans", "-D", "unmatched-skip", "-D", "unmatched-skip-root"];
    step(deny_of(&deny, WORKSPACE).args(bans))?;
    for manifest in [WORKSPACE, FUZZ] {
        let rules = [
            "licenses",
            "sources",
            "-A",
            "license-exception-not-encountered",
        ];
        step(deny_of(&deny, manifest).args(rules))?;
    }
    // RustSec's database is a Git repository, which may be unreachable although the registry is not.
    if !can_be_fetched(DATABASE) {
        return Ok(Some(format!(
            "dependencies were not checked for known vulnerabilities: {DATABASE} cannot be reached"
        )));
    }
    for manifest in [WORKSPACE, FUZZ] {
        step(deny_of(&deny, manifest).arg("advisories"))?;
    }
    Ok(None)
}

/// The command with which cargo-deny checks the dependencies of a manifest. The caller adds the checks.
fn deny_of(deny: &Path, manifest: &str) -> Command {
    let mut command = Command::new(deny);
    command.args(["--locked", "--manifest-path", manifest]);
    command.args(["--config", "deny.toml", "check", "--hide-inclusion-graph"]);
    command
}

/// Whether a Git repository can be reached.
fn can_be_fetched(repository: &str) -> bool {
    let mut git = command("git ls-remote --quiet --heads");
    let git = git.arg(repository).env("GIT_TERMINAL_PROMPT", "0").output();
    git.is_ok_and(|git| git.status.success())
}

const WORKSPACE: &str = "Cargo.toml";

/// The fuzz targets, which are a workspace of their own.
const FUZZ: &str = "fuzz/Cargo.toml";

/// The advisory database, which is cargo-deny's default.
const DATABASE: &str = "https://github.com/RustSec/advisory-db";

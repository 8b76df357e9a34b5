//! What must hold of the dependencies: their licenses, where they come from, that no vulnerability of them is known, and that each
//! is used. `deny.toml` has the rules.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use xtask::tools::{DENY, MACHETE};

use crate::step::{command, step};

/// `cargo xtask deps`.
///
/// # Errors
/// As [`check`].
pub(crate) fn run() -> Result<()> {
    if let Some(unchecked) = check()? {
        eprintln!("\nxtask: WARNING: {unchecked}");
    }
    Ok(())
}

/// Checks the dependencies of the workspace and of the fuzz targets. Gives what could not be checked on this machine, as a sentence.
///
/// # Errors
/// When a tool cannot be installed, or finds something.
pub(crate) fn check() -> Result<Option<String>> {
    let machete = MACHETE.install()?;
    step(Command::new(machete).args(["--skip-target-dir", "."]))?;
    let deny = DENY.install()?;
    // An exception from the rule about duplicates that is no longer needed fails too.
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
    // The database of RustSec is a Git repository outside of the registry.
    if !can_be_fetched(DATABASE) {
        return Ok(Some(format!(
            "known vulnerabilities of dependencies were not looked up: {DATABASE} is out of reach"
        )));
    }
    for manifest in [WORKSPACE, FUZZ] {
        step(deny_of(&deny, manifest).arg("advisories"))?;
    }
    Ok(None)
}

/// cargo-deny, about to check the dependencies of a manifest.
fn deny_of(deny: &Path, manifest: &str) -> Command {
    let mut command = Command::new(deny);
    command.args(["--locked", "--manifest-path", manifest]);
    command.args(["--config", "deny.toml", "check", "--hide-inclusion-graph"]);
    command
}

/// Whether a Git repository answers.
fn can_be_fetched(repository: &str) -> bool {
    let mut git = command("git ls-remote --quiet --heads");
    let git = git.arg(repository).env("GIT_TERMINAL_PROMPT", "0").output();
    git.is_ok_and(|git| git.status.success())
}

const WORKSPACE: &str = "Cargo.toml";

/// The fuzz targets, which are a workspace of their own.
const FUZZ: &str = "fuzz/Cargo.toml";

/// As cargo-deny has it by default.
const DATABASE: &str = "https://github.com/RustSec/advisory-db";

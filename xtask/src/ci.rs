//! `cargo xtask ci`: what must hold before a change is in.

use anyhow::{Result, ensure};

use crate::step::{command, output, step};
use crate::{fuzz, test};

/// Checks format, lints and documentation, runs the tests, fuzzes for a moment, and sees that all of it left the tree as it was.
///
/// # Errors
/// When one of these fails.
pub(crate) fn run() -> Result<()> {
    let before = output(&mut command("git status --porcelain"))?;
    step(&mut command("cargo fmt --all --check"))?;
    step(&mut command(
        "cargo clippy --workspace --all-targets -- -D warnings",
    ))?;
    step(command("cargo doc --workspace --no-deps").env("RUSTDOCFLAGS", "-D warnings"))?;
    step(&mut command(
        "cargo fmt --manifest-path fuzz/Cargo.toml --check",
    ))?;
    test::run()?;
    fuzz::run(&fuzz::Options::all(FUZZ_SECONDS))?;
    let after = output(&mut command("git status --porcelain"))?;
    ensure!(
        before == after,
        "the checks changed the tree; before:\n{before}after:\n{after}"
    );
    Ok(())
}

/// Of each target: enough for every input that it starts from, and to see that it still runs.
const FUZZ_SECONDS: u32 = 5;

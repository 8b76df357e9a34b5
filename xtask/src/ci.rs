//! `cargo xtask ci`: what must hold before a change is in.

use std::thread;

use anyhow::{Result, ensure};

use crate::step::{command, output, step};
use crate::{docs, fuzz, test};

/// Checks format, lints and documentation, runs the tests, builds the site, fuzzes for a moment, and sees that all of it left the tree
/// as it was.
///
/// # Errors
/// When one of these fails.
pub(crate) fn run() -> Result<()> {
    let before = output(&mut command("git status --porcelain"))?;
    // What the tests need comes over the network, while the lints have the cores.
    thread::scope(|scope| {
        let installing = scope.spawn(test::install);
        lint()?;
        installing.join().expect("an installation does not panic")
    })?;
    test::run()?;
    docs::run()?;
    fuzz::run(&fuzz::Options::all(FUZZ_SECONDS))?;
    let after = output(&mut command("git status --porcelain"))?;
    ensure!(
        before == after,
        "the checks changed the tree; before:\n{before}after:\n{after}"
    );
    Ok(())
}

fn lint() -> Result<()> {
    step(&mut command("cargo fmt --all --check"))?;
    step(&mut command(
        "cargo clippy --workspace --all-targets -- -D warnings",
    ))?;
    step(command("cargo doc --workspace --no-deps").env("RUSTDOCFLAGS", "-D warnings"))?;
    step(&mut command(
        "cargo fmt --manifest-path fuzz/Cargo.toml --check",
    ))
}

/// Of each target: enough for every input that it starts from, and to see that it still runs.
const FUZZ_SECONDS: u32 = 5;

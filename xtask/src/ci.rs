//! `cargo xtask ci`: what must hold before a change is in.

use std::thread;

use anyhow::{Result, ensure};

use crate::step::{clock, command, output, print_times, step};
use crate::{docs, fuzz, msrv, supply, test};

/// Checks format, lints, documentation and dependencies, runs the tests, builds the site, fuzzes for a moment, and sees that all of
/// it left the tree as it was. At the end it says where the time went, and what this machine could not check.
///
/// # Errors
/// When one of these fails.
pub(crate) fn run() -> Result<()> {
    let start = clock();
    let before = output(&mut command("git status --porcelain"))?;
    // What the tests need comes over the network, while the lints have the cores.
    thread::scope(|scope| {
        let installing = scope.spawn(test::install);
        lint()?;
        installing.join().expect("an installation does not panic")
    })?;
    // Tests wait a lot: for servers that start, for time limits that pass. What only computes takes the cores meanwhile, and gives
    // way to them.
    let unchecked = thread::scope(|scope| {
        let computing = scope.spawn(|| {
            // First what a test waits for.
            build_static()?;
            fuzz::build_for_a_moment()?;
            anyhow::Ok([supply::check()?, msrv::check()?])
        });
        test::run()?;
        computing.join().expect("a check does not panic")
    })?;
    docs::run()?;
    fuzz::run_for_a_moment(FUZZ_SECONDS)?;
    let after = output(&mut command("git status --porcelain"))?;
    ensure!(
        before == after,
        "the checks changed the tree; before:\n{before}after:\n{after}"
    );
    print_times();
    eprintln!(
        "xtask: all of it took {:.0} s",
        start.elapsed().as_secs_f64()
    );
    for unchecked in unchecked.into_iter().flatten() {
        eprintln!("\nxtask: WARNING: {unchecked}");
    }
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

/// Builds the binary that a test runs in an empty root.
fn build_static() -> Result<()> {
    let mut build = command("nice -n 19");
    build
        .arg(std::env::current_exe()?)
        .args(["dist", "--quick"]);
    step(&mut build)
}

/// Of each target: enough for every input that it starts from, and to see that it still runs.
const FUZZ_SECONDS: u32 = 5;

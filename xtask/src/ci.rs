//! `cargo xtask ci`: the checks that a change must pass.

use std::thread;

use anyhow::{Result, ensure};

use crate::step::{build_gate, clock, command, output, print_times, step};
use crate::{docs, fuzz, msrv, supply, test};

/// Checks format, lints, documentation and dependencies, runs the tests, builds the site and fuzzes for a few seconds. At the end
/// it prints how long each step took, and what this machine could not check.
///
/// # Errors
/// When one of these fails, or has changed a file in the repository.
pub(crate) fn run() -> Result<()> {
    let start = clock();
    let before = output(&mut command("git status --porcelain"))?;
    // Downloads for the tests wait for the network, while the lints use the cores.
    thread::scope(|scope| {
        let installing = scope.spawn(test::install);
        lint()?;
        installing.join().expect("an installation does not panic")
    })?;
    // Tests mostly wait, for servers to start and for time limits to pass. Meanwhile, checks that compute use the cores, at a
    // lower priority.
    let unchecked = thread::scope(|scope| {
        let computing = scope.spawn(|| {
            fuzz::build_for_a_moment()?;
            anyhow::Ok([supply::check()?, msrv::check()?])
        });
        test::run()?;
        computing.join().expect("a check does not panic")
    })?;
    // The program as the tests have built it, with the same features, so that it is not built again.
    let mut tested = command("cargo test --quiet --workspace --no-run");
    docs::write(&build_gate(&mut tested)?)?;
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

/// How long each target is fuzzed: long enough for all of its initial inputs, and to show that it still runs.
const FUZZ_SECONDS: u32 = 3;

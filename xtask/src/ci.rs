//! `cargo xtask ci`: what must hold before a change is in.

use std::thread;

use anyhow::{Result, ensure};

use crate::step::{build, clock, command, output, print_times, step};
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
    // Tests mostly wait: for servers to start, and for time limits to pass. Checks that compute use the cores meanwhile, at a lower
    // priority.
    let unchecked = thread::scope(|scope| {
        let computing = scope.spawn(|| {
            fuzz::build_for_a_moment()?;
            anyhow::Ok([supply::check()?, msrv::check()?])
        });
        test::run()?;
        computing.join().expect("a check does not panic")
    })?;
    // What the tests have built, with the features that they need.
    let mut tested = command("cargo test --quiet --workspace --no-run");
    docs::write(&build(&mut tested, "sessiongate")?)?;
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

/// Of each target: enough for every input that it starts from, and to see that it still runs.
const FUZZ_SECONDS: u32 = 3;

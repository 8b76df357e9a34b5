//! `cargo xtask fuzz`: runs the targets of `fuzz/`, each for a limited time.
//!
//! A stable compiler is enough. cargo-fuzz needs a nightly one for the address sanitizer, which finds errors of unsafe code; the
//! fuzzed crates have none. The fuzzer's coverage comes from a pass of LLVM that every compiler can run.

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::seeds;
use crate::step::{command, host, root, step};

#[derive(Args)]
pub(crate) struct Options {
    /// Seconds for which each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Run only this target.
    #[arg(long)]
    target: Option<String>,
}

/// Builds the targets, writes their initial inputs, and runs as many targets at a time as there are cores.
///
/// # Errors
/// When a target does not build, or finds an input that makes it crash: the error has the target's output, with the path of the
/// input.
pub(crate) fn run(options: &Options) -> Result<()> {
    let targets = match &options.target {
        Some(target) => vec![target.clone()],
        None => targets()?,
    };
    build(Optimization::ForLong)?;
    run_built(&targets, options.seconds, Optimization::ForLong)
}

/// Builds all targets without optimization, in a fraction of the time, for [`run_for_a_moment`].
///
/// # Errors
/// When a target does not build.
pub(crate) fn build_for_a_moment() -> Result<()> {
    build(Optimization::ForAMoment)
}

/// Runs all targets that [`build_for_a_moment`] has built, for `seconds` each.
///
/// # Errors
/// When a target finds an input that makes it crash.
pub(crate) fn run_for_a_moment(seconds: u32) -> Result<()> {
    run_built(&targets()?, seconds, Optimization::ForAMoment)
}

/// Whether the targets are optimized.
#[derive(Clone, Copy)]
enum Optimization {
    /// Not optimized, because compiling them would take longer than the run.
    ForAMoment,
    /// Optimized, because a long run should execute as many inputs as possible.
    ForLong,
}

fn build(optimization: Optimization) -> Result<()> {
    step(cargo("build", optimization)?.arg("--bins"))
}

fn run_built(targets: &[String], seconds: u32, optimization: Optimization) -> Result<()> {
    seeds::plant(&root().join("fuzz/corpus/seeds"))?;
    // One target for each core, because a fuzzer has one thread.
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            println!("{}", fuzz(target, seconds, optimization)?);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let ended = workers
            .into_iter()
            .map(|worker| worker.join().expect("no panic"));
        ended.collect()
    })
}

/// Runs a target that was built, and returns a line with its statistics.
fn fuzz(target: &str, seconds: u32, optimization: Optimization) -> Result<String> {
    let grown = format!("fuzz/corpus/{target}");
    let seeds = format!("fuzz/corpus/seeds/{target}");
    for folder in [&grown, &seeds, "fuzz/artifacts"] {
        fs::create_dir_all(root().join(folder))?;
    }
    let mut fuzzer = cargo("run", optimization)?;
    fuzzer
        .args(["--bin", target, "--", &grown, &seeds])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix=fuzz/artifacts/{target}-"))
        .args(BOUNDS);
    let output = fuzzer
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .context("cannot start cargo")?;
    let printed = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{target} failed:\n{printed}");
    let statistic = |name: &str| {
        let value = |line: &str| Some(line.strip_prefix(name)?.trim().to_owned());
        printed.lines().find_map(value).unwrap_or_default()
    };
    Ok(format!(
        "{target:<20} {:>10} executions, {:>7} a second, {:>4} MB",
        statistic("stat::number_of_executed_units:"),
        statistic("stat::average_exec_per_sec:"),
        statistic("stat::peak_rss_mb:"),
    ))
}

/// A Cargo command for the crate of the targets, which is a workspace of its own.
fn cargo(subcommand: &str, optimization: Optimization) -> Result<Command> {
    let target = format!("--release --locked --target {}", host()?);
    let nice = match optimization {
        // Other steps run at the same time.
        Optimization::ForAMoment => "nice -n 19 ",
        Optimization::ForLong => "",
    };
    let mut cargo = command(&format!(
        "{nice}cargo {subcommand} --quiet --manifest-path fuzz/Cargo.toml {target}"
    ));
    cargo.env("RUSTFLAGS", COVERAGE);
    if let Optimization::ForAMoment = optimization {
        cargo.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
    }
    Ok(cargo)
}

fn targets() -> Result<Vec<String>> {
    let files = fs::read_dir(root().join("fuzz/src/bin"))?;
    let names = files.map(|file| Ok(file?.path().file_stem().map(Path::new).map(Path::to_owned)));
    let names: Result<Vec<_>> = names.collect();
    let mut names: Vec<_> = names?
        .into_iter()
        .flatten()
        .map(|name| name.display().to_string())
        .collect();
    names.sort();
    Ok(names)
}

/// The compiler flags with which a target counts the branches that an input takes. Reporting each comparison to the fuzzer as
/// well (`sanitizer-coverage-trace-compares`) would cost two thirds of the executions, and the dictionary already has the words
/// to compare with.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table";

/// The fuzzer's options: its dictionary, and limits for memory, the length of inputs, and the seconds that one input may take.
const BOUNDS: [&str; 5] = [
    "-dict=fuzz/session.dict",
    "-max_len=4096",
    "-print_final_stats=1",
    "-rss_limit_mb=512",
    "-timeout=5",
];

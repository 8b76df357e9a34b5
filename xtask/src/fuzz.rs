//! `cargo xtask fuzz`: the targets of `fuzz/`, each for a while.
//!
//! A stable compiler is enough. What cargo-fuzz wants a nightly one for is the address sanitizer, and the session crate
//! forbids unsafe code; LLVM's coverage is a pass that any compiler runs.

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
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// The one target to run.
    #[arg(long)]
    target: Option<String>,
}

/// Builds the targets, plants what they start from, and runs as many at a time as there are cores.
///
/// # Errors
/// When a target does not build, or something it found makes it crash: the error is what it printed, with the path of
/// the input.
pub(crate) fn run(options: &Options) -> Result<()> {
    let targets = match &options.target {
        Some(target) => vec![target.clone()],
        None => targets()?,
    };
    build(Optimization::ForLong)?;
    run_built(&targets, options.seconds, Optimization::ForLong)
}

/// Builds all targets in a fraction of the time, for [`run_for_a_moment`].
///
/// # Errors
/// When a target does not build.
pub(crate) fn build_for_a_moment() -> Result<()> {
    build(Optimization::ForAMoment)
}

/// Runs all targets, as [`build_for_a_moment`] has built them, for `seconds` each.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_for_a_moment(seconds: u32) -> Result<()> {
    run_built(&targets()?, seconds, Optimization::ForAMoment)
}

/// How well the targets are compiled.
#[derive(Clone, Copy)]
enum Optimization {
    /// Not optimized, because they take longer to compile than they run.
    ForAMoment,
    /// Optimized, because executions count.
    ForLong,
}

fn build(optimization: Optimization) -> Result<()> {
    step(cargo("build", optimization)?.arg("--bins"))
}

fn run_built(targets: &[String], seconds: u32, optimization: Optimization) -> Result<()> {
    seeds::plant(&root().join("fuzz/corpus/seeds"))?;
    // One a core: a fuzzer has one thread.
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

/// Runs a target that was built, and says in a line how it went.
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

/// Cargo for the crate of the targets, which has a workspace of its own.
fn cargo(subcommand: &str, optimization: Optimization) -> Result<Command> {
    let target = format!("--release --locked --target {}", host()?);
    let nice = match optimization {
        // Beside other steps.
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

/// What makes LLVM count which branches an input takes. Showing the fuzzer each comparison as well
/// (`sanitizer-coverage-trace-compares`) costs two thirds of the executions, and the dictionary knows the words.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table";

/// Little memory, inputs that do not drown what matters in length, and no input that takes longer than a moment.
const BOUNDS: [&str; 5] = [
    "-dict=fuzz/session.dict",
    "-max_len=4096",
    "-print_final_stats=1",
    "-rss_limit_mb=512",
    "-timeout=5",
];

//! Development tasks, run as `cargo xtask TASK`.
//!
//! This crate has few dependencies, so that `cargo xtask` starts within seconds on a new machine. The benchmark needs more, so it
//! is a crate of its own, `bench`, which is built only when its task runs.

mod bench;
mod ci;
mod docs;
mod fuzz;
mod msrv;
mod mutations;
mod seeds;
mod supply;

use anyhow::Result;
use clap::Parser;
// So that the tasks can import them as `crate::step` and so on.
use xtask::{dist, packages, step, test, wheels};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Development tasks of sessiongate")]
enum Task {
    /// Measure the throughput and cost of the gate beside other proxies. `cargo xtask bench --help` lists the options.
    #[command(disable_help_flag = true)]
    Bench(bench::Options),
    /// Check format, lints, documentation and dependencies, run the tests, and fuzz for a few seconds. Fails if any of this
    /// changes a file in the repository.
    Ci,
    /// Check dependencies: licenses, sources, duplicates, known vulnerabilities, and whether each is used.
    Deps,
    /// Build the static release binary, and print its path.
    Dist(dist::Options),
    /// Update the generated parts of the documentation, build its site, and check the links.
    Docs,
    /// Run the fuzz targets, which look for inputs that crash the session, gate, http1 and wire crates, or that they treat
    /// wrongly.
    Fuzz(fuzz::Options),
    /// Break the chain of stores in known ways, and check that its simulation detects each.
    Mutations(mutations::Options),
    /// Install the packages that the tests need, then run all tests.
    Test,
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::Bench(options) => bench::run(&options),
        Task::Ci => ci::run(),
        Task::Deps => supply::run(),
        Task::Dist(options) => dist::run(&options),
        Task::Docs => docs::run(),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Mutations(options) => mutations::run(&options),
        Task::Test => test::run(),
    }
}

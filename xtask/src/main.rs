//! Development tasks, run as `cargo xtask TASK`.
//!
//! This crate has few dependencies, so that `cargo xtask` starts within seconds on a new machine. What needs more is a crate of its
//! own, which a task builds when it is asked for: `bench`.

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
// Under the names by which the tasks know them.
use xtask::{dist, packages, step, test, wheels};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Development tasks of sessiongate")]
enum Task {
    /// Measure what the gate takes and costs, beside other proxies. `cargo xtask bench --help` has the options.
    #[command(disable_help_flag = true)]
    Bench(bench::Options),
    /// Check format, lints, documentation and dependencies, run the tests, fuzz for a moment, and see that all of it left the tree
    /// as it was.
    Ci,
    /// Check dependencies: licenses, sources, duplicates, known vulnerabilities, and that each is used.
    Deps,
    /// Build the static release binary, and print its path.
    Dist(dist::Options),
    /// Write the generated parts of the documentation, build its site, and check the links.
    Docs,
    /// Look for requests that make the session crate crash, or open what it must not.
    Fuzz(fuzz::Options),
    /// Break the chain of stores in known ways, and see that its simulation notices.
    Mutations(mutations::Options),
    /// Install what the tests need, then run them all.
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

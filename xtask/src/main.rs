//! Development tasks, run as `cargo xtask TASK`.

mod bench;
mod ci;
mod dist;
mod docs;
mod fuzz;
mod mutations;
mod packages;
mod seeds;
mod step;
mod test;
mod venvs;
mod wheels;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Development tasks of sessiongate")]
enum Task {
    /// Measure what the gate takes and costs, beside other proxies.
    Bench(bench::Options),
    /// Format, lints, documentation, tests, a little fuzzing, and a tree that all of it left as it was.
    Ci,
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
        Task::Dist(options) => dist::run(&options, bench::exercise),
        Task::Docs => docs::run(),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Mutations(options) => mutations::run(&options),
        Task::Test => test::run(),
    }
}

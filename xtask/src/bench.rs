//! `cargo xtask bench`: builds the benchmark and runs it.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use crate::step::{command, step};

#[derive(Args)]
pub(crate) struct Options {
    /// Options of the benchmark.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds the benchmark with optimization, because a slow load generator would distort the measurements, and runs it.
///
/// # Errors
/// When it does not build, or fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    step(
        command("cargo run --quiet --release --locked -p sessiongate-bench --")
            .args(&options.arguments),
    )
}

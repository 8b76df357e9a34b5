//! `cargo xtask bench`: builds the benchmark and runs it.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use crate::step::{command, step};

#[derive(Args)]
pub(crate) struct Options {
    /// What the benchmark is told.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// Builds the benchmark with optimization, because a load that is slow itself would be measured too, and runs it.
///
/// # Errors
/// When it does not build, or fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    step(
        command("cargo run --quiet --release --locked -p sessiongate-bench --")
            .args(&options.words),
    )
}

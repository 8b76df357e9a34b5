//! `cargo xtask bench`: measurements, printed as the tables of `docs/performance.md`.

use anyhow::Result;
use clap::ValueEnum;

use crate::step::{command, step};

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Subject {
    /// Finding and opening a session.
    Open,
}

/// Measures it in a release build.
///
/// # Errors
/// When it does not build, or one of its requests does not come out as it must.
pub(crate) fn run(subject: Subject) -> Result<()> {
    match subject {
        Subject::Open => step(&mut command(
            "cargo bench --quiet -p sessiongate-session --bench open",
        )),
    }
}

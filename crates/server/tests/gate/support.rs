//! What most tests start from.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use harness::{Echo, Gate, GateCommand, Mint, Request, mint};

/// The gate in front of `upstream`, knowing the secret that [`Mint`] seals with, and nothing else.
pub(crate) fn gate(upstream: &str) -> GateCommand {
    Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .env("UPSTREAM", upstream)
        .env("AUTH_SECRET", mint::SECRET)
        .env("LOG_FORMAT", "json")
}

/// A recording upstream and a gate in front of it, with these settings beside the usual ones.
pub(crate) async fn started<const N: usize>(settings: [(&str, &str); N]) -> Result<(Echo, Gate)> {
    let echo = Echo::start().await?;
    let gate = gate(&echo.url()).envs(settings).start().await?;
    Ok((echo, gate))
}

/// A GET request by a user with a good session.
pub(crate) fn signed_in(target: &str, user: &str) -> Request {
    Request::get(target).cookie(Mint::user(user).authjs())
}

/// Runs SQL on an SQLite database file, which is made when it is missing.
pub(crate) async fn sqlite(file: &Path, sql: &str) -> Result<()> {
    let mut python = Command::new("python3");
    let script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); \
                  db.executescript(sys.argv[2]); db.commit()";
    python.args(["-c", script]).arg(file).arg(sql);
    harness::run(python, "python3").await?;
    Ok(())
}

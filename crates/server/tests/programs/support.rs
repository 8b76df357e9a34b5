//! The fixtures of these tests.

use std::path::PathBuf;

use harness::{Gate, GateCommand, Mint, mint, repository};

/// Returns the command of a gate in front of the service at `address`, with one worker, so that one request can reuse another's
/// connection.
pub(crate) fn gate(address: impl std::fmt::Display) -> GateCommand {
    Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .env("UPSTREAM", format!("http://{address}"))
        .env("AUTH_SECRET", mint::SECRET)
        .env("LOG_FORMAT", "json")
        .env("RELOAD_INTERVAL", "0")
        .env("WORKERS", "1")
}

/// Returns the session cookie of Zoë, whose name is not plain ASCII.
pub(crate) fn zoe() -> String {
    let session = Mint::user("zoe").claim("email", "zoe@example.com");
    session.claim("name", "Zoë Müller").authjs()
}

/// The path of a script beside these tests.
pub(crate) fn script(name: &str) -> PathBuf {
    let folder = repository().join("crates/server/tests/programs");
    folder.join(name)
}

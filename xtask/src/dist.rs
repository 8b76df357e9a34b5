//! `cargo xtask dist`: the binary that the container image holds.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::step::{command, host, root};

/// Builds a static release binary for this machine's architecture and prints its path.
///
/// The C library is linked in (`crt-static`), so that the image needs nothing beside the binary. An explicit target,
/// even though it is the host's own, keeps the flag away from build scripts and procedural macros.
///
/// # Errors
/// When the host is not Linux with glibc, or the build fails.
pub(crate) fn run() -> Result<()> {
    let host = host()?;
    ensure!(
        host.ends_with("-linux-gnu"),
        "the static binary is built on Linux with glibc, not on {host}"
    );
    let build = format!(
        "cargo build --release --locked -p sessiongate --target {host} --message-format=json-render-diagnostics"
    );
    let mut build = command(&build);
    build
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .current_dir(root())
        .stderr(Stdio::inherit());
    let built = build.output().context("cannot start cargo")?;
    ensure!(built.status.success(), "the build failed");
    let messages = String::from_utf8(built.stdout)?;
    let executable = messages.lines().find_map(|message| {
        let message: Value = serde_json::from_str(message).ok()?;
        Some(message.get("executable")?.as_str()?.to_owned())
    });
    println!("{}", executable.context("cargo names no executable")?);
    Ok(())
}

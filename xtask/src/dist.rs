//! `cargo xtask dist`: the binary that the container image holds.

use anyhow::{Result, ensure};

use crate::step::{build, command, host};

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
    let mut cargo = command(&format!(
        "cargo build --profile dist --locked -p sessiongate --target {host}"
    ));
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
    println!("{}", build(&mut cargo)?.display());
    Ok(())
}

//! Checks that the oldest compiler that the manifest names still compiles the product.

use anyhow::Result;

use crate::step::{command, output, step};

/// Checks the product with the oldest compiler. Returns a warning if that compiler is missing on this machine and cannot be
/// installed.
///
/// # Errors
/// When the product does not compile.
pub(crate) fn check() -> Result<Option<String>> {
    let install = format!("rustup toolchain install {OLDEST} --profile minimal");
    let run = format!("rustup run {OLDEST} rustc --version");
    if output(&mut command(&run)).is_err() && output(&mut command(&install)).is_err() {
        return Ok(Some(format!(
            "the oldest compiler, Rust {OLDEST}, was not tried: `{install}` fails"
        )));
    }
    // In a separate folder, because the build outputs of different compilers are incompatible.
    let check = format!(
        "nice -n 19 rustup run {OLDEST} cargo check --quiet --locked -p sessiongate --target-dir target/msrv"
    );
    step(&mut command(&check))?;
    Ok(None)
}

/// The `rust-version` of the workspace, which is also that of this crate.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");

//! Whether the oldest compiler that the manifest names still compiles the product.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::step::{command, output, step};

/// Checks the product with that compiler. Gives a sentence when it is not on this machine and cannot be installed.
///
/// # Errors
/// When the product does not compile, or the manifest names no version.
pub(crate) fn check() -> Result<Option<String>> {
    let version = oldest()?;
    let install = format!("rustup toolchain install {version} --profile minimal");
    let run = format!("rustup run {version} rustc --version");
    if output(&mut command(&run)).is_err() && output(&mut command(&install)).is_err() {
        return Ok(Some(format!(
            "the oldest compiler, Rust {version}, was not tried: `{install}` fails"
        )));
    }
    // In a folder of its own, because another compiler understands nothing of what this one has built.
    let check = format!(
        "nice -n 19 rustup run {version} cargo check --quiet --locked -p sessiongate --target-dir target/msrv"
    );
    step(&mut command(&check))?;
    Ok(None)
}

/// The `rust-version` of the product.
fn oldest() -> Result<String> {
    let metadata = output(&mut command(
        "cargo metadata --locked --no-deps --format-version 1",
    ))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array();
    let mut packages = packages.into_iter().flatten();
    let product = packages.find(|package| package["name"] == "sessiongate");
    let version = product.and_then(|product| product["rust_version"].as_str());
    Ok(version
        .context("the manifest names no rust-version")?
        .to_owned())
}

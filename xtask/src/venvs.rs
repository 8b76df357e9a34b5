//! Applications from PyPI that are installed with all their dependencies, pinned by hash.

use std::fs;

use anyhow::Result;

use crate::step::{command, install_pinned, root, step};
use crate::wheels::python;

/// A virtual environment of Python with the packages of one application.
pub struct Venv {
    /// The file with the versions and hashes of the packages.
    pin: &'static str,
    /// The folder of the environment, where tests look for it.
    folder: &'static str,
}

/// Calibre-Web, a web interface for Calibre's libraries.
pub const CALIBRE_WEB: Venv = Venv {
    pin: "tests/apps/calibre-web.txt",
    folder: "target/tools/calibre-web",
};

/// gRPC for Python. It is built on the C library on which gRPC for most other languages is built too.
pub const GRPCIO: Venv = Venv {
    pin: "tests/apps/grpcio.txt",
    folder: "target/tools/grpcio",
};

/// pgAdmin, a web interface for PostgreSQL.
pub const PGADMIN: Venv = Venv {
    pin: "tests/apps/pgadmin.txt",
    folder: "target/tools/pgadmin",
};

/// A WebSocket client and server, and the test cases of Autobahn for both. Autobahn's own suite needs Python 2, so this package
/// has its cases with another test runner.
pub const WEBSOCKETS: Venv = Venv {
    pin: "tests/apps/websockets.txt",
    folder: "target/tools/websockets",
};

impl Venv {
    /// Creates the environment, unless it exists with the pinned versions.
    ///
    /// # Errors
    /// When a package cannot be downloaded, does not have the pinned hash, or does not exist for this machine's architecture.
    pub fn install(&self) -> Result<()> {
        let pin = fs::read_to_string(root().join(self.pin))?;
        install_pinned(self.folder, &pin, |_| self.make())
    }

    fn make(&self) -> Result<()> {
        let python = python()?;
        // On Debian, installing pip into the environment would need another package, so the system's pip is used.
        step(&mut command(&format!(
            "{python} -m venv --without-pip {}",
            self.folder
        )))?;
        step(&mut command(&format!(
            "{python} -m pip --python {}/bin/python install --quiet --disable-pip-version-check --no-deps \
             --require-hashes --requirement {}",
            self.folder, self.pin
        )))
    }
}

//! Applications that come from PyPI with all that they need, pinned by hash.

use std::fs;

use anyhow::Result;

use crate::step::{command, install_pinned, root, step};
use crate::wheels::python;

/// A folder in which Python has the packages of one application.
pub struct Venv {
    /// The file with their versions and hashes.
    pin: &'static str,
    /// Where it is made, and where tests look for it.
    folder: &'static str,
}

/// A web interface for Calibre's libraries.
pub const CALIBRE_WEB: Venv = Venv {
    pin: "tests/apps/calibre-web.txt",
    folder: "target/tools/calibre-web",
};

/// The gRPC of most languages: its client and server for Python stand on the library in C that others stand on too.
pub const GRPCIO: Venv = Venv {
    pin: "tests/apps/grpcio.txt",
    folder: "target/tools/grpcio",
};

/// A web interface for PostgreSQL.
pub const PGADMIN: Venv = Venv {
    pin: "tests/apps/pgadmin.txt",
    folder: "target/tools/pgadmin",
};

/// A WebSocket client and server, and the test cases of Autobahn for both. Autobahn's own suite runs on Python 2 alone; this is
/// its cases with another program around them.
pub const WEBSOCKETS: Venv = Venv {
    pin: "tests/apps/websockets.txt",
    folder: "target/tools/websockets",
};

impl Venv {
    /// Makes the folder, unless it is there with the pinned versions.
    ///
    /// # Errors
    /// When a package cannot be fetched, is not what its hash says, or does not exist for this machine.
    pub fn install(&self) -> Result<()> {
        let pin = fs::read_to_string(root().join(self.pin))?;
        install_pinned(self.folder, &pin, |_| self.make())
    }

    fn make(&self) -> Result<()> {
        let python = python()?;
        // Debian has pip in a package, and what would bring another into the folder in one more.
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

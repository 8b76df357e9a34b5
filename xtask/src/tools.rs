//! Programs of the Rust world that tasks call: built from the registry, at versions that are named here.

use std::path::PathBuf;

use anyhow::Result;

use crate::step::{command, root, step};

/// A program from the registry.
pub struct Tool {
    name: &'static str,
    version: &'static str,
}

/// Checks licenses, sources, duplicates and published vulnerabilities of dependencies.
pub const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
};

/// Finds dependencies that nothing uses.
pub const MACHETE: Tool = Tool {
    name: "cargo-machete",
    version: "0.9.2",
};

/// Writes what a binary is made of in the format of CycloneDX.
pub const CYCLONEDX: Tool = Tool {
    name: "cargo-cyclonedx",
    version: "0.5.9",
};

impl Tool {
    /// Builds the program, unless this version is there, and gives its path.
    ///
    /// It is compiled without optimization: it runs for two seconds. It yields the processor to whatever else runs, so that it can be
    /// built beside tests.
    ///
    /// # Errors
    /// When it cannot be fetched or built.
    pub fn install(&self) -> Result<PathBuf> {
        let program = root().join("target/tools/cargo/bin").join(self.name);
        let mut install =
            command("nice -n 19 cargo install --quiet --locked --root target/tools/cargo");
        install.arg(format!("{}@{}", self.name, self.version));
        // One folder for all of them, because they share dependencies.
        install.env("CARGO_TARGET_DIR", "target/tools/cargo-build");
        for (setting, value) in [
            ("CODEGEN_UNITS", "16"),
            ("DEBUG", "0"),
            ("LTO", "off"),
            ("OPT_LEVEL", "0"),
        ] {
            install.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
        }
        step(&mut install)?;
        Ok(program)
    }
}

//! Rust programs that tasks call. They are built from the registry, at pinned versions.

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

/// Writes an SBOM in the CycloneDX format.
pub const CYCLONEDX: Tool = Tool {
    name: "cargo-cyclonedx",
    version: "0.5.9",
};

impl Tool {
    /// Builds the program, unless this version is installed, and returns its path.
    ///
    /// It is compiled without optimization, because it runs for only two seconds. The build has a low priority, so that it can
    /// run beside tests.
    ///
    /// # Errors
    /// When it cannot be downloaded or built.
    pub fn install(&self) -> Result<PathBuf> {
        let program = root().join("target/tools/cargo/bin").join(self.name);
        let mut install =
            command("nice -n 19 cargo install --quiet --locked --root target/tools/cargo");
        install.arg(format!("{}@{}", self.name, self.version));
        // All tools share a target folder, because they share dependencies.
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

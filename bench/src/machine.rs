//! The machine that a benchmark ran on.

use std::fs;
use std::path::Path;
use std::process::Command;

use xtask::step::{command, root};

/// The machine, and the versions of the programs that were measured on it.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Program and version.
    pub(crate) versions: Vec<(&'static str, String)>,
}

impl Machine {
    /// Reads the properties of this machine and the versions of the programs.
    pub(crate) fn inspect(gate: &Path, cores: usize) -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(": "));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let envoy = root().join("target/tools/envoy/envoy/_bin/envoy");
        let auth_core = "tests/interop/node_modules/@auth/core/package.json";
        let mut envoy = Command::new(envoy);
        envoy.arg("--version");
        let compiler = printed(&mut command("rustc --version"));
        let versions = vec![
            ("sessiongate", format!("{} ({compiler})", version_of(gate))),
            ("nginx", after(&printed(&mut sbin("nginx", "-v")), "nginx/")),
            ("HAProxy", word(&printed(&mut sbin("haproxy", "-v")), 2)),
            ("Caddy", printed(&mut command("caddy version"))),
            (
                "Envoy",
                printed(&mut envoy)
                    .rsplit('/')
                    .nth(3)
                    .unwrap_or_default()
                    .to_owned(),
            ),
            ("Node.js", printed(&mut command("node --version"))),
            ("@auth/core", package_version(auth_core)),
            ("wrk", word(&printed(&mut command("wrk -v")), 1)),
            (
                "h2load",
                after(&printed(&mut command("h2load --version")), "nghttp2/"),
            ),
        ];
        Self {
            date: printed(&mut command("date -u +%F")),
            processor: model.map_or("unknown", |(_, model)| model).to_owned(),
            cores,
            kernel: kernel.trim().to_owned(),
            versions,
        }
    }

    /// Adds the versions of more programs.
    pub(crate) fn with(mut self, more: Vec<(&'static str, String)>) -> Self {
        self.versions.extend(more);
        self
    }
}

/// Returns the version that a `sessiongate` binary reports.
pub(crate) fn version_of(gate: &Path) -> String {
    word(&printed(Command::new(gate).arg("--version")), 1)
}

/// Returns the command for a server's program, which is in `sbin`: not on every user's PATH.
fn sbin(program: &str, word: &str) -> Command {
    let mut command = Command::new("env");
    command.args([
        "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
        program,
        word,
    ]);
    command
}

/// Returns the first line that the command prints, on either output.
fn printed(command: &mut Command) -> String {
    let Ok(output) = command.output() else {
        return "not found".to_owned();
    };
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let mut lines = printed.lines().map(str::trim);
    lines
        .find(|line| !line.is_empty())
        .unwrap_or_default()
        .to_owned()
}

fn word(line: &str, index: usize) -> String {
    line.split(' ').nth(index).unwrap_or_default().to_owned()
}

fn after(line: &str, start: &str) -> String {
    line.rsplit(start).next().unwrap_or_default().to_owned()
}

fn package_version(file: &str) -> String {
    let text = fs::read_to_string(root().join(file)).unwrap_or_default();
    let package: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    package["version"]
        .as_str()
        .unwrap_or("not found")
        .to_owned()
}

//! What the tests need from Debian or Ubuntu.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::step::{command, step};

/// A program, and the package that brings it. Programs are what is looked for, so that a Node.js or an nginx from
/// elsewhere will do.
struct Need {
    program: &'static str,
    package: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        program: "c++",
        package: "g++",
    },
    Need {
        program: "caddy",
        package: "caddy",
    },
    Need {
        program: "haproxy",
        package: "haproxy",
    },
    Need {
        program: "initdb",
        package: "postgresql",
    },
    Need {
        program: "kill",
        package: "procps",
    },
    Need {
        program: "nginx",
        package: "nginx",
    },
    Need {
        program: "node",
        package: "nodejs",
    },
    Need {
        program: "npm",
        package: "npm",
    },
    Need {
        program: "openssl",
        package: "openssl",
    },
    Need {
        program: "pip3",
        package: "python3-pip",
    },
    Need {
        program: "psql",
        package: "postgresql-client",
    },
    Need {
        program: "python3",
        package: "python3",
    },
    Need {
        program: "redis-cli",
        package: "redis-tools",
    },
    Need {
        program: "redis-server",
        package: "redis-server",
    },
    Need {
        program: "setpriv",
        package: "util-linux",
    },
];

/// Installs what is missing, as root or through a `sudo` that asks for no password.
///
/// # Errors
/// Without the rights: the error is the command to run. Also when `apt-get` fails.
pub(crate) fn install_missing() -> Result<()> {
    let missing: Vec<_> = NEEDS
        .iter()
        .filter(|need| !installed(need.program))
        .map(|need| need.package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    let install = format!("apt-get install -y --no-install-recommends {packages}");
    let prefix = if is_root() {
        "env DEBIAN_FRONTEND=noninteractive"
    } else if sudo_asks_nothing() {
        "sudo -n env DEBIAN_FRONTEND=noninteractive"
    } else {
        bail!(
            "the tests need packages that are not installed; install them with:\n\n    \
             sudo apt-get install -y {packages}\n"
        );
    };
    step(&mut command(&format!("{prefix} apt-get update -q")))?;
    step(&mut command(&format!("{prefix} {install}")))
}

fn installed(program: &str) -> bool {
    let path = path();
    let path = std::env::split_paths(&path).map(|folder| folder.join(program));
    // Servers live in `sbin`, which is not on every user's PATH; those of PostgreSQL in folders of their own.
    let servers = ["/usr/sbin", "/sbin"].map(|folder| Path::new(folder).join(program));
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let postgres = versions.map(|version| version.path().join("bin").join(program));
    path.chain(servers)
        .chain(postgres)
        .any(|path| path.exists())
}

#[expect(
    clippy::disallowed_methods,
    reason = "PATH is where programs are, not a setting of the product"
)]
fn path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status");
    status.is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t")))
}

fn sudo_asks_nothing() -> bool {
    let asked = Command::new("sudo")
        .args(["-n", "true"])
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

//! The packages of Debian or Ubuntu that tasks need.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::step::{command, step};

/// A program, or the path of a file, and the package that contains it. The package is installed only if the program is missing,
/// so a Node.js or an nginx from another source will do. If the name of a program ends in its version, `*` stands for the
/// version.
pub struct Need {
    program: &'static str,
    package: &'static str,
}

/// The programs that the tests start.
pub const FOR_TESTS: &[Need] = &[
    // Only the binaries: the package apache2 would also start a server.
    need("apache2", "apache2-bin"),
    need("c++", "g++"),
    need("caddy", "caddy"),
    need("chromium", "chromium"),
    need("cmp", "diffutils"),
    need("curl", "curl"),
    need("git", "git"),
    need("gzip", "gzip"),
    need("h2load", "nghttp2-client"),
    need("haproxy", "haproxy"),
    need("initdb", "postgresql"),
    need("kill", "procps"),
    // The WebDAV clients with which servers are tested.
    need("litmus", "litmus"),
    need("nghttp", "nghttp2-client"),
    need("nginx", "nginx"),
    need("node", "nodejs"),
    need("npm", "npm"),
    need("openssl", "openssl"),
    // An ACME server, and a DNS server for it.
    need("pebble", "pebble"),
    need("pgbouncer", "pgbouncer"),
    // For dokuwiki, which needs some kind of PHP and would otherwise install Apache with it.
    need("php", "php-cli"),
    need("php-fpm*", "php-fpm"),
    need("pip3", "python3-pip"),
    need("prometheus", "prometheus"),
    need("psql", "postgresql-client"),
    need("python3", "python3"),
    need("radicale", "radicale"),
    need("redis-cli", "redis-tools"),
    need("redis-server", "redis-server"),
    need("setpriv", "util-linux"),
    need("systemd-analyze", "systemd"),
    need("uwsgi", "uwsgi-core"),
    need("wrk", "wrk"),
    // Debian's package, which works only with Debian's Python.
    need("/usr/bin/gunicorn", "gunicorn"),
    need("/usr/bin/waitress-serve", "python3-waitress"),
    need("/usr/lib/python3/dist-packages/fastapi", "python3-fastapi"),
    need("/usr/lib/python3/dist-packages/uvicorn", "python3-uvicorn"),
    need(
        "/usr/lib/uwsgi/plugins/python3_plugin.so",
        "uwsgi-plugin-python3",
    ),
    need("/usr/share/dokuwiki/doku.php", "dokuwiki"),
];

/// The programs that the benchmark starts.
pub const FOR_BENCH: &[Need] = &[
    need("c++", "g++"),
    need("caddy", "caddy"),
    need("curl", "curl"),
    need("h2load", "nghttp2-client"),
    need("haproxy", "haproxy"),
    need("initdb", "postgresql"),
    need("kill", "procps"),
    need("nginx", "nginx"),
    need(
        "/usr/lib/nginx/modules/ngx_http_lua_module.so",
        "libnginx-mod-http-lua",
    ),
    need("node", "nodejs"),
    need("nghttp", "nghttp2-client"),
    need("npm", "npm"),
    need("pip3", "python3-pip"),
    need("prlimit", "util-linux"),
    need("psql", "postgresql-client"),
    need("python3", "python3"),
    need("redis-cli", "redis-tools"),
    need("redis-server", "redis-server"),
    need("setpriv", "util-linux"),
    need("taskset", "util-linux"),
    need("wrk", "wrk"),
];

const fn need(program: &'static str, package: &'static str) -> Need {
    Need { program, package }
}

/// Installs the packages in `needs` that are missing, as root or with a `sudo` that asks for no password.
///
/// # Errors
/// When this user has no right to install packages (the error then has the command to run), or `apt-get` fails.
pub fn install_missing(needs: &[Need]) -> Result<()> {
    let missing = needs.iter().filter(|need| !installed(need.program));
    let missing: Vec<_> = missing.map(|need| need.package).collect();
    install_packages(&missing)
}

/// Installs a package if its program is missing.
///
/// # Errors
/// When this user has no right to install packages, or `apt-get` fails.
pub fn install(program: &str, package: &str) -> Result<()> {
    if installed(program) {
        return Ok(());
    }
    install_packages(&[package])
}

fn install_packages(missing: &[&str]) -> Result<()> {
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
            "required packages are not installed; install them with:\n\n    \
             sudo apt-get install -y {packages}\n"
        );
    };
    step(&mut command(&format!("{prefix} apt-get update -q")))?;
    step(&mut command(&format!("{prefix} {install}")))
}

fn installed(program: &str) -> bool {
    // If `program` is an absolute path, joining it to a folder does not change it.
    let path = path();
    let path = std::env::split_paths(&path).map(|folder| folder.join(program));
    // Servers are in `sbin`, which is not in every user's PATH, and those of PostgreSQL in a folder for each version.
    let servers = ["/usr/sbin", "/sbin"].map(|folder| Path::new(folder).join(program));
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let postgres = versions.map(|version| version.path().join("bin").join(program));
    path.chain(servers)
        .chain(postgres)
        .any(|path| is_there(&path))
}

/// Whether the file exists. If the name ends in `*`, whether a file exists whose name begins with the rest.
fn is_there(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(start) = name.and_then(|name| name.strip_suffix('*')) else {
        return path.exists();
    };
    let folder = path.parent().and_then(|folder| folder.read_dir().ok());
    let mut files = folder.into_iter().flatten().flatten();
    files.any(|file| file.file_name().to_string_lossy().starts_with(start))
}

#[expect(
    clippy::disallowed_methods,
    reason = "PATH locates programs, and is not a setting of the product"
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

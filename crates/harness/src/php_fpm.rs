//! PHP-FPM, with which PHP runs behind nginx.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use crate::is_root;
use crate::process::{Process, command_with_death_signal};
use crate::server::Server;

/// PHP's FastCGI process manager with one pool on a free loopback port. Stopped on drop.
#[derive(Debug)]
pub struct PhpFpm(Server);

impl PhpFpm {
    /// Starts PHP-FPM with these settings in its pool beside the usual ones: `php_value[auto_prepend_file] = /tmp/a.php`.
    ///
    /// # Errors
    /// When PHP is missing or refuses the settings.
    pub async fn start(settings: &str) -> Result<Self> {
        let server = Server::start("php-fpm", |folder, port| {
            let file = folder.join("php-fpm.conf");
            std::fs::write(&file, configuration(port, settings))?;
            // Its workers survive when it is killed, but it ends them when it receives TERM. So it receives TERM when the test
            // dies.
            let mut command = command_with_death_signal("setpriv", "util-linux", None)?;
            command
                .args(["--pdeathsig", "TERM", "--"])
                .arg(executable()?)
                .args(["--nodaemonize", "--force-stderr", "--fpm-config"])
                .arg(&file);
            if is_root() {
                command.arg("--allow-to-run-as-root");
            }
            Process::spawn_with_workers(&mut command, "php-fpm")
        })
        .await?;
        Ok(Self(server))
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// What it has printed so far.
    pub fn transcript(&self) -> String {
        self.0.transcript()
    }
}

fn configuration(port: u16, settings: &str) -> String {
    // PHP-FPM needs to know the account only when it runs as root, and the files of a test belong to the account of the test.
    let user = match is_root() {
        true => "user = root\ngroup = root",
        false => "",
    };
    format!(
        "[global]
error_log = /proc/self/fd/2
[test]
{user}
listen = 127.0.0.1:{port}
pm = static
pm.max_children = 2
catch_workers_output = yes
{settings}
"
    )
}

/// Returns the path of Debian's program, whose name contains the version: `/usr/sbin/php-fpm8.2`.
fn executable() -> Result<std::path::PathBuf> {
    let programs = std::fs::read_dir("/usr/sbin")?.flatten();
    let mut found =
        programs.filter(|program| program.file_name().to_string_lossy().starts_with("php-fpm"));
    let found = found
        .next()
        .context("cannot start `php-fpm`; install it with: sudo apt-get install -y php-fpm")?;
    Ok(found.path())
}

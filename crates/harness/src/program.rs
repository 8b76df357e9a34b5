//! Any server, started by the command that its documentation gives.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process::{Process, command_with_death_signal};
use crate::repository;
use crate::server::Server;

/// Starts a server in a new folder, by the command line that `launch` returns for this folder and a free port, after `launch` has
/// written the files that the server needs. Words are split at spaces; the program is a name or a path. The environment holds
/// nothing but `PATH`, `HOME`, `PYTHONDONTWRITEBYTECODE` and words of the form `NAME=value` before the program.
///
/// # Errors
/// When the program is missing (the message names `package`), or ends instead of listening.
pub async fn program(
    package: &str,
    launch: impl Fn(&Path, u16) -> Result<String>,
) -> Result<Server> {
    Server::start_within(APPLICATION_TIMEOUT, package, |folder, port| {
        let line = launch(folder, port)?;
        let mut words = line.split_ascii_whitespace().peekable();
        let mut variables = Vec::new();
        while let Some(variable) =
            words.next_if(|word| !word.starts_with('/') && word.contains('='))
        {
            variables.extend(variable.split_once('='));
        }
        let program = words.next().context("a command line names a program")?;
        let mut command = command_with_death_signal(program, package, None)?;
        command
            .args(words)
            .current_dir(folder)
            .env_clear()
            .env("HOME", folder)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            // Otherwise Python would write the compiled module of a test beside it, into the repository.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(variables);
        Process::spawn_with_workers(&mut command, package)
    })
    .await
}

/// Returns the path of a program from the PyPI packages that `cargo xtask test` installs in `target/tools/NAME`.
///
/// # Errors
/// When it is not there.
pub fn venv(name: &str, program: &str) -> Result<PathBuf> {
    let path = repository()
        .join("target/tools")
        .join(name)
        .join("bin")
        .join(program);
    ensure!(
        path.exists(),
        "{} is missing; `cargo xtask test` installs it",
        path.display()
    );
    Ok(path)
}

/// The timeout for a server to listen. Some applications make a database when they start for the first time, which takes seconds
/// even on an idle machine.
const APPLICATION_TIMEOUT: Duration = Duration::from_secs(120);

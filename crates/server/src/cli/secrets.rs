//! How the tools are given secrets.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::Args;
use session::Secret;

use crate::config::{SecretErrors, Secrets, Variables};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct SecretArguments {
    /// A secret of the app; several times for several secrets, the current one first.
    ///
    /// Whoever may list the processes of this machine can read it, so a file or the environment is better. Without
    /// `--secret` and `--secret-file`, the gate's own variables count: AUTH_SECRET, AUTH_SECRET_1 to _3,
    /// NEXTAUTH_SECRET, JWT_SECRET, BETTER_AUTH_SECRET, BETTER_AUTH_SECRETS, and each with _FILE behind it.
    #[arg(long = "secret", value_name = "SECRET", allow_hyphen_values = true, value_parser = secret)]
    secrets: Vec<Secret>,
    /// A file with a secret of the app; several times for several secrets. They come behind those of `--secret`.
    ///
    /// One line break at the end of the file is not part of the secret.
    #[arg(long = "secret-file", value_name = "PATH")]
    files: Vec<PathBuf>,
}

impl SecretArguments {
    /// The secrets. `is_optional` says that there need be none.
    pub(super) fn read(
        &self,
        variables: &Variables,
        is_optional: bool,
    ) -> Result<Secrets, SecretErrors> {
        Secrets::read(self.secrets.clone(), &self.files, variables, is_optional)
    }

    /// How many are given here.
    pub(super) fn count(&self) -> usize {
        self.secrets.len() + self.files.len()
    }

    /// Whether they are given here, so that no variable counts.
    pub(super) fn are_given(&self) -> bool {
        !self.secrets.is_empty() || !self.files.is_empty()
    }
}

/// A word on standard error about each secret that is weak or odd; `before` says where it stands.
pub(super) fn warn(before: &str, secrets: &Secrets) {
    for warning in &secrets.warnings {
        output::complain(&format!("warning: {before}{warning}\n"));
    }
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

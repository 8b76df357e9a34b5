//! Arguments of the commands that take secrets.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::Args;
use session::Secret;

use crate::config::{SecretErrors, Secrets, Variables};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct SecretArguments {
    /// A secret of the app. May be repeated, with the current secret first.
    ///
    /// Anybody who can list the processes of this machine can read it, so prefer a file or the environment. Without
    /// `--secret` and `--secret-file`, the gate's own variables are used: AUTH_SECRET, AUTH_SECRET_1 to _3, NEXTAUTH_SECRET,
    /// JWT_SECRET, BETTER_AUTH_SECRET, BETTER_AUTH_SECRETS, and each of these with _FILE appended.
    #[arg(long = "secret", value_name = "SECRET", allow_hyphen_values = true, value_parser = secret)]
    secrets: Vec<Secret>,
    /// A file with a secret of the app. May be repeated; these secrets follow those of `--secret`.
    ///
    /// A final newline of the file is not part of the secret.
    #[arg(long = "secret-file", value_name = "PATH")]
    files: Vec<PathBuf>,
}

impl SecretArguments {
    /// Reads the secrets. If `is_optional`, there may be none.
    pub(super) fn read(
        &self,
        variables: &Variables,
        is_optional: bool,
    ) -> Result<Secrets, SecretErrors> {
        Secrets::read(self.secrets.clone(), &self.files, variables, is_optional)
    }

    /// The number of secrets given on the command line.
    pub(super) fn count(&self) -> usize {
        self.secrets.len() + self.files.len()
    }

    /// Whether secrets are given on the command line, so that no variable is read.
    pub(super) fn are_given(&self) -> bool {
        !self.secrets.is_empty() || !self.files.is_empty()
    }
}

/// Warns on standard error about each secret that is weak or odd; `before` says where it is set.
pub(super) fn warn(before: &str, secrets: &Secrets) {
    for warning in &secrets.warnings {
        output::print_error(&format!("warning: {before}{warning}\n"));
    }
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

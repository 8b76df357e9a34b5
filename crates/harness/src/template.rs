//! A database cluster that is made once and copied for each server: `initdb` takes a second of a core.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{Account, run};

/// The folder below `target/` that holds the cluster for all processes that run tests.
pub(crate) struct Template(PathBuf);

impl Template {
    /// Returns the template for these programs and this account. Its name contains everything that the cluster depends on.
    pub(crate) fn of(programs: &Path, account: Option<&Account>) -> Self {
        let programs = programs.display().to_string();
        let programs = programs.replace(|char: char| !char.is_ascii_alphanumeric(), "-");
        let account = account.map_or("own".to_owned(), |account| account.uid.to_string());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tmp");
        Self(folder.join(format!("postgres{programs}-{account}")))
    }

    /// Copies it, and returns whether there was one to copy.
    ///
    /// # Errors
    /// When it exists and cannot be copied.
    pub(crate) async fn copy_to(&self, data: &Path) -> Result<bool> {
        let exists = self.0.exists();
        if exists {
            copy(&self.0, data).await?;
        }
        Ok(exists)
    }

    /// Keeps a copy of a cluster that was just made, unless another process was faster.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) async fn keep(&self, data: &Path) -> Result<()> {
        let parent = self.0.parent().context("a path below target/")?;
        fs::create_dir_all(parent)?;
        let folder = tempfile::tempdir_in(parent)?;
        let new = folder.path().join("data");
        copy(data, &new).await?;
        match fs::rename(&new, &self.0) {
            Err(_) if self.0.exists() => Ok(()),
            renamed => Ok(renamed?),
        }
    }
}

async fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    command.args(["-a", "--reflink=auto"]).arg(from).arg(to);
    run(command, "coreutils").await?;
    Ok(())
}

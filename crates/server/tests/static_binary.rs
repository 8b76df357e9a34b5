//! The binary of the container image: it is static, and runs in an empty root without privileges.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use harness::{Echo, Gate, GateCommand, Mint, Request, mint};

#[tokio::test]
async fn a_static_binary_runs_in_an_empty_root_as_user_nobody() -> Result<()> {
    let tested = PathBuf::from(env!("CARGO_BIN_EXE_sessiongate"));
    let binary = if libraries(&tested)? == STATIC {
        tested
    } else {
        built_statically().await?
    };
    assert_eq!(libraries(&binary)?, STATIC);

    let root = tempfile::tempdir()?;
    std::fs::copy(&binary, root.path().join("sessiongate"))?;
    make_readable(root.path())?;
    let root = root.path().display().to_string();
    let echo = Echo::start().await?;
    let command = unprivileged(&root)
        .env("UPSTREAM", echo.url())
        .env("AUTH_SECRET", mint::SECRET);
    let mut gate = command.start().await?;
    assert_eq!(gate.send(&Request::get("/")).await?.status, 401);
    assert_eq!(
        gate.send(&Request::get("/").cookie(Mint::user("ada").authjs()))
            .await?
            .status,
        200
    );
    assert_eq!(echo.only().headers.get("x-user-id"), Some("ada"));
    assert_eq!(gate.admin("/healthz").await?.status, 200);
    assert_eq!(std::fs::read_dir(&root)?.count(), 1, "it wrote nothing");
    gate.signal("TERM")?;
    assert_eq!(gate.wait().await?.code(), Some(0));
    Ok(())
}

/// Returns what `ldd` prints about a binary.
fn libraries(binary: &Path) -> Result<String> {
    let printed = Command::new("ldd").arg(binary).output()?;
    let printed = [printed.stdout, printed.stderr].concat();
    Ok(String::from_utf8_lossy(&printed).trim().to_owned())
}

const STATIC: &str = "statically linked";

/// Builds what `cargo xtask dist` builds, but without optimization, which takes minutes and does not matter here.
async fn built_statically() -> Result<PathBuf> {
    let mut dist = Command::new(env!("CARGO"));
    dist.args(["xtask", "dist", "--quick"])
        .current_dir(harness::repository());
    let printed = harness::run(dist, "cargo").await?;
    Ok(PathBuf::from(
        printed
            .lines()
            .last()
            .context("cargo xtask dist prints a path")?,
    ))
}

/// Returns the command of a gate without privileges. If the test runs as root, the gate runs as user 65534 in the new root.
/// Otherwise it runs as the test's user: in a namespace that allows a new root, or, where the system allows no such namespace
/// (Ubuntu 24.04), in the existing root.
fn unprivileged(root: &str) -> GateCommand {
    let may_unshare = || {
        Command::new("unshare")
            .args(["-r", "true"])
            .output()
            .is_ok_and(|ran| ran.status.success())
    };
    if harness::is_root() {
        Gate::command("chroot").args(["--userspec=65534:65534", root, "/sessiongate", "serve"])
    } else if may_unshare() {
        Gate::command("unshare").args(["-r", "chroot", root, "/sessiongate", "serve"])
    } else {
        Gate::command(format!("{root}/sessiongate"))
    }
}

fn make_readable(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o555))?;
    Ok(std::fs::set_permissions(
        folder.join("sessiongate"),
        PermissionsExt::from_mode(0o555),
    )?)
}

//! What triggers a reload: SIGHUP, and changes of the files that the gate watches.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Result;
use harness::{Echo, Gate, Mint, mint, poll};
use tempfile::TempDir;

use super::{OTHER, command, expect_log_lines, file_text, put, reload, status_of, wait_for_status};
use crate::support::status;

/// Starts a gate that watches its file.
async fn watching(text: &str, folder: &TempDir) -> Result<Gate> {
    let file = folder.path().join("gate.toml");
    fs::write(&file, text)?;
    command(&file).without("RELOAD_INTERVAL").start().await
}

const OPEN: &str = "public_paths = [\"/open/\"]";

#[tokio::test]
async fn sighup_reloads_the_file() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let file = folder.path().join("gate.toml");
    fs::write(&file, file_text(&echo, ""))?;
    let gate = command(&file).start().await?;
    assert_eq!(status_of(&gate, "/open/").await?, 401);
    fs::write(&file, file_text(&echo, OPEN))?;
    gate.signal("HUP")?;
    wait_for_status(&gate, "/open/", 200).await
}

#[tokio::test]
async fn a_replaced_file_is_reloaded_and_a_bad_one_reported_once() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let gate = watching(&file_text(&echo, ""), &folder).await?;
    let file = folder.path().join("gate.toml");
    put(&file, &file_text(&echo, OPEN))?;
    wait_for_status(&gate, "/open/", 200).await?;
    expect_log_lines(&gate, "reloaded the configuration", 1).await?;

    put(&file, &file_text(&echo, "public_paths = 7"))?;
    let refused = |line: &str| line.contains("the reload failed").then_some(());
    gate.stderr().wait_for(refused).await?;
    assert_eq!(status_of(&gate, "/open/").await?, 200);
    // A new time stamp without a change is not a reason to reload.
    fs::File::options()
        .append(true)
        .open(&file)?
        .set_modified(std::time::UNIX_EPOCH)?;
    put(&file, &file_text(&echo, ""))?;
    wait_for_status(&gate, "/open/", 401).await?;
    expect_log_lines(&gate, "reloaded the configuration", 2).await?;
    expect_log_lines(&gate, "the reload failed", 1).await?;
    Ok(())
}

#[tokio::test]
async fn a_file_restored_to_its_old_content_is_reported_as_valid_once() -> Result<()> {
    const AGAIN: &str = "the configuration is valid again; nothing has changed";
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let (good, bad) = (file_text(&echo, OPEN), file_text(&echo, "public_paths = 7"));
    let gate = watching(&good, &folder).await?;
    let file = folder.path().join("gate.toml");
    put(&file, &bad)?;
    expect_log_lines(&gate, "the reload failed", 1).await?;
    put(&file, &good)?;
    expect_log_lines(&gate, AGAIN, 1).await?;

    // A gate that reloads only on request says the same.
    let (asked, file) = (tempfile::tempdir()?, "gate.toml");
    let file = asked.path().join(file);
    fs::write(&file, &good)?;
    let gate = command(&file).start().await?;
    put(&file, &bad)?;
    assert_eq!(reload(&gate).await?.status, 422);
    put(&file, &good)?;
    assert_eq!(reload(&gate).await?.status, 200);
    expect_log_lines(&gate, AGAIN, 1).await?;
    put(&file, &bad)?;
    gate.signal("HUP")?;
    expect_log_lines(&gate, "the reload failed", 2).await?;
    put(&file, &good)?;
    gate.signal("HUP")?;
    expect_log_lines(&gate, AGAIN, 2).await?;
    // The next reload is reported as usual.
    assert_eq!(reload(&gate).await?.status, 200);
    expect_log_lines(&gate, "reload requested: nothing has changed", 1).await?;
    expect_log_lines(&gate, AGAIN, 2).await?;
    expect_log_lines(&gate, "reloaded the configuration", 0).await?;
    Ok(())
}

#[tokio::test]
async fn a_temporarily_missing_file_is_tolerated() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let gate = watching(&file_text(&echo, OPEN), &folder).await?;
    let file = folder.path().join("gate.toml");
    fs::remove_file(&file)?;
    let refused = |line: &str| line.contains("cannot read").then_some(());
    gate.stderr().wait_for(refused).await?;
    assert_eq!(status_of(&gate, "/open/").await?, 200);
    fs::write(&file, file_text(&echo, "public_paths = [\"/free/\"]"))?;
    wait_for_status(&gate, "/free/", 200).await
}

/// Publishes files as Kubernetes mounts a ConfigMap or a Secret: they are links into `..data`, which is a link to the folder of
/// a version, and is replaced by another one (`pkg/volume/util/atomic_writer.go`).
fn publish(volume: &Path, version: &str, files: &[(&str, &str)]) -> Result<()> {
    let folder = volume.join(version);
    fs::create_dir(&folder)?;
    for (name, text) in files {
        fs::write(folder.join(name), text)?;
        let link = volume.join(name);
        if !link.is_symlink() {
            symlink(Path::new("..data").join(name), link)?;
        }
    }
    let next = volume.join("..data_tmp");
    symlink(version, &next)?;
    Ok(fs::rename(next, volume.join("..data"))?)
}

#[tokio::test]
async fn a_kubernetes_volume_is_reloaded_when_its_link_is_swapped() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let volume = folder.path();
    let file = |path: &str| {
        let secret = volume.join("secret");
        format!(
            "auth_secret_file = {secret:?}\nupstream = \"{}\"\npublic_paths = [\"{path}\"]",
            echo.url()
        )
    };
    publish(
        volume,
        "..1",
        &[("gate.toml", &file("/1/")), ("secret", mint::SECRET)],
    )?;
    let gate = command(&volume.join("gate.toml")).without("RELOAD_INTERVAL");
    let gate = gate.start().await?;
    assert_eq!(status_of(&gate, "/1/").await?, 200);
    publish(
        volume,
        "..2",
        &[("gate.toml", &file("/2/")), ("secret", OTHER)],
    )?;
    fs::remove_dir_all(volume.join("..1"))?;
    wait_for_status(&gate, "/2/", 200).await?;
    assert_eq!(status_of(&gate, "/1/").await?, 401);
    let cookie = Mint::user("ada").secret(OTHER).authjs();
    assert_eq!(status(&gate, &cookie).await?, 200);
    let lines = expect_log_lines(&gate, "reload", 1).await?;
    assert!(
        lines[0].contains("AUTH_SECRET") && !lines[0].contains(OTHER),
        "{lines:?}"
    );
    Ok(())
}

#[tokio::test]
async fn added_changed_and_removed_included_files_are_noticed() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let routes = folder.path().join("routes");
    fs::create_dir(&routes)?;
    let route = |path: &str| format!("[[route]]\npath = \"{path}\"\naccess = \"public\"\n");
    fs::write(routes.join("a.toml"), route("/a/"))?;
    let gate = watching(&file_text(&echo, "include = [\"routes/*.toml\"]"), &folder).await?;
    assert_eq!(status_of(&gate, "/b/").await?, 401);
    fs::write(routes.join("b.toml"), route("/b/"))?;
    wait_for_status(&gate, "/b/", 200).await?;
    fs::write(routes.join("b.toml"), route("/c/"))?;
    wait_for_status(&gate, "/c/", 200).await?;
    assert_eq!(status_of(&gate, "/b/").await?, 401);
    fs::remove_file(routes.join("b.toml"))?;
    wait_for_status(&gate, "/c/", 401).await?;
    assert_eq!(status_of(&gate, "/a/").await?, 200);
    Ok(())
}

#[tokio::test]
async fn changed_secret_files_are_noticed() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let (secret, shared) = (folder.path().join("secret"), folder.path().join("shared"));
    fs::write(&secret, mint::SECRET)?;
    fs::write(&shared, "first-shared-secret")?;
    let file = folder.path().join("gate.toml");
    let text = format!(
        "upstream = \"{}\"\n\n[[route]]\npath = \"/\"\nheaders = \"app\"\n\n\
         [profile.app.headers]\n\"X-Shared\" = {{ secret_file = {shared:?} }}\n",
        echo.url()
    );
    fs::write(&file, text)?;
    let gate = command(&file).without("RELOAD_INTERVAL");
    let gate = gate.env("AUTH_SECRET_FILE", secret.to_string_lossy());
    let gate = gate.start().await?;
    let old = Mint::user("ada").authjs();
    assert_eq!(status(&gate, &old).await?, 200);
    put(&shared, "second-shared-secret")?;
    poll("the new constant", async || {
        status(&gate, &old).await.ok()?;
        let seen = echo.seen().pop()?;
        (seen.headers.get("x-shared")? == "second-shared-secret").then_some(())
    })
    .await?;
    expect_log_lines(&gate, "X-Shared", 1).await?;

    put(&secret, OTHER)?;
    let new = Mint::user("ada").secret(OTHER).authjs();
    poll("the new secret", async || {
        (status(&gate, &new).await.ok()? == 200).then_some(())
    })
    .await?;
    assert_eq!(status(&gate, &old).await?, 401);
    Ok(())
}

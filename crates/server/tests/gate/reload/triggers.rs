//! What triggers a reload: SIGHUP, and changes of the files that the gate watches.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Result;
use harness::{Echo, Gate, Mint, mint, poll};
use tempfile::TempDir;

use super::{OTHER, becomes, command, put, reload, said, status_of, usual};
use crate::support::status;

/// Starts a gate that watches its file.
async fn watching(text: &str, folder: &TempDir) -> Result<Gate> {
    let file = folder.path().join("gate.toml");
    fs::write(&file, text)?;
    command(&file).without("RELOAD_INTERVAL").start().await
}

const OPEN: &str = "public_paths = [\"/open/\"]";

#[tokio::test]
async fn a_hangup_reads_the_file() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let file = folder.path().join("gate.toml");
    fs::write(&file, usual(&echo, ""))?;
    let gate = command(&file).start().await?;
    assert_eq!(status_of(&gate, "/open/").await?, 401);
    fs::write(&file, usual(&echo, OPEN))?;
    gate.signal("HUP")?;
    becomes(&gate, "/open/", 200).await
}

#[tokio::test]
async fn a_file_that_is_renamed_over_is_read_and_a_bad_one_is_reported_once() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let gate = watching(&usual(&echo, ""), &folder).await?;
    let file = folder.path().join("gate.toml");
    put(&file, &usual(&echo, OPEN))?;
    becomes(&gate, "/open/", 200).await?;
    said(&gate, "reloaded the configuration", 1).await?;

    put(&file, &usual(&echo, "public_paths = 7"))?;
    let refused = |line: &str| line.contains("cannot reload").then_some(());
    gate.stderr().wait_for(refused).await?;
    assert_eq!(status_of(&gate, "/open/").await?, 200);
    // A new time stamp without a change is not a reason to reload.
    fs::File::options()
        .append(true)
        .open(&file)?
        .set_modified(std::time::UNIX_EPOCH)?;
    put(&file, &usual(&echo, ""))?;
    becomes(&gate, "/open/", 401).await?;
    said(&gate, "reloaded the configuration", 2).await?;
    said(&gate, "cannot reload", 1).await?;
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_repaired_to_what_it_was_is_called_valid_again_once() -> Result<()> {
    const AGAIN: &str = "the configuration is valid again; nothing has changed";
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let (good, bad) = (usual(&echo, OPEN), usual(&echo, "public_paths = 7"));
    let gate = watching(&good, &folder).await?;
    let file = folder.path().join("gate.toml");
    put(&file, &bad)?;
    said(&gate, "cannot reload", 1).await?;
    put(&file, &good)?;
    said(&gate, AGAIN, 1).await?;

    // A gate that reloads only on request says the same.
    let (asked, file) = (tempfile::tempdir()?, "gate.toml");
    let file = asked.path().join(file);
    fs::write(&file, &good)?;
    let gate = command(&file).start().await?;
    put(&file, &bad)?;
    assert_eq!(reload(&gate).await?.status, 422);
    put(&file, &good)?;
    assert_eq!(reload(&gate).await?.status, 200);
    said(&gate, AGAIN, 1).await?;
    put(&file, &bad)?;
    gate.signal("HUP")?;
    said(&gate, "cannot reload", 2).await?;
    put(&file, &good)?;
    gate.signal("HUP")?;
    said(&gate, AGAIN, 2).await?;
    // The next reload is reported as usual.
    assert_eq!(reload(&gate).await?.status, 200);
    said(&gate, "asked to reload: nothing has changed", 1).await?;
    said(&gate, AGAIN, 2).await?;
    said(&gate, "reloaded the configuration", 0).await?;
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_gone_for_a_while_does_no_harm() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let gate = watching(&usual(&echo, OPEN), &folder).await?;
    let file = folder.path().join("gate.toml");
    fs::remove_file(&file)?;
    let refused = |line: &str| line.contains("cannot read").then_some(());
    gate.stderr().wait_for(refused).await?;
    assert_eq!(status_of(&gate, "/open/").await?, 200);
    fs::write(&file, usual(&echo, "public_paths = [\"/free/\"]"))?;
    becomes(&gate, "/free/", 200).await
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
async fn a_volume_of_kubernetes_is_read_as_a_whole_when_its_link_is_swapped() -> Result<()> {
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
    becomes(&gate, "/2/", 200).await?;
    assert_eq!(status_of(&gate, "/1/").await?, 401);
    let cookie = Mint::user("ada").secret(OTHER).authjs();
    assert_eq!(status(&gate, &cookie).await?, 200);
    let lines = said(&gate, "reload", 1).await?;
    assert!(
        lines[0].contains("AUTH_SECRET") && !lines[0].contains(OTHER),
        "{lines:?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_included_file_that_appears_changes_or_goes_is_noticed() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let routes = folder.path().join("routes");
    fs::create_dir(&routes)?;
    let route = |path: &str| format!("[[route]]\npath = \"{path}\"\naccess = \"public\"\n");
    fs::write(routes.join("a.toml"), route("/a/"))?;
    let gate = watching(&usual(&echo, "include = [\"routes/*.toml\"]"), &folder).await?;
    assert_eq!(status_of(&gate, "/b/").await?, 401);
    fs::write(routes.join("b.toml"), route("/b/"))?;
    becomes(&gate, "/b/", 200).await?;
    fs::write(routes.join("b.toml"), route("/c/"))?;
    becomes(&gate, "/c/", 200).await?;
    assert_eq!(status_of(&gate, "/b/").await?, 401);
    fs::remove_file(routes.join("b.toml"))?;
    becomes(&gate, "/c/", 401).await?;
    assert_eq!(status_of(&gate, "/a/").await?, 200);
    Ok(())
}

#[tokio::test]
async fn secrets_that_a_variable_and_a_profile_name_are_noticed() -> Result<()> {
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
    said(&gate, "X-Shared", 1).await?;

    put(&secret, OTHER)?;
    let new = Mint::user("ada").secret(OTHER).authjs();
    poll("the new secret", async || {
        (status(&gate, &new).await.ok()? == 200).then_some(())
    })
    .await?;
    assert_eq!(status(&gate, &old).await?, 401);
    Ok(())
}

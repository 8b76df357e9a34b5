//! Transfers of large files: the memory that they take, and how they end early.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::{Client, Gate, Mint, Request, poll};

use super::site::{Site, signed_in};

const MIB: usize = 1024 * 1024;

/// Writes a file of this many megabytes, each of which differs from the others.
fn write_large(site: &Site, name: &str, megabytes: usize) -> Result<()> {
    let mut file = File::create(site.path(name))?;
    for number in 0..megabytes {
        let line = format!("{number:015}\n").into_bytes();
        file.write_all(&line.repeat(MIB / line.len()))?;
    }
    file.sync_all()?;
    Ok(())
}

/// Returns the peak memory of the gate so far, in KiB (proc(5), "VmHWM").
fn peak(gate: &Gate) -> Result<usize> {
    let status = fs::read_to_string(format!("/proc/{}/status", gate.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("a number")?.parse()?)
}

/// Whether the process holds this file open.
fn has_open(gate: &Gate, site: &Site, name: &str) -> bool {
    let path = site.path(name);
    let held = fs::read_dir(format!("/proc/{}/fd", gate.id()));
    let held = held.into_iter().flatten().filter_map(Result::ok);
    held.filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| target == path)
}

/// Begins to download a file, and stops reading after its first bytes.
async fn begin_download(site: &Site, name: &str) -> Result<Client> {
    let mut client = Client::connect(site.gate.proxy).await?;
    let request = signed_in(&Request::get(&format!("/{name}")));
    client.raw(&request.bytes(site.gate.proxy)).await?;
    ensure!(client.head().await?.status == 200);
    client.bytes(1000).await?;
    Ok(client)
}

#[tokio::test]
async fn a_hundred_megabytes_are_sent_without_using_memory() -> Result<()> {
    let site = Site::start(&[], &[]).await?;
    write_large(&site, "large.bin", 100)?;
    let url = format!("http://{}/large.bin", site.gate.proxy);
    let cookie = Mint::user("ada").authjs();
    let download = || {
        let mut shell = Command::new("sh");
        let script =
            "curl --silent --show-error --max-time 120 --cookie \"$1\" \"$2\" | cmp - \"$3\"";
        shell.args(["-c", script, "sh", &cookie, &url]);
        shell.arg(site.path("large.bin"));
        harness::run(shell, "curl")
    };
    // The first download loads the code, which needs memory too.
    download().await?;
    let before = peak(&site.gate)?;
    tokio::try_join!(download(), download(), download(), download())?;
    let after = peak(&site.gate)?;
    assert!(after - before < 8 * 1024, "{before} KiB became {after} KiB");
    Ok(())
}

#[tokio::test]
async fn a_file_outside_the_page_cache_is_sent() -> Result<()> {
    let site = Site::start(&[], &[]).await?;
    write_large(&site, "large.bin", 3)?;
    // On a file system that is only in memory, this has no effect.
    let mut forget = Command::new("python3");
    let script = "import os, sys; file = os.open(sys.argv[1], os.O_RDONLY); \
                  os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)";
    forget.args(["-c", script]).arg(site.path("large.bin"));
    harness::run(forget, "python3").await?;
    let answer = site.get("/large.bin").await?;
    assert_eq!(answer.body, fs::read(site.path("large.bin"))?);
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_midway_leaks_no_file() -> Result<()> {
    let site = Site::start(&[("small.txt", "a")], &[]).await?;
    write_large(&site, "large.bin", 40)?;
    let client = begin_download(&site, "large.bin").await?;
    assert!(has_open(&site.gate, &site, "large.bin"));
    drop(client);
    let line = site
        .gate
        .wait_for_audit(|line| line["path"] == "/large.bin")
        .await?;
    assert_eq!(
        (&line["status"], &line["ended"]),
        (&200.into(), &"client_left".into())
    );
    let passed = line["bytes_out"].as_u64().context("a number")?;
    assert!((1000..40 * MIB as u64).contains(&passed), "{line}");
    poll("the file to be closed", async || {
        (!has_open(&site.gate, &site, "large.bin")).then_some(())
    })
    .await?;
    assert_eq!(site.get("/small.txt").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_download_is_bounded_by_the_total_time_of_a_request() -> Result<()> {
    let total = ("REQUEST_TIMEOUT", "1");
    let site = Site::start(&[], &[total, ("LEAST_DOWNLOAD_RATE", "0")]).await?;
    write_large(&site, "large.bin", 40)?;
    let _client = begin_download(&site, "large.bin").await?;
    let line = site
        .gate
        .wait_for_audit(|line| line["path"] == "/large.bin")
        .await?;
    assert_eq!(line["ended"], "cut", "{line}");
    poll("the file to be closed", async || {
        (!has_open(&site.gate, &site, "large.bin")).then_some(())
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_file_truncated_during_a_download_breaks_the_answer() -> Result<()> {
    let site = Site::start(&[], &[]).await?;
    write_large(&site, "large.bin", 40)?;
    let mut client = begin_download(&site, "large.bin").await?;
    File::options()
        .write(true)
        .open(site.path("large.bin"))?
        .set_len(MIB as u64)?;
    let rest = client.bytes(40 * MIB - 1000).await;
    assert!(rest.is_err(), "the rest arrived");
    let line = site
        .gate
        .wait_for_audit(|line| line["path"] == "/large.bin")
        .await?;
    assert_eq!(line["ended"], "upstream_broke", "{line}");
    Ok(())
}

#[tokio::test]
async fn a_download_continues_with_the_file_that_it_opened() -> Result<()> {
    let site = Site::start(&[("new.bin", "new")], &[]).await?;
    write_large(&site, "large.bin", 20)?;
    let before = fs::read(site.path("large.bin"))?;
    let mut client = begin_download(&site, "large.bin").await?;
    fs::rename(site.path("new.bin"), site.path("large.bin"))?;
    let rest = client.bytes(before.len() - 1000).await?;
    assert!(rest == before[1000..], "the file that was opened");
    assert_eq!(site.get("/large.bin").await?.text(), "new");
    Ok(())
}

#[tokio::test]
async fn ranges_of_a_large_file_have_the_right_bytes() -> Result<()> {
    let site = Site::start(&[], &[]).await?;
    write_large(&site, "large.bin", 6)?;
    let mut file = File::options().write(true).open(site.path("large.bin"))?;
    file.seek(SeekFrom::Start(5 * MIB as u64 - 3))?;
    file.write_all(b"marked")?;
    let range = format!("bytes={}-{}", 5 * MIB - 3, 5 * MIB + 2);
    let answer = site.get_with("/large.bin", &[("Range", &range)]).await?;
    assert_eq!((answer.status, &*answer.text()), (206, "marked"));
    let range = format!("bytes=100-{}", 5 * MIB);
    let answer = site.get_with("/large.bin", &[("Range", &range)]).await?;
    let whole = fs::read(site.path("large.bin"))?;
    assert!(answer.body == whole[100..=5 * MIB]);
    Ok(())
}

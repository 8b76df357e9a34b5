//! Services that misbehave under load: which answer each fault gets, that no client gets another's answer, and that no
//! connection is left over.
//!
//! Every request has a number, which determines how its service behaves. Every answer names the request to which it belongs.

mod clients;
mod conduct;
mod over_http1;
mod over_http2;
mod tally;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::{fs, io};

use anyhow::{Context, Result, ensure};
use harness::{Gate, mint, poll};
use tokio::time::Instant;

use self::clients::Numbers;
use self::conduct::Conduct;
use self::over_http1::OverHttp1;
use self::over_http2::OverHttp2;
use self::tally::Tally;
use crate::support::signed_in;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_client_gets_its_own_answer_from_misbehaving_services() -> Result<()> {
    let tally = send_requests(env!("CARGO_BIN_EXE_sessiongate"), 3000, 6).await?;
    ensure!(tally.as_expected() >= 2900, "{tally}");
    Ok(())
}

#[tokio::test]
async fn a_service_that_refuses_every_stream_is_retried_a_few_times_only() -> Result<()> {
    let (http1, http2) = (OverHttp1::start().await?, OverHttp2::start().await?);
    let folder = tempfile::tempdir()?;
    let binary = env!("CARGO_BIN_EXE_sessiongate");
    let gate = started(folder.path(), binary, (&http1, &http2), 3).await?;
    let of = |conduct| (0..).find(|number| Conduct::of(*number) == conduct);
    let mut client = gate.connect().await?;
    for (conduct, status, times) in [(Conduct::Proper, 200, 1..=1), (Conduct::Resets, 502, 1..=4)] {
        let before = http2.requests.load(Ordering::Relaxed);
        let target = format!("/http2/{}", of(conduct).context("a number")?);
        let answer = client.send(&signed_in(&target, "ada")).await?;
        assert_eq!(answer.status, status);
        let requests = http2.requests.load(Ordering::Relaxed) - before;
        assert!(times.contains(&requests), "{conduct:?}: {requests} times");
    }
    Ok(())
}

/// Sends as many requests as `ENDURANCE_ANSWERS` says to the gate at `ENDURANCE_GATE`, and prints the results:
///
/// ```text
/// cargo build --release -p sessiongate
/// ENDURANCE_ANSWERS=10000000 ENDURANCE_GATE=$PWD/target/release/sessiongate \
///     cargo test -p sessiongate --test gate misbehaving:: -- --ignored --nocapture
/// ```
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: run it by hand"]
async fn long_misbehavior_of_services_mixes_no_answers_and_leaks_no_connections() -> Result<()> {
    let answers = variable_or("ENDURANCE_ANSWERS", "200000");
    let gate = variable_or("ENDURANCE_GATE", env!("CARGO_BIN_EXE_sessiongate"));
    let began = Instant::now();
    let tally = send_requests(&gate, answers.parse()?, 15).await?;
    println!("{tally}in {} s", began.elapsed().as_secs());
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test by hand has no other settings"
)]
fn variable_or(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

/// Sends `answers` requests in all from clients of both versions to services of both versions. The gate waits `timeout` seconds
/// for a service that hangs; on a busy machine, other services may take as long.
async fn send_requests(binary: &str, answers: u64, timeout: u8) -> Result<Tally> {
    let (http1, http2) = (OverHttp1::start().await?, OverHttp2::start().await?);
    let folder = tempfile::tempdir()?;
    let gate = started(folder.path(), binary, (&http1, &http2), timeout).await?;
    let numbers = Arc::new(Numbers::up_to(answers));
    let tally = clients::run_clients(gate.proxy, &numbers).await?;
    drop((http1, http2));
    let closed = poll("the gate to close its connections", async || {
        (connections(&gate).ok()? == 0).then_some(())
    });
    closed.await.with_context(|| match connections(&gate) {
        Ok(left) => format!("{left} connections are left\n{tally}"),
        Err(error) => error.to_string(),
    })?;
    ensure!(tally.is_sound(), "{tally}");
    Ok(tally)
}

async fn started(
    folder: &Path,
    binary: &str,
    (http1, http2): (&OverHttp1, &OverHttp2),
    timeout: u8,
) -> Result<Gate> {
    let (secret, to_http1, to_http2) = (mint::SECRET, http1.address, http2.address);
    let file = format!(
        r#"
auth_secret = "{secret}"
upstream_timeout = {timeout}

[service.http1]
upstream = "http://{to_http1}"
[[route]]
path = "/http1/"
service = "http1"

[service.http2]
upstream = "h2c://{to_http2}"
[[route]]
path = "/http2/"
service = "http2"
"#
    );
    let path = folder.join("gate.toml");
    fs::write(&path, file)?;
    let binary = fs::canonicalize(binary).with_context(|| binary.to_owned())?;
    Gate::command(binary)
        // The harness would keep millions of lines.
        .env("AUDIT_LOG", "false")
        .env("SESSIONGATE_CONFIG", path.to_str().context("a path")?)
        .env("RELOAD_INTERVAL", "0")
        .start()
        .await
}

/// Returns the number of the gate's connections, including those that the other side has ended.
fn connections(gate: &Gate) -> Result<usize> {
    let files = fs::read_dir(format!("/proc/{}/fd", gate.id()))?;
    // The link of a file that has just been closed cannot be read.
    let leads_to = |file: io::Result<fs::DirEntry>| fs::read_link(file.ok()?.path()).ok();
    let names = files.filter_map(leads_to);
    let sockets: HashSet<_> = names.map(|to| to.display().to_string()).collect();
    let table = fs::read_to_string("/proc/net/tcp")?;
    let is_connection = |line: &&str| {
        let mut words = line.split_whitespace();
        let state = words.nth(3);
        let socket = words.nth(5).map(|inode| format!("socket:[{inode}]"));
        state != Some(LISTENING) && socket.is_some_and(|socket| sockets.contains(&socket))
    };
    Ok(table.lines().filter(is_connection).count())
}

/// The state of a listening socket, as Linux writes it (`include/net/tcp_states.h`).
const LISTENING: &str = "0A";

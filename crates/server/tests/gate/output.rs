//! Readers of the gate's output that stall or close it.

use anyhow::{Context, Result};
use harness::{Echo, Gate, Lines, Request, poll};

use crate::support::{gate, signed_in, started};

/// Returns a path that makes log lines of 48 KiB.
fn long_path() -> String {
    format!("/{}", "x".repeat(48 << 10))
}

/// Starts a gate that logs a warning for each request like [`logged`].
async fn gate_with_warnings() -> Result<(Echo, Gate)> {
    started([("WORKERS", "1"), ("ALLOW_BYPASS", "true")]).await
}

/// Returns a request that causes a log line of 48 KiB.
fn logged() -> Request {
    Request::get(&long_path()).header("X-Bypass-Auth", "true")
}

/// Sends requests until lines of this kind are lost, and verifies that each gets an answer.
async fn lose_lines(gate: &Gate, counter: &str, request: &Request) -> Result<()> {
    let mut client = gate.connect().await?;
    poll(counter, async || {
        for _ in 0..20 {
            assert_eq!(client.send(request).await.ok()?.status, 200);
        }
        (gate.metric(counter, []).await.ok()? > 0.0).then_some(())
    })
    .await
}

/// Stops the gate and waits for its end, without reading its output.
async fn stop(gate: &mut Gate) -> Result<()> {
    gate.signal("TERM")?;
    poll("the gate to end", async || (!gate.running()).then_some(())).await
}

#[tokio::test]
async fn a_stalled_reader_of_audit_lines_blocks_neither_requests_nor_shutdown() -> Result<()> {
    let (_echo, mut gate) = started([("WORKERS", "1")]).await?;
    gate.stdout().stall();
    let request = signed_in(&long_path(), "ada");
    lose_lines(&gate, "sessiongate_audit_lines_lost_total", &request).await?;
    stop(&mut gate).await
}

#[tokio::test]
async fn a_stalled_reader_of_the_log_blocks_neither_requests_nor_shutdown() -> Result<()> {
    let (_echo, mut gate) = gate_with_warnings().await?;
    gate.stderr().stall();
    lose_lines(&gate, "sessiongate_log_lines_lost_total", &logged()).await?;
    stop(&mut gate).await
}

#[tokio::test]
async fn the_number_of_lost_lines_is_logged_when_the_reader_continues() -> Result<()> {
    let (_echo, gate) = gate_with_warnings().await?;
    gate.stderr().stall();
    lose_lines(&gate, "sessiongate_log_lines_lost_total", &logged()).await?;
    gate.stderr().resume();
    let matches = |line: &str| line.contains("log lines were dropped").then_some(());
    gate.stderr().wait_for(matches).await?;

    gate.stdout().stall();
    let request = signed_in(&long_path(), "ada");
    lose_lines(&gate, "sessiongate_audit_lines_lost_total", &request).await?;
    gate.stdout().resume();
    let matches = |line: &str| line.contains("audit lines were dropped").then_some(());
    gate.stderr().wait_for(matches).await
}

#[tokio::test]
async fn two_stalled_readers_do_not_block_shutdown() -> Result<()> {
    let (_echo, mut gate) = gate_with_warnings().await?;
    gate.stdout().stall();
    gate.stderr().stall();
    for counter in [
        "sessiongate_audit_lines_lost_total",
        "sessiongate_log_lines_lost_total",
    ] {
        lose_lines(&gate, counter, &logged()).await?;
    }
    stop(&mut gate).await
}

#[tokio::test]
async fn closed_output_pipes_do_not_stop_the_gate() -> Result<()> {
    let echo = Echo::start().await?;
    let both: [fn(&Gate) -> Lines; 2] = [Gate::stdout, Gate::stderr];
    for output in both {
        let gate = gate(&echo.url()).env("ALLOW_BYPASS", "true").start();
        let mut gate = gate.await?;
        output(&gate).close();
        let counters = [
            "sessiongate_audit_lines_lost_total",
            "sessiongate_log_lines_lost_total",
        ];
        poll("lines to be lost", async || {
            assert_eq!(gate.send(&logged()).await.ok()?.status, 200);
            let [audit, log] = [
                gate.metric(counters[0], []).await.ok()?,
                gate.metric(counters[1], []).await.ok()?,
            ];
            (audit + log > 0.0).then_some(())
        })
        .await?;
        stop(&mut gate).await?;
    }
    Ok(())
}

#[tokio::test]
async fn unwritable_audit_lines_are_reported_once() -> Result<()> {
    let (_echo, mut gate) = started([("WORKERS", "1")]).await?;
    gate.stdout().close();
    let lost = "sessiongate_audit_lines_lost_total";
    poll("several losses", async || {
        gate.send(&signed_in("/", "ada")).await.ok()?;
        (gate.metric(lost, []).await.ok()? > 5.0).then_some(())
    })
    .await?;
    stop(&mut gate).await?;
    gate.stderr().ended().await?;
    let lines = gate.stderr().all();
    let matches = lines
        .iter()
        .filter(|line| line.contains("audit lines cannot be written"));
    assert_eq!(matches.count(), 1, "{lines:#?}");
    Ok(())
}

#[tokio::test]
async fn an_error_at_start_up_is_printed_before_the_exit() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let finished = gate("http://127.0.0.1:9")
        .env("LISTEN", taken.local_addr()?.to_string())
        .env("AUDIT_LOG", "false")
        .run()
        .await?;
    assert_eq!(finished.status.code(), Some(1));
    let lines: Vec<_> = finished.stderr.lines().collect();
    let warning = lines
        .iter()
        .position(|line| line.contains("AUDIT_LOG is off"));
    let error = lines
        .iter()
        .position(|line| line.starts_with("sessiongate: cannot listen"));
    assert!(
        warning.context("the log")? < error.context("the error")?,
        "{lines:#?}"
    );
    Ok(())
}

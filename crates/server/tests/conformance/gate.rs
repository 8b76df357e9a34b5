//! The gate itself passes everything.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use conformance::{Outcome, Profile, Target};
use harness::{Gate, Mint, free_port, mint};

#[tokio::test]
async fn the_gate_passes_every_case() -> Result<()> {
    // The suite brings its own recording upstream.
    let upstream = free_port();
    let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .env("UPSTREAM", format!("http://127.0.0.1:{upstream}"))
        .env("AUTH_SECRET", mint::SECRET)
        .env("AUTH_LISTEN", "127.0.0.1:0")
        .env("PUBLIC_PATHS", "/public/")
        .env("FORWARD_SESSION_COOKIE", "false")
        .env("CLIENT_HEADER_TIMEOUT", "5")
        .env("CLIENT_BODY_TIMEOUT", "5")
        .env("CLIENT_IDLE_TIMEOUT", "5")
        .start()
        .await?;
    let profile = Profile::named("sessiongate").context("the gate has a profile")?;
    let target = Target {
        cookie: Some(Mint::user("user-1").authjs()),
        user: Some("user-1".to_owned()),
        check: Some((gate.decisions_port()?, "/auth".to_owned())),
        slow_limit: Some(Duration::from_secs(8)),
        timeout: Duration::from_secs(5),
        ..Target::new(profile, gate.proxy, ([127, 0, 0, 1], upstream).into())
    };
    let asked = move || conformance::run(&target, |_| true, |_| ());
    let report = tokio::task::spawn_blocking(asked).await??;

    let wrong = report
        .rows
        .iter()
        .filter(|row| !matches!(row.outcome, Outcome::Holds(_)) && !row.case.needs.http2);
    let wrong: Vec<_> = wrong.map(|row| row.line()).collect();
    ensure!(
        wrong.is_empty(),
        "{}\n{}",
        wrong.join("\n"),
        report.summary()
    );

    // By name, so that no case is lost without a change that shows.
    let passed = report
        .rows
        .iter()
        .filter(|row| matches!(row.outcome, Outcome::Holds(_)));
    let passed: String = passed
        .map(|row| format!("{} {}\n", row.case.id, row.case.title))
        .collect();
    ensure!(
        passed == include_str!("passed.txt"),
        "other cases pass than tests/conformance/passed.txt says:\n{passed}"
    );
    Ok(())
}

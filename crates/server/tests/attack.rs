//! The black-box attack suite (`tests/attack/suite.py`) against the running gate.
//!
//! It is a test binary of its own, because its clients wait two seconds at most: beside other tests on a small machine
//! that would be a measurement of the machine.

use std::process::Command;

use anyhow::Result;
use harness::{Gate, Mint, free_port, mint};

#[tokio::test]
async fn the_gate_withstands_every_attack_of_the_suite() -> Result<()> {
    // The suite brings its own recording upstream.
    let upstream = free_port();
    let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .env("UPSTREAM", format!("http://127.0.0.1:{upstream}"))
        .env("AUTH_SECRET", mint::SECRET)
        .env("AUTH_LISTEN", "127.0.0.1:0")
        .env("PUBLIC_PATHS", "/public/")
        .env("CLIENT_HEADER_TIMEOUT", "5")
        .env("CLIENT_BODY_TIMEOUT", "5")
        .env("CLIENT_IDLE_TIMEOUT", "5")
        .start()
        .await?;
    let suite = harness::repository().join("tests/attack/suite.py");
    let mut python = Command::new("python3");
    python.arg("-B").arg(suite).args([
        "--strict",
        "--slow-limit",
        "8",
        "--public-path",
        "/public/",
    ]);
    python.args(["--protected-path", "/private", "--expect-user", "user-1"]);
    python.args([
        "--proxy",
        &gate.proxy.to_string(),
        "--upstream-port",
        &upstream.to_string(),
    ]);
    python.args(["--valid-cookie", &Mint::user("user-1").authjs()]);
    let decisions = gate.decisions_port()?;
    python.args(["--check-url", &format!("http://{decisions}/auth")]);
    // Fails, and shows every line, when a case fails.
    let report = harness::run(python, "python3").await?;

    let skipped: Vec<_> = report
        .lines()
        .filter_map(|line| line.strip_prefix("SKIP "))
        .collect();
    assert!(
        skipped.iter().all(|case| case.starts_with("H2")),
        "only HTTP/2 waits for later work: {skipped:#?}"
    );
    assert!(
        report
            .lines()
            .filter(|line| line.starts_with("PASS "))
            .count()
            > 80,
        "{report}"
    );
    Ok(())
}

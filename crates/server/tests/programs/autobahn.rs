//! The test cases of Autobahn, the test suite of WebSocket libraries, against Python's `websockets` through the gate: each must
//! pass.
//!
//! `autobahntestsuite` itself needs Python 2 (its newest release, 25.10.1, requires Twisted 19 and prints with statements).
//! `kosoku` runs its cases. The tests leave out those that take longer than a second each (6.4, most of 9 and 12), and 7.1.5,
//! where `websockets` 16 itself answers differently than Autobahn expects: with 1002 to a Close within a message.

use std::process::Command;

use anyhow::{Result, ensure};
use harness::{poll, program, run, venv};

use crate::support::{gate, script, zoe};
use crate::websockets::service;

/// The client of the cases breaks the rules and checks how the service responds. It sends no cookie.
#[tokio::test]
async fn a_websocket_service_behind_the_gate_passes_the_autobahn_cases() -> Result<()> {
    let service = service().await?;
    let gate = gate(service.address());
    let gate = gate.env("PUBLIC_PATHS", "/").start().await?;
    let folder = tempfile::tempdir()?;
    let mut kosoku = Command::new(venv("websockets", "kosoku")?);
    kosoku.args(["-p", "4", "-o"]).arg(folder.path());
    for case in CASES.iter().chain(&LARGER_CASES) {
        kosoku.args(["-i", case]);
    }
    for case in LEFT_OUT {
        kosoku.args(["-x", case]);
    }
    kosoku.arg(gate.proxy.to_string());
    let printed = run(kosoku, "websockets").await?;
    passed(&printed)
}

/// The server of the cases breaks the rules and checks how a client with a session responds.
#[tokio::test]
async fn a_websocket_client_passes_the_autobahn_cases_through_the_gate() -> Result<()> {
    let kosoku = venv("websockets", "kosoku")?;
    let server = program("websockets", |folder, port| {
        let cases = CASES.map(|case| format!("-i {case}")).join(" ");
        let left_out = LEFT_OUT.map(|case| format!("-x {case}")).join(" ");
        Ok(format!(
            "{} -m fuzzingserver -o {} {cases} {left_out} 127.0.0.1:{port}",
            kosoku.display(),
            folder.display()
        ))
    })
    .await?;
    let gate = gate(server.address()).start().await?;
    let mut client = Command::new(venv("websockets", "python")?);
    client
        .arg(script("autobahn_client.py"))
        .args([gate.proxy.to_string(), zoe()]);
    run(client, "websockets").await?;
    let printed = poll("the report", async || {
        let printed = server.transcript();
        printed.contains("wrote reports").then_some(printed)
    })
    .await?;
    ensure!(!printed.contains("behavior"), "{printed}");
    passed(&printed)
}

fn passed(printed: &str) -> Result<()> {
    let reports = printed.split_once("wrote reports for ");
    let count = reports.and_then(|(_, rest)| rest.split(' ').next());
    let count = count.and_then(|count| count.parse().ok());
    ensure!(count.is_some_and(|count: usize| count > 230), "{printed}");
    Ok(())
}

/// Framing, pings, reserved bits, opcodes, fragmentation, UTF-8, closes and their codes.
const CASES: [&str; 8] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"];
/// Messages up to 16 MiB, and compression.
const LARGER_CASES: [&str; 7] = [
    "9.1.*", "9.2.*", "12.1.1", "12.1.2", "12.1.3", "12.2.1", "12.3.1",
];
const LEFT_OUT: [&str; 2] = ["6.4.*", "7.1.5"];

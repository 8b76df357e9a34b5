//! Python's `websockets` on both sides of the gate.

use std::process::Command;

use anyhow::Result;
use harness::{Server, program, run, venv};

use crate::support::{gate, script, zoe};

/// Starts the service, which also echoes the messages of Autobahn's cases.
pub(crate) async fn service() -> Result<Server> {
    let python = venv("websockets", "python")?;
    program("websockets", |_, port| {
        let service = script("websocket_service.py");
        Ok(format!("{} {} {port}", python.display(), service.display()))
    })
    .await
}

/// Sizes at which the framing changes, fragmentation, compression, and pings and closes of either side.
#[tokio::test]
async fn websocket_messages_pings_and_closes_pass_unchanged() -> Result<()> {
    let service = service().await?;
    let gate = gate(service.address()).start().await?;
    let mut client = Command::new(venv("websockets", "python")?);
    client
        .arg(script("websocket_client.py"))
        .args([gate.proxy.to_string(), zoe()]);
    let printed = run(client, "websockets").await?;
    assert_eq!(printed.trim(), "all messages passed");
    Ok(())
}

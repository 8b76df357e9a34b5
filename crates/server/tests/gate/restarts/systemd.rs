//! Restarts under systemd, which the tests imitate: the socket, the environment, and the socket for notifications.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use harness::{Client, Echo, poll};
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use super::load::{Load, Protocols};
use super::{FEW, MANY, wait_for_log_lines};
use crate::support::{gate, signed_in};

async fn restarts(times: usize, protocols: Protocols) -> Result<()> {
    let echo = Echo::start().await?;
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0")?);
    let address = socket.local_addr()?;
    let command = gate(&echo.url()).env("LISTEN", address.to_string());
    let command = command.env("WORKERS", "2").passing(&socket, "web");
    let command = protocols.of(command);
    let mut running = command.clone().start().await?;
    assert_eq!(running.proxy, address);
    let mut load = Load::start(address, &protocols)?;
    for _ in 0..times {
        load.wait_for_requests(&echo).await?;
        running.signal("TERM")?;
        let ended = running.wait().await?;
        ensure!(ended.success(), "{ended}");
        running = command.clone().start().await?;
    }
    load.wait_for_requests(&echo).await?;
    load.end(&format!("{times} restarts with a socket of systemd"))
        .await
}

#[tokio::test]
async fn no_request_fails_while_systemd_restarts_the_gate() -> Result<()> {
    restarts(FEW, Protocols::Clear).await
}

#[tokio::test]
#[ignore = "fifty take their time; three are part of the suite"]
async fn no_request_fails_while_systemd_restarts_the_gate_many_times() -> Result<()> {
    restarts(MANY, Protocols::Clear).await
}

#[tokio::test]
async fn no_request_over_tls_fails_while_systemd_restarts_the_gate() -> Result<()> {
    restarts(FEW, Protocols::tls().await?).await
}

#[tokio::test]
#[ignore = "fifty take their time; three are part of the suite"]
async fn no_request_over_tls_fails_while_systemd_restarts_the_gate_many_times() -> Result<()> {
    restarts(MANY, Protocols::tls().await?).await
}

#[tokio::test]
async fn connections_queued_in_the_socket_during_a_restart_are_served() -> Result<()> {
    let echo = Echo::start().await?;
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0")?);
    let address = socket.local_addr()?;
    let mut early = Client::connect(address).await?;
    early
        .raw(&signed_in("/early", "ada").bytes(address))
        .await?;
    let command = gate(&echo.url()).env("LISTEN", address.to_string());
    let mut running = command.passing(&socket, "web").start().await?;
    assert_eq!(early.response().await?.status, 200);
    running.signal("TERM")?;
    assert!(running.wait().await?.success());
    Client::connect(address)
        .await
        .context("the socket still exists")?;
    Ok(())
}

#[tokio::test]
async fn a_passed_socket_without_a_setting_is_refused_at_start_up() -> Result<()> {
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0")?);
    let address = socket.local_addr()?.to_string();
    let finished = gate("http://127.0.0.1:9")
        .passing(&socket, "web")
        .run()
        .await?;
    assert!(!finished.status.success());
    for word in [&*address, "`web`", "LISTEN"] {
        assert!(
            finished.stderr.contains(word),
            "{word}: {}",
            finished.stderr
        );
    }
    Ok(())
}

/// The service manager's end of the notification socket.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = UnixDatagram::bind(folder.path().join("notify"))?;
        Ok(Self { socket, folder })
    }

    fn path(&self) -> Result<String> {
        let path = self.folder.path().join("notify");
        Ok(path.to_str().context("a path")?.to_owned())
    }

    /// Returns the next message that begins with `wanted`.
    async fn wait_for(&self, wanted: &str) -> Result<String> {
        let hearing = async {
            let mut bytes = [0; 1024];
            loop {
                let length = self.socket.recv(&mut bytes).await?;
                let message = String::from_utf8(bytes[..length].into())?;
                if message.starts_with(wanted) {
                    return Ok(message);
                }
            }
        };
        timeout(harness::TIMEOUT, hearing)
            .await
            .with_context(|| format!("{wanted} did not come"))?
    }
}

#[tokio::test]
async fn the_service_manager_is_notified_of_the_state() -> Result<()> {
    let manager = Manager::start()?;
    let gate = gate("http://127.0.0.1:9").with_successors();
    let gate = gate.env("NOTIFY_SOCKET", manager.path()?);
    let mut gate = gate.env("WATCHDOG_USEC", "300000").start().await?;
    manager.wait_for("READY=1").await?;
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1").await?;
    }
    gate.signal("HUP")?;
    let reloading = manager.wait_for("RELOADING=1").await?;
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    manager.wait_for("READY=1").await?;
    gate.signal("USR2")?;
    let main = manager.wait_for("MAINPID=").await?;
    let line = wait_for_log_lines(&gate, "the new process serves", 1).await?;
    let process = line["process"].as_u64().context("its number")?;
    assert_eq!(main.trim_end(), format!("MAINPID={process}"));
    poll("the exit of the old process", async || {
        (!gate.running()).then_some(())
    })
    .await?;
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1").await?;
    }
    gate.signal_successor(process, "TERM").await?;
    manager.wait_for("STOPPING=1").await?;
    Ok(())
}

#[tokio::test]
async fn systemd_accepts_the_shipped_units() -> Result<()> {
    let (units, folder) = (
        harness::repository().join("deploy/systemd"),
        tempfile::tempdir()?,
    );
    let there = |name: &str| folder.path().join(name);
    for name in ["sessiongate.service", "sessiongate.socket"] {
        let text = fs::read_to_string(units.join(name))?;
        // The program must be at the path in the unit.
        let text = text.replace(
            "/usr/local/bin/sessiongate",
            env!("CARGO_BIN_EXE_sessiongate"),
        );
        fs::write(there(name), text)?;
    }
    let verify = |file: &Path| {
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["verify", "--man=no"]).arg(file);
        analyze
            .output()
            .context("systemd-analyze is part of the package systemd")
    };
    for name in ["sessiongate.service", "sessiongate.socket"] {
        let output = verify(&there(name))?;
        let printed = String::from_utf8(output.stderr)?;
        assert!(output.status.success(), "{name}: {printed}");
        // An unknown key causes only a warning; warnings about other units of this machine are ignored.
        assert!(!printed.contains("sessiongate"), "{name}: {printed}");
    }
    Ok(())
}

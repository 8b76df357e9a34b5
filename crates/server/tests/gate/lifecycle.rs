//! The life of the process: start, readiness, drain and stop.

use anyhow::{Context, Result};
use harness::{Gate, poll};

use crate::support::{gate, signed_in, started};

#[tokio::test]
async fn a_signal_lets_requests_in_flight_finish() -> Result<()> {
    for signal in ["TERM", "INT"] {
        let (echo, mut gate) = started([]).await?;
        let mut busy = gate.connect().await?;
        busy.raw(&signed_in("/hold", "ada").bytes(gate.proxy))
            .await?;
        echo.wait_for(|seen| seen.complete).await?;
        let mut streaming = gate.connect().await?;
        streaming
            .raw(&signed_in("/stream?chunks=2", "ada").bytes(gate.proxy))
            .await?;
        assert_eq!(streaming.head().await?.status, 200);
        streaming.chunk().await?.context("the first chunk")?;
        let mut idle = gate.connect().await?;
        assert_eq!(idle.send(&signed_in("/", "ada")).await?.status, 200);

        gate.signal(signal)?;
        idle.closed().await?;
        poll("new connections to be refused", async || {
            gate.connect().await.err()
        })
        .await?;
        assert!(gate.running());

        echo.release();
        echo.release();
        assert_eq!(busy.response().await?.status, 200, "{signal}");
        assert_eq!(
            streaming.chunk().await?.as_deref(),
            Some(&b"chunk 1\n"[..]),
            "{signal}"
        );
        assert_eq!(streaming.chunk().await?, None, "{signal}");
        assert_eq!(gate.wait().await?.code(), Some(0), "{signal}");
        let lines = gate.audit_lines();
        for path in ["/hold", "/stream", "/"] {
            assert!(
                lines.iter().any(|line| line["path"] == path),
                "{path} is missing from {lines:#?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn requests_beyond_the_drain_timeout_are_cut_off() -> Result<()> {
    let (echo, mut gate) = started([("DRAIN_TIMEOUT", "1")]).await?;
    let mut stuck = gate.connect().await?;
    stuck
        .raw(&signed_in("/hold", "ada").bytes(gate.proxy))
        .await?;
    echo.wait_for(|seen| seen.complete).await?;
    let mut socket = gate.connect().await?;
    socket
        .raw(&signed_in("/ws", "ada").websocket().bytes(gate.proxy))
        .await?;
    assert_eq!(socket.head().await?.status, 101);

    gate.signal("TERM")?;
    assert_eq!(gate.wait().await?.code(), Some(0));
    assert!(stuck.response().await.is_err());
    // A Close frame with code 1001.
    assert_eq!(socket.bytes(4).await?, [0x88, 12, 3, 233], "and its reason");
    socket.bytes(10).await?;
    socket.closed().await
}

#[tokio::test]
async fn readiness_ends_before_liveness() -> Result<()> {
    let (echo, mut gate) = started([]).await?;
    let mut busy = gate.connect().await?;
    busy.raw(&signed_in("/hold", "ada").bytes(gate.proxy))
        .await?;
    echo.wait_for(|seen| seen.complete).await?;
    gate.signal("TERM")?;
    poll("readiness to end", async || {
        (gate.admin("/readyz").await.ok()?.status == 503).then_some(())
    })
    .await?;
    assert_eq!(gate.admin("/healthz").await?.status, 200);
    echo.release();
    assert_eq!(busy.response().await?.status, 200);
    assert_eq!(gate.wait().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn the_binary_checks_its_own_health() -> Result<()> {
    let healthcheck = |admin: String| {
        Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
            .args(["healthcheck"])
            .env("ADMIN_LISTEN", admin)
    };
    let (_echo, mut gate) = started([]).await?;
    let admin = gate.admin.to_string();
    assert_eq!(
        healthcheck(admin.clone()).run().await?.status.code(),
        Some(0)
    );
    gate.signal("TERM")?;
    gate.wait().await?;
    let finished = healthcheck(admin).run().await?;
    assert!(!finished.status.success());
    assert!(!finished.stderr.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_taken_port_ends_start_up_and_names_its_setting() -> Result<()> {
    let holder = std::net::TcpListener::bind("127.0.0.1:0")?;
    for name in ["LISTEN", "ADMIN_LISTEN"] {
        let taken = gate("http://127.0.0.1:9")
            .env(name, holder.local_addr()?.to_string())
            .run()
            .await?;
        assert!(!taken.status.success(), "{name}");
        assert!(taken.stderr.contains(name), "{name}: {}", taken.stderr);
    }
    Ok(())
}

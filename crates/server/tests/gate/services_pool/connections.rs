//! The number of connections to a server, and how long they last.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use harness::{Echo, Request};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::{
    Fake, answer, answered, head, public_service, server_of, started, started_with, write,
};

#[tokio::test]
async fn idle_connections_are_closed_before_the_service_would() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (closed, mut closed_connections) = mpsc::unbounded_channel();
    // The service waits until the gate closes the connection, and never closes it itself.
    let service = Fake::start(move |mut stream, _| {
        let closed = closed.clone();
        async move {
            answer(&mut stream, "", "").await?;
            ensure!(stream.read(&mut [0]).await? == 0, "another request came");
            closed.send(())?;
            Ok(())
        }
    })
    .await?;
    let gate = started(folder.path(), &public_service(&[&service.url], "")).await?;
    answered(&gate, 1).await?;
    tokio::time::timeout(harness::TIMEOUT, closed_connections.recv()).await?;
    Ok(())
}

#[tokio::test]
async fn the_keep_alive_header_of_the_service_is_respected() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let service = |timeout: &'static str| {
        Fake::start(move |mut stream, number| async move {
            loop {
                answer(&mut stream, timeout, &number.to_string()).await?;
                head(&mut stream).await?;
            }
        })
    };
    let never = service("Connection: keep-alive\r\nKeep-Alive: max=5, timeout=0\r\n").await?;
    let long = service("Keep-Alive: timeout=60\r\n").await?;
    let tables = format!(
        "{}[[route]]\npath = \"/long/\"\naccess = \"public\"\nupstream = \"{}\"\n",
        public_service(&[&never.url], ""),
        long.url
    );
    let gate = started(folder.path(), &tables).await?;
    for number in ["0", "1", "2"] {
        let answer = gate.send(&Request::get("/")).await?;
        assert_eq!(answer.text(), number, "the connection is not kept");
        let answer = gate.send(&Request::get("/long/")).await?;
        assert_eq!(answer.text(), "0", "the connection is kept");
    }
    Ok(())
}

#[tokio::test]
async fn a_busy_connection_is_replaced_at_its_maximum_age() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let echo = Echo::start().await?;
    let gate = started(
        folder.path(),
        &public_service(&[&echo.url()], "max_age = 1"),
    )
    .await?;
    harness::poll("another connection", async || {
        answered(&gate, 1).await.ok()?;
        echo.seen()
            .iter()
            .any(|seen| seen.connection > 0)
            .then_some(())
    })
    .await
}

#[tokio::test]
async fn connections_to_a_server_are_limited() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let echo = Echo::start().await?;
    let keys = "max_connections = 2\nconnect_timeout = 30";
    let impatient = "max_connections = 1\nconnect_timeout = 1";
    let tables = format!(
        "{}[service.slow]\nupstream = \"{}\"\n{impatient}\n\
         [[route]]\npath = \"/hold\"\nhost = \"slow.test\"\naccess = \"public\"\nservice = \"slow\"\n",
        public_service(&[&echo.url()], keys),
        echo.url()
    );
    let gate = started(folder.path(), &tables).await?;
    let hold = Request::get("/hold");
    let release = async {
        // Two requests are held; the others wait for their connections.
        harness::poll("two requests", async || {
            (echo.seen().len() == 2).then_some(())
        })
        .await?;
        for _ in 0..5 {
            echo.release();
        }
        anyhow::Ok(())
    };
    let send = || gate.send(&hold);
    let (a, b, c, d, e, released) = tokio::join!(send(), send(), send(), send(), send(), release);
    released?;
    for answer in [a, b, c, d, e] {
        assert_eq!(answer?.status, 200);
    }
    let used: BTreeSet<_> = echo.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(used.len(), 2, "five requests by two connections");

    let before = echo.seen().len();
    let slow = Request::get("/hold").header("Host", "slow.test");
    let (held, refused) = tokio::join!(gate.send(&slow), async {
        harness::poll("a request", async || {
            (echo.seen().len() > before).then_some(())
        })
        .await?;
        let refused = gate.send(&slow).await;
        echo.release();
        refused
    });
    let refused = refused?;
    assert_eq!((held?.status, refused.status), (200, 503));
    let id = refused
        .header("x-request-id")
        .unwrap_or_default()
        .to_owned();
    let line = gate
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    assert_eq!(line["upstream"], "busy");
    Ok(())
}

#[tokio::test]
async fn a_core_yields_an_idle_connection_to_a_waiting_one() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let echo = Echo::start().await?;
    let keys = "max_connections = 1\nconnect_timeout = 30\nkeep_alive = 3600";
    let tables = public_service(&[&echo.url()], keys);
    let gate = started_with(folder.path(), &tables, 4).await?;
    // Connections of clients are spread over the cores.
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = gate.connect().await?;
        assert_eq!(client.get("/").await?.status, 200);
        clients.push(client);
    }
    Ok(())
}

#[tokio::test]
async fn a_reload_keeps_the_connections_and_the_state_of_servers() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let echo = Echo::start().await?;
    let down = format!("http://127.0.0.1:{}", harness::free_port());
    let tables = public_service(
        &[&echo.url(), &down],
        "eject_after = 1\neject_time = 3600\nkeep_alive = 60",
    );
    let gate = started(folder.path(), &tables).await?;
    answered(&gate, 3).await?;
    let changed = format!("{tables}[[route]]\npath = \"/new/\"\nservice = \"app\"\ntimeout = 7\n");
    write(&folder.path().join("gate.toml"), &changed)?;
    gate.signal("HUP")?;
    harness::poll("the new route", async || {
        let status = gate.send(&Request::get("/new/")).await.ok()?.status;
        (status == 401).then_some(())
    })
    .await?;
    let answer = gate.send(&Request::get("/")).await?;
    assert_eq!(server_of(&gate, &answer).await?, echo.url());
    assert!(echo.seen().iter().all(|seen| seen.connection == 0));
    let label = format!("server=\"{down}\"");
    let up = gate.metric("sessiongate_upstream_up", [label.as_str()]);
    assert!(up.await? < 1.0, "it is still ejected");
    Ok(())
}

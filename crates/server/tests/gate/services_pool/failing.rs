//! Servers that fail: which server gets their requests, and how they come back.

use anyhow::Result;
use harness::{CutProxy, Echo, Gate, Request, Response};

use super::{Fake, answered, public_service, server_of, started};

/// Whether a server gets requests, according to the metrics.
async fn is_up(gate: &Gate, server: &str) -> Result<bool> {
    let label = format!("server=\"{server}\"");
    let up = gate.metric("sessiongate_upstream_up", [label.as_str()]);
    Ok(up.await? > 0.0)
}

#[tokio::test]
async fn a_server_that_refuses_connections_is_ejected_and_returns() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (well, ill) = (Echo::start().await?, Echo::start().await?);
    let wire = CutProxy::start(&ill.address().to_string()).await?;
    let to_ill = format!("http://{}", wire.address());
    let tables = public_service(&[&well.url(), &to_ill], "eject_time = 1");
    let gate = started(folder.path(), &tables).await?;
    answered(&gate, 4).await?;
    assert!(is_up(&gate, &to_ill).await? && is_up(&gate, &well.url()).await?);

    wire.cut().await?;
    // Requests of every method are sent to the other server, because they never left the gate.
    for _ in 0..10 {
        let answer = gate.send(&Request::post("/", "body")).await?;
        assert_eq!(answer.status, 200);
        assert_eq!(server_of(&gate, &answer).await?, well.url());
    }
    let label = format!("server=\"{to_ill}\"");
    let ejections = gate.metric("sessiongate_upstream_ejections_total", [label.as_str()]);
    assert!(ejections.await? >= 1.0);
    let printed = gate.stderr();
    printed
        .wait_for(|line| line.contains("gets no requests for a while").then_some(()))
        .await?;
    let passed_over = gate.metric("sessiongate_upstream_retries_total", ["result=\"unsent\""]);
    assert!(passed_over.await? >= 3.0);

    wire.restore().await?;
    let before = ill.seen().len();
    harness::poll("the server to get requests again", async || {
        answered(&gate, 2).await.ok()?;
        (ill.seen().len() > before).then_some(())
    })
    .await?;
    assert!(is_up(&gate, &to_ill).await?);
    Ok(())
}

#[tokio::test]
async fn if_all_servers_are_ejected_all_get_requests() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let echo = Echo::start().await?;
    let wires = [
        CutProxy::start(&echo.address().to_string()).await?,
        CutProxy::start(&echo.address().to_string()).await?,
    ];
    let servers = wires
        .each_ref()
        .map(|wire| format!("http://{}", wire.address()));
    let servers = servers.each_ref().map(String::as_str);
    let tables = public_service(&servers, "eject_time = 3600");
    let gate = started(folder.path(), &tables).await?;
    for wire in &wires {
        wire.cut().await?;
    }
    for _ in 0..4 {
        assert_eq!(gate.send(&Request::get("/")).await?.status, 502);
    }
    assert!(!is_up(&gate, servers[0]).await? && !is_up(&gate, servers[1]).await?);
    for wire in &wires {
        wire.restore().await?;
    }
    answered(&gate, 4).await?;
    // The server that has answered is back before its time; the other one need not get a request.
    assert!(is_up(&gate, servers[0]).await? || is_up(&gate, servers[1]).await?);
    Ok(())
}

#[tokio::test]
async fn repeatable_requests_are_retried_at_another_server_within_the_budget() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (well, ill) = (Echo::start().await?, Fake::that_hangs_up().await?);
    let servers = [well.url(), ill.url.clone()];
    let service = |name: &str, budget: u8| {
        format!(
            "[service.{name}]\nupstream = {servers:?}\neject_after = 0\nretry_budget = {budget}\n\
             [[route]]\npath = \"/{name}/\"\naccess = \"public\"\nservice = \"{name}\"\n"
        )
    };
    let tables = service("again", 100) + &service("once", 0);
    let gate = started(folder.path(), &tables).await?;
    let status = async |request: Request| anyhow::Ok(gate.send(&request).await?.status);
    let statuses = async |request: fn(&str) -> Request, target: &str| {
        let mut statuses = Vec::new();
        for _ in 0..6 {
            statuses.push(status(request(target)).await?);
        }
        statuses.sort_unstable();
        anyhow::Ok(statuses)
    };
    let half = [200, 200, 200, 502, 502, 502];
    assert_eq!(statuses(Request::get, "/again/").await?, [200; 6]);
    assert_eq!(statuses(Request::get, "/once/").await?, half);
    let post = |target: &str| Request::post(target, "body");
    assert_eq!(statuses(post, "/again/").await?, half);
    let bare = |target: &str| Request::new("POST", target);
    assert_eq!(statuses(bare, "/again/").await?, half);
    let delete = |target: &str| Request::new("DELETE", target);
    assert_eq!(statuses(delete, "/again/").await?, [200; 6]);
    let paths = well.seen().len();
    assert_eq!(paths, 6 + 3 + 3 + 3 + 6, "no request was sent twice");
    Ok(())
}

#[tokio::test]
async fn a_server_that_hangs_is_ejected() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (well, ill) = (Echo::start().await?, Echo::start().await?);
    let wire = CutProxy::start(&ill.address().to_string()).await?;
    wire.stall();
    let servers = [format!("http://{}", wire.address()), well.url()];
    let servers = servers.each_ref().map(String::as_str);
    let keys = "timeout = 1\neject_after = 1\neject_time = 3600";
    let gate = started(folder.path(), &public_service(&servers, keys)).await?;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(gate.send(&Request::get("/")).await?.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 504]);
    Ok(())
}

/// Whichever server replaces another, each client gets the answer to its own request.
#[tokio::test]
async fn answers_are_never_mixed_up_while_servers_come_and_go() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let echoes = [Echo::start().await?, Echo::start().await?];
    let wires = [
        CutProxy::start(&echoes[0].address().to_string()).await?,
        CutProxy::start(&echoes[1].address().to_string()).await?,
    ];
    // One server is always reachable.
    let servers = [
        format!("http://{}", wires[0].address()),
        format!("http://{}", wires[1].address()),
        echoes[0].url(),
    ];
    let servers = servers.each_ref().map(String::as_str);
    let keys = "retry_budget = 100\nmax_connections = 4";
    let gate = started(folder.path(), &public_service(&servers, keys)).await?;
    let storm = async {
        for round in 0..6 {
            let wire = &wires[round % 2];
            wire.cut().await?;
            answered(&gate, 5).await?;
            wire.restore().await?;
        }
        anyhow::Ok(())
    };
    let client = async |name: &str| {
        let mut client = gate.connect().await?;
        for number in 0..150 {
            let path = format!("/{name}/{number}");
            let answer = client.get(&path).await?;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.json()?["target"], path.as_str());
        }
        anyhow::Ok(())
    };
    tokio::try_join!(storm, client("a"), client("b"), client("c"), client("d"))?;
    Ok(())
}

#[tokio::test]
async fn a_truncated_answer_is_not_retried() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let well = Echo::start().await?;
    let ill = Fake::start(|mut stream, _| async move {
        let half = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf";
        tokio::io::AsyncWriteExt::write_all(&mut stream, half.as_bytes()).await?;
        Ok(())
    })
    .await?;
    let tables = public_service(&[&ill.url, &well.url()], "retry_budget = 100");
    let gate = started(folder.path(), &tables).await?;
    // The head has been forwarded, so only the end of the connection can show that the answer is incomplete.
    let broken: Result<Response> = gate.send(&Request::get("/")).await;
    assert!(broken.is_err(), "{broken:?}");
    assert_eq!(well.seen().len(), 0);
    Ok(())
}

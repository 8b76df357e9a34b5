//! Health checks of servers.

use anyhow::Result;
use harness::{CutProxy, Echo, Gate, Nginx, Request};

use super::{answered, public_service, started};

/// Waits until the metrics show this state of a server.
async fn wait_for_health(gate: &Gate, server: &str, up: f64) -> Result<()> {
    let label = format!("server=\"{server}\"");
    harness::poll("the health of the server to change", async || {
        let is = gate.metric("sessiongate_upstream_up", [label.as_str()]);
        (is.await.ok()? == up).then_some(())
    })
    .await
}

#[tokio::test]
async fn an_unhealthy_server_gets_no_requests_until_it_recovers() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ill = Nginx::start(
        "root .; location / { return 200 \"$http_user_agent\"; } \
         location = /healthz { try_files /well =503; }",
    )
    .await?;
    let well = Nginx::start("location / { return 200 well; }").await?;
    let keys = "health_check = \"/healthz\"\nhealth_interval = 1";
    let tables = public_service(&[&ill.url(), &well.url()], keys);
    let gate = started(folder.path(), &tables).await?;
    wait_for_health(&gate, &ill.url(), 0.0).await?;
    for _ in 0..6 {
        assert_eq!(gate.send(&Request::get("/")).await?.text(), "well");
    }
    std::fs::write(ill.folder().join("well"), "")?;
    wait_for_health(&gate, &ill.url(), 1.0).await?;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(gate.send(&Request::get("/")).await?.text());
    }
    assert_eq!(answers.iter().filter(|text| *text == "well").count(), 3);
    let printed = gate.stderr();
    for words in ["is unhealthy", "is healthy again"] {
        printed
            .wait_for(|line| line.contains(words).then_some(()))
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_tcp_health_check_needs_only_a_connection() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (one, other) = (Echo::start().await?, Echo::start().await?);
    let wire = CutProxy::start(&one.address().to_string()).await?;
    let to_one = format!("http://{}", wire.address());
    let keys = "health_check = \"tcp\"\nhealth_interval = 1\neject_after = 0";
    let tables = public_service(&[&to_one, &other.url()], keys);
    let gate = started(folder.path(), &tables).await?;
    answered(&gate, 4).await?;
    assert_eq!((one.seen().len(), other.seen().len()), (2, 2));
    wire.cut().await?;
    wait_for_health(&gate, &to_one, 0.0).await?;
    answered(&gate, 4).await?;
    let retries = gate.metric("sessiongate_upstream_retries_total", []);
    assert!(retries.await? < 1.0, "it got no request");
    wire.restore().await?;
    wait_for_health(&gate, &to_one, 1.0).await?;
    Ok(())
}

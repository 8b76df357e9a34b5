//! Prometheus' web interface, which has no users: only the gate decides.

use anyhow::Result;
use harness::{Request, Server};

use crate::support::{Front, PORT, Visitor, started, text_of};

#[tokio::test]
async fn only_operators_reach_prometheus() -> Result<()> {
    let (prometheus, front) = prometheus().await?;
    let config = "/api/v1/status/config";
    let mut anybody = Visitor::new(prometheus.address(), &front.host);
    assert!(anybody.read(config).await?.is_some(), "without a gate");
    let mut forger = front.stranger();
    for name in [
        "X-User-Id",
        "X_User_Role",
        "Remote-User",
        "X-Forwarded-Groups",
    ] {
        forger.after.push((name.to_owned(), "admin".to_owned()));
    }
    assert_eq!(forger.get(config).await?.status, 401);
    assert_eq!(front.zoe("reader").get(config).await?.status, 403);
    let shown = front.zoe("operator").read(config).await?;
    assert!(shown.is_some_and(|text| text.contains("job_name: prometheus")));
    Ok(())
}

#[tokio::test]
async fn only_admins_can_send_commands_to_prometheus() -> Result<()> {
    let (_prometheus, front) = prometheus().await?;
    for path in ["/-/reload", "/-/%72eload"] {
        let reload = async |role| {
            let answer = front.zoe(role).send(Request::post(path, "")).await?;
            anyhow::Ok(answer.status)
        };
        assert_eq!(reload("operator").await?, 403, "{path}");
        assert_eq!(reload("admin").await?, 200, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn no_path_spelling_bypasses_the_rule_for_prometheus_commands() -> Result<()> {
    let (prometheus, front) = prometheus().await?;
    let mut anybody = Visitor::new(prometheus.address(), &front.host);
    for path in ["/-%2Freload", "/-%2freload", "/%2D/reload"] {
        let answer = anybody.send(Request::post(path, "")).await?;
        assert_eq!(answer.status, 200, "{path} without a gate");
    }
    for (path, expected) in [
        ("/-%2Freload", 400),
        ("/-%2freload", 400),
        ("/%2D/reload", 403),
        ("//-/reload", 400),
        ("/-//reload", 400),
        ("/-/./reload", 400),
        ("/graph/../-/reload", 400),
        ("/-/%2E/reload", 400),
        ("/-/reload;a", 400),
        // Prometheus itself sends the client to the path that only admins may request.
        ("/-/reload/", 307),
        ("/-/RELOAD", 307),
    ] {
        let mut operator = front.zoe("operator");
        let answer = operator.send(Request::post(path, "")).await?;
        assert_eq!(answer.status, expected, "{path}");
        let location = (expected == 307).then_some("/-/reload");
        assert_eq!(answer.header("location"), location, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn the_health_of_prometheus_is_public() -> Result<()> {
    let (_prometheus, front) = prometheus().await?;
    let healthy = front.stranger().read("/-/healthy").await?;
    assert!(healthy.is_some_and(|text| text.contains("Healthy")));
    assert_eq!(front.stranger().get("/-/healthy/").await?.status, 401);
    Ok(())
}

async fn prometheus() -> Result<(Server, Front)> {
    let prometheus = started(PAGE, 0, "prometheus", |folder, port| {
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let config = text_of(PAGE, "yaml", 0)?.replace(PORT, &port.to_string());
        std::fs::write(path("prometheus.yml"), config)?;
        Ok(vec![
            ("/etc/prometheus/prometheus.yml", path("prometheus.yml")),
            ("/var/lib/prometheus", path("data")),
        ])
    })
    .await?;
    let front = Front::start(PAGE, prometheus.address()).await?;
    Ok((prometheus, front))
}

const PAGE: &str = "prometheus.md";

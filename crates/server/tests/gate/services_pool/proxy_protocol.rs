//! The PROXY protocol, from proxies and to services.

use std::process::Command;

use anyhow::{Context, Result};
use harness::{Echo, Gate, Nginx, Request, haproxy};
use serde_json::Value;

use super::{public_service, started, write};

/// The audit line of the request for this path.
async fn line(gate: &Gate, path: &str) -> Result<Value> {
    gate.wait_for_audit(|line| line["path"] == path).await
}

/// Starts a gate that accepts PROXY headers from 127.0.0.1.
async fn gate_with_proxy_protocol(folder: &std::path::Path, echo: &Echo) -> Result<Gate> {
    let tables = format!(
        "trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true\n{}",
        public_service(&[&echo.url()], "")
    );
    started(folder, &tables).await
}

/// Sends a request behind these bytes; returns the status, or `None` if the connection is closed.
async fn status_behind(gate: &Gate, header: &[u8], path: &str) -> Result<Option<u16>> {
    let mut client = gate.connect().await?;
    let request = Request::get(path).header("X-Forwarded-For", "198.51.100.1");
    let bytes = [header, &request.bytes(gate.proxy)].concat();
    client.raw(&bytes).await?;
    Ok(client.response().await.ok().map(|answer| answer.status))
}

#[tokio::test]
async fn the_proxy_header_of_a_listed_proxy_names_the_client() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let echo = Echo::start().await?;
    let gate = gate_with_proxy_protocol(folder.path(), &echo).await?;
    for (version, word) in [(1, "send-proxy"), (2, "send-proxy-v2")] {
        let target = gate.proxy;
        let proxy = haproxy(
            |port| {
                format!(
                    "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
                     frontend in\n  bind 127.0.0.1:{port}\n  default_backend gate\n\
                     backend gate\n  server gate {target} {word}\n"
                )
            },
            "",
        )
        .await?;
        // All addresses of 127.0.0.0/8 are this machine, and one of them is listed.
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "--interface",
            "127.0.0.2",
            "-H",
            "X-Forwarded-For: 198.51.100.1",
        ])
        .arg(format!("http://{}/v{version}", proxy.address()));
        harness::run(curl, "curl").await?;
        let line = line(&gate, &format!("/v{version}")).await?;
        assert_eq!(
            (&line["client_ip"], &line["peer_ip"]),
            (&"127.0.0.2".into(), &"127.0.0.2".into())
        );
        let seen = echo.seen().pop().context("a request")?;
        assert_eq!(seen.headers.get("x-forwarded-for"), Some("127.0.0.2"));
    }
    Ok(())
}

#[tokio::test]
async fn unlisted_or_missing_proxy_headers_are_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let echo = Echo::start().await?;
    let gate = gate_with_proxy_protocol(folder.path(), &echo).await?;
    // The trusted proxy must send a PROXY header first.
    assert_eq!(status_behind(&gate, b"", "/none").await?, None);
    let wrong = b"PROXY TCP4 1.2.3.4\r\n";
    assert_eq!(status_behind(&gate, wrong, "/wrong").await?, None);
    let refused = gate.metric("sessiongate_proxy_headers_refused_total", []);
    assert!(refused.await? >= 2.0);
    assert_eq!(echo.seen().len(), 0);

    // A chain of two trusted proxies: the client of the second is in `X-Forwarded-For`.
    let chained = b"PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\n";
    assert_eq!(status_behind(&gate, chained, "/chained").await?, Some(200));
    assert_eq!(line(&gate, "/chained").await?["client_ip"], "198.51.100.1");
    // A LOCAL header names no client, so no header about it is believed.
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    assert_eq!(status_behind(&gate, local, "/local").await?, Some(200));
    assert_eq!(line(&gate, "/local").await?["client_ip"], "0.0.0.0");

    // An address that is not listed needs no PROXY header, and one that it sends is not a valid request.
    let url = format!("http://{}/direct", gate.proxy);
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--interface", "127.0.0.3"]).arg(url);
    harness::run(curl, "curl").await?;
    assert_eq!(line(&gate, "/direct").await?["client_ip"], "127.0.0.3");
    let url = format!("http://{}/claimed", gate.proxy);
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--interface", "127.0.0.3", "--haproxy-protocol"]);
    curl.args(["-w", "%{http_code}", "-o", "/dev/null"])
        .arg(url);
    assert_eq!(harness::run(curl, "curl").await?, "400");
    Ok(())
}

#[tokio::test]
async fn accepting_proxy_headers_needs_trusted_proxies() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gate.toml");
    write(
        &path,
        &format!(
            "proxy_protocol = true\n{}",
            public_service(&["http://a"], "")
        ),
    )?;
    let path = path.to_str().context("a path")?;
    let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate")).args(["check-config"]);
    let ended = gate.env("SESSIONGATE_CONFIG", path).run().await?;
    assert!(!ended.status.success());
    assert!(
        ended.stderr.contains("no trusted proxies are configured"),
        "{}",
        ended.stderr
    );
    Ok(())
}

#[tokio::test]
async fn services_get_a_proxy_header_that_names_the_client() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let service = Nginx::from_config(|port| {
        format!(
            "events {{ worker_connections 256; }}
http {{
    server {{
        listen 127.0.0.1:{port} proxy_protocol;
        location / {{ return 200 \"$proxy_protocol_addr $proxy_protocol_server_port $connection\"; }}
    }}
}}
"
        )
    })
    .await?;
    for version in ["v1", "v2"] {
        let keys = format!(
            "proxy_protocol = \"{version}\"\nhealth_check = \"/\"\nmax_connections = 3\nkeep_alive = 60"
        );
        let tables = format!(
            "trusted_proxies = [\"127.0.0.1\"]\n{}",
            public_service(&[&service.url()], &keys)
        );
        let gate = started(folder.path(), &tables).await?;
        let of = async |client: &str| {
            let request = Request::get("/").header("X-Forwarded-For", client);
            anyhow::Ok(gate.send(&request).await?.text())
        };
        let port = gate.proxy.port();
        let first = of("198.51.100.1").await?;
        assert!(
            first.starts_with(&format!("198.51.100.1 {port} ")),
            "{first}"
        );
        assert_eq!(of("198.51.100.1").await?, first, "the same connection");
        // More clients than connections are allowed.
        for number in 2..6 {
            let client = format!("198.51.100.{number}");
            let other = of(&client).await?;
            assert!(other.starts_with(&format!("{client} {port} ")), "{other}");
        }
        assert!(of("2001:db8::1").await?.starts_with("2001:db8::1 "));
        let up = gate.metric("sessiongate_upstream_up", []);
        assert!(up.await? > 0.0, "a health check names no client");
    }
    Ok(())
}

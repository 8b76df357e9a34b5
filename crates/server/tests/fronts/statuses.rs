//! Which statuses a calling proxy treats as decisions, and which as failures: the table of docs/decisions.md, against the real
//! programs. A program can be configured to permit requests after a failure.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use harness::{CaddyVersion, Client, CutProxy, Echo, Mint, Nginx, Postgres, Request};

use crate::documents::{block, replace_literal};
use crate::endpoints::{DROP_INS, SOURCES, decide};
use crate::front::{Kind, caddy, envoy, gate, haproxy, nginx};

/// Starts a server in the place of the gate that answers with the status in `X-Status`.
async fn stub() -> Result<Nginx> {
    let statuses = STATUSES.map(|status| {
        let location = match status {
            302 => " https://app.example/signin",
            _ => "",
        };
        format!("if ($http_x_status = {status}) {{ return {status}{location}; }}\n")
    });
    Nginx::start(&format!("location / {{ {} }}", statuses.concat())).await
}

const STATUSES: [u16; 11] = [200, 202, 204, 302, 400, 401, 403, 404, 429, 500, 503];

/// The client's status for each status of the decision, in the order of [`STATUSES`]. 200 comes from the service.
type Outcomes = [u16; 11];

/// Sends a request for each status, and verifies that exactly the requests that get 200 reach the service.
async fn outcomes(front: SocketAddr, echo: &Echo) -> Result<Outcomes> {
    let mut outcomes = [0; 11];
    for (outcome, status) in outcomes.iter_mut().zip(STATUSES) {
        let before = echo.seen().len();
        let request = Request::get("/private")
            .header("Host", "app.example")
            .header("X-Status", status.to_string())
            .header("X-User-Id", "forged");
        let answer = Client::connect(front).await?.send(&request).await?;
        let arrived = echo.seen().len() - before == 1;
        ensure!(arrived == (answer.status == 200), "{status}: {answer:?}");
        *outcome = answer.status;
    }
    Ok(outcomes)
}

#[tokio::test]
async fn nginx_treats_every_status_but_2xx_401_and_403_as_a_failure() -> Result<()> {
    let (stub, echo) = (stub().await?, Echo::start().await?);
    let text = block("nginx.md", "nginx", 0)?;
    let nginx = nginx(&text, &stub.address().to_string(), &echo).await?;
    let outcomes = outcomes(nginx.address(), &echo).await?;
    let expected = [200, 200, 200, 503, 503, 401, 403, 503, 503, 503, 503];
    assert_eq!(outcomes, expected);
    Ok(())
}

#[tokio::test]
async fn caddy_and_haproxy_forward_every_status_but_2xx() -> Result<()> {
    let (stub, echo) = (stub().await?, Echo::start().await?);
    let text = block("caddy.md", "caddyfile", 0)?;
    let passed_on = [200, 200, 200, 302, 400, 401, 403, 404, 429, 500, 503];
    for version in [CaddyVersion::Debian, CaddyVersion::Pinned] {
        let caddy = caddy(version, &text, stub.address(), &echo).await?;
        assert_eq!(
            outcomes(caddy.address(), &echo).await?,
            passed_on,
            "{version:?}"
        );
    }
    // The documented script answers every 5xx with 503.
    let script = block("haproxy.md", "lua", 0)?;
    let haproxy = haproxy(&script, stub.address(), &echo).await?;
    let expected = [200, 200, 200, 302, 400, 401, 403, 404, 429, 503, 503];
    assert_eq!(outcomes(haproxy.address(), &echo).await?, expected);
    Ok(())
}

#[tokio::test]
async fn envoy_over_http_treats_5xx_as_a_failure_that_it_may_allow() -> Result<()> {
    let (stub, echo) = (stub().await?, Echo::start().await?);
    let text = block("envoy.md", "yaml", 0)?;
    let closed = envoy(&text, stub.address(), &echo).await?;
    // Only 200 lets a request enter.
    let expected = [200, 202, 204, 302, 400, 401, 403, 404, 429, 503, 503];
    assert_eq!(outcomes(closed.address(), &echo).await?, expected);

    let open = envoy(&fails_open(&text)?, stub.address(), &echo).await?;
    let expected = [200, 202, 204, 302, 400, 401, 403, 404, 429, 200, 200];
    assert_eq!(outcomes(open.address(), &echo).await?, expected);
    Ok(())
}

fn fails_open(text: &str) -> Result<String> {
    replace_literal(
        text,
        "failure_mode_allow: false",
        "failure_mode_allow: true",
    )
}

#[tokio::test]
async fn a_store_outage_denies_even_if_envoy_allows_failures() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres
        .execute("CREATE TABLE users (id text PRIMARY KEY); INSERT INTO users VALUES ('ada')")
        .await?;
    let to_postgres = CutProxy::start(&postgres.address()).await?;
    let echo = Echo::start().await?;
    let gate = gate(Kind::EnvoyHttp, &echo)
        .env("ENABLE_DB_CHECK", "true")
        .env(
            "DATABASE_URL",
            postgres.url_through(&to_postgres.address(), Postgres::DATABASE),
        )
        .env("DATABASE_TIMEOUT", "10000")
        .env("MEMORY_CACHE_TTL", "0")
        .env("ABSENT_CACHE_TTL", "0")
        .start()
        .await?;
    let over_http = fails_open(&block("envoy.md", "yaml", 0)?)?;
    let over_grpc = fails_open(&block("envoy.md", "yaml", 1)?)?;
    let prefixed = |prefix| replace_literal(&over_http, "path_prefix: /auth/envoy", prefix);
    let mut envoys = Vec::new();
    for (text, status) in [
        (over_http.clone(), 429),
        (prefixed("path_prefix: /api/authz/ext-authz")?, 429),
        (
            prefixed("path_prefix: /outpost.goauthentik.io/auth/envoy")?,
            429,
        ),
        (over_grpc, 503),
    ] {
        let envoy = envoy(&text, gate.decisions_port()?, &echo).await?;
        envoys.push((envoy, status));
    }
    let signed_in = || {
        Request::get("/private")
            .header("Host", "app.example")
            .header("X-User-Id", "forged")
            .cookie(Mint::user("ada").authjs())
    };
    for (envoy, _) in &envoys {
        let mut client = Client::connect(envoy.address()).await?;
        assert_eq!(client.send(&signed_in()).await?.status, 200);
    }
    let before = echo.seen().len();
    to_postgres.cut().await?;
    for (envoy, status) in &envoys {
        for request in [signed_in(), signed_in().as_navigation()] {
            let mut client = Client::connect(envoy.address()).await?;
            let answer = client.send(&request).await?;
            assert_eq!(answer.status, *status, "{answer:?}");
            assert_eq!(answer.header("retry-after"), Some("5"), "{answer:?}");
            assert_eq!(
                answer.header("cache-control"),
                Some("no-store"),
                "{answer:?}"
            );
            let text = answer.text().to_lowercase().replace('_', " ");
            assert!(text.contains("service unavailable"), "{answer:?}");
        }
        let call = Request::post("/private", "")
            .header("Host", "app.example")
            .header("Content-Type", "application/grpc")
            .cookie(Mint::user("ada").authjs());
        let answer = Client::connect(envoy.address()).await?.send(&call).await?;
        assert_eq!(answer.header("grpc-status"), Some("14"), "{answer:?}");
    }
    assert_eq!(echo.seen().len(), before, "nothing reached the service");

    // All other calling proxies pass the status on to the client, or check for 2xx, 401 and 403.
    let session = Mint::user("ada").authjs();
    let drop_ins = DROP_INS.map(|(endpoint, source, ..)| (endpoint, source));
    let own = SOURCES.map(|source| (source.endpoint, source));
    for (endpoint, source) in drop_ins.into_iter().chain(own) {
        let decision_request = source.about("/private").with_target(endpoint);
        let answer = decide(&gate, &decision_request.cookie(&session)).await?;
        assert_eq!(answer.status, 503, "{endpoint}: {answer:?}");
        assert_eq!(answer.header("retry-after"), Some("5"), "{endpoint}");
    }
    gate.wait_for_audit(|line| line["reason"] == "store_unavailable" && line["status"] == 429)
        .await?;
    Ok(())
}

//! Tests that the services of the harness come up, do what tests need, and leave nothing behind.

use anyhow::Result;
use harness::{
    CaddyVersion, Client, CutProxy, Echo, Nginx, PhpFpm, Postgres, Redis, Request, poll,
};

#[tokio::test]
async fn redis_answers_with_a_password_and_over_tls() -> Result<()> {
    let redis = Redis::options()
        .password("open-sesame")
        .tls()
        .start()
        .await?;
    assert_eq!(redis.cli(["SET", "key", "value"]).await?, "OK");
    assert_eq!(redis.cli(["GET", "key"]).await?, "value");

    let mut over_tls = std::process::Command::new("redis-cli");
    over_tls.args([
        "-u",
        &redis.tls_url().replace(":open-sesame@", ""),
        "--cacert",
    ]);
    over_tls.arg(redis.authority()).args(["GET", "key"]);
    over_tls.env("REDISCLI_AUTH", "open-sesame");
    assert_eq!(harness::run(over_tls, "redis-tools").await?.trim(), "value");
    Ok(())
}

#[tokio::test]
async fn a_full_redis_refuses_writes() -> Result<()> {
    let redis = Redis::options().maxmemory("1").start().await?;
    assert!(redis.cli(["SET", "key", "value"]).await?.contains("OOM"));
    Ok(())
}

#[tokio::test]
async fn postgres_keeps_its_data_and_its_port_over_an_outage() -> Result<()> {
    let mut postgres = Postgres::start().await?;
    postgres
        .execute("CREATE TABLE users (id text); INSERT INTO users VALUES ('u1')")
        .await?;
    postgres.stop().await?;
    assert!(postgres.execute("SELECT 1").await.is_err());
    postgres.start_again().await?;
    assert_eq!(postgres.execute("SELECT id FROM users").await?, "u1");
    Ok(())
}

#[tokio::test]
async fn postgres_speaks_tls_to_a_client_that_verifies_it() -> Result<()> {
    let postgres = Postgres::options().tls().start().await?;
    let authority = postgres.authority().display();
    let url = format!(
        "{}?sslmode=verify-full&sslrootcert={authority}",
        postgres.url(Postgres::DATABASE)
    );
    let mut psql = std::process::Command::new("psql");
    psql.args([
        "-XAtc",
        "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        &url,
    ]);
    assert_eq!(harness::run(psql, "postgresql-client").await?.trim(), "t");
    Ok(())
}

#[tokio::test]
async fn nginx_serves_the_fragment() -> Result<()> {
    let nginx = Nginx::start(r#"location / { return 200 "user=$http_x_user_id"; }"#).await?;
    let mut client = Client::connect(nginx.url().trim_start_matches("http://").parse()?).await?;
    let answer = client
        .send(&Request::get("/").header("X-User-Id", "u1"))
        .await?;
    assert_eq!((answer.status, answer.text().as_str()), (200, "user=u1"));
    Ok(())
}

#[tokio::test]
async fn caddy_envoy_and_haproxy_serve_their_configurations() -> Result<()> {
    let hello = |port| format!("http://127.0.0.1:{port} {{\nrespond hello\n}}\n");
    let caddy = harness::caddy(hello).await?;
    let newer = harness::caddy_of(CaddyVersion::Pinned, hello).await?;
    let envoy = harness::envoy(|port| {
        format!(
            "static_resources:
  listeners:
    - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
      filter_chains:
        - filters:
            - name: envoy.filters.network.direct_response
              typed_config:
                '@type': type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config
                response: {{ inline_string: \"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhello\" }}
"
        )
    })
    .await?;
    let script = "core.register_fetches('said', function() return 'hello' end)";
    let haproxy = harness::haproxy(
        |port| {
            format!(
                "global
    lua-load sessiongate.lua
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain lf-string %[lua.said]
"
            )
        },
        script,
    )
    .await?;
    for server in [caddy, newer, envoy, haproxy] {
        let address = server.address();
        let answer = Client::connect(address).await?.get("/").await?;
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    }
    Ok(())
}

#[tokio::test]
async fn a_configuration_that_is_refused_is_quoted() {
    let error = Nginx::start("no_such_directive on;").await.unwrap_err();
    assert!(
        format!("{error:#}").contains("no_such_directive"),
        "{error:#}"
    );
}

#[tokio::test]
async fn echo_records_and_answers_over_one_connection() -> Result<()> {
    let echo = Echo::start().await?;
    let mut client = Client::connect(echo.address()).await?;
    let answer = client
        .send(
            &Request::post("/a?b=c", "body")
                .header("X-Odd", "1")
                .header("x-odd", "2"),
        )
        .await?;
    assert_eq!(answer.json()?["body"], "body");
    assert_eq!(client.get("/status/503").await?.status, 503);
    assert_eq!(client.send(&Request::new("HEAD", "/")).await?.status, 200);
    assert_eq!(client.get("/big?bytes=100000").await?.body.len(), 100_000);

    let seen = echo.seen();
    assert_eq!(seen.len(), 4);
    assert!(
        seen.iter()
            .all(|request| request.connection == 0 && request.complete && request.broken.is_none())
    );
    assert_eq!(
        (seen[0].method.as_str(), seen[0].target.as_str()),
        ("POST", "/a?b=c")
    );
    assert_eq!(seen[0].headers.all("X-ODD"), ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn echo_streams_chunk_by_chunk_when_released() -> Result<()> {
    let echo = Echo::start().await?;
    let mut client = Client::connect(echo.address()).await?;
    client
        .raw(&Request::get("/stream?chunks=2").bytes(echo.address()))
        .await?;
    assert_eq!(client.head().await?.status, 200);
    assert_eq!(client.chunk().await?.as_deref(), Some(&b"chunk 0\n"[..]));
    echo.release();
    assert_eq!(client.chunk().await?.as_deref(), Some(&b"chunk 1\n"[..]));
    assert_eq!(client.chunk().await?, None);
    Ok(())
}

#[tokio::test]
async fn echo_reports_an_unreadable_request() -> Result<()> {
    let echo = Echo::start().await?;
    let mut client = Client::connect(echo.address()).await?;
    client
        .raw(b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx")
        .await?;
    client.closed().await?;
    assert!(
        echo.only()
            .broken
            .is_some_and(|reason| reason.contains("ambiguous framing"))
    );
    Ok(())
}

#[tokio::test]
async fn a_cut_proxy_drops_refuses_and_restores() -> Result<()> {
    let echo = Echo::start().await?;
    let wire = CutProxy::start(&echo.address().to_string()).await?;
    let address = wire.address().parse()?;
    // Child processes that start meanwhile hold the proxy's descriptors for a moment.
    let children = tokio::task::spawn_blocking(|| {
        for _ in 0..100 {
            std::process::Command::new("true").status()?;
        }
        std::io::Result::Ok(())
    });
    for _ in 0..20 {
        let mut client = Client::connect(address).await?;
        assert_eq!(client.get("/before").await?.status, 200);

        wire.cut().await?;
        client.closed().await?;
        assert!(Client::connect(address).await.is_err());

        wire.restore().await?;
        assert_eq!(
            Client::connect(address).await?.get("/after").await?.status,
            200
        );
    }
    Ok(children.await??)
}

#[tokio::test]
async fn a_stalled_proxy_accepts_and_forwards_nothing() -> Result<()> {
    let echo = Echo::start().await?;
    let wire = CutProxy::start(&echo.address().to_string()).await?;
    wire.stall();
    let mut client = Client::connect(wire.address().parse()?).await?;
    client
        .raw(&Request::get("/held").bytes(echo.address()))
        .await?;
    assert!(echo.seen().is_empty());
    wire.restore().await?;
    assert_eq!(client.response().await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_dropped_service_leaves_neither_process_nor_folder() -> Result<()> {
    let nginx = Nginx::start("").await?;
    let (folder, address) = (
        nginx.folder().to_owned(),
        nginx.url().trim_start_matches("http://").parse()?,
    );
    assert!(folder.exists());
    drop(nginx);
    assert!(!folder.exists());
    poll("the port to refuse", async || {
        Client::connect(address).await.err()
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn workers_of_a_server_end_with_it() -> Result<()> {
    let php = PhpFpm::start("").await?;
    let address = php.address();
    Client::connect(address).await?;
    drop(php);
    // Every worker holds the socket on which the manager listened.
    poll("the last worker to end", async || {
        Client::connect(address).await.is_err().then_some(())
    })
    .await
}

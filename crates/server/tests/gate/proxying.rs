//! How the gate forwards permitted requests: it streams, upgrades, and fails cleanly.

use std::time::Duration;

use anyhow::{Context, Result};
use harness::{Client, CutProxy, Echo, Mint, Nginx, Request, free_port};
use tokio::task::JoinSet;

use crate::support::{gate, signed_in, started};

#[tokio::test]
async fn an_answer_is_streamed_before_the_upstream_has_finished() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let mut client = gate.connect().await?;
    client
        .raw(&signed_in("/stream?chunks=3", "ada").bytes(gate.proxy))
        .await?;
    assert_eq!(client.head().await?.status, 200);
    for number in 0..3 {
        if number > 0 {
            echo.release();
        }
        assert_eq!(read_line(&mut client).await?, format!("chunk {number}\n"));
    }
    assert_eq!(client.chunk().await?, None);
    Ok(())
}

async fn read_line(client: &mut Client) -> Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.extend(client.chunk().await?.context("the stream ended")?);
    }
    Ok(String::from_utf8(line)?)
}

#[tokio::test]
async fn a_request_is_streamed_before_the_client_has_finished() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let cookie = Mint::user("ada").authjs();
    for framing in ["Transfer-Encoding: chunked", "Content-Length: 11"] {
        let chunked = framing.starts_with('T');
        let target = if chunked { "/chunked" } else { "/sized" };
        let mut client = gate.connect().await?;
        let head =
            format!("POST {target} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n{framing}\r\n\r\n");
        client.raw(head.as_bytes()).await?;
        client
            .raw(if chunked {
                b"6\r\nfirst,\r\n"
            } else {
                b"first,"
            })
            .await?;
        let seen = echo
            .wait_for(|seen| seen.target == target && seen.body == b"first,")
            .await?;
        assert!(!seen.complete);
        client
            .raw(if chunked {
                b"5\r\nlast.\r\n0\r\n\r\n"
            } else {
                b"last."
            })
            .await?;
        assert_eq!(client.response().await?.status, 200);
        let seen = echo
            .wait_for(|seen| seen.target == target && seen.complete)
            .await?;
        assert_eq!(seen.body, b"first,last.");
    }
    Ok(())
}

#[tokio::test]
async fn a_departed_client_cancels_its_upstream_request() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let mut client = gate.connect().await?;
    let cookie = Mint::user("ada").authjs();
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nContent-Length: 5000\r\n\r\nhalf"
    );
    client.raw(head.as_bytes()).await?;
    echo.wait_for(|seen| seen.target == "/upload").await?;
    drop(client);
    let seen = echo.wait_for(|seen| seen.broken.is_some()).await?;
    assert!(!seen.complete, "a truncated body never looks complete");
    Ok(())
}

#[tokio::test]
async fn expect_continue_is_answered_before_the_body() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let cookie = Mint::user("ada").authjs();
    let head = |cookie: &str| {
        format!(
            "POST /up HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut client = gate.connect().await?;
    client.raw(head(&cookie).as_bytes()).await?;
    assert_eq!(client.response().await?.status, 100);
    client.raw(b"body").await?;
    assert_eq!(client.response().await?.status, 200);
    assert_eq!(echo.only().body, b"body");

    let mut stranger = gate.connect().await?;
    stranger.raw(head("none=1").as_bytes()).await?;
    assert_eq!(
        stranger.response().await?.status,
        401,
        "the gate does not request the body of a refused request"
    );
    Ok(())
}

#[tokio::test]
async fn a_websocket_needs_a_session() -> Result<()> {
    let (echo, gate) = started([]).await?;
    assert_eq!(
        gate.send(&Request::get("/ws").websocket()).await?.status,
        401
    );
    assert!(echo.seen().is_empty());

    let mut client = gate.connect().await?;
    client
        .raw(&signed_in("/ws", "ada").websocket().bytes(gate.proxy))
        .await?;
    let answer = client.head().await?;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(
        answer.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    for message in [&b"\x81\x05hello"[..], b"\x81\x05world"] {
        client.raw(message).await?;
        assert_eq!(client.bytes(message.len()).await?, message);
    }
    assert_eq!(echo.only().headers.get("x-user-id"), Some("ada"));
    Ok(())
}

#[tokio::test]
async fn other_upgrades_are_not_forwarded() -> Result<()> {
    let (echo, gate) = started([]).await?;
    let request = signed_in("/", "ada")
        .header("Connection", "Upgrade, HTTP2-Settings")
        .header("Upgrade", "h2c")
        .header("HTTP2-Settings", "AAMAAABkAAQAAP__");
    assert_eq!(gate.send(&request).await?.status, 200);
    let seen = echo.only();
    assert_eq!(
        (
            seen.headers.get("upgrade"),
            seen.headers.get("http2-settings")
        ),
        (None, None)
    );
    Ok(())
}

#[tokio::test]
async fn connections_to_the_upstream_are_kept() -> Result<()> {
    let (echo, gate) = started([("WORKERS", "1")]).await?;
    let mut client = gate.connect().await?;
    for _ in 0..5 {
        assert_eq!(client.send(&signed_in("/", "ada")).await?.status, 200);
    }
    assert!(echo.seen().iter().all(|seen| seen.connection == 0));
    Ok(())
}

#[tokio::test]
async fn users_of_one_connection_are_not_confused() -> Result<()> {
    let (echo, gate) = started([("PUBLIC_PATHS", "/public")]).await?;
    let mut client = gate.connect().await?;
    for user in ["ada", "eve", "ada"] {
        assert_eq!(client.send(&signed_in("/", user)).await?.status, 200);
        assert_eq!(
            echo.seen()
                .pop()
                .expect("it arrived")
                .headers
                .get("x-user-id"),
            Some(user)
        );
        assert_eq!(client.get("/").await?.status, 401);
        assert_eq!(client.get("/public").await?.status, 200);
        assert_eq!(
            echo.seen()
                .pop()
                .expect("it arrived")
                .headers
                .get("x-user-id")
                .unwrap_or_default(),
            ""
        );
    }
    Ok(())
}

/// One runtime serves all users, so its pending sends to both sides leave together.
#[tokio::test]
async fn concurrent_users_are_not_confused() -> Result<()> {
    let (_echo, gate) = started([("WORKERS", "1")]).await?;
    let (mut users, address) = (JoinSet::new(), gate.proxy);
    for index in 0..48_usize {
        let mut client = gate.connect().await?;
        let mut impatient = gate.connect().await?;
        users.spawn(async move {
            let user = format!("user-{index}");
            for round in 0..20_usize {
                // Bodies of every size: small enough to leave with the head, and more than a socket takes at once.
                let body = "x".repeat((index * 997 + round * 7919) % 9000);
                let target = format!("/{index}/{round}");
                let request = Request::post(&target, body.as_str());
                let request = request.cookie(Mint::user(&user).authjs());
                let seen = client.send(&request).await?.json()?;
                assert_eq!(seen["target"], target);
                assert_eq!(seen["body"], body);
                let fields = seen["headers"].as_array().context("fields")?;
                let id = fields.iter().find(|field| field[0] == "x-user-id");
                assert_eq!(id.context("an identity")?[1], user);
                if index % 8 == 0 {
                    let large = 100_000 + index + round;
                    let request = signed_in(&format!("/big?bytes={large}"), &user);
                    assert_eq!(client.send(&request).await?.body.len(), large);
                }
            }
            // Some clients disconnect while their request is under way.
            let request = signed_in("/slow?ms=1", &user);
            impatient.raw(&request.bytes(address)).await
        });
    }
    while let Some(user) = users.join_next().await {
        user??;
    }
    Ok(())
}

#[tokio::test]
async fn answers_of_the_upstream_pass_unchanged() -> Result<()> {
    let (_echo, gate) = started([]).await?;
    let mut client = gate.connect().await?;
    for (target, status) in [
        ("/status/404", 404),
        ("/status/500", 500),
        ("/status/418", 418),
        ("/", 200),
    ] {
        let answer = client.send(&signed_in(target, "ada")).await?;
        assert_eq!(
            (answer.status, answer.header("x-echo")),
            (status, Some("1")),
            "{target}"
        );
    }
    let big = client.send(&signed_in("/big?bytes=3000000", "ada")).await?;
    assert_eq!(big.body.len(), 3_000_000);
    let head = client
        .send(&Request::new("HEAD", "/").cookie(Mint::user("ada").authjs()))
        .await?;
    assert_eq!((head.status, head.body.len()), (200, 0));
    Ok(())
}

#[tokio::test]
async fn a_lost_upstream_is_a_502_and_the_gate_continues() -> Result<()> {
    let echo = Echo::start().await?;
    let wire = CutProxy::start(&echo.address().to_string()).await?;
    let gate = gate(&format!("http://{}", wire.address())).start().await?;
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);

    wire.cut().await?;
    let answer = gate.send(&signed_in("/", "ada")).await?;
    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.json()?["request_id"].as_str(),
        answer.header("x-request-id")
    );

    wire.restore().await?;
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);
    assert_eq!(
        gate.send(&signed_in("/close", "ada")).await?.status,
        502,
        "closed without an answer"
    );
    Ok(())
}

#[tokio::test]
async fn an_unreachable_upstream_is_a_502_and_does_not_prevent_the_start() -> Result<()> {
    let gate = gate(&format!("http://127.0.0.1:{}", free_port()))
        .start()
        .await?;
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 502);
    assert_eq!(gate.send(&Request::get("/")).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn a_silent_upstream_is_a_504() -> Result<()> {
    let (echo, gate) = started([("UPSTREAM_TIMEOUT", "1")]).await?;
    assert_eq!(gate.send(&signed_in("/hold", "ada")).await?.status, 504);
    echo.release();
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_slow_upstream_gets_its_full_timeout() -> Result<()> {
    let echo = Echo::start().await?;
    let wire = CutProxy::start(&echo.address().to_string()).await?;
    wire.delay(Duration::from_millis(100));
    let gate = gate(&format!("http://{}", wire.address())).start().await?;
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn nginx_behind_the_gate_sees_the_user() -> Result<()> {
    let nginx = Nginx::start(
        r#"location / { return 200 "$request_method $request_uri user=$http_x_user_id for=$http_x_forwarded_for"; }
           location /upload { client_body_in_single_buffer on; proxy_pass http://127.0.0.1:1; }
           location /static/ { root html; }"#,
    )
    .await?;
    let page = nginx.folder().join("html/static/page.txt");
    std::fs::create_dir_all(page.parent().context("a file has a folder")?)?;
    std::fs::write(page, "from a file")?;
    let gate = gate(&nginx.url()).start().await?;

    let mut client = gate.connect().await?;
    let answer = client.send(&signed_in("/a%20b?c=d", "ada")).await?;
    assert_eq!(answer.text(), "GET /a%20b?c=d user=ada for=127.0.0.1");
    assert_eq!(
        client
            .send(&signed_in("/static/page.txt", "ada"))
            .await?
            .text(),
        "from a file"
    );
    assert_eq!(
        client.send(&signed_in("/upload", "ada")).await?.status,
        502,
        "nginx's own refusal passes"
    );
    assert_eq!(client.get("/").await?.status, 401);
    Ok(())
}

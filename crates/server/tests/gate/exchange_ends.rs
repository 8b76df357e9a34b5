//! How exchanges end, according to the audit log: completely or not, and which side ended them.

use anyhow::{Context, Result};
use harness::{Client, Gate, Mint, Request, poll};
use serde_json::Value;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::exchanges::{OK, Served, Upstream, post};
use crate::support::signed_in;

/// Returns the audit line of the end of the request for this path.
async fn end_of(gate: &Gate, path: &str) -> Result<Value> {
    gate.wait_for_audit(|line| line["path"] == path && line["event"] != "start")
        .await
}

/// Returns the status, the bytes of both bodies, the result of the upstream, and how the exchange ended.
fn end(line: &Value) -> (u64, u64, u64, &str, &str) {
    let number = |name: &str| line[name].as_u64().unwrap_or(u64::MAX);
    let word = |name: &str| line[name].as_str().unwrap_or_default();
    let (status, bytes_in, bytes_out) = (number("status"), number("bytes_in"), number("bytes_out"));
    (status, bytes_in, bytes_out, word("upstream"), word("ended"))
}

/// Makes the connection end with a reset when it is closed.
fn reset(served: Served) -> Result<()> {
    Ok(SockRef::from(&served.0).set_linger(Some(std::time::Duration::ZERO))?)
}

#[tokio::test]
async fn a_complete_exchange_logs_the_bytes_of_both_bodies_without_framing() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut client = gate.connect().await?;
    let chunks = post("Transfer-Encoding: chunked\r\n") + "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n";
    client.raw(chunks.as_bytes()).await?;
    let mut served = upstream.accept().await?;
    served.read_until("0\r\n\r\n").await?;
    served
        .send("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n0\r\nX-T: a\r\n\r\n")
        .await?;
    assert_eq!(client.response().await?.text(), "well");
    let line = end_of(&gate, "/up").await?;
    assert_eq!(end(&line), (201, 6, 4, "2xx", "whole"));
    assert!(line.get("event").is_none(), "{line}");
    let [decision, head, all] =
        ["decision_us", "head_us", "duration_us"].map(|name| line[name].as_u64());
    assert!(
        decision <= head && head <= all && decision.is_some(),
        "{line}"
    );
    Ok(())
}

#[tokio::test]
async fn answers_without_a_body_log_zero_bytes() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut client = gate.connect().await?;
    let cookie = Mint::user("ada").authjs();
    for (method, path, head, status) in [
        ("HEAD", "/head", "200 OK\r\nContent-Length: 1234", 200),
        (
            "GET",
            "/304",
            "304 Not Modified\r\nContent-Length: 1234",
            304,
        ),
        ("GET", "/204", "204 No Content", 204),
    ] {
        let request = Request::new(method, path).cookie(&cookie);
        client.raw(&request.bytes(gate.proxy)).await?;
        let mut served = upstream.accept().await?;
        served.head().await?;
        let answer = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
        served.send(&answer).await?;
        client.head().await?;
        let class = if status == 304 { "3xx" } else { "2xx" };
        assert_eq!(
            end(&end_of(&gate, path).await?),
            (status, 0, 0, class, "whole")
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_logs_the_bytes_of_its_page() -> Result<()> {
    let (_upstream, gate) = Upstream::start().await?;
    let answer = gate.send(&Request::post("/refused", "unread")).await?;
    let size = answer.body.len() as u64;
    assert_eq!(
        end(&end_of(&gate, "/refused").await?),
        (401, 0, size, "", "whole")
    );
    let answer = gate.send(&Request::new("HEAD", "/refused-head")).await?;
    assert_eq!(answer.status, 401);
    assert_eq!(
        end(&end_of(&gate, "/refused-head").await?),
        (401, 0, 0, "", "whole")
    );
    Ok(())
}

#[tokio::test]
async fn a_truncated_answer_is_logged_as_upstream_broke() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    for (path, head, bytes, resets, ended, passed) in [
        (
            "/length",
            "Content-Length: 99",
            "half",
            false,
            "upstream_broke",
            4,
        ),
        (
            "/chunk",
            "Transfer-Encoding: chunked",
            "9\r\nhalf",
            false,
            "upstream_broke",
            4,
        ),
        (
            "/last-chunk",
            "Transfer-Encoding: chunked",
            "4\r\nhalf\r\n",
            false,
            "upstream_broke",
            4,
        ),
        ("/close", "X-A: b", "all", false, "whole", 3),
        ("/reset", "X-A: b", "half", true, "upstream_broke", 4),
    ] {
        let (mut client, mut served) = upstream
            .begin_exchange(&gate, &signed_in(path, "ada"))
            .await?;
        served
            .send(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n"))
            .await?;
        assert_eq!(client.head().await?.status, 200, "{path}");
        served.send(bytes).await?;
        let first = if path == "/length" {
            client.bytes(4).await?
        } else {
            let mut chunk = Vec::new();
            while chunk.len() < passed {
                chunk.extend(client.chunk().await?.context("a chunk")?);
            }
            chunk
        };
        assert_eq!(first.len(), passed, "{path}");
        if resets {
            reset(served)?;
        } else {
            drop(served);
        }
        let line = end_of(&gate, path).await?;
        assert_eq!(end(&line), (200, 0, passed as u64, "2xx", ended), "{path}");
    }
    let broken = ["ended=\"upstream_broke\""];
    assert_eq!(
        gate.metric("sessiongate_broken_exchanges_total", broken)
            .await?,
        4.0
    );
    Ok(())
}

#[tokio::test]
async fn an_http_1_0_client_can_detect_a_truncated_answer() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let cookie = Mint::user("ada").authjs();
    for (path, last, ended) in [
        ("/whole", "0\r\n\r\n", "whole"),
        ("/half", "", "upstream_broke"),
    ] {
        let mut client = gate.connect().await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
        client.raw(request.as_bytes()).await?;
        let mut served = upstream.accept().await?;
        served.head().await?;
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked";
        served.send(&format!("{head}\r\n\r\n4\r\nhalf\r\n")).await?;
        assert_eq!(client.head().await?.status, 200);
        assert_eq!(client.bytes(4).await?, b"half");
        served.send(last).await?;
        drop(served);
        let is_whole = client.bytes(1).await.is_err_and(|error| {
            let reset = error.downcast_ref().map(std::io::Error::kind);
            reset != Some(std::io::ErrorKind::ConnectionReset)
        });
        assert_eq!(is_whole, ended == "whole", "{path}");
        assert_eq!(end(&end_of(&gate, path).await?), (200, 0, 4, "2xx", ended));
    }
    Ok(())
}

#[tokio::test]
async fn a_malformed_chunked_body_is_a_502_if_no_byte_was_sent() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut client = gate.connect().await?;
    for (path, body) in [
        ("/no-size", "x\r\nhello\r\n"),
        ("/signed", "+5\r\nhello\r\n0\r\n\r\n"),
        ("/leading-blank", " 5\r\nhello\r\n"),
        ("/second-chunk", "5\r\nhello\r\n5x\r\nhello\r\n"),
        ("/chunk-end", "5\r\nhelloo\r\n"),
        ("/trailer", "5\r\nhello\r\n0\r\nno field\r\n\r\n"),
    ] {
        client
            .raw(&signed_in(path, "ada").bytes(gate.proxy))
            .await?;
        let mut served = upstream.accept().await?;
        served.head().await?;
        let head = "HTTP/1.1 200 OK\r\nX-Secret: theirs\r\nTransfer-Encoding: chunked";
        served.send(&format!("{head}\r\n\r\n{body}")).await?;
        let answer = client.response().await.context(path)?;
        assert_eq!(answer.status, 502, "{path}");
        assert_eq!(answer.header("x-secret"), None, "{path}");
        let size = answer.body.len() as u64;
        let line = end_of(&gate, path).await?;
        assert_eq!(
            end(&line),
            (502, 0, size, "broken", "upstream_broke"),
            "{path}"
        );
        assert_eq!(line["request_id"].as_str(), answer.header("x-request-id"));
        served
            .closed()
            .await
            .context("a broken connection is not kept")?;
    }
    assert_eq!(
        client.get("/").await?.status,
        401,
        "the client's connection stays open"
    );
    let result = gate
        .metric("sessiongate_upstream_responses_total", ["\"2xx\""])
        .await?;
    assert_eq!(result, 0.0);

    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/late", "ada"))
        .await?;
    served
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await?;
    assert_eq!(client.head().await?.status, 200);
    served.send("x\r\n").await?;
    assert_eq!(
        end(&end_of(&gate, "/late").await?),
        (200, 0, 0, "2xx", "upstream_broke")
    );
    Ok(())
}

#[tokio::test]
async fn an_upstream_that_fails_before_its_answer_is_logged() -> Result<()> {
    let (upstream, gate) = Upstream::start_with([("UPSTREAM_TIMEOUT", "1")]).await?;
    let (mut client, served) = upstream
        .begin_exchange(&gate, &signed_in("/closed", "ada"))
        .await?;
    drop(served);
    assert_eq!(client.response().await?.status, 502);
    let line = end_of(&gate, "/closed").await?;
    let (status, _, _, result, ended) = end(&line);
    assert_eq!((status, result, ended), (502, "broken", "upstream_broke"));

    let (mut client, _served) = upstream
        .begin_exchange(&gate, &signed_in("/slow", "ada"))
        .await?;
    assert_eq!(client.response().await?.status, 504);
    let line = end_of(&gate, "/slow").await?;
    let (status, _, _, result, ended) = end(&line);
    assert_eq!((status, result, ended), (504, "timed_out", "cut"));

    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/stalls", "ada"))
        .await?;
    served
        .send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        .await?;
    assert_eq!(client.head().await?.status, 200);
    assert_eq!(
        end(&end_of(&gate, "/stalls").await?),
        (200, 0, 4, "2xx", "cut")
    );

    drop(upstream);
    let answer = gate.send(&signed_in("/nobody", "ada")).await?;
    assert_eq!(answer.status, 502);
    let line = end_of(&gate, "/nobody").await?;
    let (status, _, _, result, ended) = end(&line);
    assert_eq!(
        (status, result, ended),
        (502, "connect_failed", "upstream_broke")
    );
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_is_logged() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (client, _served) = upstream
        .begin_exchange(&gate, &signed_in("/waiting", "ada"))
        .await?;
    drop(client);
    assert_eq!(
        end(&end_of(&gate, "/waiting").await?),
        (499, 0, 0, "", "client_left")
    );

    let mut client = gate.connect().await?;
    client
        .raw((post("Content-Length: 99\r\n") + "half").as_bytes())
        .await?;
    let mut served = upstream.accept().await?;
    served.read_until("half").await?;
    drop(client);
    let line = end_of(&gate, "/up").await?;
    let (status, bytes_in, _, result, ended) = end(&line);
    assert_eq!(
        (status, bytes_in, result, ended),
        (400, 4, "client_body", "client_left")
    );

    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/reading", "ada"))
        .await?;
    served
        .send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")
        .await?;
    assert_eq!(client.head().await?.status, 200);
    client.bytes(4).await?;
    drop(client);
    assert_eq!(
        end(&end_of(&gate, "/reading").await?),
        (200, 0, 4, "2xx", "client_left")
    );
    served.closed().await?;
    Ok(())
}

#[tokio::test]
async fn an_incompletely_forwarded_body_is_logged() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut client = gate.connect().await?;
    let chunks = post("Transfer-Encoding: chunked\r\n") + "3\r\none\r\n";
    client.raw(chunks.as_bytes()).await?;
    let mut served = upstream.accept().await?;
    served.read_until("one\r\n").await?;
    client.raw(b"x\r\n").await?;
    assert_eq!(client.response().await?.status, 400);
    let line = end_of(&gate, "/up").await?;
    let (status, bytes_in, _, result, ended) = end(&line);
    assert_eq!((status, bytes_in), (400, 3));
    assert_eq!(
        (result, ended),
        ("client_body", "whole"),
        "the client got the status"
    );
    served.closed().await?;

    let mut client = gate.connect().await?;
    let begun = post("Content-Length: 1000000\r\n").replace("/up", "/large") + "begin";
    client.raw(begun.as_bytes()).await?;
    let mut served = upstream.accept().await?;
    served.read_until("begin").await?;
    served
        .send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        .await?;
    assert_eq!(client.response().await?.status, 413);
    let line = end_of(&gate, "/large").await?;
    assert_eq!(end(&line), (413, 5, 3, "4xx", "whole"));
    Ok(())
}

#[tokio::test]
async fn a_client_that_does_not_read_or_send_is_cut_off() -> Result<()> {
    let sign_in = ("SIGN_IN_URL", "https://app.example/signin");
    let (upstream, gate) = Upstream::start_with([("CLIENT_BODY_TIMEOUT", "1"), sign_in]).await?;
    let mut uploading = gate.connect().await?;
    uploading
        .raw((post("Content-Length: 99\r\n") + "half").as_bytes())
        .await?;
    let mut served = upstream.accept().await?;
    served.read_until("half").await?;
    let line = end_of(&gate, "/up").await?;
    let (status, bytes_in, _, result, ended) = end(&line);
    assert_eq!(
        (status, bytes_in, result, ended),
        (408, 4, "client_body", "cut")
    );

    let much = 64 << 20;
    let (_client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/much", "ada"))
        .await?;
    served
        .send(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {much}\r\n\r\n"
        ))
        .await?;
    // This fails when the gate closes the connection.
    let _ = served.send(&"x".repeat(much)).await;
    let line_much = end_of(&gate, "/much").await?;
    let (status, _, bytes_out, _, ended) = end(&line_much);
    assert_eq!((status, ended), (200, "cut"));
    assert!(bytes_out > 0 && bytes_out < much as u64, "{line_much}");

    // A client that does not read the gate's own answers, each of which repeats the URL, is cut off too.
    let mut client = gate.connect().await?;
    let request = Request::get(&format!("/{}", "x".repeat(48 << 10))).as_navigation();
    let many = request.bytes(gate.proxy).repeat(400);
    let _ = client.raw(&many).await;
    let cut = gate
        .wait_for_audit(|line| line["status"] == 302 && line["ended"] == "cut")
        .await?;
    assert_eq!(cut["reason"], "no_credential");
    Ok(())
}

#[tokio::test]
async fn exchanges_cut_off_by_shutdown_are_logged() -> Result<()> {
    let (upstream, mut gate) = Upstream::start_with([("DRAIN_TIMEOUT", "1")]).await?;
    let (_waiting, _served) = upstream
        .begin_exchange(&gate, &signed_in("/waiting", "ada"))
        .await?;
    let (mut reading, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/reading", "ada"))
        .await?;
    served
        .send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")
        .await?;
    assert_eq!(reading.head().await?.status, 200);
    let (_socket, _served) = websocket(&upstream, &gate, "/socket").await?;
    gate.signal("TERM")?;
    assert_eq!(gate.wait().await?.code(), Some(0));
    assert_eq!(end(&end_of(&gate, "/waiting").await?), (0, 0, 0, "", "cut"));
    assert_eq!(
        end(&end_of(&gate, "/reading").await?),
        (200, 0, 4, "2xx", "cut")
    );
    assert_eq!(
        end(&end_of(&gate, "/socket").await?),
        (101, 0, 0, "1xx", "cut")
    );
    Ok(())
}

/// Opens a WebSocket through the gate; returns both sides of it.
async fn websocket(upstream: &Upstream, gate: &Gate, path: &str) -> Result<(Client, Served)> {
    let request = signed_in(path, "ada").websocket();
    let (mut client, mut served) = upstream.begin_exchange(gate, &request).await?;
    let agreed = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a";
    served
        .send(&format!(
            "HTTP/1.1 101 Switching Protocols\r\n{agreed}\r\n\r\n"
        ))
        .await?;
    assert_eq!(client.head().await?.status, 101);
    Ok((client, served))
}

#[tokio::test]
async fn a_websocket_has_a_line_at_its_start_and_one_at_its_end() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (mut client, mut served) = websocket(&upstream, &gate, "/socket").await?;
    let start = gate
        .wait_for_audit(|line| line["path"] == "/socket")
        .await?;
    assert_eq!(
        (&start["event"], &start["status"]),
        (&"start".into(), &101.into())
    );
    assert!(start.get("ended").is_none(), "{start}");
    let labels = ["outcome=\"allow\"", "reason=\"session\""];
    assert_eq!(
        gate.metric("sessiongate_decisions_total", labels).await?,
        1.0
    );

    // A masked text of two bytes, a text of three bytes, and Close from both sides.
    client.raw(b"\x81\x82\0\0\0\0hi").await?;
    served.0.read_exact(&mut [0; 8]).await?;
    served.send("\u{1}\u{3}abc").await?;
    assert_eq!(client.bytes(5).await?, b"\x01\x03abc");
    client.raw(b"\x88\x80\0\0\0\0").await?;
    served.0.read_exact(&mut [0; 6]).await?;
    served.0.write_all(b"\x88\0").await?;
    drop(served);
    client.bytes(2).await?;
    client.closed().await?;
    drop(client);
    let end_line = end_of(&gate, "/socket").await?;
    assert_eq!(end(&end_line), (101, 14, 7, "1xx", "whole"));
    assert_eq!(end_line["event"], "end");
    assert_eq!(end_line["request_id"], start["request_id"]);
    assert_eq!(end_line["ts"], start["ts"]);
    assert_eq!(end_line["head_us"], start["head_us"]);
    assert_eq!(
        gate.metric("sessiongate_decisions_total", labels).await?,
        1.0
    );
    Ok(())
}

#[tokio::test]
async fn a_websocket_without_a_close_frame_is_logged_with_the_side_that_left() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (client, mut served) = websocket(&upstream, &gate, "/left").await?;
    drop(client);
    served.closed().await?;
    drop(served);
    assert_eq!(
        end(&end_of(&gate, "/left").await?),
        (101, 0, 0, "1xx", "client_left")
    );
    for (path, resets) in [("/closed", false), ("/reset", true)] {
        let (mut client, served) = websocket(&upstream, &gate, path).await?;
        if resets {
            reset(served)?;
        } else {
            drop(served);
        }
        client.closed().await?;
        drop(client);
        assert_eq!(
            end(&end_of(&gate, path).await?),
            (101, 0, 0, "1xx", "upstream_broke"),
            "{path}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_event_stream_has_a_line_at_its_start_and_one_at_its_end() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    for (path, kind, framing) in [
        (
            "/events",
            "text/event-stream; charset=utf-8",
            "Transfer-Encoding: chunked",
        ),
        ("/until-close", "Text/Event-Stream", "X-A: b"),
        (
            "/camera",
            "multipart/x-mixed-replace;boundary=a",
            "Transfer-Encoding: chunked",
        ),
    ] {
        let (mut client, mut served) = upstream
            .begin_exchange(&gate, &signed_in(path, "ada"))
            .await?;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n");
        served.send(&head).await?;
        assert_eq!(client.head().await?.status, 200);
        let start = gate.wait_for_audit(|line| line["path"] == path).await?;
        assert_eq!(start["event"], "start", "{path}");
        served.send("2\r\n\n\n\r\n").await?;
        client.chunk().await?.context("an event")?;
        drop(client);
        let end_line = end_of(&gate, path).await?;
        assert_eq!(end_line["ended"], "client_left", "{path}");
        assert_eq!(end_line["event"], "end", "{path}");
        assert_eq!(end_line["request_id"], start["request_id"], "{path}");
        served.closed().await?;
    }
    // A stream that ends at once, and an answer of another type, have one line.
    for (path, kind, body) in [
        ("/over", "text/event-stream", "2\r\n\n\n\r\n0\r\n\r\n"),
        ("/text", "text/plain", "2\r\nok\r\n0\r\n\r\n"),
    ] {
        let (mut client, mut served) = upstream
            .begin_exchange(&gate, &signed_in(path, "ada"))
            .await?;
        let head = format!("Content-Type: {kind}\r\nTransfer-Encoding: chunked");
        served
            .send(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}"))
            .await?;
        client.response().await?;
        let line = end_of(&gate, path).await?;
        assert_eq!(end(&line), (200, 0, 2, "2xx", "whole"), "{path}");
        assert!(line.get("event").is_none(), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn each_of_many_requests_on_a_connection_has_one_audit_line() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut client = gate.connect().await?;
    let mut requests = signed_in("/1", "ada").bytes(gate.proxy);
    requests.extend(Request::get("/2").bytes(gate.proxy));
    requests.extend(signed_in("/3", "ada").bytes(gate.proxy));
    requests.extend(b"GET /bad HTTP/1.1\nHost: a\r\n\r\n");
    client.raw(&requests).await?;
    let mut served = upstream.accept().await?;
    served.head().await?;
    served.send(OK).await?;
    // The connection breaks, and the gate sends the request again: still one line.
    assert!(served.head().await?.starts_with("GET /3 "));
    drop(served);
    let mut served = upstream.accept().await?;
    served.head().await?;
    served.send(OK).await?;
    for status in [200, 401, 200, 400] {
        assert_eq!(client.response().await?.status, status);
    }
    client.closed().await?;
    poll("four lines", async || {
        (gate.audit_lines().len() == 4).then_some(())
    })
    .await?;
    for line in gate.audit_lines() {
        assert_eq!(line["ended"], "whole", "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn a_decision_is_logged_with_the_end_of_its_answer() -> Result<()> {
    let (_upstream, gate) = Upstream::start_with([("AUTH_LISTEN", "127.0.0.1:0")]).await?;
    let mut host = Client::connect(gate.decisions_port()?).await?;
    for (path, cookie, status) in [
        ("/in", Mint::user("ada").authjs(), 200),
        ("/out", String::new(), 401),
    ] {
        let decision_request = Request::get("/auth/nginx")
            .header("X-Original-Method", "GET")
            .header("X-Original-URL", format!("http://a{path}"))
            .cookie(cookie);
        let answer = host.send(&decision_request).await?;
        assert_eq!(answer.status, status);
        let size = answer.body.len() as u64;
        let line = end_of(&gate, path).await?;
        assert_eq!(end(&line), (u64::from(status), 0, size, "", "whole"));
    }
    Ok(())
}

#[tokio::test]
async fn the_text_format_shows_unusual_ends_of_exchanges() -> Result<()> {
    let (upstream, gate) = Upstream::start_with([("LOG_FORMAT", "text")]).await?;
    let (client, _served) = upstream
        .begin_exchange(&gate, &signed_in("/waiting", "ada"))
        .await?;
    drop(client);
    let matches = |line: &str| line.contains("/waiting").then(|| line.to_owned());
    let line = gate.stdout().wait_for(matches).await?;
    assert!(
        line.contains(" 499 ") && line.ends_with("ms client_left"),
        "{line}"
    );
    let (_client, _served) = websocket(&upstream, &gate, "/socket").await?;
    let matches = |line: &str| line.contains("/socket").then(|| line.to_owned());
    let line = gate.stdout().wait_for(matches).await?;
    assert!(line.ends_with("ms goes on"), "{line}");
    Ok(())
}

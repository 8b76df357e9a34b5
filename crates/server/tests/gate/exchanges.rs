//! HTTP/1.1 on both sides of the gate, byte by byte: the upstream sends exactly the bytes that a test gives it.

use anyhow::{Context, Result, ensure};
use harness::{Client, Gate, Mint, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{gate, signed_in};

/// An upstream whose connections a test serves itself.
pub(crate) struct Upstream(pub(crate) TcpListener);

impl Upstream {
    /// Starts it with a gate in front of it that has one worker, so that one request can reuse another's connection.
    pub(crate) async fn start() -> Result<(Self, Gate)> {
        Self::start_with([]).await
    }

    /// Starts it with a gate in front of it that has these settings besides the usual ones.
    pub(crate) async fn start_with<const N: usize>(
        settings: [(&str, &str); N],
    ) -> Result<(Self, Gate)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let gate = gate(&format!("http://{}", listener.local_addr()?));
        let gate = gate.env("WORKERS", "1").envs(settings).start().await?;
        Ok((Self(listener), gate))
    }

    pub(crate) async fn accept(&self) -> Result<Served> {
        let (stream, _) = timeout(harness::TIMEOUT, self.0.accept()).await??;
        Ok(Served(stream))
    }

    /// Sends this request and reads its head here; returns the client and the upstream's connection.
    pub(crate) async fn begin_exchange(
        &self,
        gate: &Gate,
        request: &Request,
    ) -> Result<(Client, Served)> {
        let client = send_request(gate, request).await?;
        let mut served = self.accept().await?;
        served.head().await?;
        Ok((client, served))
    }
}

/// A connection to the upstream.
pub(crate) struct Served(pub(crate) TcpStream);

impl Served {
    /// Reads until the request so far ends with these bytes.
    pub(crate) async fn read_until(&mut self, end: &str) -> Result<String> {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            let byte = timeout(harness::TIMEOUT, self.0.read_u8()).await;
            let byte = byte.with_context(|| String::from_utf8_lossy(&read).into_owned())?;
            read.push(byte.with_context(|| String::from_utf8_lossy(&read).into_owned())?);
        }
        Ok(String::from_utf8(read)?)
    }

    pub(crate) async fn head(&mut self) -> Result<String> {
        self.read_until("\r\n\r\n").await
    }

    pub(crate) async fn send(&mut self, bytes: &str) -> Result<()> {
        Ok(self.0.write_all(bytes.as_bytes()).await?)
    }

    /// Waits until the gate closes this connection; returns the bytes that it sent before.
    pub(crate) async fn closed(&mut self) -> Result<Vec<u8>> {
        let mut rest = Vec::new();
        match timeout(harness::TIMEOUT, self.0.read_to_end(&mut rest)).await? {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => Err(error.into()),
            Ok(_) | Err(_) => Ok(rest),
        }
    }
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn send_request(gate: &Gate, request: &Request) -> Result<Client> {
    let mut client = gate.connect().await?;
    client.raw(&request.bytes(gate.proxy)).await?;
    Ok(client)
}

pub(crate) fn post(fields: &str) -> String {
    let cookie = Mint::user("ada").authjs();
    format!("POST /up HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n{fields}\r\n")
}

#[tokio::test]
async fn requests_are_forwarded_in_one_normal_form() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut client = gate.connect().await?;
    let cookie = Mint::user("ada").authjs();
    let head =
        format!("GET http://b/x?y HTTP/1.1\r\nhOsT: a\r\nCookie:{cookie}\r\nX-A: \t b \r\n\r\n");
    client.raw(head.as_bytes()).await?;
    let head = upstream.accept().await?.head().await?;
    assert!(
        head.starts_with("GET /x?y HTTP/1.1\r\nhost: b\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nx-a: b\r\n"), "{head}");
    assert!(!head.contains("content-length"), "{head}");
    Ok(())
}

#[tokio::test]
async fn a_connection_closed_by_the_upstream_is_not_reused() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let cookie = Mint::user("ada").authjs();
    for request in [
        Request::get("/").cookie(&cookie),
        Request::post("/", "x").cookie(&cookie),
    ] {
        let (mut client, mut served) = upstream
            .begin_exchange(&gate, &signed_in("/", "ada"))
            .await?;
        served.send(OK).await?;
        assert_eq!(client.response().await?.status, 200);
        drop(served);

        client.raw(&request.bytes(gate.proxy)).await?;
        let mut served = upstream.accept().await?;
        served.head().await?;
        served
            .send(&OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
            .await?;
        assert_eq!(client.response().await?.status, 200);
        served
            .closed()
            .await
            .context("the service announced the close")?;
    }
    Ok(())
}

#[tokio::test]
async fn an_idle_connection_is_closed_before_the_upstream_does() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/", "ada"))
        .await?;
    served.send(OK).await?;
    assert_eq!(client.response().await?.status, 200);
    assert_eq!(served.closed().await?, b"");
    assert_eq!(client.get("/").await?.status, 401, "its client is not");
    Ok(())
}

#[tokio::test]
async fn a_websocket_has_no_body() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let request = signed_in("/", "ada").header("Content-Length", "1");
    let mut client = send_request(&gate, &request.websocket()).await?;
    client.raw(b"x").await?;
    let mut served = upstream.accept().await?;
    let seen = served.read_until("\r\n\r\nx").await?;
    assert!(!seen.contains("upgrade"), "{seen}");
    let switching = "HTTP/1.1 101 Switching Protocols";
    let fields = "Connection: upgrade\r\nUpgrade: websocket";
    served
        .send(&format!("{switching}\r\n{fields}\r\n\r\n"))
        .await?;
    assert_eq!(client.response().await?.status, 502);
    Ok(())
}

#[tokio::test]
async fn idempotent_requests_are_retried_when_their_connection_dies() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/first", "ada"))
        .await?;
    served.send(OK).await?;
    assert_eq!(client.response().await?.status, 200);

    client
        .raw(&signed_in("/again", "ada").bytes(gate.proxy))
        .await?;
    assert!(served.head().await?.starts_with("GET /again "));
    drop(served);
    let mut served = upstream.accept().await?;
    assert!(served.head().await?.starts_with("GET /again "));
    served.send(OK).await?;
    assert_eq!(client.response().await?.status, 200);

    client
        .raw((post("Content-Length: 1\r\n") + "x").as_bytes())
        .await?;
    assert!(
        served
            .read_until("\r\n\r\nx")
            .await?
            .starts_with("POST /up ")
    );
    drop(served);
    assert_eq!(
        client.response().await?.status,
        502,
        "it may have been done"
    );
    Ok(())
}

#[tokio::test]
async fn an_answer_may_arrive_before_the_body_is_read() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut client = gate.connect().await?;
    client
        .raw((post("Content-Length: 1000000\r\n") + "begin").as_bytes())
        .await?;
    let mut served = upstream.accept().await?;
    served.read_until("\r\n\r\nbegin").await?;
    served
        .send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        .await?;
    let answer = client.response().await?;
    assert_eq!((answer.status, answer.text().as_str()), (413, "big"));
    client
        .closed()
        .await
        .context("the rest of the body cannot be distinguished from a request")?;
    served.closed().await?;
    Ok(())
}

#[tokio::test]
async fn bodies_pass_in_both_directions_at_once() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut client = gate.connect().await?;
    client
        .raw(post("Transfer-Encoding: chunked\r\n").as_bytes())
        .await?;
    let mut served = upstream.accept().await?;
    served.head().await?;
    served
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await?;
    assert_eq!(client.head().await?.status, 200);
    for word in ["one", "two"] {
        client
            .raw(format!("3;x=y\r\n{word}\r\n").as_bytes())
            .await?;
        assert_eq!(
            served.read_until(&format!("{word}\r\n")).await?,
            format!("3\r\n{word}\r\n")
        );
        served.send(&format!("003\r\n{word}\r\n")).await?;
        assert_eq!(client.chunk().await?.as_deref(), Some(word.as_bytes()));
    }
    client.raw(b"0\r\nX-Trailer: dropped\r\n\r\n").await?;
    assert_eq!(served.read_until("0\r\n\r\n").await?, "0\r\n\r\n");
    served.send("0\r\nX-Trailer: dropped\r\n\r\n").await?;
    assert_eq!(client.chunk().await?, None);

    client
        .raw(&signed_in("/next", "ada").bytes(gate.proxy))
        .await?;
    assert!(
        served.head().await?.starts_with("GET /next "),
        "both connections stay open"
    );
    Ok(())
}

#[tokio::test]
async fn a_truncated_answer_stays_truncated() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    for head in ["Content-Length: 99", "Transfer-Encoding: chunked"] {
        let (mut client, mut served) = upstream
            .begin_exchange(&gate, &signed_in("/", "ada"))
            .await?;
        served
            .send(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n4\r\nhalf\r\n"))
            .await?;
        drop(served);
        let answer = client.response().await;
        ensure!(answer.is_err(), "{head}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_invalid_answer_is_a_502() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    for bytes in [
        "hello\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nX-A: \0\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "x".repeat(70_000)),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n".to_owned(),
    ] {
        let (mut client, mut served) = upstream
            .begin_exchange(&gate, &signed_in("/", "ada"))
            .await?;
        served.send(&bytes).await?;
        let answer = client.response().await.context(bytes.clone())?;
        assert_eq!(answer.status, 502, "{bytes}");
        let next = client.get("/").await?;
        assert_eq!(next.status, 401, "the client's connection stays open");
    }
    Ok(())
}

#[tokio::test]
async fn extra_bytes_of_an_upstream_never_reach_the_next_client() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/", "ada"))
        .await?;
    served
        .send(&format!(
            "{OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
        ))
        .await?;
    assert_eq!(client.response().await?.text(), "ok");
    assert_eq!(served.closed().await?, b"");

    let mut next = send_request(&gate, &signed_in("/", "eve")).await?;
    let mut served = upstream.accept().await?;
    served.head().await?;
    served.send(OK).await?;
    assert_eq!(next.response().await?.text(), "ok");
    Ok(())
}

#[tokio::test]
async fn the_content_length_of_a_bodiless_response_is_kept() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let cookie = Mint::user("ada").authjs();
    let mut client = gate.connect().await?;
    for (method, head, length) in [
        ("HEAD", "200 OK\r\nContent-Length: 1234", Some("1234")),
        ("HEAD", "200 OK\r\nTransfer-Encoding: chunked", None),
        (
            "GET",
            "304 Not Modified\r\nContent-Length: 1234",
            Some("1234"),
        ),
        ("GET", "204 No Content", None),
    ] {
        let request = Request::new(method, "/").cookie(&cookie);
        client.raw(&request.bytes(gate.proxy)).await?;
        let mut served = upstream.accept().await?;
        served.head().await?;
        let answer = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
        served.send(&answer).await?;
        let answer = client.head().await?;
        assert_eq!(answer.header("content-length"), length, "{head}");
        assert_eq!(answer.header("transfer-encoding"), None, "{head}");
    }
    Ok(())
}

#[tokio::test]
async fn an_http_1_0_client_gets_an_http_1_0_answer() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let cookie = Mint::user("ada").authjs();
    let mut client = gate.connect().await?;
    let head = format!("GET / HTTP/1.0\r\nConnection: keep-alive\r\nCookie: {cookie}\r\n\r\n");
    client.raw(head.as_bytes()).await?;
    let mut served = upstream.accept().await?;
    let seen = served.head().await?;
    let address = upstream.0.local_addr()?;
    assert!(seen.contains(&format!("\r\nhost: {address}\r\n")), "{seen}");
    served.send(OK).await?;
    let answer = client.response().await?;
    assert_eq!(answer.header("connection"), Some("keep-alive"));

    client.raw(head.as_bytes()).await?;
    served.head().await?;
    served
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        .await?;
    let answer = client.response().await?;
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(answer.text(), "ok", "up to the end of the connection");
    Ok(())
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let mut client = gate.connect().await?;
    let mut requests = signed_in("/1", "ada").bytes(gate.proxy);
    requests.extend(Request::get("/2").bytes(gate.proxy));
    requests.extend((post("Content-Length: 4\r\n") + "body").into_bytes());
    requests.extend(b"GET /bad HTTP/1.1\nHost: a\r\n\r\n");
    client.raw(&requests).await?;
    let mut served = upstream.accept().await?;
    assert!(served.head().await?.starts_with("GET /1 "));
    served.send(OK).await?;
    assert_eq!(client.response().await?.status, 200);
    assert_eq!(client.response().await?.status, 401);
    assert!(served.read_until("body").await?.starts_with("POST /up "));
    served.send(OK).await?;
    assert_eq!(client.response().await?.status, 200);
    assert_eq!(client.response().await?.status, 400);
    client.closed().await
}

#[tokio::test]
async fn a_client_that_disconnects_cancels_its_request() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/slow", "ada"))
        .await?;
    drop(client);
    served.closed().await?;
    let line = gate.wait_for_audit(|line| line["path"] == "/slow").await?;
    assert_eq!(line["status"], 499);

    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/events", "ada"))
        .await?;
    served
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await?;
    assert_eq!(client.head().await?.status, 200);
    drop(client);
    served.closed().await?;
    Ok(())
}

#[tokio::test]
async fn a_short_refused_body_is_read_to_keep_the_connection() -> Result<()> {
    let (_upstream, gate) = Upstream::start().await?;
    let mut client = gate.connect().await?;
    for body in ["", "small", &"x".repeat(60_000)] {
        assert_eq!(client.send(&Request::post("/", body)).await?.status, 401);
    }
    client
        .raw(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await?;
    assert_eq!(client.response().await?.status, 401);
    client.raw(b"5\r\nlater\r\n0\r\n\r\n").await?;
    assert_eq!(client.get("/").await?.status, 401);

    let refused = client
        .send(&Request::post("/", "x".repeat(1_000_000)))
        .await?;
    assert_eq!(
        refused.status, 401,
        "the answer arrives though most was not read"
    );
    assert_eq!(refused.header("connection"), Some("close"));
    client.closed().await?;

    let mut waiting = gate.connect().await?;
    waiting
        .raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        .await?;
    assert_eq!(waiting.response().await?.status, 401);
    waiting.closed().await?;
    Ok(())
}

#[tokio::test]
async fn a_head_that_is_too_large_gets_431() -> Result<()> {
    let (_upstream, gate) = Upstream::start().await?;
    for request in [
        Request::get("/").header("X-A", "x".repeat(66_000)),
        (0..257).fold(Request::get("/"), |request, _| request.header("X-A", "b")),
    ] {
        let mut client = gate.connect().await?;
        client.raw(&request.bytes(gate.proxy)).await?;
        let answer = client.response().await?;
        assert_eq!(answer.status, 431);
        assert_eq!(
            answer.json()?["request_id"].as_str(),
            answer.header("x-request-id")
        );
        client.closed().await?;
    }
    let large = Request::get("/").header("X-A", "x".repeat(60_000));
    let many = (0..254).fold(Request::get("/"), |request, _| request.header("X-A", "b"));
    for request in [large, many] {
        assert_eq!(gate.send(&request).await?.status, 401, "it was read");
    }
    Ok(())
}

#[tokio::test]
async fn bytes_of_another_protocol_get_400_at_once() -> Result<()> {
    let (_upstream, gate) = Upstream::start().await?;
    let mut client = gate.connect().await?;
    client.raw(b"\x16\x03\x01\x02\x00").await?;
    assert_eq!(client.response().await?.status, 400);
    client.closed().await
}

#[tokio::test]
async fn a_retried_request_has_the_rest_of_its_timeout() -> Result<()> {
    let (upstream, gate) = Upstream::start_with([("UPSTREAM_TIMEOUT", "3")]).await?;
    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/", "ada"))
        .await?;
    served.send(OK).await?;
    assert_eq!(client.response().await?.status, 200);
    // On the same connection, which ends without an answer after most of the timeout.
    client
        .raw(&signed_in("/again", "ada").bytes(gate.proxy))
        .await?;
    served.head().await?;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    drop(served);
    let mut again = upstream.accept().await?;
    again.head().await?;
    let late = async {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        // The gate may already have closed the connection.
        let _ = again.send(OK).await;
    };
    let (answer, ()) = tokio::join!(client.response(), late);
    assert_eq!(answer?.status, 504);
    Ok(())
}

//! The limit of request bodies, by route: a declared length beyond it is refused before anything is sent to the service, and a
//! chunked body ends at the limit.

use anyhow::Result;
use harness::{Client, Echo, Gate};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::exchanges::Upstream;

/// Starts a gate in front of `upstream` with a route that accepts ten bytes, and one that accepts any number.
async fn limited(upstream: &str) -> Result<(tempfile::TempDir, Gate)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gate.toml");
    let file = format!(
        r#"
log_format = "json"
auth_secret = "{secret}"
upstream = "{upstream}"

[[route]]
name = "ten"
path = "/ten"
access = "public"
body_limit = 10

[[route]]
path = "/any"
access = "public"
"#,
        secret = harness::mint::SECRET,
    );
    std::fs::write(&path, file)?;
    let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .env("SESSIONGATE_CONFIG", path.display().to_string())
        .start()
        .await?;
    Ok((folder, gate))
}

/// Returns a POST request with these fields and this body; the caller supplies the framing.
fn post(path: &str, fields: &str, body: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}").into_bytes()
}

fn chunked(path: &str, body: &str) -> Vec<u8> {
    post(path, "Transfer-Encoding: chunked\r\n", body)
}

/// Verifies that the next answer is 413 and that the connection then closes.
async fn gets_413_and_close(client: &mut Client) -> Result<()> {
    let answer = client.response().await?;
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(answer.header("connection"), Some("close"));
    client.closed().await
}

#[tokio::test]
async fn a_body_may_be_exactly_as_long_as_the_limit() -> Result<()> {
    let echo = Echo::start().await?;
    let (_folder, gate) = limited(&echo.url()).await?;
    let mut client = gate.connect().await?;
    let whole = [
        post("/ten", "Content-Length: 10\r\n", "0123456789"),
        chunked("/ten", "a\r\n0123456789\r\n0\r\n\r\n"),
        chunked(
            "/ten",
            "4\r\n0123\r\n1;x=y\r\n4\r\n5\r\n56789\r\n0\r\nX-T: a\r\n\r\n",
        ),
    ];
    for request in &whole {
        client.raw(request).await?;
        assert_eq!(client.response().await?.status, 200);
        let seen = echo.seen().pop().expect("it arrived");
        assert!(seen.complete && seen.body == b"0123456789", "{seen:?}");
    }

    client
        .raw(&post("/ten", "Content-Length: 11\r\n", "0123456789a"))
        .await?;
    gets_413_and_close(&mut client).await?;
    assert_eq!(echo.seen().len(), whole.len(), "not even its head was sent");
    Ok(())
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_never_completed_at_the_service() -> Result<()> {
    for (pieces, most) in [
        // The whole body arrives at once: not even the head is sent.
        (&["b\r\n0123456789a\r\n0\r\n\r\n"][..], 0),
        (&["5\r\n01234\r\n6\r\n56789a\r\n0\r\n\r\n"], 0),
        // The first chunk is forwarded before the second arrives.
        (&["a\r\n0123456789\r\n", "1\r\na\r\n0\r\n\r\n"], 10),
        // A chunk that declares more bytes than ever arrive.
        (&["ffffffff\r\n01234", "56789", "a"], 10),
    ] {
        let (upstream, gate, _folder) = upstream().await?;
        let mut client = gate.connect().await?;
        let mut served = None;
        for (index, piece) in pieces.iter().enumerate() {
            match index {
                0 => client.raw(&chunked("/ten", piece)).await?,
                _ => client.raw(piece.as_bytes()).await?,
            }
            if index + 1 < pieces.len() {
                let served = match &mut served {
                    Some(served) => served,
                    none => none.insert(upstream.accept().await?),
                };
                let arrived = piece.trim_end().rsplit('\n').next().unwrap_or_default();
                served.read_until(arrived).await?;
            }
        }
        gets_413_and_close(&mut client).await?;
        if let Some(mut served) = served {
            served.closed().await?;
        }
        let line = audit_line(&gate).await?;
        assert_eq!(line["upstream"], "body_too_long", "{line}");
        assert_eq!(line["ended"], "whole", "the client got the status: {line}");
        let passed = line["bytes_in"].as_u64().unwrap_or(u64::MAX);
        assert!(passed <= most, "{pieces:?}: {line}");
    }
    Ok(())
}

async fn upstream() -> Result<(Upstream, Gate, tempfile::TempDir)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (folder, gate) = limited(&format!("http://{}", listener.local_addr()?)).await?;
    Ok((Upstream(listener), gate, folder))
}

async fn audit_line(gate: &Gate) -> Result<Value> {
    gate.wait_for_audit(|line| line["rule"] == "ten").await
}

#[tokio::test]
async fn expect_continue_over_the_limit_gets_413_at_once() -> Result<()> {
    let echo = Echo::start().await?;
    let (_folder, gate) = limited(&echo.url()).await?;
    let mut client = gate.connect().await?;
    client
        .raw(&post(
            "/ten",
            "Content-Length: 11\r\nExpect: 100-continue\r\n",
            "",
        ))
        .await?;
    gets_413_and_close(&mut client).await?;
    assert!(echo.seen().is_empty(), "{:?}", echo.seen());

    let mut client = gate.connect().await?;
    let fields = "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n";
    client.raw(&post("/ten", fields, "")).await?;
    assert_eq!(client.head().await?.status, 100, "its length is unknown");
    client.raw(b"b\r\n0123456789a\r\n0\r\n\r\n").await?;
    gets_413_and_close(&mut client).await
}

#[tokio::test]
async fn no_byte_of_a_body_over_the_limit_is_parsed_as_a_request() -> Result<()> {
    let echo = Echo::start().await?;
    let (_folder, gate) = limited(&echo.url()).await?;
    let inner = "GET /any HTTP/1.1\r\nHost: a\r\n\r\n";
    let size = inner.len();
    for request in [
        post("/ten", &format!("Content-Length: {size}\r\n"), inner),
        chunked("/ten", &format!("{size:x}\r\n{inner}\r\n0\r\n\r\n{inner}")),
        chunked(
            "/ten",
            &format!("1\r\na\r\n{size:x}\r\n{inner}\r\n0\r\n\r\n{inner}"),
        ),
    ] {
        let mut client = gate.connect().await?;
        client.raw(&request).await?;
        gets_413_and_close(&mut client).await?;
    }
    let reached = echo.seen();
    assert!(
        reached
            .iter()
            .all(|seen| seen.path() != "/any" && !seen.complete),
        "{reached:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_body_limit_applies_to_each_request_separately() -> Result<()> {
    let echo = Echo::start().await?;
    let (_folder, gate) = limited(&echo.url()).await?;
    let mut client = gate.connect().await?;
    let long = "x".repeat(100);
    for (request, length) in [
        (chunked("/ten", "a\r\n0123456789\r\n0\r\n\r\n"), 10),
        (chunked("/any", &format!("64\r\n{long}\r\n0\r\n\r\n")), 100),
        (post("/any", "Content-Length: 100\r\n", &long), 100),
        (chunked("/ten", "0\r\n\r\n"), 0),
    ] {
        client.raw(&request).await?;
        assert_eq!(client.response().await?.status, 200);
        assert_eq!(echo.seen().pop().expect("it arrived").body.len(), length);
    }
    Ok(())
}

#[tokio::test]
async fn a_started_answer_is_cut_off_when_the_body_exceeds_the_limit() -> Result<()> {
    let (upstream, gate, _folder) = upstream().await?;
    let mut client = gate.connect().await?;
    client.raw(&chunked("/ten", "1\r\na\r\n")).await?;
    let mut served = upstream.accept().await?;
    served.read_until("1\r\na\r\n").await?;
    served
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        .await?;
    assert_eq!(client.head().await?.status, 200);
    assert_eq!(client.chunk().await?.as_deref(), Some(&b"half"[..]));
    client.raw(b"a\r\n0123456789\r\n").await?;
    client.closed().await?;
    served.closed().await?;
    let line = audit_line(&gate).await?;
    assert_eq!(
        (&line["status"], &line["ended"]),
        (&200.into(), &"cut".into())
    );
    Ok(())
}

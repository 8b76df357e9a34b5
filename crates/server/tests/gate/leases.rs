//! Long exchanges end with the session by which they entered, and are closed properly when the gate ends.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use harness::{Client, Gate, Mint, Request, poll, program};
use serde_json::Value;

use crate::exchanges::{OK, Served, Upstream};
use crate::support::{gate, signed_in};

/// Returns a request whose session is valid for two more seconds: it expired 13 seconds ago, and the tolerance is 15.
fn about_to_expire(path: &str) -> Request {
    Request::get(path).cookie(Mint::user("ada").expiring_in(-13).authjs())
}

/// Opens a WebSocket through the gate; returns both sides of it.
pub(crate) async fn websocket(
    upstream: &Upstream,
    gate: &Gate,
    request: Request,
) -> Result<(Client, Served)> {
    let (mut client, mut served) = upstream.begin_exchange(gate, &request.websocket()).await?;
    let agreed = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a";
    served
        .send(&format!(
            "HTTP/1.1 101 Switching Protocols\r\n{agreed}\r\n\r\n"
        ))
        .await?;
    assert_eq!(client.head().await?.status, 101);
    Ok((client, served))
}

/// Opens a stream of events, whose first event has arrived; returns both sides of it.
async fn events(upstream: &Upstream, gate: &Gate, request: &Request) -> Result<(Client, Served)> {
    let (mut client, mut served) = upstream.begin_exchange(gate, request).await?;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked";
    served
        .send(&format!("{head}\r\n\r\n8\r\ndata: a\n\r\n"))
        .await?;
    assert_eq!(client.head().await?.status, 200);
    assert_eq!(client.chunk().await?.as_deref(), Some(&b"data: a\n"[..]));
    Ok((client, served))
}

async fn end_of(gate: &Gate, path: &str) -> Result<Value> {
    gate.wait_for_audit(|line| line["path"] == path && line["event"] == "end")
        .await
}

/// Reads a Close frame of the gate; returns its code and reason.
pub(crate) async fn close_frame(client: &mut Client) -> Result<(u16, String)> {
    let head = client.bytes(2).await?;
    assert_eq!(head[0], 0x88, "a whole Close frame without a mask");
    let payload = client.bytes(head[1].into()).await?;
    let (code, reason) = payload.split_first_chunk().context("a code")?;
    Ok((u16::from_be_bytes(*code), String::from_utf8(reason.into())?))
}

/// A client's Close frame with code 1000, masked with zeros.
const CLIENTS_CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 3, 0xe8];

#[tokio::test]
async fn a_websocket_is_closed_when_its_session_ends() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let (mut client, mut served) = websocket(&upstream, &gate, about_to_expire("/socket")).await?;
    served.send("\u{1}\u{2}ok").await?;
    assert_eq!(client.bytes(4).await?, b"\x01\x02ok");
    let closed = close_frame(&mut client).await?;
    assert_eq!(closed, (4401, "session expired".to_owned()));
    client.raw(&CLIENTS_CLOSE).await?;
    let received = served.closed().await?;
    assert_eq!(received, CLIENTS_CLOSE, "the service gets the close frame");
    client.closed().await?;
    let line = end_of(&gate, "/socket").await?;
    assert_eq!(
        (&line["status"], &line["ended"]),
        (&101.into(), &"session_expired".into()),
        "{line}"
    );
    let label = ["ended=\"session_expired\""];
    let broken = gate.metric("sessiongate_broken_exchanges_total", label);
    assert_eq!(broken.await?, 1.0);
    Ok(())
}

/// A WebSocket client with wsproto: it prints the messages that it receives, and the code and the reason of the Close frame.
const CLIENT: &str = r#"
import socket, sys
from wsproto import ConnectionType, WSConnection
from wsproto.events import CloseConnection, Request, TextMessage
host, port, cookie = sys.argv[1:]
wire, talk = socket.create_connection((host, int(port))), WSConnection(ConnectionType.CLIENT)
wire.sendall(talk.send(Request(host=host, target="/", extra_headers=[(b"cookie", cookie.encode())])))
while data := wire.recv(4096):
    talk.receive_data(data)
    for event in talk.events():
        if isinstance(event, TextMessage):
            print(event.data)
        elif isinstance(event, CloseConnection):
            print(event.code, event.reason)
            wire.sendall(talk.send(event.response()))
"#;

/// A service for uvicorn that sends one message and stores the code with which its client disconnects.
const SERVICE: &str = r#"
code = None
async def app(scope, receive, send):
    global code
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        code = (await receive())["code"]
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(code).encode()})
"#;

#[tokio::test]
async fn third_party_websocket_client_and_service_get_the_same_close_code() -> Result<()> {
    let service = program("python3-uvicorn", |folder, port| {
        fs::write(folder.join("service.py"), SERVICE)?;
        Ok(format!(
            "/usr/bin/python3 -m uvicorn --ws wsproto --lifespan off --port {port} service:app"
        ))
    });
    let service = service.await?;
    let gate = gate(&format!("http://{}", service.address()));
    let gate = gate.env("SESSION_END_CLOSE_CODE", "3000").start().await?;
    let cookie = Mint::user("ada").expiring_in(-13).authjs();
    let mut client = Command::new("/usr/bin/python3");
    client.args(["-c", CLIENT, "127.0.0.1"]);
    client.args([&gate.proxy.port().to_string(), &cookie]);
    let printed = harness::run(client, "python3-wsproto").await?;
    assert_eq!(printed, "hello\n3000 session expired\n");
    let received = poll("the service to notice", async || {
        let answer = gate.send(&signed_in("/", "ada")).await.ok()?;
        (answer.text() != "None").then(|| answer.text())
    });
    assert_eq!(received.await?, "3000");
    Ok(())
}

#[tokio::test]
async fn an_event_stream_ends_with_its_session_and_keeps_its_connection() -> Result<()> {
    // The session lasts for a month, but exceeds `TOKEN_MAX_AGE` in two seconds.
    let old = Mint::user("ada").issued_ago(113).authjs();
    let (upstream, gate) = Upstream::start_with([("TOKEN_MAX_AGE", "100")]).await?;
    let request = Request::get("/events").cookie(old);
    let (mut client, mut served) = events(&upstream, &gate, &request).await?;
    assert_eq!(client.chunk().await?, None, "the last chunk");
    assert_eq!(served.closed().await?, b"");
    let line = end_of(&gate, "/events").await?;
    assert_eq!(
        (&line["status"], &line["ended"], &line["bytes_out"]),
        (&200.into(), &"session_expired".into(), &8.into()),
        "{line}"
    );
    client.raw(&signed_in("/", "ada").bytes(gate.proxy)).await?;
    let mut served = upstream.accept().await?;
    served.head().await?;
    served.send(OK).await?;
    assert_eq!(client.response().await?.status, 200);
    assert_eq!(client.get("/").await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn an_unchunked_stream_ends_by_closing_without_a_reset() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let cookie = Mint::user("ada").expiring_in(-13).authjs();
    let mut client = gate.connect().await?;
    let request = format!("GET /events HTTP/1.0\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
    client.raw(request.as_bytes()).await?;
    let mut served = upstream.accept().await?;
    served.head().await?;
    served
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n")
        .await?;
    // A reset would make this fail.
    let answer = client.response().await?;
    assert_eq!((answer.status, &*answer.text()), (200, "data: a\n"));
    assert_eq!(end_of(&gate, "/events").await?["ended"], "session_expired");
    Ok(())
}

#[tokio::test]
async fn at_shutdown_websockets_get_a_close_frame_and_streams_end() -> Result<()> {
    let (upstream, mut gate) = Upstream::start_with([("DRAIN_TIMEOUT", "1")]).await?;
    let (mut socket, _service) = websocket(&upstream, &gate, signed_in("/socket", "ada")).await?;
    let (mut stream, _events) = events(&upstream, &gate, &signed_in("/events", "ada")).await?;
    gate.signal("TERM")?;
    assert_eq!(
        close_frame(&mut socket).await?,
        (1001, "going away".to_owned())
    );
    socket.raw(&CLIENTS_CLOSE).await?;
    socket.closed().await?;
    assert_eq!(stream.chunk().await?, None, "the last chunk");
    assert_eq!(gate.wait().await?.code(), Some(0));
    for path in ["/socket", "/events"] {
        let line = end_of(&gate, path).await?;
        assert_eq!(line["ended"], "cut", "{line}");
    }
    let was_cut = |line: &String| line.contains("connections were cut");
    assert!(!gate.stderr().all().iter().any(was_cut));
    Ok(())
}

#[tokio::test]
async fn an_open_connection_may_send_one_more_request_after_the_signal() -> Result<()> {
    let (upstream, mut gate) = Upstream::start().await?;
    let (mut client, mut served) = upstream
        .begin_exchange(&gate, &signed_in("/", "ada"))
        .await?;
    served.send(OK).await?;
    assert_eq!(client.response().await?.status, 200);
    gate.signal("TERM")?;
    let begins = |line: &str| {
        line.contains("finishing the requests in flight")
            .then_some(())
    };
    gate.stderr().wait_for(begins).await?;
    client
        .raw(&signed_in("/late", "ada").bytes(gate.proxy))
        .await?;
    served.head().await?;
    served.send(OK).await?;
    let answer = client.response().await?;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    client.closed().await?;
    assert_eq!(gate.wait().await?.code(), Some(0));
    Ok(())
}

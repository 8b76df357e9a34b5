//! How connections with TLS end, and clients that do not use TLS.

use anyhow::Result;
use harness::{Client, Request};

use super::Site;

#[tokio::test]
async fn both_sides_send_close_notify() -> Result<()> {
    let site = Site::start([("PUBLIC_PATHS", "/"), ("CLIENT_IDLE_TIMEOUT", "2")]).await?;
    let script = r#"
for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
    # The gate closes on request, and by itself after a while. Python would raise without a close_notify.
    asked = connect(context(version))
    assert ask(asked, more="Connection: close\r\n")[0] == 200
    assert asked.recv(1) == b""
    idle = connect(context(version))
    assert ask(idle)[0] == 200
    # The connection is parked by then, and continues.
    time.sleep(1.3)
    assert ask(idle)[0] == 200
    assert idle.recv(1) == b""
    refused = connect(context(version))
    refused.sendall(b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n")
    assert answer(refused)[0] == 400
    assert refused.recv(1) == b""

    # The client sends close_notify first, and gets one back.
    left = connect(context(version))
    assert ask(left)[0] == 200
    left.unwrap()
    never = connect(context(version))
    never.unwrap()
print("done")
"#;
    assert_eq!(site.python(script, &[]).await?, "done\n");
    Ok(())
}

#[tokio::test]
async fn bytes_after_close_notify_are_ignored() -> Result<()> {
    let site = Site::start([("PUBLIC_PATHS", "/"), ("WORKERS", "1")]).await?;
    let script = r#"
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
plain = socket.create_connection(("127.0.0.1", port), timeout=25)
tls = context().wrap_bio(incoming, outgoing, server_hostname="localhost")
def move(step):
    while True:
        try:
            done = step()
            plain.sendall(outgoing.read())
            return done
        except ssl.SSLWantReadError:
            plain.sendall(outgoing.read())
            incoming.write(plain.recv(65536))
move(tls.do_handshake)
tls.write(request())
plain.sendall(outgoing.read())
move(lambda: tls.read(65536))
try:
    tls.unwrap()
except ssl.SSLError:
    # It waits for the other side's close_notify, or for the rest of the answer.
    pass
# A close_notify, followed by more bytes.
plain.sendall(outgoing.read() + b"\x17\x03\x03\x00\x20" + b"x" * 32)
while plain.recv(65536):
    pass
other = connect()
assert ask(other)[0] == 200
print("done")
"#;
    assert_eq!(site.python(script, &[]).await?, "done\n");
    Ok(())
}

#[tokio::test]
async fn a_truncated_tls_connection_is_distinguished_from_a_closed_one() -> Result<()> {
    let site = Site::start([("PUBLIC_PATHS", "/")]).await?;
    let script = r#"
how = words[0]
connection = connect()
connection.sendall(request("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
head = b""
while not head.endswith(b"\r\n\r\n"):
    head += connection.recv(1)
assert head.startswith(b"HTTP/1.1 101 "), head
for _ in range(3):
    connection.sendall(b"some words")
    received = b""
    while len(received) < 10:
        received += connection.recv(10 - len(received))
if how == "cut":
    # Without a close_notify.
    os.close(connection.detach())
else:
    connection.unwrap()
print("done")
"#;
    for (index, how) in ["cut", "ended"].into_iter().enumerate() {
        assert_eq!(site.python(script, &[how]).await?, "done\n");
        // The WebSocket has one line for its start and one for its end.
        site.gate
            .wait_for_audit(|line| line["ended"] == "client_left" && line["path"] == "/ws")
            .await?;
        let lines = site.gate.audit_lines();
        let began = lines.iter().filter(|line| line["path"] == "/ws");
        assert!(began.count() > index, "{lines:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_plain_request_at_a_tls_port_is_answered_with_a_hint() -> Result<()> {
    let site = Site::start([]).await?;
    let answer = site.gate.send(&Request::get("/")).await?;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    site.gate
        .stderr()
        .wait_for(|line| {
            line.contains("a plain HTTP request arrived at a TLS port")
                .then_some(())
        })
        .await?;
    // Bytes that are neither HTTP nor TLS get no answer.
    let mut client = site.gate.connect().await?;
    client.raw(b"\x00\x01\x02\x03").await?;
    while client.bytes(1).await.is_ok() {}
    assert!(site.echo.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn tls_on_a_plain_port_is_reported_in_the_audit_log() -> Result<()> {
    let site = Site::start([("TLS", "off")]).await?;
    let refused = site.curl(&[&site.url("/")]).await;
    assert!(refused.is_err());
    let line = site
        .gate
        .wait_for_audit(|line| line["reason"] == "tls_on_plain_port")
        .await?;
    assert_eq!(line["status"], 400, "{line}");
    let plain = Client::connect(site.gate.proxy).await?.get("/").await?;
    assert_eq!(plain.status, 401);
    site.gate
        .stderr()
        .wait_for(|line| {
            line.contains("TLS_CERT_FILE has no effect: TLS is off")
                .then_some(())
        })
        .await
}

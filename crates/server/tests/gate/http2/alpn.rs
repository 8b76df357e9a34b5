//! Services at `https://` that choose HTTP/2 (ALPN), and WebSockets to services over HTTP/2 (RFC 8441).

use anyhow::{Context, Result};
use bytes::Bytes;
use harness::{
    Authority, Client, Echo, Gate, GateCommand, KeyPair, Nginx, Request, Server, poll, program,
};
use http::Response;
use serde_json::Value;
use tempfile::TempDir;

use super::client::{Answer, Http2Client, get, piece, post};
use super::websockets::socket;
use crate::support::gate;

/// An authority, and the certificate that it has signed.
pub(super) struct Trust {
    pub(super) folder: TempDir,
    authority: Authority,
    pub(super) pair: KeyPair,
}

impl Trust {
    pub(super) async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::make(folder.path()).await?;
        let pair = authority.server("server", "IP:127.0.0.1").await?;
        Ok(Self {
            folder,
            authority,
            pair,
        })
    }

    /// Returns the command of a gate in front of the service at this URL, which is public.
    pub(super) fn gate(&self, url: &str) -> GateCommand {
        gate(url)
            .env(
                "UPSTREAM_CA_FILE",
                self.authority.certificate.display().to_string(),
            )
            .env("PUBLIC_PATHS", "/")
            .env("WORKERS", "1")
    }

    /// Starts nginx with these directives. It tells the service behind it the version of HTTP and the connection of each request.
    async fn nginx(&self, listen: &str, directives: &str, echo: &Echo) -> Result<Nginx> {
        let (certificate, key) = (self.pair.certificate.display(), self.pair.key.display());
        let to_echo = echo.url();
        Nginx::from_config(|port| {
            format!(
                "events {{ worker_connections 256; }}
http {{
    server {{
        listen 127.0.0.1:{port} {listen};
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        client_max_body_size 0;
        {directives}
        location / {{
            proxy_pass {to_echo};
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
            proxy_set_header X-Protocol $server_protocol;
            proxy_set_header X-Connection $connection;
        }}
    }}
}}
"
            )
        })
        .await
    }
}

/// Returns the version of HTTP and the connection of the last request to the service.
fn version_and_connection(echo: &Echo) -> Result<(String, String)> {
    let seen = echo.seen().pop().context("it arrived")?;
    let field = |name| seen.headers.get(name).unwrap_or_default().to_owned();
    Ok((field("x-protocol"), field("x-connection")))
}

/// Opens a WebSocket over HTTP/1.1 and verifies that a message is echoed; returns the response head.
pub(super) async fn echoes(client: &mut Client, gate: &Gate) -> Result<harness::Response> {
    let upgrade = Request::get("/ws").websocket();
    client.raw(&upgrade.bytes(gate.proxy)).await?;
    let head = client.head().await?;
    assert_eq!(head.status, 101);
    // A text frame of a client, masked with zeros.
    let frame = b"\x81\x82\0\0\0\0hi";
    client.raw(frame).await?;
    assert_eq!(client.bytes(frame.len()).await?, frame);
    Ok(head)
}

#[tokio::test]
async fn a_service_that_negotiates_http2_gets_it_for_clients_of_both_versions() -> Result<()> {
    let (trust, echo) = (Trust::new().await?, Echo::start().await?);
    let nginx = trust.nginx("ssl http2", "", &echo).await?;
    let url = format!("https://{}", nginx.address());
    let gate = trust.gate(&url).start().await?;
    let (mut old, mut new) = (gate.connect().await?, Http2Client::open(&gate).await?);
    assert_eq!(old.get("/").await?.status, 200);
    let first = version_and_connection(&echo)?;
    assert_eq!(first.0, "HTTP/2.0");
    assert_eq!(new.answer(&get("/")).await?.status, 200);
    assert_eq!(
        version_and_connection(&echo)?,
        first,
        "on the same connection"
    );
    let large = vec![b'u'; 1_000_000];
    let upload = Request::post("/big?bytes=2000000", large.clone());
    let answer = old.send(&upload).await?;
    assert_eq!((answer.status, answer.body.len()), (200, 2_000_000));
    let answer = new
        .send(&post("/big?bytes=2000000"), Bytes::from(large))
        .await?;
    assert_eq!((answer.status, answer.body.len()), (200, 2_000_000));
    new.each_request_gets_its_own_answer(300).await?;
    assert_eq!(version_and_connection(&echo)?, first);

    // nginx accepts no WebSockets on streams, and NTLM does not work there: these requests get connections of HTTP/1.1.
    let mut socket_client = gate.connect().await?;
    echoes(&mut socket_client, &gate).await?;
    assert_eq!(version_and_connection(&echo)?.0, "HTTP/1.1");
    let bound = Request::get("/").header("Authorization", "NTLM TlRMTVNTUAAB");
    assert_eq!(old.send(&bound).await?.status, 200);
    assert_eq!(version_and_connection(&echo)?.0, "HTTP/1.1");
    assert_eq!(new.answer(&get("/")).await?.status, 200);
    assert_eq!(version_and_connection(&echo)?, first);
    Ok(())
}

#[tokio::test]
async fn a_service_with_http1_only_gets_requests_on_one_connection() -> Result<()> {
    let (trust, echo) = (Trust::new().await?, Echo::start().await?);
    let nginx = trust.nginx("ssl", "", &echo).await?;
    let gate = trust.gate(&format!("https://{}", nginx.address()));
    let gate = gate.start().await?;
    let mut client = gate.connect().await?;
    assert_eq!(client.send(&Request::post("/", "body")).await?.status, 200);
    let first = version_and_connection(&echo)?;
    assert_eq!(first.0, "HTTP/1.1");
    for _ in 0..3 {
        assert_eq!(client.get("/").await?.status, 200);
        assert_eq!(version_and_connection(&echo)?, first);
    }
    Ok(())
}

#[tokio::test]
async fn http2_connections_to_a_service_respect_max_age_and_max_connections() -> Result<()> {
    let (trust, echo) = (Trust::new().await?, Echo::start().await?);
    let nginx = trust
        .nginx("ssl http2", "http2_max_concurrent_streams 2;", &echo)
        .await?;
    let file = trust.folder.path().join("gate.toml");
    let keys = format!(
        "[service.app]\nupstream = \"https://{}\"\nmax_connections = 1\nmax_age = 1\nconnect_timeout = 30\n\
         [[route]]\npath = \"/\"\nservice = \"app\"\naccess = \"public\"\n",
        nginx.address()
    );
    std::fs::write(&file, keys)?;
    let gate = trust.gate("").without("UPSTREAM").without("PUBLIC_PATHS");
    let gate = gate.args(["serve", "--config", &file.display().to_string()]);
    let gate = gate.start().await?;
    let mut http2 = Http2Client::open(&gate).await?;
    // Far more concurrent requests than streams are allowed.
    http2.each_request_gets_its_own_answer(200).await?;
    let first = version_and_connection(&echo)?;
    assert_eq!(first.0, "HTTP/2.0");
    poll("another connection", async || {
        let answer = http2.answer(&get("/")).await.ok()?;
        let version_and_connection = version_and_connection(&echo).ok()?;
        (answer.status == 200 && version_and_connection.1 != first.1).then_some(())
    })
    .await
}

/// Starts the service on Node.js, with TLS or without.
pub(super) async fn node(pair: Option<&KeyPair>) -> Result<Server> {
    let script = harness::repository().join("crates/server/tests/gate/http2/node_service.js");
    let files = pair.map(|pair| format!("{} {}", pair.key.display(), pair.certificate.display()));
    let files = files.unwrap_or_default();
    program("nodejs", move |_, port| {
        Ok(format!("node {} {port} {files}", script.display()))
    })
    .await
}

#[tokio::test]
async fn websockets_use_http2_streams_if_the_service_supports_them() -> Result<()> {
    let trust = Trust::new().await?;
    for (scheme, pair) in [("h2c", None), ("https", Some(&trust.pair))] {
        let service = node(pair).await?;
        let gate = trust.gate(&format!("{scheme}://{}", service.address()));
        let gate = gate.start().await?;
        let mut client = gate.connect().await?;
        let head = echoes(&mut client, &gate).await?;
        assert_eq!(head.header("sec-websocket-protocol"), Some("chat"));
        // The request has the key of RFC 6455 §1.3.
        let accept = head.header("sec-websocket-accept");
        assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        let request: Value =
            serde_json::from_str(head.header("x-request-headers").context("a header")?)?;
        assert_eq!(request[":protocol"], "websocket", "{request}");
        let expected = if scheme == "h2c" { "http" } else { "https" };
        assert_eq!(request[":scheme"], expected);
        for name in ["connection", "upgrade", "sec-websocket-key", "te"] {
            assert!(request.get(name).is_none(), "{name}: {request}");
        }
        // A Close frame, then the end.
        client.raw(&[0x88, 0x80, 0, 0, 0, 0]).await?;
        assert_eq!(client.bytes(6).await?, [0x88, 0x80, 0, 0, 0, 0]);
        drop(client);
        let end = gate.wait_for_audit(|line| line["event"] == "end").await?;
        assert_eq!(end["ended"], "whole", "{end}");

        let mut http2 = Http2Client::open(&gate).await?;
        assert_eq!(http2.answer(&get("/")).await?.status, 200);
        let wanted = socket("/ws", "websocket", false)?;
        let (response, mut out) = http2.begin(&wanted, false).await?;
        let response: Response<_> = tokio::time::timeout(harness::TIMEOUT, response).await??;
        assert_eq!(response.status(), 200);
        out.send_data(Bytes::from("\u{1}\u{4}ping"), false)?;
        let mut body = response.into_body();
        assert_eq!(piece(&mut body).await?.context("bytes")?, "\u{1}\u{4}ping");

        let refused = socket("/refused", "websocket", false)?;
        let (response, _out) = http2.begin(&refused, false).await?;
        let answer = Answer::of(response).await?;
        assert_eq!((answer.status, &answer.body[..]), (403, &b"no"[..]));
        let refused = Request::get("/refused").websocket();
        assert_eq!(gate.send(&refused).await?.status, 403);
    }
    Ok(())
}

#[tokio::test]
async fn request_trailers_are_forwarded_without_identity_and_framing_fields() -> Result<()> {
    let trust = Trust::new().await?;
    let service = node(Some(&trust.pair)).await?;
    let gate = trust.gate(&format!("https://{}", service.address()));
    let gate = gate.start().await?;
    let mut http2 = Http2Client::open(&gate).await?;
    let (response, mut out) = http2.begin(&post("/"), false).await?;
    out.send_data(Bytes::from("body"), false)?;
    let mut trailers = http::HeaderMap::new();
    for name in [
        "x-checksum",
        "content-length",
        "content_length",
        "x-user-id",
        "x_user_id",
        "cookie",
        "x-forwarded-for",
    ] {
        trailers.insert(name, http::HeaderValue::from_static("said"));
    }
    out.send_trailers(trailers)?;
    let answer = Answer::of(response).await?;
    let account: Value = serde_json::from_slice(&answer.body)?;
    assert_eq!(account["body"], "body", "{account}");
    assert_eq!(
        account["trailers"],
        serde_json::json!({ "x-checksum": "said" })
    );
    Ok(())
}

#[tokio::test]
async fn health_checks_use_the_http_version_of_the_server() -> Result<()> {
    let trust = Trust::new().await?;
    let file = trust.folder.path().join("gate.toml");
    let (plain, secure) = (node(None).await?, node(Some(&trust.pair)).await?);
    let keys = format!(
        "upstream_ca_file = {:?}\n[service.app]\nupstream = [\"grpc://{}\", \"https://{}\"]\nhealth_check = \"/healthz\"\n\
         [[route]]\npath = \"/\"\nservice = \"app\"\naccess = \"public\"\n",
        trust.authority.certificate,
        plain.address(),
        secure.address()
    );
    std::fs::write(&file, keys)?;
    let gate = gate("").without("UPSTREAM");
    let gate = gate.args(["serve", "--config", &file.display().to_string()]);
    let gate = gate.start().await?;
    for server in [
        format!("h2c://{}", plain.address()),
        format!("https://{}", secure.address()),
    ] {
        poll("a check", async || {
            let server = format!("server=\"{server}\"");
            let up = gate.metric("sessiongate_upstream_up", [server.as_str()]);
            (up.await.ok()? == 1.0).then_some(())
        })
        .await?;
    }
    let known = gate.stderr().all().join("\n");
    assert!(!known.contains("is unhealthy"), "{known}");
    Ok(())
}

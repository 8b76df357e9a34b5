//! Services with TLS.

use std::path::Path;

use anyhow::Result;
use harness::{Authority, Echo, Gate, KeyPair, Nginx, Request};

use super::{public_service, started};
use crate::support::{gate as gate_of, signed_in};

/// Starts nginx with TLS and this certificate. It tells the service behind it the requested name and the client's certificate.
async fn encrypting(pair: &KeyPair, echo: &Echo, more: &str) -> Result<Nginx> {
    let (certificate, key) = (pair.certificate.display(), pair.key.display());
    Nginx::from_config(|port| {
        format!(
            "events {{ worker_connections 256; }}
http {{
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        client_max_body_size 0;
        {more}
        location / {{
            proxy_pass http://{};
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
            proxy_set_header X-Seen-Name $ssl_server_name;
            proxy_set_header X-Seen-Client $ssl_client_s_dn;
            proxy_set_header X-Seen-Protocol $ssl_protocol;
            proxy_set_header X-Seen-Resumed $ssl_session_reused;
        }}
    }}
}}
",
            echo.address()
        )
    })
    .await
}

fn secure(nginx: &Nginx, host: &str) -> String {
    format!("https://{host}:{}", nginx.address().port())
}

/// A service behind nginx with TLS, the authority that has signed its certificate, and a folder for all files.
struct World {
    folder: tempfile::TempDir,
    authority: Authority,
    echo: Echo,
    nginx: Nginx,
}

impl World {
    /// Starts nginx with a certificate for these names, and the service behind it.
    async fn start(names: &str, more: impl Fn(&Authority) -> String) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::make(folder.path()).await?;
        let pair = authority.server("server", names).await?;
        let echo = Echo::start().await?;
        let nginx = encrypting(&pair, &echo, &more(&authority)).await?;
        Ok(Self {
            folder,
            authority,
            echo,
            nginx,
        })
    }

    /// Returns the configuration key that trusts the authority.
    fn trusts(&self) -> String {
        format!("tls_ca_file = {:?}", self.authority.certificate)
    }

    async fn gate(&self, host: &str, keys: &str) -> Result<Gate> {
        let url = secure(&self.nginx, host);
        started(self.folder.path(), &public_service(&[&url], keys)).await
    }
}

/// Returns the value of a header that a server received.
fn header(seen: &harness::ReceivedRequest, name: &str) -> String {
    seen.headers.get(name).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn requests_bodies_and_websockets_pass_over_tls_to_the_service() -> Result<()> {
    let world = World::start("DNS:localhost,IP:127.0.0.1", |_| String::new()).await?;
    let tables = format!(
        "{}[[route]]\npath = \"/mine/\"\nservice = \"app\"\n",
        public_service(&[&secure(&world.nginx, "localhost")], &world.trusts())
    );
    let gate = started(world.folder.path(), &tables).await?;
    let answer = gate.send(&signed_in("/mine/", "ada")).await?;
    assert_eq!(answer.status, 200);
    let seen = world.echo.seen().remove(0);
    assert_eq!(header(&seen, "x-user-id"), "ada");
    assert_eq!(header(&seen, "x-seen-name"), "localhost");
    assert_eq!(header(&seen, "x-seen-protocol"), "TLSv1.3");

    // More than fits into sockets and records, in both directions.
    let body = vec![b'x'; 3_000_000];
    let answer = gate.send(&Request::post("/upload", body.clone())).await?;
    assert_eq!(answer.status, 200);
    let seen = world
        .echo
        .wait_for(|seen| seen.path() == "/upload" && seen.complete)
        .await?;
    assert!(seen.body == body);
    let mut client = gate.connect().await?;
    for _ in 0..3 {
        let answer = client.get("/big?bytes=3000000").await?;
        assert_eq!((answer.status, answer.body.len()), (200, 3_000_000));
    }
    let streamed = client.get("/stream?chunks=1").await?;
    assert_eq!(streamed.status, 200);

    client
        .raw(&Request::get("/ws").websocket().bytes(gate.proxy))
        .await?;
    assert_eq!(client.head().await?.status, 101);
    // A text frame of a client, masked with zeros.
    let frame = b"\x81\x82\0\0\0\0hi";
    client.raw(frame).await?;
    assert_eq!(client.bytes(frame.len()).await?, frame);
    Ok(())
}

#[tokio::test]
async fn the_service_certificate_must_be_trusted_and_match_the_host() -> Result<()> {
    let world = World::start("DNS:localhost", |_| String::new()).await?;
    let gate = world.gate("localhost", "").await?;
    assert_eq!(gate.send(&Request::get("/")).await?.status, 502);
    let printed = gate.stderr();
    printed
        .wait_for(|line| line.contains("no trusted authority signed").then_some(()))
        .await?;
    // The service of the environment variables trusts the same file.
    let authority = world.authority.certificate.to_string_lossy();
    let gate = gate_of(&secure(&world.nginx, "localhost"));
    let gate = gate.env("UPSTREAM_CA_FILE", authority).start().await?;
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);
    assert_eq!(header(&world.echo.only(), "x-user-id"), "ada");
    // The certificate is not valid for the address.
    let gate = world.gate("127.0.0.1", &world.trusts()).await?;
    assert_eq!(gate.send(&Request::get("/")).await?.status, 502);
    assert_eq!(world.echo.seen().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_custom_tls_server_name_is_sent_and_verified() -> Result<()> {
    let world = World::start("DNS:app.internal", |_| String::new()).await?;
    let keys = format!("{}\ntls_server_name = \"app.internal\"", world.trusts());
    let gate = world.gate("127.0.0.1", &keys).await?;
    assert_eq!(gate.send(&Request::get("/")).await?.status, 200);
    assert_eq!(header(&world.echo.only(), "x-seen-name"), "app.internal");
    Ok(())
}

#[tokio::test]
async fn the_gate_presents_a_client_certificate_and_reloads_it() -> Result<()> {
    let asks = |authority: &Authority| {
        let file = authority.certificate.display();
        format!("ssl_client_certificate {file}; ssl_verify_client on;")
    };
    let world = World::start("IP:127.0.0.1", asks).await?;
    let authority = &world.authority;
    let own = authority.client("own", "/CN=gate-1", "DNS:gate").await?;
    let keys = |pair: &KeyPair| {
        let trusts = world.trusts();
        format!(
            "{trusts}\ntls_cert_file = {:?}\ntls_key_file = {:?}",
            pair.certificate, pair.key
        )
    };
    let gate = world.gate("127.0.0.1", &keys(&own)).await?;
    assert_eq!(gate.send(&Request::get("/")).await?.status, 200);
    assert_eq!(header(&world.echo.only(), "x-seen-client"), "CN=gate-1");

    // The files keep their names.
    authority.client("own", "/CN=gate-2", "DNS:gate").await?;
    gate.signal("HUP")?;
    let is_new = |path: &str| {
        let seen = world.echo.seen();
        let asked = seen.iter().find(|seen| seen.path() == path);
        asked.is_some_and(|seen| header(seen, "x-seen-client") == "CN=gate-2")
    };
    let mut number = 0;
    harness::poll("the new certificate", async || {
        number += 1;
        let path = format!("/{number}");
        let answer = gate.send(&Request::get(&path)).await.ok()?;
        (answer.status == 200 && is_new(&path)).then_some(())
    })
    .await?;

    let gate = world.gate("127.0.0.1", &world.trusts()).await?;
    let answer = gate.send(&Request::get("/without")).await?;
    // The status that nginx uses.
    assert_eq!(answer.status, 400);
    assert!(
        world
            .echo
            .seen()
            .iter()
            .all(|seen| seen.path() != "/without")
    );
    Ok(())
}

#[tokio::test]
async fn connecting_with_tls_to_a_plain_service_is_reported_as_such() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let plain = Nginx::start("location / { return 200 ok; }").await?;
    let url = secure(&plain, "127.0.0.1");
    let path: &Path = folder.path();
    let gate = started(path, &public_service(&[&url], "")).await?;
    assert_eq!(gate.send(&Request::get("/")).await?.status, 502);
    let printed = gate.stderr();
    printed
        .wait_for(|line| line.contains("speaks HTTP without TLS").then_some(()))
        .await?;
    Ok(())
}

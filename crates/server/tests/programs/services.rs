//! Services on common servers: one table of requests, sent to each of them through the gate.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::{Apache, Client, Gate, Nginx, PhpFpm, Request, Response, Server, program, run};

use crate::support::{gate, script, zoe};

#[tokio::test]
async fn apache_gets_requests_and_gives_answers_unchanged() -> Result<()> {
    let apache = Apache::start(|folder| {
        let programs = folder.join("programs");
        std::fs::create_dir(&programs)?;
        let service = programs.join("service.cgi");
        std::fs::copy(script("service.cgi"), &service)?;
        std::fs::set_permissions(&service, std::fs::Permissions::from_mode(0o755))?;
        Ok(format!(
            "ScriptAlias / {}/\n<Directory {}>\n    Require all granted\n</Directory>\n{REFUSES}\
             Protocols h2c http/1.1\n",
            service.display(),
            programs.display()
        ))
    })
    .await?;
    for scheme in ["http", "h2c"] {
        let table = Table::start(scheme, apache.address()).await?;
        table.keeps().await?;
        table.refuses_early().await?;
    }
    Ok(())
}

#[tokio::test]
async fn php_behind_nginx_gets_requests_and_gives_answers_unchanged() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let sessions = format!("php_value[session.save_path] = {}", folder.path().display());
    let php = PhpFpm::start(&sessions).await?;
    let nginx = Nginx::start(&format!(
        "client_max_body_size 0;
        location / {{
            include       /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME {};
            fastcgi_pass  {};
        }}",
        script("service.php").display(),
        php.address()
    ))
    .await?;
    let table = Table::start("http", nginx.address()).await?;
    table.keeps().await?;
    table.refuses_early().await?;
    let file = folder.path().join("photo.bin");
    std::fs::write(&file, body(1_000_000))?;
    let mut md5sum = Command::new("md5sum");
    md5sum.arg(&file);
    let sum = run(md5sum, "coreutils").await?;
    let sum = sum.split(' ').next().context("a sum")?;
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--cookie", &zoe(), "-F", "title=At sea", "-F"])
        .arg(format!("file=@{}", file.display()))
        .arg(format!("http://{}/upload", table.gate.proxy));
    let printed = run(curl, "curl").await?;
    assert_eq!(printed, format!("At sea photo.bin 1000000 {sum}"));
    Ok(())
}

#[tokio::test]
async fn node_gets_requests_and_gives_answers_unchanged() -> Result<()> {
    for (scheme, module) in [("http", "node:http"), ("h2c", "node:http2")] {
        let node = started("nodejs", |port| {
            format!("node {} {port} {module}", script("service.mjs").display())
        })
        .await?;
        let table = Table::start(scheme, node.address()).await?;
        table.keeps().await?;
        table.refuses_early().await?;
        table.hints().await?;
    }
    Ok(())
}

/// Gunicorn's default worker serves one request per connection, and announces the close in its answer.
#[tokio::test]
async fn gunicorn_gets_requests_and_gives_answers_unchanged() -> Result<()> {
    let gunicorn = started("gunicorn", |port| {
        format!(
            "/usr/bin/gunicorn --bind 127.0.0.1:{port} --workers 1 --chdir {} service:wsgi",
            script("").display()
        )
    })
    .await?;
    let table = Table::start("http", gunicorn.address()).await?;
    table.checks_answer_order().await?;
    let (first, second) = table.two_ports().await?;
    assert_ne!(first, second, "gunicorn kept a connection");
    Ok(())
}

#[tokio::test]
async fn uvicorn_gets_requests_and_gives_answers_unchanged() -> Result<()> {
    let uvicorn = started("python3-uvicorn", |port| {
        format!(
            "/usr/bin/python3 -m uvicorn --host 127.0.0.1 --port {port} --no-proxy-headers --app-dir {} service:asgi",
            script("").display()
        )
    })
    .await?;
    Table::start("http", uvicorn.address()).await?.keeps().await
}

async fn started(package: &str, line: impl Fn(u16) -> String) -> Result<Server> {
    program(package, |_, port| Ok(line(port))).await
}

/// A gate in front of a service, to which the requests of the table are sent.
struct Table {
    gate: Gate,
}

impl Table {
    async fn start(scheme: &str, service: SocketAddr) -> Result<Self> {
        let url = format!("{scheme}://{service}");
        let gate = gate(service).env("UPSTREAM", url).start().await?;
        Ok(Self { gate })
    }

    /// Runs the table for a service that keeps its connections open.
    async fn keeps(&self) -> Result<()> {
        self.checks_answer_order().await?;
        let (first, second) = self.two_ports().await?;
        assert_eq!(first, second, "the connection was not used again");
        Ok(())
    }

    /// Sends the requests over one connection of a client, in an order in which the rest of one answer would show in the next.
    async fn checks_answer_order(&self) -> Result<()> {
        let stranger = self.gate.send(&Request::get("/user")).await?;
        assert_eq!(stranger.status, 401);
        let mut client = self.gate.connect().await?;
        for (request, status, text) in requests() {
            let answer = client.send(&signed_in(request.clone())).await;
            let answer = answer.with_context(|| format!("{request:?}"))?;
            assert_eq!(
                (answer.status, &*answer.text()),
                (status, text),
                "{request:?}"
            );
        }
        self.bodies(&mut client).await?;
        self.passes_own_cookie(&mut client).await?;
        self.many_at_once().await?;
        let missing = client.send(&signed_in(Request::get("/missing"))).await?;
        assert_eq!(missing.status, 404);
        Ok(())
    }

    /// Sends bodies with a length, in chunks, and after a 100; each must come back unchanged.
    async fn bodies(&self, client: &mut Client) -> Result<()> {
        for length in [0, 1, 70_000, 8_000_000] {
            let sent = body(length);
            let answer = client
                .send(&signed_in(Request::post("/echo", sent.clone())))
                .await?;
            ensure!(answer.body == sent, "{length} bytes came back otherwise");
        }
        let chunked = Request::new("POST", "/echo").header("Transfer-Encoding", "chunked");
        client
            .raw(&signed_in(chunked).bytes(self.gate.proxy))
            .await?;
        let sent = body(300_000);
        for chunk in sent.chunks(7_919) {
            let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
            client.raw(&bytes).await?;
        }
        client.raw(b"0\r\n\r\n").await?;
        let answer = client.response().await?;
        ensure!(answer.body == sent, "chunks came back otherwise");

        let request = Request::new("POST", "/echo")
            .header("Expect", "100-continue")
            .header("Content-Length", sent.len().to_string());
        client
            .raw(&signed_in(request).bytes(self.gate.proxy))
            .await?;
        assert_eq!(client.response().await?.status, 100);
        client.raw(&sent).await?;
        let answer = client.response().await?;
        ensure!(answer.body == sent, "the body differs from the sent one");
        Ok(())
    }

    /// Sends more concurrent requests than the service has workers, over HTTP/2; each must get an answer, even if the service
    /// closes its connections.
    async fn many_at_once(&self) -> Result<()> {
        let session = format!("cookie: {}", zoe());
        let mut h2load = Command::new("h2load");
        h2load
            .args(["-n", "200", "-c", "4", "-m", "5", "-H", &session])
            .arg(format!("http://{}/pieces", self.gate.proxy));
        let printed = run(h2load, "nghttp2-client").await?;
        ensure!(printed.contains("status codes: 200 2xx"), "{printed}");
        Ok(())
    }

    /// Verifies that an interim response and the final one arrive.
    async fn hints(&self) -> Result<()> {
        let mut client = self.gate.connect().await?;
        let request = signed_in(Request::get("/hints"));
        client.raw(&request.bytes(self.gate.proxy)).await?;
        let hints = client.response().await?;
        assert_eq!(
            (hints.status, hints.header("link")),
            (103, Some("</style.css>; rel=preload"))
        );
        assert_eq!(client.response().await?.text(), "hinted");
        Ok(())
    }

    /// Sends a body that the service does not read: its early answer must arrive, and the next request must succeed.
    async fn refuses_early(&self) -> Result<()> {
        let mut client = self.gate.connect().await?;
        let refused = signed_in(Request::post("/refuse", body(8_000_000)));
        let answer = client.send(&refused).await?;
        assert_eq!((answer.status, &*answer.text()), (403, "no"));
        let next = self.gate.send(&signed_in(Request::get("/pieces"))).await?;
        assert_eq!(next.text(), "one two three");
        Ok(())
    }

    /// Verifies that the service's own cookie passes in both directions beside that of the session.
    async fn passes_own_cookie(&self, client: &mut Client) -> Result<()> {
        let mut cookies = zoe();
        for visit in ["1", "2", "3"] {
            let request = Request::get("/visits").cookie(&cookies);
            let answer = client.send(&request).await?;
            assert_eq!(answer.text(), visit);
            if let Some(own) = own_cookie(&answer) {
                cookies = format!("{own}; {}", zoe());
            }
        }
        Ok(())
    }

    /// Returns the gate's ports of two consecutive requests to the service.
    async fn two_ports(&self) -> Result<(String, String)> {
        let mut client = self.gate.connect().await?;
        let port = signed_in(Request::get("/port"));
        let first = client.send(&port).await?.text();
        Ok((first, client.send(&port).await?.text()))
    }
}

/// Makes Apache itself refuse: with a script that does not read its input, it sometimes sends no answer.
const REFUSES: &str =
    "ErrorDocument 403 no\n<Location /refuse>\n    Require all denied\n</Location>\n";

/// Requests with the status and the text of their answers.
fn requests() -> [(Request, u16, &'static str); 8] {
    const USER_TEXT: &str = "zoe zoe@example.com Zo%C3%AB%20M%C3%BCller";
    let forged = Request::get("/user")
        .header("X-User-Id", "eve")
        .header("X_User_Id", "eve");
    [
        (forged, 200, USER_TEXT),
        (Request::new("HEAD", "/user"), 200, ""),
        (Request::get("/user"), 200, USER_TEXT),
        (Request::get("/none"), 204, ""),
        (
            Request::get("/same").header("If-None-Match", "\"a\""),
            304,
            "",
        ),
        (Request::get("/pieces"), 200, "one two three"),
        (Request::new("HEAD", "/pieces"), 200, ""),
        (Request::get("/user"), 200, USER_TEXT),
    ]
}

fn own_cookie(answer: &Response) -> Option<String> {
    let cookie = answer.header("set-cookie")?;
    cookie.split(';').next().map(str::to_owned)
}

fn signed_in(request: Request) -> Request {
    request.cookie(zoe())
}

/// Returns a body in which lost, doubled or moved bytes are detected.
fn body(length: usize) -> Vec<u8> {
    let numbers = (0_u32..).flat_map(u32::to_le_bytes);
    numbers.take(length).collect()
}

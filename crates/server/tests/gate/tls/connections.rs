//! Connections with TLS carry everything that connections without TLS do.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use harness::{Authority, Gate, KeyPair, poll};
use tokio::time::timeout;

use super::{Site, cookie};

#[tokio::test]
async fn large_bodies_pass_unchanged_in_both_directions() -> Result<()> {
    let site = Site::start([("PUBLIC_PATHS", "/")]).await?;
    let file = site.folder.path().join("body");
    let body: Vec<_> = (0..3_000_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    fs::write(&file, &body)?;
    let file = file.display().to_string();
    for framing in ["Content-Type: x", "Transfer-Encoding: chunked"] {
        let url = site.url("/big?bytes=1");
        let words = ["-T", &file, "-H", framing, &url];
        assert_eq!(site.curl(&words).await?.status, 200);
        let seen = site.echo.seen().pop().context("it arrived")?;
        assert!(seen.complete, "{framing}: {:?}", seen.broken);
        let wrong = body
            .iter()
            .zip(&seen.body)
            .position(|(sent, came)| sent != came);
        assert_eq!((seen.body.len(), wrong), (body.len(), None), "{framing}");
    }
    let answer = site.curl(&[&site.url("/big?bytes=20000000")]).await?;
    assert_eq!(answer.body.len(), 20_000_000);
    Ok(())
}

#[tokio::test]
async fn requests_are_served_one_by_one_and_in_one_tls_record() -> Result<()> {
    let site = Site::start([("PUBLIC_PATHS", "/")]).await?;
    let script = r#"
connection = connect()
for number in range(50):
    status, body = ask(connection, f"/{number}")
    assert status == 200 and json.loads(body)["target"] == f"/{number}"
connection.sendall(b"".join(request(f"/piped/{number}") for number in range(5)))
for number in range(5):
    status, body = answer(connection)
    assert status == 200 and json.loads(body)["target"] == f"/piped/{number}"
# Byte by byte, each in its own record.
for byte in request("/slowly"):
    connection.sendall(bytes([byte]))
status, body = answer(connection)
assert status == 200 and json.loads(body)["target"] == "/slowly"
print("done")
"#;
    assert_eq!(site.python(script, &[]).await?, "done\n");
    Ok(())
}

#[tokio::test]
async fn a_slow_reader_gets_the_whole_answer() -> Result<()> {
    let site = Site::start([("PUBLIC_PATHS", "/")]).await?;
    let script = r#"
plain = socket.socket()
plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
plain.connect(("127.0.0.1", port))
slow = context().wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)
slow.sendall(request("/big?bytes=6000000", "Connection: close\r\n"))
# Other connections are served while its buffers are full.
for _ in range(20):
    assert ask(connect())[0] == 200
total, last = 0, b""
while piece := slow.recv(1500):
    total, last = total + len(piece), piece
assert total > 6000000 and last.endswith(b"x"), total
print("done")
"#;
    assert_eq!(site.python(script, &[]).await?, "done\n");
    Ok(())
}

#[tokio::test]
async fn a_stream_arrives_piece_by_piece() -> Result<()> {
    let site = Site::start([("PUBLIC_PATHS", "/")]).await?;
    let file = site.folder.path().join("stream");
    let (out, url) = (file.display().to_string(), site.url("/stream?chunks=3"));
    let words = ["-N", "-o", &out, &url];
    let fetching = async {
        // curl writes the answer to the file.
        let _ = site.curl(&words).await;
    };
    let watching = async {
        for number in 0..3 {
            if number > 0 {
                site.echo.release();
            }
            let wanted = format!("chunk {number}\n");
            poll("the next piece", async || {
                let so_far = fs::read_to_string(&file).ok()?;
                so_far.ends_with(&wanted).then_some(())
            })
            .await?;
        }
        anyhow::Ok(())
    };
    let (_, watched) = tokio::join!(fetching, watching);
    watched
}

#[tokio::test]
async fn requests_in_flight_are_finished_at_shutdown() -> Result<()> {
    let mut site = Site::start([("PUBLIC_PATHS", "/")]).await?;
    let url = site.url("/hold");
    let words = [&*url];
    let (answer, ()) = {
        let downloading = site.curl(&words);
        let stopping = async {
            let waits = site.echo.wait_for(|seen| seen.path() == "/hold").await;
            waits.expect("it arrives");
            site.gate.signal("TERM").expect("it runs");
            site.gate
                .stderr()
                .wait_for(|line| line.contains("stop requested").then_some(()))
                .await
                .expect("the drain is logged");
            site.echo.release();
        };
        tokio::join!(downloading, stopping)
    };
    assert_eq!(answer?.status, 200);
    assert!(site.gate.wait().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_browser_opens_a_page() -> Result<()> {
    let site = Site::start([("PUBLIC_PATHS", "/")]).await?;
    let profile = tempfile::tempdir()?;
    let mut chromium = std::process::Command::new("chromium");
    chromium
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .arg("--ignore-certificate-errors")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args([
            "--virtual-time-budget=10000",
            "--dump-dom",
            &site.url("/page"),
        ]);
    let shown = timeout(Duration::from_secs(60), harness::run(chromium, "chromium")).await??;
    assert!(shown.contains("sec-fetch-mode"), "{shown}");
    let seen = site.echo.wait_for(|seen| seen.path() == "/page").await?;
    assert_eq!(seen.headers.get("x-forwarded-proto"), Some("https"));
    Ok(())
}

/// Returns the table of a listener with this port and certificate.
fn listener(port: u16, pair: &KeyPair, more: &str) -> String {
    format!(
        "[[listener]]\naddress = \"127.0.0.1:{port}\"\ntls_cert_file = \"{}\"\ntls_key_file = \"{}\"\n{more}",
        pair.certificate.display(),
        pair.key.display()
    )
}

#[tokio::test]
async fn each_listener_has_its_own_settings() -> Result<()> {
    let (echo, folder) = (harness::Echo::start().await?, tempfile::tempdir()?);
    let authority = Authority::make(folder.path()).await?;
    let one = authority.server("one", super::HERE).await?;
    let two = authority.server("two", "DNS:two.example").await?;
    let (first, second) = (harness::free_port(), harness::free_port());
    let file = folder.path().join("gate.toml");
    let text = format!(
        "auth_secret = \"{}\"\nupstream = \"{}\"\nlisten = \"127.0.0.1:0\"\n{}{}",
        harness::mint::SECRET,
        echo.url(),
        listener(first, &one, ""),
        listener(second, &two, "tls_min_version = \"1.3\"\n"),
    );
    fs::write(&file, text)?;
    let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .without("LISTEN")
        .env("SESSIONGATE_CONFIG", file.display().to_string())
        .env("RELOAD_INTERVAL", "0")
        .start()
        .await?;
    let plain = gate.send(&crate::support::signed_in("/", "ada")).await?;
    assert_eq!(plain.status, 200, "without TLS");
    let cookie = cookie("ada");
    let url = format!("https://localhost:{first}/");
    let old = ["--tls-max", "1.2", "-H", &cookie, &url];
    assert_eq!(super::curl(&authority, &old).await?.status, 200);
    let (resolve, url) = super::resolved("two.example", ([127, 0, 0, 1], second).into());
    let words = ["--resolve", &resolve, "-H", &cookie, &url];
    assert_eq!(super::curl(&authority, &words).await?.status, 200);
    let old = [
        "--tls-max",
        "1.2",
        "--resolve",
        &resolve,
        "-H",
        &cookie,
        &url,
    ];
    assert!(super::curl(&authority, &old).await.is_err());
    let schemes = echo.seen();
    let schemes: Vec<_> = schemes
        .iter()
        .map(|seen| seen.headers.get("x-forwarded-proto"))
        .collect();
    assert_eq!(schemes, [Some("http"), Some("https"), Some("https")]);
    Ok(())
}

//! HTTP/2 with common programs: curl, nghttp, h2load.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::{Authority, Echo, Gate, GateCommand, Mint, run};
use tempfile::TempDir;

use crate::support::gate;

/// A gate with TLS and one without, in front of one upstream.
struct Site {
    echo: Echo,
    secure: Gate,
    plain: Gate,
    authority: Authority,
    _folder: TempDir,
}

impl Site {
    async fn start(more: impl Fn(GateCommand) -> GateCommand) -> Result<Self> {
        let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
        let authority = Authority::make(folder.path()).await?;
        let pair = authority.server("server", "DNS:localhost").await?;
        let secure = more(gate(&echo.url()))
            .env("TLS_CERT_FILE", pair.certificate.display().to_string())
            .env("TLS_KEY_FILE", pair.key.display().to_string());
        Ok(Self {
            secure: secure.start().await?,
            plain: more(gate(&echo.url())).start().await?,
            echo,
            authority,
            _folder: folder,
        })
    }

    /// Runs curl with these arguments; returns the version, status and body of each answer.
    async fn curl(&self, words: &[&str]) -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "30", "--cacert"])
            .arg(&self.authority.certificate)
            .args([
                "-w",
                "%{http_version} %{response_code}\n",
                "-o",
                "/dev/null",
            ])
            .args(words);
        run(curl, "curl").await
    }

    fn https(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.secure.proxy.port())
    }

    fn http(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.plain.proxy.port())
    }
}

#[tokio::test]
async fn curl_uses_http2_by_alpn_and_by_prior_knowledge() -> Result<()> {
    let site = Site::start(|gate| gate).await?;
    let session = Mint::user("ada").authjs();
    let signed_in = ["--cookie", &session];
    let (https, http) = (site.https("/a"), site.http("/a"));
    for (words, printed) in [
        (&["--http2", &https][..], "2 200\n"),
        (&["--http1.1", &https], "1.1 200\n"),
        (&["--http2-prior-knowledge", &http], "2 200\n"),
        // An upgrade, which the gate does not accept.
        (&["--http2", &http], "1.1 200\n"),
        (&["-I", "--http2", &https], "2 200\n"),
    ] {
        let answered = site.curl(&[&signed_in[..], words].concat()).await?;
        assert_eq!(answered, printed, "{words:?}");
    }
    let refused = site.curl(&["--http2", &https]).await?;
    assert_eq!(refused, "2 401\n");

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("upload");
    std::fs::write(&file, vec![b'u'; 3_000_000])?;
    let file = file.display().to_string();
    for words in [
        &["--http2", "-T", &file, &https][..],
        &["--http2-prior-knowledge", "-T", &file, &http],
        &["--http2", "-T", &file, "-H", "Expect: 100-continue", &https],
    ] {
        let answered = site.curl(&[&signed_in[..], words].concat()).await?;
        assert_eq!(answered, "2 200\n", "{words:?}");
        let seen = site.echo.seen().pop().context("it arrived")?;
        assert_eq!((seen.body.len(), seen.complete), (3_000_000, true));
    }
    Ok(())
}

#[tokio::test]
async fn a_gate_without_http2_negotiates_http_1_1() -> Result<()> {
    let site = Site::start(|gate| gate.env("HTTP2", "false").env("PUBLIC_PATHS", "/")).await?;
    let (https, http) = (site.https("/"), site.http("/"));
    assert_eq!(site.curl(&["--http2", &https]).await?, "1.1 200\n");
    let refused = site.curl(&["--http2-prior-knowledge", &http]).await;
    assert!(refused.is_err(), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn nghttp_and_h2load_get_every_answer() -> Result<()> {
    let site = Site::start(|gate| gate).await?;
    let session = format!("cookie: {}", Mint::user("ada").authjs());
    let (https, http) = (site.https("/big?bytes=200000"), site.http("/"));
    let mut nghttp = Command::new("nghttp");
    nghttp.args(["--no-verify-peer", "--null-out", "--stat", "-H", &session]);
    nghttp.args(["--multiply=20", &https]);
    let printed = run(nghttp, "nghttp2-client").await?;
    assert_eq!(printed.matches(" 200 195K ").count(), 20, "{printed}");
    for url in [&http, &site.https("/")] {
        let mut h2load = Command::new("h2load");
        h2load.args(["-n", "2000", "-c", "4", "-m", "25", "-H", &session, url]);
        let printed = run(h2load, "nghttp2-client").await?;
        ensure!(
            printed.contains("2000 done, 2000 succeeded, 0 failed, 0 errored"),
            "{printed}"
        );
        ensure!(printed.contains("2000 2xx"), "{printed}");
    }
    Ok(())
}

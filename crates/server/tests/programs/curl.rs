//! curl with rarely used options.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::{Echo, Gate, Nginx, Request, run};

use crate::support::{gate, zoe};

/// Runs curl with a session and these arguments; returns its output. A shell parses the arguments, because some use pipes.
async fn curl(words: &str, gate: &Gate) -> Result<String> {
    curl_as(&format!("-b 'SESSION' {words}"), &zoe(), gate).await
}

/// Runs curl with these arguments, in which `URL` is replaced by the gate's and `SESSION` by `session`; returns its output.
async fn curl_as(words: &str, session: &str, gate: &Gate) -> Result<String> {
    let line = words.replace("URL", &format!("http://{}", gate.proxy));
    // In the opposite order, `URL` would be replaced within some sessions too.
    let line = line.replace("SESSION", session);
    let mut shell = Command::new("sh");
    shell.args(["-ec", &format!("curl -sS --max-time 30 {line}")]);
    run(shell, "curl").await.with_context(|| words.to_owned())
}

#[tokio::test]
async fn uploads_are_complete_for_every_way_curl_sends_them() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(echo.address()).start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("upload");
    let sent = (0_u32..250_000)
        .flat_map(u32::to_le_bytes)
        .collect::<Vec<_>>();
    std::fs::write(&file, &sent)?;
    let file = file.display();
    for words in [
        format!("-T {file} URL"),
        format!("-T - URL < {file}"),
        // Piece by piece, as curl reads them.
        format!("-T . URL < {file}"),
        format!("--http1.0 -T {file} URL"),
        format!("-X POST -H 'Transfer-Encoding: chunked' --data-binary @{file} URL"),
        format!("-H 'Expect: 100-continue' --expect100-timeout 0.1 -T {file} URL"),
        format!("-H 'Expect: 100-continue' --expect100-timeout 20 -T {file} URL"),
        format!("-H 'Expect:' --data-binary @{file} URL"),
        format!("--http2 -T {file} URL"),
        format!("--http2 -T - URL < {file}"),
        format!("--http2-prior-knowledge -T - URL < {file}"),
        format!("--http2-prior-knowledge -H 'Expect: 100-continue' -T {file} URL"),
    ] {
        let printed = curl(&format!("{STATUS} {words}"), &gate).await?;
        assert_eq!(printed, "200", "{words}");
        let seen = echo.seen().pop().context("it arrived")?;
        ensure!(
            seen.complete && seen.body == sent,
            "{words}: {} bytes",
            seen.body.len()
        );
        assert_eq!(seen.headers.get("x-user-id"), Some("zoe"), "{words}");
    }
    Ok(())
}

#[tokio::test]
async fn downloads_are_identical_for_every_way_curl_requests_them() -> Result<()> {
    let nginx = Nginx::start(
        "gzip on; gzip_proxied any; gzip_min_length 100; gzip_types text/plain; default_type text/plain;
         location / { root .; }",
    )
    .await?;
    let text = "All that is sent comes back.\n".repeat(20_000);
    std::fs::write(nginx.folder().join("text"), &text)?;
    let gate = gate(nginx.address()).start().await?;
    for words in [
        "",
        "--http1.0",
        "--compressed",
        "--http1.0 --compressed",
        "--http2",
        "--http2-prior-knowledge",
        "--http2-prior-knowledge --compressed",
        "--raw",
        "--limit-rate 2M",
        "--http1.0 -H 'Connection: keep-alive'",
        "--http0.9",
    ] {
        let printed = curl(&format!("{words} URL/text"), &gate).await?;
        ensure!(printed == text, "{words}: {} bytes", printed.len());
    }
    for (words, printed) in [
        ("--range 4-11", "that is "),
        ("--http2-prior-knowledge --range 4-11", "that is "),
        ("--range -6", "back.\n"),
        ("-H 'If-None-Match: *' -w '%{response_code}'", "304"),
        (
            "--request-target '*' -X OPTIONS -o /dev/null -w '%{response_code}'",
            "204",
        ),
        ("-I -o /dev/null -w '%{response_code}'", "200"),
        ("--range 600000- -o /dev/null -w '%{response_code}'", "416"),
    ] {
        assert_eq!(
            curl(&format!("{words} URL/text"), &gate).await?,
            printed,
            "{words}"
        );
    }
    // Two downloads of one file, in order, over one connection.
    let both = curl("URL/text URL/text", &gate).await?;
    ensure!(both == text.repeat(2), "{} bytes", both.len());
    pipelined(&gate, &text).await
}

/// Sends several requests at once: curl no longer supports pipelining.
async fn pipelined(gate: &Gate, text: &str) -> Result<()> {
    let mut client = gate.connect().await?;
    let requests = [
        Request::get("/text"),
        Request::new("HEAD", "/text"),
        Request::get("/missing"),
        Request::get("/text").header("Range", "bytes=4-11"),
    ];
    let mut bytes = Vec::new();
    for request in requests {
        bytes.extend(request.cookie(zoe()).bytes(gate.proxy));
    }
    client.raw(&bytes).await?;
    ensure!(client.response().await?.text() == text, "the first answer");
    assert_eq!(client.head().await?.status, 200);
    assert_eq!(client.response().await?.status, 404);
    assert_eq!(client.response().await?.text(), "that is ");
    Ok(())
}

#[tokio::test]
async fn many_cookies_and_headers_are_accepted_up_to_the_limit() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(echo.address()).start().await?;
    let folder = tempfile::tempdir()?;
    let fields = folder.path().join("fields");
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        // curl itself adds three or four fields, and the cookies are one more.
        for (count, status) in [(250, "200"), (257, "431")] {
            let lines = (0..count).map(|number| format!("X-Field-{number}: {number}\n"));
            std::fs::write(&fields, lines.collect::<String>())?;
            let words = format!("{version} {STATUS} -H @{} URL", fields.display());
            assert_eq!(curl(&words, &gate).await?, status, "{version}: {count}");
        }
        let seen = echo.seen().pop().context("it arrived")?;
        assert_eq!(seen.headers.get("x-field-249"), Some("249"));

        // The session is the last of many cookies. curl drops cookies of `-b` that are longer than 8 KiB in all.
        let cookies = (0..300).map(|number| format!("name-{number}=value-{number}; "));
        let cookies = cookies.collect::<String>();
        let words = format!("{version} {STATUS} -H 'Cookie: {cookies}SESSION' URL");
        let printed = curl_as(&words, &zoe(), &gate).await?;
        assert_eq!(printed, "200", "{version}");
        let seen = echo.seen().pop().context("it arrived")?;
        let arrived = seen.headers.get("cookie").context("cookies")?;
        ensure!(arrived.contains("name-299=value-299"), "{arrived}");
    }
    Ok(())
}

/// The options with which curl prints only the status.
const STATUS: &str = "-o /dev/null -w '%{response_code}'";

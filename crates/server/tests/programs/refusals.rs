//! Clients that are refused while they send a large body, and read the answer at once or later.

use std::process::Command;

use anyhow::Result;
use harness::{Echo, run};

use crate::support::gate;

#[tokio::test]
async fn a_client_that_sends_its_whole_body_first_still_reads_the_refusal() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(echo.address()).start().await?;
    // `http.client` reads no answer before it has sent the whole body, and a reset of the connection would discard the answer.
    let script = "
import http.client, sys
for framing in ({}, {'Transfer-Encoding': 'chunked'}):
    connection = http.client.HTTPConnection(sys.argv[1], timeout=25)
    body = (bytes(1 << 20) for _ in range(30)) if framing else bytes(30 << 20)
    connection.request('POST', '/', body, framing, encode_chunked=bool(framing))
    answer = connection.getresponse()
    print(answer.status, b'unauthorized' in answer.read())
";
    let mut python = Command::new("python3");
    python.args(["-c", script, &gate.proxy.to_string()]);
    let printed = run(python, "python3").await?;
    assert_eq!(printed, "401 True\n".repeat(2));
    assert_eq!(echo.seen().len(), 0);
    Ok(())
}

#[tokio::test]
async fn an_http2_client_reads_its_refusal_while_it_sends() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(echo.address()).start().await?;
    let folder = tempfile::tempdir()?;
    for length in [1_000, 100_000, 20_000_000] {
        let file = folder.path().join("upload");
        std::fs::write(&file, vec![0; length])?;
        for _ in 0..3 {
            let mut curl = Command::new("curl");
            curl.args(["-sS", "--max-time", "30", "--http2-prior-knowledge"]);
            curl.args(["-o", "/dev/null", "-w", "%{http_code}", "--data-binary"]);
            curl.arg(format!("@{}", file.display()));
            curl.arg(format!("http://{}", gate.proxy));
            assert_eq!(run(curl, "curl").await?, "401", "{length} bytes");
        }
    }
    assert_eq!(echo.seen().len(), 0);
    Ok(())
}

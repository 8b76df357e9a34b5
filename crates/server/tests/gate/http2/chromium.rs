//! A browser that opens a page over HTTP/2: a WebSocket, events, a streamed upload, and fifty concurrent requests.

use anyhow::Result;
use harness::{Authority, program};
use serde_json::json;

use crate::support::gate;

#[tokio::test]
async fn a_browser_uses_one_http2_connection() -> Result<()> {
    let service = program("python3-uvicorn", |_, port| {
        let folder = harness::repository().join("crates/server/tests/gate/http2");
        let uvicorn = "/usr/bin/python3 -m uvicorn --no-access-log --app-dir";
        Ok(format!(
            "{uvicorn} {} --port {port} page_service:app",
            folder.display()
        ))
    })
    .await?;
    let folder = tempfile::tempdir()?;
    let authority = Authority::make(folder.path()).await?;
    let pair = authority.server("server", "DNS:localhost").await?;
    let gate = gate(&format!("http://{}", service.address()))
        .env("PUBLIC_PATHS", "/")
        .env("TLS_CERT_FILE", pair.certificate.display().to_string())
        .env("TLS_KEY_FILE", pair.key.display().to_string())
        .start()
        .await?;
    // With remote debugging, a headless Chromium stays open until the test ends.
    let url = format!("https://localhost:{}/", gate.proxy.port());
    let _chromium = program("chromium", |folder, port| {
        Ok(format!(
            "chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
             --disable-background-networking --disable-component-update --ignore-certificate-errors \
             --remote-debugging-port={port} --user-data-dir={}/profile {url}",
            folder.display()
        ))
    })
    .await?;
    let found = harness::poll("the results of the page", async || {
        let printed = service.transcript();
        let (_, found) = printed.split_once("FOUND ")?;
        let (found, _) = found.split_once('\n')?;
        serde_json::from_str::<serde_json::Value>(found).ok()
    })
    .await?;
    let wanted = json!({
        "page": "h2",
        "socket": "hello by 2.0 sessiongate",
        "events": "0,1,2",
        "upload": "one two three by 2.0 sessiongate",
        "many": true,
    });
    assert_eq!(found, wanted);
    Ok(())
}

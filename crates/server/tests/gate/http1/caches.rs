//! Answers for a single user must not stay in shared caches; and the fields that name the gate as an intermediary.

use anyhow::Result;
use harness::{Gate, Mint, Request};

use crate::exchanges::{Served, Upstream, post};
use crate::support::signed_in;

async fn answers(served: &mut Served, fields: &str) -> Result<()> {
    served.head().await?;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{fields}\r\n");
    served.send(&head).await
}

#[tokio::test]
async fn protected_answers_are_not_for_shared_caches() -> Result<()> {
    let (upstream, gate) = Upstream::start_with([("PUBLIC_PATHS", "/open")]).await?;
    let mut client = gate.connect().await?;
    let mut served: Option<Served> = None;
    for (path, fields, cache_control, vary) in [
        (
            "/",
            "Cache-Control: public, max-age=60\r\nCache-Control: s-maxage=9, immutable\r\n",
            Some("private, max-age=60, immutable"),
            &["Cookie"][..],
        ),
        (
            "/",
            "cache-control: Public\r\nVary: Accept, cookie\r\n",
            Some("private"),
            &["Accept, cookie"],
        ),
        (
            "/",
            "Cache-Control: max-age=60\r\n",
            Some("private, max-age=60"),
            &["Cookie"],
        ),
        (
            "/",
            "Cache-Control: private=\"set-cookie\", max-age=60\r\n",
            Some("private, max-age=60"),
            &["Cookie"],
        ),
        (
            "/",
            "Expires: Tue, 01 Jan 2037 00:00:00 GMT\r\n",
            Some("private"),
            &["Cookie"],
        ),
        (
            "/",
            "Cache-Control: no-cache\r\nCDN-Cache-Control: public\r\n",
            Some("private, no-cache"),
            &["Cookie"],
        ),
        (
            "/",
            "Cache-Control: no-store\r\nExpires: 0\r\n",
            Some("no-store"),
            &[],
        ),
        ("/", "", None, &[]),
        (
            "/open",
            "Cache-Control: public, max-age=60\r\n",
            Some("public, max-age=60"),
            &[],
        ),
    ] {
        client
            .raw(&signed_in(path, "ada").bytes(gate.proxy))
            .await?;
        let served = match &mut served {
            Some(served) => served,
            none => none.insert(upstream.accept().await?),
        };
        answers(served, fields).await?;
        let answer = client.response().await?;
        assert_eq!(
            answer.header("cache-control"),
            cache_control,
            "{path} {fields}"
        );
        assert_eq!(answer.headers.all("vary"), vary, "{path} {fields}");
        assert_eq!(answer.header("cdn-cache-control"), None);
    }
    Ok(())
}

#[tokio::test]
async fn a_route_can_allow_shared_caches() -> Result<()> {
    let (upstream, _gate) = Upstream::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gate.toml");
    let address = upstream.0.local_addr()?;
    let secret = harness::mint::SECRET;
    std::fs::write(
        &file,
        format!(
            "auth_secret = \"{secret}\"\nupstream = \"http://{address}\"\n\
             [[route]]\npath = \"/pictures/\"\nshared_cache = true\n[[route]]\npath = \"/\"\n"
        ),
    )?;
    let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .env("SESSIONGATE_CONFIG", file.display().to_string())
        .start()
        .await?;
    for (path, cache_control) in [("/pictures/1", "public"), ("/other", "private")] {
        let (mut client, mut served) = upstream
            .begin_exchange(&gate, &signed_in(path, "ada"))
            .await?;
        served
            .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\nCache-Control: public\r\n\r\n")
            .await?;
        let answer = client.response().await?;
        assert_eq!(
            answer.header("cache-control"),
            Some(cache_control),
            "{path}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn requests_to_a_service_have_a_via_header() -> Result<()> {
    let (upstream, gate) = Upstream::start().await?;
    let cookie = Mint::user("ada").authjs();
    let old = format!("GET / HTTP/1.0\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
    let before = Request::get("/").cookie(&cookie).header("Via", "1.1 edge");
    for (request, via) in [
        (
            post("Content-Length: 0\r\n").into_bytes(),
            "via: 1.1 sessiongate\r\n",
        ),
        (old.into_bytes(), "via: 1.0 sessiongate\r\n"),
        (
            before.bytes(gate.proxy),
            "via: 1.1 edge\r\n.*via: 1.1 sessiongate\r\n",
        ),
    ] {
        let mut client = gate.connect().await?;
        client.raw(&request).await?;
        let mut served = upstream.accept().await?;
        let seen = served.head().await?;
        for line in via.split(".*") {
            assert!(seen.contains(line), "{line}: {seen}");
        }
        served
            .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            .await?;
        client.response().await?;
    }
    let (upstream, gate) = Upstream::start_with([("VIA", "false")]).await?;
    let mut client = gate.connect().await?;
    client.raw(&signed_in("/", "ada").bytes(gate.proxy)).await?;
    let seen = upstream.accept().await?.head().await?;
    assert!(!seen.contains("\r\nvia:"), "{seen}");
    Ok(())
}

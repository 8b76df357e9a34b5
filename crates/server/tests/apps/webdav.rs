//! WebDAV with Apache's `mod_dav`.

use std::process::Command;

use anyhow::{Context, Result};
use harness::page::replace_literal;
use harness::{Apache, Gate, Request, run};

use crate::support::{Front, Visitor, text_of};

/// litmus, the test suite for WebDAV servers, passes through the gate. It sends no cookies, so all paths are public and
/// Apache requires no user.
#[tokio::test]
async fn every_litmus_case_passes_through_the_gate() -> Result<()> {
    let apache = apache(|text| {
        let text = replace_literal(&text, "ServerName https:", "ServerName http:")?;
        replace_literal(
            &text,
            "Require expr -n req('X-User-Id')",
            "Require all granted",
        )
    })
    .await?;
    let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .env("UPSTREAM", format!("http://{}", apache.address()))
        .env("AUTH_SECRET", harness::mint::SECRET)
        .env("PUBLIC_PATHS", "/")
        .start()
        .await?;
    let folder = tempfile::tempdir()?;
    let mut litmus = Command::new("litmus");
    litmus
        .arg(format!("http://{}/", gate.proxy))
        .current_dir(folder.path());
    let printed = run(litmus, "litmus").await?;
    let suites = printed
        .lines()
        .filter(|line| line.starts_with("<- summary"));
    assert_eq!(suites.count(), 5, "{printed}");
    assert_eq!(printed.matches(" 0 failed").count(), 5, "{printed}");
    Ok(())
}

#[tokio::test]
async fn copy_move_and_lock_work_with_the_public_address() -> Result<()> {
    let apache = apache(Ok).await?;
    let front = Front::start(PAGE, apache.address()).await?;
    let mut stranger = front.stranger();
    assert_eq!(stranger.send(propfind("/")).await?.status, 401);
    let mut zoe = front.zoe("reader");
    let at = |path: &str| format!("https://{}{path}", front.host);
    for (request, status) in [
        (Request::new("MKCOL", "/notes/"), 201),
        (Request::new("PUT", "/notes/a").body("first"), 201),
        (to(&at("/notes/b"), Request::new("COPY", "/notes/a")), 201),
        (to(&at("/c%20d"), Request::new("MOVE", "/notes/b")), 201),
        (propfind("/notes/"), 207),
        (Request::get("/notes/b"), 404),
        (Request::get("/c%20d"), 200),
        (Request::new("DELETE", "/c%20d"), 204),
        // Apache compares the scheme with that of its `ServerName`, which is why the page sets it.
        (
            to(
                "http://files.example.com/e",
                Request::new("COPY", "/notes/a"),
            ),
            502,
        ),
    ] {
        let answer = zoe.send(request.clone()).await?;
        assert_eq!(answer.status, status, "{request:?}: {}", answer.text());
    }
    locks(&mut zoe).await
}

/// Verifies that only the client that holds the lock changes a locked file.
async fn locks(zoe: &mut Visitor) -> Result<()> {
    let answer = zoe
        .send(Request::new("LOCK", "/notes/a").body(LOCK))
        .await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = answer.header("lock-token").context("a token")?.to_owned();
    let write = || Request::new("PUT", "/notes/a").body("second");
    assert_eq!(zoe.send(write()).await?.status, 423);
    let with_lock = write().header("If", format!("({token})"));
    assert_eq!(zoe.send(with_lock).await?.status, 204);
    let unlock = Request::new("UNLOCK", "/notes/a").header("Lock-Token", &token);
    assert_eq!(zoe.send(unlock).await?.status, 204);
    assert_eq!(zoe.send(write()).await?.status, 204);
    Ok(())
}

fn propfind(target: &str) -> Request {
    Request::new("PROPFIND", target).header("Depth", "1")
}

fn to(destination: &str, request: Request) -> Request {
    request
        .header("Destination", destination)
        .header("Overwrite", "F")
}

/// Starts Apache with the configuration of the page, changed by `change`.
async fn apache(change: impl Fn(String) -> Result<String>) -> Result<Apache> {
    Apache::start(|folder| {
        let files = folder.join("files");
        std::fs::create_dir(&files)?;
        let text = replace_literal(&text_of(PAGE, "apache", 0)?, "Listen 127.0.0.1:3000\n", "")?;
        let text = replace_literal(&text, "/srv/files", &files.to_string_lossy())?;
        let locks = folder.join("locks");
        let text = replace_literal(&text, "/var/lock/apache2/DavLock", &locks.to_string_lossy())?;
        change(text)
    })
    .await
}

const LOCK: &str = r#"<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>"#;
const PAGE: &str = "webdav.md";

//! `sessiongate demo`: everything in one process, as a visitor goes through it.

use anyhow::{Context, Result};
use harness::{Client, Gate, Request, Response};

/// The visitor's browser: follows nothing by itself, keeps the cookie.
struct Browser {
    client: Client,
    cookie: String,
}

impl Browser {
    async fn get(&mut self, target: &str) -> Result<Response> {
        self.send(Request::get(target)).await
    }

    async fn post(&mut self, target: &str, form: &str) -> Result<Response> {
        let form =
            Request::post(target, form).header("Content-Type", "application/x-www-form-urlencoded");
        self.send(form).await
    }

    async fn send(&mut self, request: Request) -> Result<Response> {
        let answer = self
            .client
            .send(&request.navigating().cookie(&self.cookie))
            .await?;
        if let Some(set) = answer.header("set-cookie") {
            self.cookie = set.split(';').next().unwrap_or_default().to_owned();
        }
        Ok(answer)
    }
}

#[tokio::test]
async fn a_visitor_signs_in_is_recognised_is_deleted_and_is_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let command = Gate::command(env!("CARGO_BIN_EXE_sessiongate")).args(["demo"]);
    let mut gate = command
        .env("TMPDIR", folder.path().display().to_string())
        .start()
        .await?;
    let mut browser = Browser {
        client: gate.connect().await?,
        cookie: "theme=dark".to_owned(),
    };

    let stranger = browser.get("/").await?;
    assert_eq!(stranger.status, 302);
    let sign_in = stranger
        .header("location")
        .context("a way to sign in")?
        .to_owned();
    assert_eq!(sign_in, "/signin?callbackUrl=%2F");
    let page = browser.get(&sign_in).await?;
    assert_eq!(page.status, 200);
    for name in ["Ada Lovelace", "Kofi Mensah", "Zoë Müller"] {
        assert!(page.text().contains(name), "{name} can be chosen");
    }

    let entered = browser.post("/signin", "user=zoe&callbackUrl=%2F").await?;
    assert_eq!(
        (entered.status, entered.header("location")),
        (303, Some("/"))
    );
    assert!(
        browser.cookie.starts_with("authjs.session-token="),
        "{}",
        browser.cookie
    );
    let home = browser.get("/").await?;
    assert_eq!(home.status, 200);
    for shown in [
        "Hello, Zoë Müller",
        "X-User-Id",
        "zoe",
        "zoe@example.com",
        "Zo%C3%AB%20M%C3%BCller",
    ] {
        assert!(
            home.text().contains(shown),
            "{shown} is missing from:\n{}",
            home.text()
        );
    }
    let forged = browser
        .send(
            Request::get("/")
                .header("X-User-Id", "root")
                .header("X_User_Id", "root"),
        )
        .await?;
    assert!(!forged.text().contains(">root<"), "{}", forged.text());

    assert_eq!(browser.post("/delete", "").await?.status, 303);
    let refused = browser.get("/").await?;
    assert_eq!(refused.status, 403, "on the very next request");
    assert_eq!(browser.get("/deleted").await?.status, 200);

    assert_eq!(browser.post("/restore", "").await?.status, 303);
    assert_eq!(
        browser.get("/").await?.status,
        200,
        "the session was good all along"
    );
    browser.post("/signout", "").await?;
    assert_eq!(browser.get("/").await?.status, 302);

    gate.signal("INT")?;
    assert_eq!(gate.wait().await?.code(), Some(0));
    assert_eq!(
        std::fs::read_dir(folder.path())?.count(),
        0,
        "everything lived in memory"
    );
    Ok(())
}

#[tokio::test]
async fn the_printed_curl_line_works() -> Result<()> {
    let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .args(["demo"])
        .start()
        .await?;
    let stdout = gate.stdout();
    let cookie = stdout.wait_for(|line| {
        let (_, rest) = line.split_once("curl -b '")?;
        Some(rest.split('\'').next()?.to_owned())
    });
    let request = Request::get("/")
        .cookie(cookie.await?)
        .header("Accept", "*/*");
    let answer = gate.send(&request).await?;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("Ada Lovelace"), "{}", answer.text());
    gate.stdout()
        .wait_for(|line| {
            line.contains(&format!("http://{}", gate.proxy))
                .then_some(())
        })
        .await
}

#[tokio::test]
async fn settings_meant_for_another_gate_do_not_change_the_demo() -> Result<()> {
    let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .args(["demo"])
        .env("UPSTREAM", "not a url")
        .env("AUTH_SECRET", "short")
        .env("PUBLIC_PATHS", "/")
        .env("DATABASE_URL", "postgres://nowhere/")
        .start()
        .await?;
    assert_eq!(gate.send(&Request::get("/")).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn the_pages_need_nothing_from_elsewhere() -> Result<()> {
    let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .args(["demo"])
        .start()
        .await?;
    let page = gate.send(&Request::get("/signin").navigating()).await?;
    let text = page.text();
    for outside in ["href=\"http", "src=", "url(", "@import"] {
        assert!(!text.contains(outside), "{outside} is in:\n{text}");
    }
    assert!(text.contains("prefers-color-scheme"), "light and dark");
    Ok(())
}

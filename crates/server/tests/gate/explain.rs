//! Explanations of a running gate: why it refuses requests.

mod agreement;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use harness::{Client, Echo, Gate, GateCommand, Mint, Request, Response};
use serde_json::{Value, json};

use crate::support::{gate, sqlite, started};

const ROUTES: &str = r#"
[[route]]
name = "site"
path = "/"

[[route]]
name = "admin"
path = "/admin/"
require = { claim = "role", contains = "admin" }
"#;

fn written(folder: &Path, text: &str) -> Result<PathBuf> {
    let file = folder.join("gate.toml");
    std::fs::write(&file, text)?;
    Ok(file)
}

fn with_file(upstream: &str, file: &Path) -> GateCommand {
    gate(upstream).env("SESSIONGATE_CONFIG", file.display().to_string())
}

async fn with_routes() -> Result<(Echo, Gate)> {
    let (folder, echo) = (tempfile::tempdir()?, Echo::start().await?);
    let file = written(folder.path(), ROUTES)?;
    let gate = with_file(&echo.url(), &file).start().await?;
    Ok((echo, gate))
}

/// Requests plain text from the admin listener.
async fn words(gate: &Gate, target: &str) -> Result<Response> {
    let request = Request::get(target).header("Accept", "text/plain");
    Client::connect(gate.admin).await?.send(&request).await
}

fn id(answer: &Response) -> Result<String> {
    Ok(answer.header("x-request-id").context("an id")?.to_owned())
}

#[tokio::test]
async fn a_url_is_explained_as_without_a_session() -> Result<()> {
    let (echo, gate) = with_routes().await?;
    let target = "/explain?method=POST&url=https%3A%2F%2Fapp.example.com%2Fadmin%2Fx%3Fa%3Db";
    let answer = gate.admin(target).await?;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let explained = answer.json()?;
    assert_eq!(explained["request"]["method"], "POST");
    assert_eq!(explained["request"]["path"], "/admin/x");
    assert_eq!(explained["route"]["name"], "admin");
    assert_eq!(explained["answer"]["reason"], "no_credential");
    assert_eq!(
        explained["demands"][1]["condition"],
        "role containing admin"
    );
    assert_eq!(explained["demands"][1]["verdict"], Value::Null);

    let answer = words(&gate, "/explain?url=/%2561dmin/x").await?;
    let said = answer.text();
    assert!(
        said.starts_with("GET /%61dmin/x from 127.0.0.1\n"),
        "{said}"
    );
    assert!(said.contains("read as /admin/x"), "{said}");
    assert!(echo.seen().is_empty(), "nothing was sent");
    Ok(())
}

#[tokio::test]
async fn cookies_are_not_taken_over_the_admin_listener() -> Result<()> {
    let (_echo, gate) = with_routes().await?;
    let cookie = Mint::user("ada").claim("role", json!(["admin"])).authjs();
    let request = Request::get("/explain?url=/admin/x").cookie(cookie);
    let answer = Client::connect(gate.admin).await?.send(&request).await?;
    assert_eq!(answer.json()?["answer"]["reason"], "no_credential");
    Ok(())
}

#[tokio::test]
async fn a_question_that_is_none_is_answered_with_how_to_ask() -> Result<()> {
    let (_echo, gate) = started([]).await?;
    for (target, status) in [
        ("/explain", 400),
        ("/explain?url=/x&request_id=y", 400),
        ("/explain?url=app.example.com", 400),
        ("/explain?url=/x&method=%20", 400),
        ("/explain?request_id=none-of-them", 404),
    ] {
        assert_eq!(gate.admin(target).await?.status, status, "{target}");
    }
    for (query, problem) in [
        ("path=/x", "there is no parameter `path`"),
        ("url=/x&cookie=a", "there is no parameter `cookie`"),
        ("url=/x&client", "there is no parameter `client`"),
        ("url=/x&%0a", "there is no parameter `\\n`"),
        ("method=GET", "`url` is missing"),
        ("url=/x&url=/y", "`url` stands there twice"),
        ("request_id=y&method=GET", "`request_id` stands alone"),
        (
            "url=/x&method=get",
            "`method`: methods are case-sensitive, and `get` is not `GET`; did you mean `GET`?",
        ),
        (
            "url=/x&header=a",
            "`header`: give a header as `Name: value`",
        ),
        (
            "url=/x&header=A:b%0aC:d",
            "`header`: give a header as one line",
        ),
    ] {
        let answer = gate.admin(&format!("/explain?{query}")).await?;
        let said = answer.text();
        assert_eq!(answer.status, 400, "{query}");
        assert!(said.starts_with(problem), "{said}");
        assert!(said.contains("\nask with ?method=GET&url="), "{said}");
    }
    let post = Request::post("/explain?url=/x", "");
    let answer = Client::connect(gate.admin).await?.send(&post).await?;
    assert_eq!(answer.status, 405);
    Ok(())
}

#[tokio::test]
async fn headers_are_taken_unless_they_say_who_somebody_is() -> Result<()> {
    let (folder, echo) = (tempfile::tempdir()?, Echo::start().await?);
    let file = written(folder.path(), ROUTES)?;
    let gate = with_file(&echo.url(), &file).env("SIGN_IN_URL", "https://signin.example/");
    let gate = gate
        .env("ALLOW_BYPASS", "true")
        .env("BYPASS_HEADER", "X-Way-In")
        .env(
            "DEV_BYPASS_VALUE",
            "a-value-of-the-bypass-that-nobody-guesses",
        )
        .start()
        .await?;
    let said = words(&gate, "/explain?url=http://a.example/x")
        .await?
        .text();
    assert!(said.contains("refused with 401"), "{said}");
    assert!(
        said.contains("add &header=Sec-Fetch-Mode:%20navigate"),
        "{said}"
    );
    assert!(!said.contains("--header"), "{said}");
    let browser = "header=Sec-Fetch-Mode:%20navigate&header=Accept:%20text/html";
    let target = format!("/explain?url=http://a.example/x&{browser}");
    let said = words(&gate, &target).await?.text();
    assert!(said.contains("refused with 302"), "{said}");

    for name in [
        "Cookie",
        "cookie",
        "Authorization",
        "Proxy-Authorization",
        "X-Way-In",
    ] {
        let answer = gate
            .admin(&format!("/explain?url=/x&header={name}:%20a"))
            .await?;
        let said = answer.text();
        assert_eq!(answer.status, 400, "{said}");
        assert!(said.contains("would end in logs"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn what_the_gate_cannot_read_is_explained_as_that() -> Result<()> {
    let (_echo, gate) = with_routes().await?;
    for (url, reason) in [
        ("/x%23y", "malformed_request"),
        ("/x%20y", "malformed_request"),
        ("/%C3%A4%7F", "malformed_request"),
        ("http://a,b/x", "bad_host"),
        ("http://a../x", "bad_host"),
    ] {
        let answer = gate.admin(&format!("/explain?url={url}")).await?;
        let explained = &answer.json()?["answer"];
        assert_eq!(explained["reason"], reason, "{url}");
        assert_eq!(explained["status"], 400, "{url}");
        assert_eq!(explained["enters"], false, "{url}");
    }
    let two_lines = gate.admin("/explain?url=/x%0AHost:a").await?;
    assert_eq!(two_lines.status, 400);
    Ok(())
}

#[tokio::test]
async fn explanations_need_the_token_of_the_admin_listener() -> Result<()> {
    let token = "admin-token-of-at-least-32-characters";
    let gate = gate("http://127.0.0.1:9").env("ADMIN_TOKEN", token);
    let gate = gate.start().await?;
    assert_eq!(gate.admin("/explain?url=/").await?.status, 401);
    let right = Request::get("/explain?url=/").header("Authorization", format!("Bearer {token}"));
    let answer = Client::connect(gate.admin).await?.send(&right).await?;
    assert_eq!(answer.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_explained_by_its_request_id() -> Result<()> {
    let (_echo, gate) = with_routes().await?;
    let cookie = Mint::user("ada").claim("role", json!(["member"])).authjs();
    let request = Request::get("/admin/x?token=in-the-query").cookie(cookie.clone());
    let refused = gate.send(&request).await?;
    assert_eq!(refused.status, 403);
    let id = id(&refused)?;
    let answer = gate.admin(&format!("/explain?request_id={id}")).await?;
    let found = answer.json()?;
    for (name, value) in [
        ("request_id", json!(id)),
        ("method", json!("GET")),
        ("path", json!("/admin/x")),
        ("route", json!("admin")),
        ("reason", json!("rule_denied")),
        ("user_id", json!("ada")),
        ("lacking", json!(["role containing admin"])),
    ] {
        assert_eq!(found[name], value, "{name} in {found}");
    }
    let said = words(&gate, &format!("/explain?request_id={id}"))
        .await?
        .text();
    assert!(
        said.contains("\nLacking   role containing admin\n"),
        "{said}"
    );
    for text in [answer.text(), said] {
        assert!(
            !text.contains("in-the-query") && !text.contains("member"),
            "{text}"
        );
        let token = cookie.rsplit('=').next().context("a value")?;
        assert!(!text.contains(token), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn whoever_enters_is_not_remembered_and_whoever_is_unknown_is() -> Result<()> {
    let (_echo, gate) = with_routes().await?;
    let entered = gate
        .send(&Request::get("/").cookie(Mint::user("ada").authjs()))
        .await?;
    assert_eq!(entered.status, 200);
    let of = async |answer: &Response| {
        let target = format!("/explain?request_id={}", id(answer)?);
        gate.admin(&target).await
    };
    assert_eq!(of(&entered).await?.status, 404);
    for (request, reason) in [
        (Request::get("/"), "no_credential"),
        (Request::get("/x/..%2fadmin/"), "ambiguous_path"),
        (Request::new("TRACE", "/"), "method_not_allowed"),
    ] {
        let refused = gate.send(&request).await?;
        let found = of(&refused).await?.json()?;
        assert_eq!(found["reason"], reason);
        assert_eq!(found["user_id"], Value::Null, "{reason}");
    }
    Ok(())
}

#[tokio::test]
async fn refusals_for_calling_proxies_are_explained_too() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = written(folder.path(), ROUTES)?;
    let gate = with_file("http://127.0.0.1:9", &file).env("AUTH_LISTEN", "127.0.0.1:0");
    let gate = gate.start().await?;
    let question = Request::get("/auth")
        .header("X-Forwarded-Method", "GET")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "app.example.com")
        .header("X-Forwarded-Uri", "/admin/x")
        .cookie(Mint::user("eve").authjs());
    let decisions = gate.decisions_port()?;
    let refused = Client::connect(decisions).await?.send(&question).await?;
    assert_eq!(refused.status, 403);
    let target = format!("/explain?request_id={}", id(&refused)?);
    let found = gate.admin(&target).await?.json()?;
    assert_eq!(found["host"], "app.example.com");
    assert_eq!(found["lacking"], json!(["role containing admin"]));
    Ok(())
}

#[tokio::test]
async fn users_are_looked_up_unless_no_store_is_to_be_asked() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("users.db");
    sqlite(
        &database,
        "CREATE TABLE users (id TEXT, role TEXT); INSERT INTO users VALUES ('bob', 'admin')",
    )
    .await?;
    let file = written(folder.path(), ROUTES)?;
    let cookies = folder.path().join("cookies.txt");
    std::fs::write(&cookies, Mint::user("ada").authjs())?;
    let cookies = cookies.display().to_string();
    let explain = async |more: &[&str]| -> Result<(Option<i32>, Value)> {
        let words = ["explain", "--json", "--cookie-file", &cookies, "GET", "/"];
        let finished = with_file("http://127.0.0.1:9", &file)
            .env("ENABLE_DB_CHECK", "true")
            .env("DATABASE_URL", format!("sqlite://{}", database.display()))
            .args(words.into_iter().chain(more.iter().copied()))
            .run()
            .await?;
        let json = serde_json::from_str(&finished.stdout);
        let json = json.with_context(|| finished.stderr.clone())?;
        Ok((finished.status.code(), json))
    };
    let (code, asked) = explain(&[]).await?;
    assert_eq!(code, Some(1));
    assert_eq!(asked["answer"]["reason"], "user_missing", "{asked}");
    assert_eq!(asked["session"]["user_id"], "ada");
    assert_eq!(asked["notes"], json!([]));
    let (code, skipped) = explain(&["--no-stores"]).await?;
    assert_eq!(code, Some(0), "{skipped}");
    let note = skipped["notes"][0].as_str().context("a note")?;
    assert!(note.contains("--no-stores"), "{note}");
    std::fs::write(
        &file,
        "[[route]]\npath = \"/\"\nrequire = { column = \"role\", equals = \"admin\" }",
    )?;
    let (code, skipped) = explain(&["--no-stores"]).await?;
    assert_eq!(code, Some(1), "{skipped}");
    let demand = &skipped["demands"][1];
    assert_eq!(demand["verdict"], Value::Null, "{skipped}");
    assert_eq!(demand["seen"], "the stores were not contacted");
    assert_eq!(skipped["answer"]["reason"], "not_judged", "{skipped}");
    assert_eq!(skipped["answer"]["status"], Value::Null, "{skipped}");
    let message = skipped["answer"]["message"].as_str().context("a text")?;
    assert!(
        message.contains("cannot be checked without the stores (--no-stores)"),
        "{message}"
    );
    assert!(message.ends_with(": role admin"), "{message}");
    // Conditions that need no store are still evaluated.
    for (condition, reason) in [
        (
            "{ any = [{ column = \"role\", equals = \"admin\" }, { claim = \"sub\", equals = \"ada\" }] }",
            "session",
        ),
        (
            "[{ claim = \"sub\", equals = \"eve\" }, { column = \"role\", equals = \"admin\" }]",
            "rule_denied",
        ),
        (
            "{ not = { column = \"role\", equals = \"admin\" } }",
            "not_judged",
        ),
        ("{ claim = \"sub\", equals = 7 }", "rule_incomparable"),
    ] {
        std::fs::write(
            &file,
            format!("[[route]]\npath = \"/\"\nrequire = {condition}"),
        )?;
        let (_, skipped) = explain(&["--no-stores"]).await?;
        assert_eq!(
            skipped["answer"]["reason"], reason,
            "{condition}: {skipped}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_session_that_only_a_store_knows_is_not_judged_without_one() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = written(folder.path(), "[[route]]\npath = \"/\"")?;
    let cookies = folder.path().join("cookies.txt");
    std::fs::write(
        &cookies,
        "authjs.session-token=0b5f8a3c-5c6e-4f0e-9d5e-6a1c2f3b4d5e",
    )?;
    let cookies = cookies.display().to_string();
    let words = [
        "explain",
        "--no-stores",
        "--cookie-file",
        &cookies,
        "GET",
        "/",
    ];
    let finished = with_file("http://127.0.0.1:9", &file)
        .env("SESSION_FORMAT", "authjs-database")
        .env("DATABASE_URL", "sqlite:///nowhere/at/all.db")
        .args(words)
        .run()
        .await?;
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let said = finished.stdout;
    assert!(
        said.contains("unknown      a session (the stores were not contacted)"),
        "{said}"
    );
    assert!(
        said.contains("Answer    not known, not_judged: it depends on"),
        "{said}"
    );
    assert!(!said.contains("no session store is configured"), "{said}");
    Ok(())
}

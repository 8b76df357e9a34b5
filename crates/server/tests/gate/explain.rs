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
async fn a_url_alone_is_explained_as_a_request_without_a_session() -> Result<()> {
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
    let answered = answer.text();
    assert!(
        answered.starts_with("GET /%61dmin/x from 127.0.0.1\n"),
        "{answered}"
    );
    assert!(answered.contains("read as /admin/x"), "{answered}");
    assert!(echo.seen().is_empty(), "nothing was sent");
    Ok(())
}

#[tokio::test]
async fn the_admin_listener_accepts_no_cookies_to_explain() -> Result<()> {
    let (_echo, gate) = with_routes().await?;
    let cookie = Mint::user("ada").claim("role", json!(["admin"])).authjs();
    let request = Request::get("/explain?url=/admin/x").cookie(cookie);
    let answer = Client::connect(gate.admin).await?.send(&request).await?;
    assert_eq!(answer.json()?["answer"]["reason"], "no_credential");
    Ok(())
}

#[tokio::test]
async fn an_invalid_explain_request_is_answered_with_usage() -> Result<()> {
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
        ("path=/x", "unknown parameter `path`"),
        ("url=/x&cookie=a", "unknown parameter `cookie`"),
        ("url=/x&client", "unknown parameter `client`"),
        ("url=/x&%0a", "unknown parameter `\\n`"),
        ("method=GET", "`url` is missing"),
        ("url=/x&url=/y", "`url` is given twice"),
        (
            "request_id=y&method=GET",
            "`request_id` cannot be combined with other parameters",
        ),
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
        let answered = answer.text();
        assert_eq!(answer.status, 400, "{query}");
        assert!(answered.starts_with(problem), "{answered}");
        assert!(
            answered.contains("\nask with ?method=GET&url="),
            "{answered}"
        );
    }
    let post = Request::post("/explain?url=/x", "");
    let answer = Client::connect(gate.admin).await?.send(&post).await?;
    assert_eq!(answer.status, 405);
    Ok(())
}

#[tokio::test]
async fn explain_accepts_headers_except_credentials() -> Result<()> {
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
    let answered = words(&gate, "/explain?url=http://a.example/x")
        .await?
        .text();
    assert!(answered.contains("refused with 401"), "{answered}");
    assert!(
        answered.contains("add &header=Sec-Fetch-Mode:%20navigate"),
        "{answered}"
    );
    assert!(!answered.contains("--header"), "{answered}");
    let browser = "header=Sec-Fetch-Mode:%20navigate&header=Accept:%20text/html";
    let target = format!("/explain?url=http://a.example/x&{browser}");
    let answered = words(&gate, &target).await?.text();
    assert!(answered.contains("refused with 302"), "{answered}");

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
        let answered = answer.text();
        assert_eq!(answer.status, 400, "{answered}");
        assert!(answered.contains("would end up in logs"), "{answered}");
    }
    Ok(())
}

#[tokio::test]
async fn a_malformed_request_is_explained_as_malformed() -> Result<()> {
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
async fn explanations_need_the_admin_token() -> Result<()> {
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
    let answered = words(&gate, &format!("/explain?request_id={id}"))
        .await?
        .text();
    assert!(
        answered.contains("\nLacking   role containing admin\n"),
        "{answered}"
    );
    for text in [answer.text(), answered] {
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
async fn only_refused_requests_can_be_explained_by_id() -> Result<()> {
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
    let decision_request = Request::get("/auth")
        .header("X-Forwarded-Method", "GET")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "app.example.com")
        .header("X-Forwarded-Uri", "/admin/x")
        .cookie(Mint::user("eve").authjs());
    let decisions = gate.decisions_port()?;
    let refused = Client::connect(decisions)
        .await?
        .send(&decision_request)
        .await?;
    assert_eq!(refused.status, 403);
    let target = format!("/explain?request_id={}", id(&refused)?);
    let found = gate.admin(&target).await?.json()?;
    assert_eq!(found["host"], "app.example.com");
    assert_eq!(found["lacking"], json!(["role containing admin"]));
    Ok(())
}

#[tokio::test]
async fn explain_looks_up_users_unless_stores_are_excluded() -> Result<()> {
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
async fn a_stored_session_gets_no_verdict_without_its_store() -> Result<()> {
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
    let answered = finished.stdout;
    assert!(
        answered.contains("unknown      a session (the stores were not contacted)"),
        "{answered}"
    );
    assert!(
        answered.contains("Answer    not known, not_judged: it depends on"),
        "{answered}"
    );
    assert!(
        !answered.contains("no session store is configured"),
        "{answered}"
    );
    Ok(())
}

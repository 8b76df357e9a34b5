//! `sessiongate demo`: everything in one process, as a visitor uses it.

use anyhow::{Context, Result};
use harness::{Client, Gate, GateCommand, Request, Response, poll};

/// The visitor's browser: it follows no redirects and keeps the cookie.
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
        self.send(form.header("Sec-Fetch-Site", "same-origin"))
            .await
    }

    async fn sign_in(&mut self, user: &str) -> Result<Response> {
        let form = format!("user={user}&callbackUrl=%2Fmembers%2F");
        self.post("/api/auth/signin", &form).await
    }

    async fn change(&mut self, user: &str, change: &str) -> Result<Response> {
        let form = format!("user={user}&change={change}&back=%2F");
        self.post("/users", &form).await
    }

    async fn send(&mut self, request: Request) -> Result<Response> {
        let answer = self
            .client
            .send(&request.as_navigation().cookie(&self.cookie))
            .await?;
        if let Some(set) = answer.header("set-cookie") {
            self.cookie = set.split(';').next().unwrap_or_default().to_owned();
        }
        Ok(answer)
    }
}

fn demo() -> GateCommand {
    Gate::command(env!("CARGO_BIN_EXE_sessiongate")).args(["demo"])
}

/// A demo, and a visitor without a session.
async fn visited() -> Result<(Gate, Browser)> {
    let gate = demo().start().await?;
    let client = gate.connect().await?;
    let cookie = "theme=dark".to_owned();
    Ok((gate, Browser { client, cookie }))
}

#[tokio::test]
async fn a_visitor_signs_in_and_is_refused_once_deleted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let command = demo().env("TMPDIR", folder.path().display().to_string());
    let mut gate = command.start().await?;
    let mut browser = Browser {
        client: gate.connect().await?,
        cookie: "theme=dark".to_owned(),
    };

    let stranger = browser.get("/members/").await?;
    assert_eq!(stranger.status, 302);
    let sign_in = stranger
        .header("location")
        .context("a sign-in URL")?
        .to_owned();
    assert_eq!(sign_in, "/api/auth/signin?callbackUrl=%2Fmembers%2F");
    let page = browser.get(&sign_in).await?;
    assert_eq!(page.status, 200);
    for name in [
        "Ada Lovelace",
        "Kofi Mensah",
        "Zoë Müller",
        "Ivan Petrov",
        "Mei Tanaka",
    ] {
        assert!(page.text().contains(name), "{name} can be chosen");
    }

    let entered = browser.sign_in("zoe").await?;
    assert_eq!(
        (entered.status, entered.header("location")),
        (303, Some("/members/"))
    );
    assert!(
        browser.cookie.starts_with("authjs.session-token="),
        "{}",
        browser.cookie
    );
    let typed = browser.get("/members").await?;
    assert_eq!(
        (typed.status, typed.header("location")),
        (303, Some("/members/"))
    );
    let home = browser.get("/members/").await?;
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
            Request::get("/members/")
                .header("X-User-Id", "root")
                .header("X_User_Id", "root"),
        )
        .await?;
    assert!(!forged.text().contains(">root<"), "{}", forged.text());

    assert_eq!(browser.change("zoe", "delete").await?.status, 303);
    let refused = browser.get("/members/").await?;
    assert_eq!(refused.status, 403, "on the very next request");

    assert_eq!(browser.change("zoe", "restore").await?.status, 303);
    assert_eq!(
        browser.get("/members/").await?.status,
        200,
        "the session was good all along"
    );
    browser.post("/api/auth/signout", "").await?;
    assert_eq!(browser.get("/members/").await?.status, 302);

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
async fn each_demo_service_receives_the_headers_of_its_route() -> Result<()> {
    let (_gate, mut browser) = visited().await?;
    browser.sign_in("ada").await?;
    for (path, received) in [
        ("/", &["X-Forwarded-For"][..]),
        ("/members/", &["X-Forwarded-For", "X-User-Id"]),
        ("/admin/", &["X-Forwarded-For", "X-User-Id", "X-User-Role"]),
    ] {
        let forged = Request::get(path).header("X-User-Role", "forged");
        let page = browser.send(forged).await?;
        assert_eq!(page.status, 200, "{path}");
        for name in ["X-Forwarded-For", "X-User-Id", "X-User-Role"] {
            let cell = format!("scope=\"row\">{name}<");
            let is_shown = page.text().contains(&cell);
            assert_eq!(is_shown, received.contains(&name), "{name} on {path}");
        }
        assert!(!page.text().contains("forged"), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_role_takes_effect_as_soon_as_it_is_in_the_table() -> Result<()> {
    let (_gate, mut browser) = visited().await?;
    browser.sign_in("kofi").await?;
    for (change, status) in [
        ("restore", 403),
        ("make-admin", 200),
        ("ban", 403),
        ("unban", 200),
        ("make-member", 403),
    ] {
        browser.change("kofi", change).await?;
        let cookie = browser.cookie.clone();
        let answer = browser.get("/admin/").await?;
        assert_eq!(answer.status, status, "after {change}");
        assert_eq!(browser.cookie, cookie, "the session is the same");
    }
    Ok(())
}

#[tokio::test]
async fn the_demo_explains_the_last_refusal() -> Result<()> {
    let (_gate, mut browser) = visited().await?;
    let page = browser.get("/refusal").await?;
    assert!(page.text().contains("Nothing has been refused yet"));

    browser.get("/members/").await?;
    let page = browser.get("/refusal").await?.text();
    for shown in [
        "The browser was not signed in",
        "no_credential",
        "member area",
    ] {
        assert!(page.contains(shown), "{shown} is missing from:\n{page}");
    }
    for (user, path, status, shown) in [
        (
            "kofi",
            "/admin/",
            403,
            [
                "rule_denied",
                "only for admins",
                "equals = &quot;admin&quot;",
            ],
        ),
        (
            "ivan",
            "/members/",
            403,
            ["user_disabled", "Ivan is banned", "equals = false"],
        ),
        (
            "mei",
            "/members/",
            403,
            ["user_missing", "was deleted", "enable_db_check = true"],
        ),
        (
            "ada",
            "/nowhere",
            404,
            ["no_route", "/nowhere", "no route matches"],
        ),
    ] {
        browser.sign_in(user).await?;
        let refused = browser.get(path).await?;
        assert_eq!(refused.status, status, "{user} {path}");
        let id = refused.header("x-request-id").context("an id")?.to_owned();
        assert!(
            !refused.text().contains(shown[0]),
            "no reason for clients without the admin token"
        );
        let page = browser.get("/refusal").await?.text();
        assert!(page.contains(&id), "the last refusal is this one");
        let explained = format!(", request {id}\n");
        assert!(page.contains(&explained), "the admin listener too:\n{page}");
        for shown in shown {
            assert!(page.contains(shown), "{shown} is missing from:\n{page}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_demo_names_the_cause_of_a_refused_path() -> Result<()> {
    let gate = demo().start().await?;
    for (path, why) in [
        ("/members/%00", "contains an encoded control character"),
        ("/members/%0a", "contains an encoded control character"),
        ("/x%2f..%2fadmin/", "can be read as more than one path"),
    ] {
        // Such an answer closes its connection.
        assert_eq!(gate.send(&Request::get(path)).await?.status, 400, "{path}");
        let words = format!("GET {path} was refused: 400 (ambiguous_path)");
        let printed = poll("the page of the last refusal", async || {
            let printed = gate.send(&Request::get("/refusal")).await.ok()?.text();
            printed.contains(&words).then_some(printed)
        });
        let printed = printed.await?;
        assert!(printed.contains(why), "{printed}");
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_visitor_gets_a_link_to_sign_in() -> Result<()> {
    let (_gate, mut browser) = visited().await?;
    browser.sign_in("kofi").await?;
    let refused = browser.get("/admin/").await?.text();
    let way_in = "href=\"/api/auth/signin?callbackUrl=%2Fadmin%2F\"";
    assert!(refused.contains(way_in), "{refused}");
    Ok(())
}

#[tokio::test]
async fn the_user_table_changes_only_from_the_demos_own_pages() -> Result<()> {
    let (_gate, mut browser) = visited().await?;
    let form = "user=ada&change=delete&back=%2F";
    for (name, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Origin", "https://elsewhere.test"),
    ] {
        let forged = Request::post("/users", form).header(name, value);
        assert_eq!(browser.send(forged).await?.status, 403, "{name}: {value}");
    }
    browser.sign_in("ada").await?;
    assert_eq!(browser.get("/admin/").await?.status, 200);
    let long = format!("{form}&more={}", "x".repeat(2000));
    assert_eq!(browser.post("/users", &long).await?.status, 413);
    Ok(())
}

#[tokio::test]
async fn the_demo_ends_when_its_terminal_closes() -> Result<()> {
    let mut gate = demo().start().await?;
    gate.signal("HUP")?;
    assert_eq!(gate.wait().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn the_demo_configuration_can_be_reloaded() -> Result<()> {
    let (gate, mut browser) = visited().await?;
    let mut admin = Client::connect(gate.admin).await?;
    let reloaded = admin.send(&Request::post("/reload", "")).await?;
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    browser.sign_in("kofi").await?;
    assert_eq!(browser.get("/members/").await?.status, 200);
    assert_eq!(browser.get("/admin/").await?.status, 403);
    Ok(())
}

#[tokio::test]
async fn the_shown_demo_configuration_is_valid_for_serve() -> Result<()> {
    let (gate, mut browser) = visited().await?;
    let file = browser.get("/sessiongate.toml").await?.text();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("sessiongate.toml");
    std::fs::write(&path, file)?;
    let database = format!("sqlite://{}", folder.path().join("users.db").display());
    let checked = Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .args(["check-config", "--config", &path.display().to_string()])
        .env("AUTH_SECRET", harness::mint::SECRET)
        .env("DATABASE_URL", database)
        .env("PUBLIC_SERVICE", "http://127.0.0.1:3000")
        .env("MEMBERS_SERVICE", "http://127.0.0.1:3001")
        .env("ADMIN_SERVICE", "http://127.0.0.1:3002")
        .run()
        .await?;
    assert!(checked.status.success(), "{}", checked.stderr);
    drop(gate);
    Ok(())
}

#[tokio::test]
async fn the_printed_curl_lines_work() -> Result<()> {
    let gate = demo().start().await?;
    for (name, path, status, expected) in [
        ("ada", "/admin/", 200, "Hello, Ada Lovelace"),
        ("kofi", "/members/", 200, "X-User-Id: kofi"),
        ("kofi", "/admin/", 403, "forbidden"),
    ] {
        let stdout = gate.stdout();
        let cookie = stdout.wait_for(|line| {
            let (_, rest) = line.split_once(&format!("{name}='"))?;
            Some(rest.split('\'').next()?.to_owned())
        });
        let request = Request::get(path)
            .cookie(cookie.await?)
            .header("Accept", "*/*");
        let answer = gate.send(&request).await?;
        assert_eq!(answer.status, status);
        assert!(answer.text().contains(expected), "{}", answer.text());
        let url = format!("http://{}{path}", gate.proxy);
        stdout
            .wait_for(|line| line.contains(&url).then_some(()))
            .await?;
    }
    // The gate records the refusal after it has sent the answer.
    let why = poll("the page of the last refusal", async || {
        let why = gate.send(&Request::get("/refusal")).await.ok()?.text();
        why.contains("Missing:").then_some(why)
    });
    let why = why.await?;
    assert!(
        why.contains("GET /admin/ was refused: 403 (rule_denied)"),
        "{why}"
    );
    Ok(())
}

#[tokio::test]
async fn settings_meant_for_another_gate_do_not_change_the_demo() -> Result<()> {
    let gate = demo()
        .env("UPSTREAM", "not a url")
        .env("AUTH_SECRET", "short")
        .env("PUBLIC_PATHS", "/")
        .env("PUBLIC_SERVICE", "http://127.0.0.1:1")
        .env("DATABASE_URL", "postgres://nowhere/")
        .start()
        .await?;
    assert_eq!(gate.send(&Request::get("/")).await?.status, 200);
    assert_eq!(gate.send(&Request::get("/members/")).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn the_demo_pages_load_nothing_from_other_hosts() -> Result<()> {
    let gate = demo().start().await?;
    for path in ["/", "/api/auth/signin", "/refusal"] {
        let page = gate.send(&Request::get(path).as_navigation()).await?;
        let text = page.text();
        for outside in ["href=\"http", "src=", "url(", "@import", "<script"] {
            assert!(!text.contains(outside), "{outside} is in:\n{text}");
        }
        assert!(text.contains("prefers-color-scheme"), "light and dark");
    }
    Ok(())
}

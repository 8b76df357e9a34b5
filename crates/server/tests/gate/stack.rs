//! One gate for a whole stack: several services, hosts, realms, profiles and rules, described by one file.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use harness::{Echo, Gate, Mint, Postgres, ReceivedRequest, Request, Response, mint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

/// Starts a gate with this file, in which `SECRET` is replaced by the secret of the tests.
async fn started(folder: &Path, file: &str) -> Result<Gate> {
    let path = folder.join("gate.toml");
    let file = file.replace("SECRET", mint::SECRET);
    std::fs::write(&path, format!("log_format = \"json\"\n{file}"))?;
    let path = path.to_str().context("a path")?;
    Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .env("SESSIONGATE_CONFIG", path)
        .start()
        .await
}

fn request_to(host: &str, target: &str) -> Request {
    Request::get(target).header("Host", host)
}

/// Sends a request that must enter; returns it as the service received it.
async fn enters(gate: &Gate, service: &Echo, request: &Request) -> Result<ReceivedRequest> {
    let before = service.seen().len();
    let answer = gate.send(request).await?;
    ensure!(answer.status == 200, "{request:?}: {answer:?}");
    ensure!(
        service.seen().len() == before + 1,
        "{request:?}: another service answered"
    );
    service.seen().pop().context("it arrived")
}

fn header<'s>(seen: &'s ReceivedRequest, name: &str) -> &'s str {
    seen.headers.get(name).unwrap_or("(absent)")
}

async fn reason(gate: &Gate, answer: &Response) -> Result<String> {
    let id = answer.header("x-request-id").context("an id")?.to_owned();
    let line = gate
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    Ok(line["reason"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn each_route_has_its_service_its_realm_and_its_headers() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (app, wiki, shop) = (
        Echo::start().await?,
        Echo::start().await?,
        Echo::start().await?,
    );
    let other = "another-secret-T6yQ8sWd1Kp4Zc9Xv3Lm7Nb2";
    let file = format!(
        r#"
auth_secret = "SECRET"
upstream = "{app}"
public_url = ["https://shop.test"]

[service.wiki]
upstream = "{wiki}"

[realm.shop]
auth_secret = "{other}"
sign_in_url = "https://shop.test/login"

[profile.wiki]
base = "remote-user"
headers = {{ "X-Wiki-Role" = {{ claim = "role" }}, "X-Wiki-Area" = {{ route = true }}, "X-Wiki-Key" = {{ value = "k1" }} }}

[[route]]
path = "/"

[[route]]
name = "wiki area"
host = "wiki.test"
path = "/"
service = "wiki"
headers = "wiki"
rewrite_host = "wiki.internal:8080"
forward_session_cookie = false

[[route]]
path = "/tools/grafana/"
headers = "grafana"
strip_prefix = "/tools/grafana"

[[route]]
host = "shop.test"
path = "/"
upstream = "{shop}"
realm = "shop"

[[route]]
host = "shop.test"
path = ["/open/", "/login"]
access = "public"
upstream = "{shop}"
headers = "wiki"
"#,
        app = app.url(),
        wiki = wiki.url(),
        shop = shop.url(),
    );
    let gate = started(folder.path(), &file).await?;
    let cookie = Mint::user("ada").claim("role", "editor").authjs();
    let shop_cookie = Mint::user("eve").secret(other).authjs();

    let seen = enters(&gate, &app, &request_to("app.test", "/a?b").cookie(&cookie)).await?;
    assert_eq!(seen.target, "/a?b");
    assert_eq!(header(&seen, "host"), "app.test");
    assert_eq!(header(&seen, "x-user-id"), "ada");

    let request = request_to("Wiki.Test.:8443", "/page").cookie(format!("theme=dark; {cookie}"));
    let request = request
        .header("X_Wiki.Role", "owner")
        .header("x-wiki-key", "forged");
    let seen = enters(&gate, &wiki, &request).await?;
    assert_eq!(header(&seen, "host"), "wiki.internal:8080");
    assert_eq!(header(&seen, "x-forwarded-host"), "Wiki.Test.:8443");
    assert_eq!(header(&seen, "remote-user"), "ada");
    assert_eq!(header(&seen, "x-wiki-role"), "editor");
    assert_eq!(header(&seen, "x-wiki-area"), "wiki area");
    assert_eq!(header(&seen, "x-wiki-key"), "k1");
    assert_eq!(header(&seen, "x-user-id"), "(absent)");
    assert_eq!(header(&seen, "cookie"), "theme=dark");
    assert!(seen.headers.get("x_wiki.role").is_none());

    // The gate removes the headers of a profile from requests on every route.
    let request = request_to("app.test", "/")
        .cookie(&cookie)
        .header("X-WIKI_ROLE", "owner");
    let seen = enters(&gate, &app, &request).await?;
    assert!(
        !format!("{:?}", seen.headers)
            .to_lowercase()
            .contains("wiki")
    );

    let request = request_to("app.test", "/tools/%67rafana/d/1?orgId=2").cookie(&cookie);
    let seen = enters(&gate, &app, &request).await?;
    assert_eq!(seen.target, "/d/1?orgId=2");
    assert_eq!(header(&seen, "x-forwarded-prefix"), "/tools/%67rafana");
    assert_eq!(header(&seen, "x-webauth-user"), "ada");
    assert_eq!(header(&seen, "x-webauth-role"), "");

    let seen = enters(
        &gate,
        &shop,
        &request_to("shop.test", "/").cookie(&shop_cookie),
    )
    .await?;
    assert_eq!(header(&seen, "x-user-id"), "eve");
    // A session of one realm is not valid in another.
    let answer = gate
        .send(&request_to("shop.test", "/").cookie(&cookie))
        .await?;
    assert_eq!(answer.status, 401);
    let answer = gate
        .send(&request_to("app.test", "/").cookie(&shop_cookie))
        .await?;
    assert_eq!(answer.status, 401);
    let answer = gate
        .send(&request_to("shop.test", "/cart").as_navigation())
        .await?;
    let location = answer.header("location").unwrap_or_default();
    assert!(
        location.starts_with("https://shop.test/login?callbackUrl="),
        "{location}"
    );

    // Without a session, the headers of the route's profile are written too, with empty values.
    let request = request_to("shop.test", "/open/x").header("X-Wiki-Key", "k1");
    let seen = enters(&gate, &shop, &request).await?;
    assert_eq!(
        (header(&seen, "remote-user"), header(&seen, "x-wiki-key")),
        ("", "")
    );
    Ok(())
}

#[tokio::test]
async fn a_request_without_a_route_is_404() -> Result<()> {
    let (folder, app) = (tempfile::tempdir()?, Echo::start().await?);
    let file = format!(
        "auth_secret = \"SECRET\"\nupstream = \"{}\"\nsign_in_url = \"https://login.test/\"\n\
         [[route]]\nhost = \"app.test\"\npath = \"/a/\"\nmethods = [\"GET\"]\n",
        app.url()
    );
    let gate = started(folder.path(), &file).await?;
    let cookie = Mint::user("ada").authjs();
    for (method, host, target) in [
        ("GET", "app.test", "/b"),
        ("GET", "other.test", "/a/x"),
        ("POST", "app.test", "/a/x"),
    ] {
        let request = Request::new(method, target).header("Host", host);
        let answer = gate.send(&request.clone().cookie(&cookie)).await?;
        assert_eq!(answer.status, 404, "{method} {host} {target}");
        assert_eq!(reason(&gate, &answer).await?, "no_route");
        // Without a session, a client cannot tell such a path from an existing one.
        let answer = gate.send(&request).await?;
        assert_eq!(answer.status, 401, "{method} {host} {target}");
        let answer = gate
            .send(&Request::get("/b").header("Host", host).as_navigation())
            .await?;
        assert_eq!(answer.status, 302);
    }
    assert!(app.seen().is_empty());
    enters(&gate, &app, &request_to("app.test", "/a/x").cookie(&cookie)).await?;
    Ok(())
}

#[tokio::test]
async fn rules_use_the_current_row_of_the_user() -> Result<()> {
    let (folder, app) = (tempfile::tempdir()?, Echo::start().await?);
    let postgres = Postgres::start().await?;
    let sql = "CREATE TABLE users (id text PRIMARY KEY, role text, team text, banned boolean, deleted_at timestamptz);
        INSERT INTO users VALUES ('ada', 'user,admin', 'core', false, NULL), ('eve', 'user', NULL, NULL, NULL),
        ('bob', 'admin', 'x', true, NULL), ('old', 'admin', 'x', false, now())";
    postgres.execute(sql).await?;
    let file = format!(
        r#"
auth_secret = "SECRET"
upstream = "{}"
database_url = "{}"
enable_db_check = true
memory_cache_ttl = 0
absent_cache_ttl = 0
groups_column = "role"
active = [
  {{ not = {{ column = "banned", equals = true }} }},
  {{ column = "deleted_at", empty = true }},
]

[profile.team]
headers = {{ "X-Team" = {{ column = "team" }}, "X-Groups" = "groups" }}

[[route]]
path = "/"
headers = "team"

[[route]]
path = "/admin/"
require = {{ column = "role", contains = ["admin"], separator = "," }}
"#,
        app.url(),
        postgres.url(Postgres::DATABASE)
    );
    let gate = started(folder.path(), &file).await?;
    let ask = |target, user| request_to("a", target).cookie(Mint::user(user).authjs());
    let seen = enters(&gate, &app, &ask("/", "ada")).await?;
    assert_eq!(
        (header(&seen, "x-team"), header(&seen, "x-groups")),
        ("core", "user,admin")
    );
    let seen = enters(&gate, &app, &ask("/", "eve")).await?;
    assert_eq!(header(&seen, "x-team"), "");
    enters(&gate, &app, &ask("/admin/", "ada")).await?;
    for (target, user, why) in [
        ("/admin/", "eve", "rule_denied"),
        ("/", "bob", "user_disabled"),
        ("/", "old", "user_disabled"),
        ("/", "nobody", "user_missing"),
    ] {
        let answer = gate.send(&ask(target, user)).await?;
        assert_eq!(answer.status, 403, "{target} {user}");
        assert_eq!(reason(&gate, &answer).await?, why, "{target} {user}");
    }
    postgres
        .execute("UPDATE users SET role = 'admin' WHERE id = 'eve'")
        .await?;
    enters(&gate, &app, &ask("/admin/", "eve")).await?;
    postgres
        .execute("UPDATE users SET banned = true WHERE id = 'eve'")
        .await?;
    assert_eq!(gate.send(&ask("/admin/", "eve")).await?.status, 403);
    Ok(())
}

#[tokio::test]
async fn a_missing_column_is_reported_at_start_up() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let postgres = Postgres::start().await?;
    postgres
        .execute("CREATE TABLE users (id text PRIMARY KEY, role text)")
        .await?;
    let file = format!(
        "auth_secret = \"{}\"\nupstream = \"http://127.0.0.1:1\"\ndatabase_url = \"{}\"\nenable_db_check = true\n\
         [[route]]\npath = \"/\"\nrequire = {{ column = \"rolle\", equals = \"x\" }}\n",
        mint::SECRET,
        postgres.url(Postgres::DATABASE)
    );
    let path = folder.path().join("gate.toml");
    std::fs::write(&path, file)?;
    let command = Gate::command(env!("CARGO_BIN_EXE_sessiongate"));
    let path = path.to_str().context("a path")?;
    let ended = command.env("SESSIONGATE_CONFIG", path).run().await?;
    assert!(!ended.status.success());
    assert!(
        ended.stderr.contains("rolle") && ended.stderr.contains("role"),
        "{}",
        ended.stderr
    );
    Ok(())
}

#[tokio::test]
async fn servers_of_a_service_take_turns_and_failed_ones_are_skipped() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (one, other) = (Echo::start().await?, Echo::start().await?);
    let down = harness::free_port();
    let file = format!(
        "auth_secret = \"SECRET\"\n[service.app]\nupstream = [\"{}\", \"http://127.0.0.1:{down}\", \"{}\"]\n\
         [[route]]\npath = \"/\"\naccess = \"public\"\nservice = \"app\"\n",
        one.url(),
        other.url()
    );
    let gate = started(folder.path(), &file).await?;
    for _ in 0..30 {
        let answer = gate.send(&Request::post("/", "body")).await?;
        assert_eq!(answer.status, 200);
    }
    let served = (one.seen().len(), other.seen().len());
    assert!(
        served.0 >= 5 && served.1 >= 5 && served.0 + served.1 == 30,
        "{served:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_service_behind_a_unix_socket_is_reached() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path)?;
    let mut service = JoinSet::new();
    service.spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await?;
        std::io::Result::Ok(String::from_utf8_lossy(&head).into_owned())
    });
    let file = format!(
        "auth_secret = \"SECRET\"\n[[route]]\npath = \"/\"\nupstream = \"unix:{}\"\n",
        path.display()
    );
    let gate = started(folder.path(), &file).await?;
    let answer = gate
        .send(&request_to("a", "/x").cookie(Mint::user("ada").authjs()))
        .await?;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let head = service
        .join_next()
        .await
        .context("the service got the request")???;
    assert!(
        head.starts_with("GET /x HTTP/1.1\r\n") && head.contains("x-user-id: ada"),
        "{head}"
    );
    Ok(())
}

#[tokio::test]
async fn csrf_protection_refuses_changes_from_other_origins() -> Result<()> {
    let (folder, app) = (tempfile::tempdir()?, Echo::start().await?);
    let file = format!(
        "auth_secret = \"SECRET\"\nupstream = \"{}\"\n[[route]]\npath = \"/\"\ncsrf = true\n",
        app.url()
    );
    let gate = started(folder.path(), &file).await?;
    let cookie = Mint::user("ada").authjs();
    for (method, headers, status) in [
        ("GET", &[][..], 200),
        ("GET", &[("Sec-Fetch-Site", "cross-site")], 200),
        ("POST", &[], 403),
        ("POST", &[("Sec-Fetch-Site", "same-origin")], 200),
        ("POST", &[("Sec-Fetch-Site", "none")], 200),
        ("POST", &[("Sec-Fetch-Site", "same-site")], 403),
        ("DELETE", &[("Sec-Fetch-Site", "cross-site")], 403),
        ("POST", &[("Origin", "https://app.test")], 200),
        ("POST", &[("Origin", "http://APP.test:80")], 200),
        ("POST", &[("Origin", "https://evil.test")], 403),
        ("POST", &[("Origin", "https://app.test.evil.test")], 403),
        ("POST", &[("Origin", "null")], 403),
        (
            "POST",
            &[
                ("Origin", "https://app.test"),
                ("Origin", "https://evil.test"),
            ],
            403,
        ),
        // `Sec-Fetch-Site`, which the browser determines, takes precedence over `Origin`.
        (
            "POST",
            &[
                ("Origin", "https://app.test"),
                ("Sec-Fetch-Site", "cross-site"),
            ],
            403,
        ),
        (
            "PATCH",
            &[
                ("Sec-Fetch-Site", "same-origin"),
                ("Sec-Fetch-Site", "same-origin"),
            ],
            403,
        ),
    ] {
        let request = Request::new(method, "/")
            .header("Host", "app.test")
            .cookie(&cookie);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(name, *value)
        });
        let answer = gate.send(&request).await?;
        assert_eq!(answer.status, status, "{method} {headers:?}");
        if status == 403 {
            assert_eq!(reason(&gate, &answer).await?, "cross_origin");
        }
    }
    Ok(())
}

#[tokio::test]
async fn passwords_in_service_urls_are_never_shown() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gate.toml");
    let mut file = format!("auth_secret = \"{}\"\n", mint::SECRET);
    for (number, url) in [
        "http://user:hunter2@app",
        "https://user:hunter2@app",
        "user:hunter2@app",
        "http://user:hunter2@app:99999",
        "http://user:hunter2@app/path",
    ]
    .iter()
    .enumerate()
    {
        file += &format!("[[route]]\npath = \"/{number}/\"\nupstream = \"{url}\"\n");
    }
    std::fs::write(&path, file)?;
    let path = path.to_str().context("a path")?;
    let command = Gate::command(env!("CARGO_BIN_EXE_sessiongate"));
    let command = command.args(["check-config", "--config", path]);
    let checked = command.run().await?;
    assert!(!checked.status.success());
    assert!(checked.stderr.contains("5 problems"), "{}", checked.stderr);
    assert!(!checked.stderr.contains("hunter2"), "{}", checked.stderr);
    Ok(())
}

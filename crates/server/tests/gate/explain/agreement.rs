//! Explanations agree with the gate: each request is explained, then sent to a gate with the same configuration.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result};
use harness::{Echo, Gate, Mint, ReceivedRequest};
use serde_json::{Value, json};

use super::{id, with_file, written};

/// Routes of every kind; none of them matches every request.
const ROUTES: &str = r#"
[[route]]
name = "site"
host = "app.example.com"
path = "/"

[[route]]
name = "admin"
host = "app.example.com"
path = "/admin/"
require = { claim = "role", contains = "admin" }

[[route]]
name = "open"
host = "app.example.com"
path = "/open/"
access = "public"

[[route]]
name = "anywhere"
path = "/open/"
access = "public"

[[route]]
name = "closed"
host = "app.example.com"
path = "/closed"
access = "deny"

[[route]]
name = "wiki"
host = "app.example.com"
path = "/wiki/"
headers = "grafana"
strip_prefix = "/wiki"
rewrite_host = "wiki.internal"
forward_session_cookie = false
csrf = true

[[route]]
name = "inside"
host = "app.example.com"
path = "/inside/"
require = { network = ["10.0.0.0/8"] }

[[route]]
name = "here"
host = "app.example.com"
path = "/here/"
require = { network = ["127.0.0.0/8", "::1"] }

[[route]]
name = "small"
host = "app.example.com"
path = "/small"
access = "public"
body_limit = 10

[[route]]
name = "api"
host = "app.example.com"
path = "/api/"
cors_origins = ["https://page.example.com"]

[[route]]
name = "api-delete"
host = "app.example.com"
path = "/api/"
methods = ["DELETE"]
cors_origins = ["https://page.example.com"]
"#;

const SIGN_IN: &str = "sign_in_url = \"https://app.example.com/open/sign-in\"\n";
const BYPASS: &str = "a-bypass-value-that-nobody-guesses-5e1f";

/// A running gate and the file of its configuration, which `sessiongate explain` reads too.
struct Both {
    _folder: tempfile::TempDir,
    file: PathBuf,
    echo: Echo,
    gate: Gate,
}

/// A request. A `url` that begins with a slash needs a `Host` in `fields`; without a host the request is HTTP/1.0.
struct TestRequest<'a> {
    method: &'a str,
    url: &'a str,
    fields: &'a [&'a str],
    body: &'a str,
}

/// A GET request with these fields.
fn get<'a>(url: &'a str, fields: &'a [&'a str]) -> TestRequest<'a> {
    request_of("GET", url, fields)
}

fn request_of<'a>(method: &'a str, url: &'a str, fields: &'a [&'a str]) -> TestRequest<'a> {
    TestRequest {
        method,
        url,
        fields,
        body: "",
    }
}

impl Both {
    /// Starts a gate with these settings before the routes.
    async fn start(settings: &str) -> Result<Self> {
        let (folder, echo) = (tempfile::tempdir()?, Echo::start().await?);
        let file = written(folder.path(), &format!("{settings}{ROUTES}"))?;
        let gate = with_file(&echo.url(), &file).start().await?;
        Ok(Self {
            _folder: folder,
            file,
            echo,
            gate,
        })
    }

    async fn explained(&self, test_request: &TestRequest<'_>) -> Result<Value> {
        let fields = test_request
            .fields
            .iter()
            .flat_map(|field| ["--header", field]);
        let words = ["explain", "--json"].into_iter().chain(fields);
        let command = with_file(&self.echo.url(), &self.file);
        let command = command.args(words.chain([test_request.method, test_request.url]));
        let finished = command.run().await?;
        let explained = serde_json::from_str(&finished.stdout);
        explained.with_context(|| format!("{}: {}", test_request.url, finished.stderr))
    }

    /// Sends the request; returns the status, the audit line, and the request that the service received.
    async fn sent(
        &self,
        test_request: &TestRequest<'_>,
    ) -> Result<(u16, Value, Option<ReceivedRequest>)> {
        let (host, target) = match test_request.url.strip_prefix("http://") {
            Some(rest) => {
                let (host, target) = rest.split_at(rest.find(['/', '#']).context("a path")?);
                (format!("Host: {host}\r\n"), target)
            }
            None => (String::new(), test_request.url),
        };
        let version = if test_request.names_host() {
            "1.1"
        } else {
            "1.0"
        };
        let mut request = format!("{} {target} HTTP/{version}\r\n{host}", test_request.method);
        for field in test_request.fields {
            request += &format!("{field}\r\n");
        }
        request += &format!("\r\n{}", test_request.body);
        let before = self.echo.seen().len();
        let mut client = self.gate.connect().await?.or_http_1_0();
        client.raw(request.as_bytes()).await?;
        let answer = client.response().await?;
        let id = id(&answer)?;
        let line = self
            .gate
            .wait_for_audit(|line| line["request_id"] == id.as_str());
        let seen = self.echo.seen().into_iter().nth(before);
        Ok((answer.status, line.await?, seen))
    }

    async fn agree(&self, test_request: &TestRequest<'_>, reason: &str) -> Result<()> {
        let explained = self.explained(test_request).await?;
        let (status, line, seen) = self.sent(test_request).await?;
        let about = format!(
            "{} {} {:?}: {explained} {line}",
            test_request.method, test_request.url, test_request.fields
        );
        let answer = &explained["answer"];
        assert_eq!(answer["reason"], reason, "{about}");
        assert_eq!(answer["reason"], line["reason"], "{about}");
        assert_eq!(
            answer["status"].as_u64().unwrap_or(200),
            u64::from(status),
            "{about}"
        );
        match line["rule"].as_str() {
            Some("none") => assert!(explained["route"].is_null(), "{about}"),
            Some(_) | None => assert_eq!(explained["route"]["name"], line["rule"], "{about}"),
        }
        assert_eq!(explained["goes_to"].is_null(), seen.is_none(), "{about}");
        let own_answers = ["options", "preflight_answered"];
        let enters = seen.is_some() || own_answers.contains(&reason);
        assert_eq!(answer["enters"], json!(enters), "{about}");
        match seen {
            Some(seen) => {
                assert_eq!(explained["goes_to"]["path"], seen.path(), "{about}");
                let host = seen.headers.get("host");
                assert_eq!(explained["goes_to"]["host"].as_str(), host, "{about}");
                same_headers(test_request, &explained["headers"], &seen, &about)
            }
            None => Ok(()),
        }
    }
}

impl TestRequest<'_> {
    fn names_host(&self) -> bool {
        let mut fields = self.fields.iter();
        self.url.starts_with("http://") || fields.any(|field| field.starts_with("Host:"))
    }
}

/// Verifies that the service received all fields that the gate wrote, and all of the client's that it did not remove.
fn same_headers(
    test_request: &TestRequest<'_>,
    explained: &Value,
    seen: &ReceivedRequest,
    about: &str,
) -> Result<()> {
    let list = |name: &str| explained[name].as_array().cloned().context("a list");
    let removed = list("removed")?;
    let removed: BTreeSet<_> = removed.iter().filter_map(Value::as_str).collect();
    let mut wanted = BTreeSet::new();
    for field in test_request.fields {
        let (name, value) = field.split_once(": ").context("a header")?;
        let name = name.to_lowercase();
        if name == "cookie" && removed.contains("the session in cookie") {
            continue;
        }
        if !removed.contains(&*name) {
            assert!(seen.headers.all(&name).contains(&value), "{name}: {about}");
            wanted.insert(name);
        }
    }
    if test_request.url.starts_with("http://") {
        wanted.insert("host".to_owned());
    }
    for written in list("written")? {
        let name = written["name"].as_str().context("a name")?;
        let value = written["value"].as_str().context("a value")?;
        let found = seen.headers.get(name);
        let is_same = found == Some(value) || found.is_some() && name == "x-request-id";
        assert!(is_same, "{name}: {found:?} {about}");
        wanted.insert(name.to_owned());
    }
    let names = seen.headers.iter().map(|(name, _)| name.to_lowercase());
    assert_eq!(names.collect::<BTreeSet<_>>(), wanted, "{about}");
    Ok(())
}

/// Returns the field with the session cookie of this user and role.
fn cookie(user: &str, role: Value) -> String {
    format!("Cookie: {}", Mint::user(user).claim("role", role).authjs())
}

#[tokio::test]
async fn access_rules_agree() -> Result<()> {
    let both = Both::start(SIGN_IN).await?;
    let (admin, number) = (cookie("ada", json!(["admin"])), cookie("bob", json!(3)));
    let (admin, number) = (&*admin, &*number);
    let navigates = "Sec-Fetch-Mode: navigate";
    let app = |path: &str| format!("http://app.example.com{path}");
    for (method, path, fields, reason) in [
        ("GET", "/", &[admin, "Accept: */*"][..], "session"),
        ("GET", "/", &["Accept: */*"], "no_credential"),
        (
            "GET",
            "/",
            &[navigates, "Accept: text/html"],
            "no_credential",
        ),
        ("GET", "/admin/%78", &[admin, "X_User_Id: root"], "session"),
        ("GET", "/admin/x", &[number], "rule_incomparable"),
        ("GET", "/open/x", &[admin, "X-User-Id: root"], "public"),
        ("GET", "/open/../admin/", &[admin], "ambiguous_path"),
        ("GET", "/OPEN/x", &["Accept: */*"], "no_credential"),
        ("GET", "/closed", &[admin], "route_denied"),
        (
            "GET",
            "/wiki/page?v=1",
            &[admin, "X-WEBAUTH-USER: root"],
            "session",
        ),
        ("GET", "/wiki//page", &[admin], "ambiguous_path"),
        (
            "DELETE",
            "/wiki/page",
            &[admin, "Sec-Fetch-Site: cross-site"],
            "cross_origin",
        ),
        (
            "DELETE",
            "/wiki/page",
            &[admin, "Sec-Fetch-Site: none"],
            "session",
        ),
        ("GET", "/inside/x", &[admin], "rule_denied"),
        (
            "GET",
            "/inside/x",
            &[admin, "X-Forwarded-For: 10.0.0.1"],
            "rule_denied",
        ),
        ("GET", "/here/x", &[admin], "session"),
    ] {
        let url = app(path);
        both.agree(&request_of(method, &url, fields), reason)
            .await?;
    }
    // No route matches this host.
    let other = "http://other.example.com/x";
    both.agree(&get(other, &[admin]), "no_route").await?;
    both.agree(&get(other, &["Accept: */*"]), "no_credential")
        .await?;
    Ok(())
}

#[tokio::test]
async fn case_insensitive_paths_agree() -> Result<()> {
    let both = Both::start("case_insensitive = true\n").await?;
    for (path, reason) in [
        ("/OPEN/x", "public"),
        ("/Closed", "route_denied"),
        ("/WIKI/Page", "no_credential"),
    ] {
        let url = format!("http://APP.example.com{path}");
        both.agree(&get(&url, &["Accept: */*"]), reason).await?;
    }
    let ada = cookie("ada", json!(["admin"]));
    let url = "http://app.example.com./WIKI/Page";
    both.agree(&get(url, &[&ada]), "session").await
}

#[tokio::test]
async fn preflights_agree() -> Result<()> {
    let listed = "Origin: https://page.example.com";
    let other = "Origin: https://evil.example.com";
    let (put, delete) = (
        "Access-Control-Request-Method: PUT",
        "Access-Control-Request-Method: DELETE",
    );
    let url = "http://app.example.com/api/x";
    let both = Both::start("").await?;
    for (url, fields, reason) in [
        (url, &[listed, put][..], "preflight_answered"),
        (url, &[listed, delete], "preflight_answered"),
        (url, &[other, put], "no_credential"),
        (url, &[listed], "no_credential"),
        (
            "http://app.example.com/admin/x",
            &[listed, put],
            "no_credential",
        ),
        ("http://app.example.com/open/x", &[listed, put], "public"),
        (
            "http://app.example.com/api/../open/",
            &[listed, put],
            "ambiguous_path",
        ),
    ] {
        both.agree(&request_of("OPTIONS", url, fields), reason)
            .await?;
    }
    let by = both
        .explained(&request_of("OPTIONS", url, &[listed, delete]))
        .await?;
    assert_eq!(by["route"]["name"], "api-delete");
    let message = by["answer"]["message"].as_str().context("words")?;
    assert!(message.contains("the gate answers itself"), "{message}");

    let passing = Both::start("cors_preflight = \"pass\"\n").await?;
    let fields = [other, put];
    let test_request = request_of("OPTIONS", "http://app.example.com/admin/x", &fields);
    passing.agree(&test_request, "preflight").await?;
    let by = passing.explained(&test_request).await?;
    assert_eq!(by["route"]["name"], "admin");
    let message = by["answer"]["message"].as_str().context("words")?;
    assert!(message.contains("the service answers"), "{message}");
    Ok(())
}

#[tokio::test]
async fn bodies_and_protocols_agree() -> Result<()> {
    let both = Both::start("").await?;
    let post = |fields: &'static [&'static str], body: &'static str| TestRequest {
        method: "POST",
        url: "http://app.example.com/small",
        fields,
        body,
    };
    both.agree(&post(&["Content-Length: 11"], ""), "public")
        .await?;
    both.agree(
        &post(
            &["Content-Length: 11", "Content-Type: application/grpc-web"],
            "",
        ),
        "public",
    )
    .await?;
    both.agree(&post(&["Content-Length: 10"], "0123456789"), "public")
        .await?;
    both.agree(&post(&["Content-Length: 0"], ""), "public")
        .await?;
    both.agree(&post(&[], ""), "public").await?;
    let chunked = post(&["Transfer-Encoding: chunked"], "1\r\na\r\n0\r\n\r\n");
    both.agree(&chunked, "public").await?;
    let explained = both.explained(&chunked).await?;
    let note = explained["notes"][0].as_str().context("a note")?;
    assert!(note.contains("10 bytes"), "{note}");
    let expect_continue = post(&["Expect: 100-continue", "Content-Length: 11"], "");
    both.agree(&expect_continue, "public").await?;
    let refused = both.explained(&expect_continue).await?;
    assert_eq!(refused["answer"]["status"], 413);

    let upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let url = "http://app.example.com/open/x";
    both.agree(&get(url, &upgrade), "public").await?;
    let other = ["Connection: Upgrade", "Upgrade: h2c"];
    both.agree(&get(url, &other), "public").await?;
    let hops = ["Connection: close, X-Hop", "X-Hop: a", "TE: trailers"];
    both.agree(&get(url, &hops), "public").await?;
    Ok(())
}

#[tokio::test]
async fn requests_that_are_never_forwarded_agree() -> Result<()> {
    let both = Both::start("").await?;
    let url = "http://app.example.com/open/x";
    for (method, url, fields, reason) in [
        ("OPTIONS", "*", &["Host: app.example.com"][..], "options"),
        ("GET", "*", &["Host: app.example.com"], "bad_target"),
        ("TRACE", url, &["Max-Forwards: 0"], "method_not_allowed"),
        ("CONNECT", url, &[], "method_not_allowed"),
        ("OPTIONS", url, &["Max-Forwards: 0"], "options"),
        ("OPTIONS", url, &["Max-Forwards: 7"], "public"),
        ("POST", url, &["Expect: 200-ok"], "unknown_expectation"),
        ("GET", url, &["Host: app.example.com"], "bad_host"),
        ("GET", "http://wiki.example.com../open/x", &[], "bad_host"),
        ("GET", "http://a,b/open/x", &[], "bad_host"),
        ("GET", "http://a:b/open/x", &[], "bad_host"),
        ("GET", "http://[::1/open/x", &[], "bad_host"),
        ("GET", "http://my_app:3000/open/x", &[], "public"),
        ("GET", "/open/x", &["Accept: */*"], "public"),
        // Without a host the request matches no route that has one, not even a public route.
        ("GET", "/small", &["Accept: */*"], "no_credential"),
        (
            "GET",
            "http://app.example.com/open/x#y",
            &[],
            "malformed_request",
        ),
        ("GET", "http://app.example.com#y", &[], "malformed_request"),
        ("GET", "/open/x y", &[], "malformed_request"),
        ("GET", "/open/ä\u{7f}", &[], "malformed_request"),
        ("GET", "/open/\u{1}", &[], "malformed_request"),
        ("GET", url, &["Bad Name: x"], "malformed_request"),
        ("GET", url, &["Name : x"], "malformed_request"),
        ("GET", url, &[" Folded: x"], "malformed_request"),
        ("GET", url, &["Name: \u{7f}"], "malformed_request"),
        (
            "POST",
            url,
            &["Content-Length: 1", "Content-Length: 1"],
            "malformed_request",
        ),
        (
            "POST",
            url,
            &["Content-Length: 1", "Transfer-Encoding: chunked"],
            "malformed_request",
        ),
        ("POST", url, &["Content-Length: -1"], "malformed_request"),
        (
            "POST",
            url,
            &["Transfer-Encoding: gzip"],
            "malformed_request",
        ),
        (
            "POST",
            "/open/x",
            &["Transfer-Encoding: chunked"],
            "malformed_request",
        ),
        ("GET", url, &["A: b"; 256], "malformed_request"),
        ("GET", url, &["A: b"; 255], "public"),
    ] {
        both.agree(&request_of(method, url, fields), reason).await?;
    }
    let long = format!("A: {}", "b".repeat(64 * 1024));
    both.agree(&get(url, &[&long]), "malformed_request").await?;
    let long = format!("http://app.example.com/{}", "b".repeat(64 * 1024));
    both.agree(&get(&long, &[]), "malformed_request").await
}

#[tokio::test]
async fn the_bypass_agrees() -> Result<()> {
    let settings = format!(
        "allow_bypass = true\nbypass_header = \"X-Dev\"\nbypass_header_value = \"{BYPASS}\"\n"
    );
    let both = Both::start(&settings).await?;
    let right = format!("X-Dev: {BYPASS}");
    let url = "http://app.example.com/admin/x";
    both.agree(&get(url, &[&right]), "bypass").await?;
    both.agree(&get(url, &[&right, &right]), "no_credential")
        .await?;
    both.agree(
        &get("http://app.example.com/closed", &[&right]),
        "route_denied",
    )
    .await
}

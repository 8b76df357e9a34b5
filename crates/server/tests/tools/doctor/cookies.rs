//! Cookies with flaws, set by a real server.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;

use anyhow::Result;
use harness::{Nginx, free_port};

use super::super::Tool;
use super::{doctor, file, finding_text, findings, ids};

/// Returns the findings about a server with these `Set-Cookie` fields, except those about plain HTTP, and the exit code.
async fn of(fields: &[&str]) -> Result<(Vec<String>, Option<i32>)> {
    let headers: Vec<_> = fields
        .iter()
        .map(|field| format!("add_header Set-Cookie \"{field}\";"))
        .collect();
    let nginx = Nginx::start(&format!(
        "{} location / {{ return 200 page; }}",
        headers.join(" ")
    ))
    .await?;
    let url = format!("http://{}", nginx.address());
    let outcome = doctor([
        "--ignore",
        "plain-http-local",
        "--ignore",
        "framework-not-found",
        &url,
    ])
    .run();
    assert!(!outcome.stdout.contains("hidden"), "no value is printed");
    Ok((findings(&outcome), outcome.code))
}

#[tokio::test]
async fn every_cookie_flaw_is_found() -> Result<()> {
    let (found, code) = of(&[
        "authjs.session-token=hidden; Path=/; SameSite=Lax",
        "next-auth.session-token=hidden; Path=/; HttpOnly; SameSite=None",
        "better-auth.session_token=hidden; Path=/; HttpOnly; SameSite=Lax; Max-Age=31536000",
        "__Host-authjs.csrf-token=hidden; Path=/app; Secure; HttpOnly; SameSite=Lax",
        "other=hidden",
    ])
    .await?;
    assert_eq!(
        found,
        [
            "cookie-not-http-only: cookie authjs.session-token",
            "cookie-rejected-by-browsers: cookie next-auth.session-token",
            "cookie-rejected-by-browsers: cookie __Host-authjs.csrf-token",
            "cookie-same-site-none: cookie next-auth.session-token",
            "cookie-lives-long: cookie better-auth.session_token",
        ]
    );
    assert_eq!(code, Some(1));
    Ok(())
}

#[tokio::test]
async fn a_session_in_many_chunks_is_too_long_for_proxies() -> Result<()> {
    let value = "hidden".repeat(650);
    let chunk = |number: usize| {
        format!("authjs.session-token.{number}={value}; Path=/; HttpOnly; SameSite=Lax")
    };
    let (found, code) = of(&[&chunk(0), &chunk(1), &chunk(2)]).await?;
    assert_eq!(found, ["session-too-large: cookie authjs.session-token"]);
    assert_eq!(code, Some(0), "a warning is no problem");
    Ok(())
}

#[tokio::test]
async fn endless_redirects_are_found_and_cookie_setting_redirects_are_not() -> Result<()> {
    for (conduct, ends) in [
        ("location / { return 302 /signin?callbackUrl=$uri; }", false),
        (
            "location = / { return 302 /a; } location / { return 302 /; }",
            false,
        ),
        (
            "location / { if ($cookie_seen) { return 200 page; } add_header Set-Cookie \"seen=1; HttpOnly; SameSite=Lax\"; \
             return 302 /; }",
            true,
        ),
    ] {
        let nginx = Nginx::start(conduct).await?;
        let url = format!("http://{}", nginx.address());
        let words = [
            "--ignore",
            "plain-http-local",
            "--ignore",
            "framework-not-found",
        ];
        let outcome = doctor(words.into_iter().chain([&*url])).run();
        let expected = match ends {
            true => Vec::new(),
            false => vec![format!("redirect-endless: {url}")],
        };
        assert_eq!(findings(&outcome), expected, "{conduct}");
        assert_eq!(outcome.code, Some(i32::from(!ends)));
    }
    Ok(())
}

/// The test imitates the app, because real servers always send the time of their machine.
#[test]
fn an_app_with_a_wrong_clock_is_found() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let outcome = thread::scope(|scope| {
        let outcome = scope.spawn(|| doctor(["--auth-path", "/auth", &url]).run());
        // Four requests: the page once for its redirect and once for itself, and the two endpoints that identify a framework.
        for _ in 0..4 {
            let (mut stream, _) = listener.accept()?;
            let mut head = BufReader::new(&stream).lines();
            while head
                .next()
                .transpose()?
                .is_some_and(|line| !line.is_empty())
            {}
            stream.write_all(
                b"HTTP/1.1 404 Not Found\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\nContent-Length: 0\r\n\r\n",
            )?;
        }
        anyhow::Ok(outcome.join().expect("a run"))
    })?;
    assert_eq!(
        ids(&outcome),
        ["clock-off", "plain-http-local", "framework-not-found"],
        "{outcome:?}"
    );
    let seen = finding_text(&outcome, "clock-off", "seen");
    assert!(seen.ends_with("s behind this machine's"), "{seen}");
    Ok(())
}

#[test]
fn cookies_read_from_a_file_are_treated_as_sent_over_https() {
    let (_folder, path) =
        file("authjs.session-token=hidden; Path=/; HttpOnly; SameSite=Lax; Domain=co.uk\n");
    let outcome = doctor(["--set-cookie-file", &path]).run();
    assert_eq!(
        ids(&outcome),
        [
            "cookie-rejected-by-browsers",
            "cookie-not-secure",
            "cookie-no-prefix"
        ],
        "{outcome:?}"
    );
    let seen = finding_text(&outcome, "cookie-rejected-by-browsers", "seen");
    assert!(seen.contains("anybody can register"), "{seen}");
    assert!(!outcome.stdout.contains("hidden"));
}

#[tokio::test]
async fn accepted_findings_are_omitted_and_warnings_fail_on_request() -> Result<()> {
    let (_folder, path) = file("authjs.session-token=x; Path=/; HttpOnly; Secure; SameSite=Lax\n");
    let words = ["--set-cookie-file", path.as_str()];
    assert_eq!(doctor(words).run().code, Some(0));
    let strict = doctor(words).args(["--strict"]).run();
    assert_eq!(
        (ids(&strict), strict.code),
        (vec!["cookie-no-prefix".to_owned()], Some(1))
    );
    let accepted = doctor(words)
        .args(["--strict", "--ignore", "cookie-no-prefix"])
        .run();
    assert_eq!(
        (accepted.json()["ignored"].as_u64(), accepted.code),
        (Some(1), Some(0))
    );
    Ok(())
}

#[test]
fn unusable_arguments_and_unreachable_apps_have_their_own_exit_code() {
    let silent = format!("http://127.0.0.1:{}", free_port());
    let (_folder, empty) = file("");
    for (words, text) in [
        (vec![], "there is nothing to examine"),
        (vec![silent.as_str()], "app-unreachable"),
        (vec!["app.example.com"], "give a URL such as"),
        (
            vec!["https://a:b@app.example.com"],
            "credentials in the URL",
        ),
        (
            vec!["--ignore", "nothing", silent.as_str()],
            "no finding with this id",
        ),
        (
            vec!["--config", "/nonexistent/gate.toml"],
            "cannot read this configuration file",
        ),
        (vec!["--set-cookie-file", empty.as_str()], "is empty"),
        (vec!["--auth-path", "/auth"], "required"),
    ] {
        let outcome = Tool::new(["doctor"]).args(words.clone()).run();
        assert_eq!(outcome.code, Some(2), "{words:?}: {outcome:?}");
        let all = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(all.contains(text), "{words:?}: {all}");
    }
}

//! The rules about HTTPS: the redirect, HSTS, `REQUIRE_HTTPS`, and the warning about sessions without TLS.

use std::fs;

use anyhow::Result;
use harness::{Authority, Echo, Gate, Request};

use super::{HERE, Site, cookie, with_certificate};
use crate::support::{gate, signed_in};

const HSTS: &str = "max-age=31536000; includeSubDomains";

#[tokio::test]
async fn curl_follows_the_redirect_to_the_same_place() -> Result<()> {
    let settings = [("REDIRECT_LISTEN", "127.0.0.1:0"), ("HSTS", HSTS)];
    let site = Site::start(settings).await?;
    let redirect = site.gate.listener("redirect").await?;
    let url = format!("http://localhost:{}/a%2fb/?c=d&e", redirect.port());
    let answer = site.curl(&[&url]).await?;
    assert_eq!(answer.status, 308, "{answer:?}");
    assert_eq!(answer.header("location"), Some(&*site.url("/a%2fb/?c=d&e")));
    // An attacker could forge HSTS in an answer without TLS, so the gate does not send it there (RFC 6797 §7.2).
    assert_eq!(answer.header("strict-transport-security"), None);

    let (cookie, file) = (cookie("ada"), site.folder.path().join("form"));
    fs::write(&file, "some=thing")?;
    let form = format!("@{}", file.display());
    let words = [
        "--location-trusted",
        "-o",
        "/dev/null",
        "-D",
        "-",
        "-H",
        &cookie,
        "--data",
        &form,
        &url,
    ];
    let answer = site.curl(&words).await?;
    assert!(answer.body.starts_with("HTTP/1.1 200"), "{answer:?}");
    let seen = site.echo.only();
    assert_eq!((&*seen.method, &*seen.target), ("POST", "/a%2fb/?c=d&e"));
    assert_eq!(seen.body, b"some=thing");
    let line = site
        .gate
        .wait_for_audit(|line| line["mode"] == "redirect")
        .await?;
    assert_eq!(line["reason"], "redirected_to_https", "{line}");
    Ok(())
}

#[tokio::test]
async fn redirects_never_lead_to_unknown_hosts() -> Result<()> {
    let settings = [
        ("REDIRECT_LISTEN", "127.0.0.1:0"),
        (
            "PUBLIC_URL",
            "https://app.example,https://*.tenants.example:8443",
        ),
    ];
    let site = Site::start(settings).await?;
    let redirect = site.gate.listener("redirect").await?;
    let port = site.port();
    for (host, location) in [
        ("app.example", Some("https://app.example/x".to_owned())),
        ("app.example:80", Some("https://app.example/x".to_owned())),
        (
            "a.tenants.example",
            Some("https://a.tenants.example:8443/x".to_owned()),
        ),
        (
            "localhost:1234",
            Some(format!("https://localhost:{port}/x")),
        ),
        ("127.0.0.1", Some(format!("https://127.0.0.1:{port}/x"))),
        ("evil.example", None),
        ("app.example.evil.example", None),
        ("a.b.tenants.example", None),
    ] {
        let mut client = harness::Client::connect(redirect).await?;
        let request = format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n");
        client.raw(request.as_bytes()).await?;
        let answer = client.response().await?;
        assert_eq!(answer.header("location"), location.as_deref(), "{host}");
        let status = if location.is_some() { 308 } else { 421 };
        assert_eq!(answer.status, status, "{host}");
    }
    let mut client = harness::Client::connect(redirect).await?;
    client
        .raw(b"GET //evil.example/x HTTP/1.1\r\nHost: app.example\r\n\r\n")
        .await?;
    let answer = client.response().await?;
    assert_eq!(
        answer.header("location"),
        Some("https://app.example//evil.example/x")
    );
    Ok(())
}

#[tokio::test]
async fn every_answer_over_https_has_the_hsts_header() -> Result<()> {
    let site = Site::start([("HSTS", HSTS), ("PUBLIC_PATHS", "/open/")]).await?;
    for (path, status) in [("/open/", 200), ("/closed", 401), ("/open/%00", 400)] {
        let answer = site.curl(&[&site.url(path)]).await?;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert_eq!(
            answer.header("strict-transport-security"),
            Some(HSTS),
            "{path}"
        );
        assert_eq!(answer.head.matches("strict-transport-security").count(), 1);
    }
    // The answer to a malformed request has it too.
    let words = ["-H", "Content-Length: x", &site.url("/open/")];
    let answer = site.curl(&words).await?;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(answer.header("strict-transport-security"), Some(HSTS));
    // A trusted proxy in front may terminate TLS; the header of any other client has no effect.
    for (proxies, promised) in [("127.0.0.1", Some(HSTS)), ("192.0.2.1", None)] {
        let gate = gate(&site.echo.url())
            .envs([("HSTS", HSTS), ("TRUSTED_PROXIES", proxies)])
            .start()
            .await?;
        let request = signed_in("/", "ada").header("X-Forwarded-Proto", "https");
        let answer = gate.send(&request).await?;
        assert_eq!(
            answer.header("strict-transport-security"),
            promised,
            "{proxies}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn files_of_a_folder_over_tls_have_the_hsts_header() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::make(folder.path()).await?;
    let pair = authority.server("server", HERE).await?;
    let site = folder.path().join("site");
    fs::create_dir(&site)?;
    let page = "0123456789".repeat(50_000);
    fs::write(site.join("page.txt"), &page)?;
    let gate = with_certificate(gate(&format!("dir:{}", site.display())), &pair)
        .envs([("HSTS", HSTS), ("PUBLIC_PATHS", "/")])
        .start()
        .await?;
    let url = format!("https://localhost:{}", gate.proxy.port());
    let found = super::curl(&authority, &[&format!("{url}/page.txt")]).await?;
    assert_eq!(found.status, 200);
    assert!(found.body == page);
    let missing = super::curl(&authority, &[&format!("{url}/none.txt")]).await?;
    assert_eq!(missing.status, 404);
    for answer in [found, missing] {
        assert_eq!(answer.header("strict-transport-security"), Some(HSTS));
    }
    Ok(())
}

#[tokio::test]
async fn require_https_refuses_requests_without_https() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let authority = Authority::make(folder.path()).await?;
    let pair = authority.server("server", HERE).await?;
    let plain = harness::free_port();
    let file = folder.path().join("gate.toml");
    fs::write(
        &file,
        format!("[[listener]]\naddress = \"127.0.0.1:{plain}\"\n"),
    )?;
    let gate = with_certificate(gate(&echo.url()), &pair)
        .envs([("REQUIRE_HTTPS", "true"), ("PUBLIC_PATHS", "/open/")])
        .env("SESSIONGATE_CONFIG", file.display().to_string())
        .start()
        .await?;
    let plain = ([127, 0, 0, 1], plain).into();
    for request in [
        signed_in("/", "ada"),
        Request::get("/open/"),
        signed_in("/", "ada").header("X-Forwarded-Proto", "https"),
    ] {
        let answer = harness::Client::connect(plain)
            .await?
            .send(&request)
            .await?;
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert_eq!(answer.json()?["error"], "https_required");
    }
    assert!(echo.seen().is_empty());
    for (url, reason) in [
        ("http%3A%2F%2Fa%2Fopen%2F", "https_required"),
        ("https%3A%2F%2Fa%2Fopen%2F", "public"),
    ] {
        let explained = gate.admin(&format!("/explain?url={url}")).await?;
        assert_eq!(explained.json()?["answer"]["reason"], reason);
    }
    gate.wait_for_audit(|line| line["reason"] == "https_required")
        .await?;
    let url = format!("https://localhost:{}/", gate.proxy.port());
    let answer = super::curl(&authority, &["-H", &cookie("ada"), &url]).await?;
    assert_eq!(answer.status, 200);
    Ok(())
}

#[tokio::test]
async fn require_https_believes_x_forwarded_proto_of_a_listed_proxy() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(&echo.url())
        .envs([("REQUIRE_HTTPS", "true"), ("TRUSTED_PROXIES", "127.0.0.1")])
        .start()
        .await?;
    for (scheme, status) in [(Some("https"), 200), (Some("http"), 403), (None, 403)] {
        let request = signed_in("/", "ada");
        let request = match scheme {
            Some(scheme) => request.header("X-Forwarded-Proto", scheme),
            None => request,
        };
        assert_eq!(gate.send(&request).await?.status, status, "{scheme:?}");
    }
    Ok(())
}

#[tokio::test]
async fn impossible_https_settings_are_refused_at_start_up() -> Result<()> {
    let echo = Echo::start().await?;
    for (settings, problem) in [
        (
            vec![("REQUIRE_HTTPS", "true")],
            "REQUIRE_HTTPS: every request would be refused",
        ),
        (
            vec![("REDIRECT_LISTEN", "127.0.0.1:0")],
            "REDIRECT_LISTEN: there is no HTTPS address to redirect to",
        ),
        (vec![("HSTS", "true")], "HSTS"),
        (
            vec![
                ("LISTEN", "127.0.0.1:8443"),
                ("REDIRECT_LISTEN", "127.0.0.1:8443"),
                ("TLS", "self-signed"),
            ],
            "is already used by LISTEN",
        ),
    ] {
        let ended = gate(&echo.url()).envs(settings.clone()).run().await?;
        assert!(!ended.status.success(), "{settings:?}");
        assert!(
            ended.stderr.contains(problem),
            "{settings:?}: {}",
            ended.stderr
        );
    }
    Ok(())
}

#[tokio::test]
async fn start_up_warns_if_sessions_travel_without_tls() -> Result<()> {
    const WORDS: &str = "sessions travel in the clear";
    let echo = Echo::start().await?;
    for (settings, is_said) in [
        (vec![("LISTEN", "0.0.0.0:0")], true),
        (vec![("LISTEN", "127.0.0.1:0")], false),
        (vec![("LISTEN", "0.0.0.0:0"), ("TLS", "self-signed")], false),
        (
            vec![("LISTEN", "0.0.0.0:0"), ("TRUSTED_PROXIES", "10.0.0.0/8")],
            false,
        ),
    ] {
        let gate: Gate = gate(&echo.url()).envs(settings.clone()).start().await?;
        // Warnings come before the listeners.
        let printed = gate.stderr().all();
        let printed = printed.iter().any(|line| line.contains(WORDS));
        assert_eq!(printed, is_said, "{settings:?}");
    }
    Ok(())
}

//! The sign-in page, also behind the gate itself, and the URL to return to.

use anyhow::{Context, Result};
use harness::{Echo, Gate, GateCommand, Request, Response, mint};

use crate::support::{gate, started};

/// Returns the message with which start-up refuses these settings, and verifies that `check-config` prints the same.
async fn refused<const N: usize>(settings: [(&str, &str); N]) -> Result<String> {
    let command = || gate("http://127.0.0.1:3000").envs(settings);
    let started = command().run().await?;
    let checked = command().args(["check-config"]).run().await?;
    assert_eq!(
        (started.status.code(), checked.status.code()),
        (Some(1), Some(1)),
        "{settings:?}"
    );
    assert_eq!(started.stderr, checked.stderr);
    Ok(started.stderr)
}

#[tokio::test]
async fn a_sign_in_page_behind_the_gate_that_is_not_public_is_refused_at_start_up() -> Result<()> {
    let message = refused([("SIGN_IN_URL", "/signin")]).await?;
    assert!(
        message.ends_with(
            "the configuration has 1 problem:\n  SIGN_IN_URL: the sign-in page `/signin` is behind this gate and not \
             public, so it would redirect to itself forever; add the paths that sign-in needs to PUBLIC_PATHS: `/signin` \
             and `/api/auth/`, and for Next.js `/_next/`. Add them even if a proxy in front of the gate answers these \
             paths"
        ),
        "{message}"
    );
    let message = refused([
        ("SIGN_IN_URL", "https://App.example.com/api/auth/signin"),
        ("PUBLIC_URL", "https://*.example.com"),
        ("PUBLIC_PATHS", "/assets/"),
    ])
    .await?;
    assert!(
        message.contains(
            "that sign-in needs to PUBLIC_PATHS: `/api/auth/`, and for Next.js `/_next/`."
        ),
        "{message}"
    );
    Ok(())
}

#[tokio::test]
async fn a_reachable_sign_in_page_is_accepted_at_start_up() -> Result<()> {
    let check = |settings: &[(&'static str, &'static str)]| {
        gate("http://127.0.0.1:3000")
            .envs(settings.iter().copied())
            .args(["check-config"])
            .run()
    };
    let public = check(&[
        ("SIGN_IN_URL", "/signin"),
        ("PUBLIC_PATHS", "/signin,/api/auth/,/_next/"),
    ])
    .await?;
    assert!(public.status.success(), "{}", public.stderr);
    assert!(!public.stderr.contains("sign-in page"), "{}", public.stderr);
    let page_alone = check(&[("SIGN_IN_URL", "/signin"), ("PUBLIC_PATHS", "/signin")]).await?;
    assert!(page_alone.status.success(), "{}", page_alone.stderr);
    let printed = page_alone.stdout + &page_alone.stderr;
    assert!(
        printed.contains("add `/api/auth/` to PUBLIC_PATHS (for Next.js `/_next/` too)"),
        "{printed}"
    );
    let elsewhere = check(&[
        ("SIGN_IN_URL", "https://app.example.com/signin"),
        ("PUBLIC_URL", "https://grafana.example.com"),
    ])
    .await?;
    assert!(elsewhere.status.success(), "{}", elsewhere.stderr);
    Ok(())
}

#[tokio::test]
async fn a_gate_that_only_decides_warns_if_the_sign_in_page_is_not_public() -> Result<()> {
    let gate = decider().env("SIGN_IN_URL", "/signin").start().await?;
    gate.stderr()
        .wait_for(|line| {
            let warned = line.contains("redirect to itself") && line.contains("does not ask about");
            warned.then_some(())
        })
        .await?;
    for (path, status) in [("/private", 302), ("/signin", 401), ("/signin/?a=b", 401)] {
        let decision_request = Request::get("/auth/traefik")
            .as_navigation()
            .header("X-Forwarded-Method", "GET")
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Host", "app.example")
            .header("X-Forwarded-Uri", path);
        let mut client = harness::Client::connect(gate.decisions_port()?).await?;
        assert_eq!(
            client.send(&decision_request).await?.status,
            status,
            "{path}"
        );
    }
    Ok(())
}

fn decider() -> GateCommand {
    Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .without("LISTEN")
        .env("AUTH_SECRET", mint::SECRET)
        .env("AUTH_LISTEN", "127.0.0.1:0")
}

#[tokio::test]
async fn a_path_that_would_redirect_to_itself_gets_the_refusal_page() -> Result<()> {
    // The settings do not tell the gate whether it serves the host of the page.
    let (_echo, gate) = started([("SIGN_IN_URL", "https://app.example/signin")]).await?;
    for (host, target, status) in [
        ("app.example", "/signin", 401),
        ("App.example.", "/signin/", 401),
        ("app.example:443", "/sign%69n?callbackUrl=%2F", 401),
        ("gate:8080", "/signin?callbackUrl=%2Fsignin", 401),
        ("app.example", "/", 302),
        ("app.example", "/signin/help", 302),
    ] {
        let request = Request::get(target).as_navigation().header("Host", host);
        let answer = gate.send(&request).await?;
        assert_eq!(answer.status, status, "{host} {target}");
        if status == 401 {
            assert!(answer.text().contains("Please sign in"), "{host} {target}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_sign_in_url_with_the_return_parameter_is_refused() -> Result<()> {
    for query in ["callbackUrl=https://g.example", "callbackURL=/", "rd=/"] {
        let url = format!("https://app.example/signin?{query}");
        let message = refused([("SIGN_IN_URL", url.as_str())]).await?;
        let name = query.split_once('=').map_or(query, |(name, _)| name);
        assert!(
            message.ends_with(&format!(
                "the configuration has 1 problem:\n  SIGN_IN_URL: the gate puts the return URL into its parameter \
                 `{name}`; remove the parameter, and set SIGN_IN_CALLBACK_PARAMETER to the name that your app reads"
            )),
            "{message}"
        );
    }
    let message = refused([
        ("SIGN_IN_URL", "https://app.example/signin"),
        ("SIGN_IN_CALLBACK_PARAMETER", "a=b"),
    ])
    .await?;
    assert!(
        message.contains("SIGN_IN_CALLBACK_PARAMETER: `a=b`"),
        "{message}"
    );
    Ok(())
}

#[tokio::test]
async fn the_name_of_the_return_parameter_can_be_configured() -> Result<()> {
    let settings = [
        ("SIGN_IN_URL", "https://auth.example/oauth2/start?a=b"),
        ("SIGN_IN_CALLBACK_PARAMETER", "rd"),
    ];
    let (_echo, gate) = started(settings).await?;
    let answer = gate.send(&Request::get("/x?y").as_navigation()).await?;
    assert_eq!(
        answer.header("location"),
        Some("https://auth.example/oauth2/start?a=b&rd=%2Fx%3Fy")
    );
    Ok(())
}

#[tokio::test]
async fn a_wildcard_over_a_public_suffix_is_refused() -> Result<()> {
    for (origin, why) in [
        ("https://*.com", "anybody can register"),
        ("https://*.co.uk", "anybody can register"),
        ("https://*.github.io", "anybody can register"),
        ("https://a.*.example.com", "the whole first label"),
        ("https://wiki-*.example.com", "the whole first label"),
        ("https://*", "the whole first label"),
    ] {
        let settings = [
            ("SIGN_IN_URL", "https://app.example/signin"),
            ("PUBLIC_URL", origin),
        ];
        let message = refused(settings).await?;
        assert!(
            message.contains(&format!("PUBLIC_URL: `{origin}`: ")) && message.contains(why),
            "{message}"
        );
    }
    Ok(())
}

const SIGN_IN: &str = "https://app.example/signin";

/// Returns the URL to return to after sign-in, decoded, for a request of a page with these header fields.
async fn way_back(gate: &Gate, fields: &[(&str, &str)]) -> Result<String> {
    let request = Request::get("/x").as_navigation();
    let request = fields.iter().fold(request, |request, (name, value)| {
        request.header(name, *value)
    });
    back(&gate.send(&request).await?)
}

fn back(answer: &Response) -> Result<String> {
    let location = answer.header("location").context("a redirect")?;
    let back = location.strip_prefix("https://app.example/signin?callbackUrl=");
    let back = back.with_context(|| location.to_owned())?;
    Ok(back.replace("%3A", ":").replace("%2F", "/"))
}

#[tokio::test]
async fn the_return_url_has_the_host_of_the_request() -> Result<()> {
    let origins = "https://a.example, https://b.example:8443, https://*.example.com";
    let echo = Echo::start().await?;
    let gate = gate(&echo.url())
        .envs([("SIGN_IN_URL", SIGN_IN), ("PUBLIC_URL", origins)])
        .start()
        .await?;
    for (host, origin) in [
        ("a.example", "https://a.example"),
        ("A.EXAMPLE.:443", "https://a.example"),
        ("b.example:8443", "https://b.example:8443"),
        ("b.example", ""),
        ("a.example:80", ""),
        ("Wiki.example.com.", "https://wiki.example.com"),
        ("a.b.example.com", ""),
        ("example.com", ""),
        ("a_b.example.com", ""),
        ("evil.example", ""),
    ] {
        assert_eq!(
            way_back(&gate, &[("Host", host)]).await?,
            format!("{origin}/x"),
            "{host}"
        );
    }
    // No proxy is trusted, so `X-Forwarded-Host` has no effect.
    let forwarded = [
        ("Host", "a.example"),
        ("X-Forwarded-Host", "wiki.example.com"),
    ];
    assert_eq!(way_back(&gate, &forwarded).await?, "https://a.example/x");
    Ok(())
}

#[tokio::test]
async fn the_return_url_has_the_host_that_a_listed_proxy_reports() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(&echo.url())
        .env("SIGN_IN_URL", SIGN_IN)
        .env(
            "PUBLIC_URL",
            "https://a.example, https://*.example.com, http://b.example, https://b.example",
        )
        .env("TRUSTED_PROXIES", "127.0.0.1");
    let standard = gate.clone().env("FORWARDED_HEADER", "forwarded");
    let (gate, standard) = (gate.start().await?, standard.start().await?);
    let forwarded = "for=192.0.2.1;host=\"a.example:443\";proto=https, for=127.0.0.1";
    for (fields, origin) in [
        (
            &[("X-Forwarded-Host", "A.example.:443")][..],
            "https://a.example",
        ),
        (
            &[("X-Forwarded-Host", "wiki.example.com, gate")],
            "https://wiki.example.com",
        ),
        (&[("Forwarded", forwarded)], "https://a.example"),
        (&[("X-Forwarded-Host", "evil.example")], ""),
        (
            &[
                ("X-Forwarded-Host", "b.example"),
                ("X-Forwarded-Proto", "http"),
            ],
            "http://b.example",
        ),
        (
            &[
                ("X-Forwarded-Host", "b.example"),
                ("X-Forwarded-Proto", "https"),
            ],
            "https://b.example",
        ),
        (&[], ""),
    ] {
        let mut all = vec![("Host", "gate.internal:8080")];
        all.extend(fields);
        let is_standard = fields.iter().any(|(name, _)| *name == "Forwarded");
        let gate = if is_standard { &standard } else { &gate };
        assert_eq!(
            way_back(gate, &all).await?,
            format!("{origin}/x"),
            "{fields:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn with_one_origin_every_return_url_has_that_origin() -> Result<()> {
    let settings = [
        ("SIGN_IN_URL", SIGN_IN),
        ("PUBLIC_URL", "https://A.example:443"),
    ];
    let (_echo, gate) = started(settings).await?;
    for host in ["a.example", "10.0.0.1:8080", "evil.example"] {
        assert_eq!(
            way_back(&gate, &[("Host", host)]).await?,
            "https://a.example/x",
            "{host}"
        );
    }
    Ok(())
}

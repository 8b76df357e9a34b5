//! Rate limits by address, by user and by route. The rates are so low that no request is regained during a test.

use std::fs;

use anyhow::{Context, Result};
use harness::{Client, Echo, Mint, Request, Response, mint};

use super::{BEHIND_PROXY, decision_answer, from, statuses};
use crate::support::{gate, signed_in, started};

/// Verifies that this is the refusal of a limit of `quota` requests per hour.
fn is_limited(answer: &Response, policy: &str, quota: u32) -> Result<()> {
    assert_eq!(answer.status, 429, "{}", answer.text());
    let wait = answer.header("retry-after").context("a time")?;
    let seconds: u32 = wait.parse()?;
    assert!((1..=3600).contains(&seconds), "{wait}");
    let printed = answer.header("ratelimit-policy");
    assert_eq!(printed, Some(&*format!("\"{policy}\";q={quota};w=3600")));
    let left = answer.header("ratelimit");
    assert_eq!(left, Some(&*format!("\"{policy}\";r=0;t={wait}")));
    Ok(())
}

#[tokio::test]
async fn an_address_over_its_rate_limit_gets_429_with_retry_after() -> Result<()> {
    let open = ("PUBLIC_PATHS", "/open/");
    let (echo, gate) = started([BEHIND_PROXY, open, ("RATE_LIMIT", "2/h")]).await?;
    let [ada, bob] = ["192.0.2.1", "192.0.2.2"];
    assert_eq!(statuses(&gate, [ada, ada, bob]).await?, [200; 3]);
    let answer = gate.send(&from(ada, signed_in("/", "ada"))).await?;
    is_limited(&answer, "address", 2)?;
    assert_eq!(echo.seen().len(), 3, "it reached no service");
    let id = answer.header("x-request-id").context("an id")?;
    let line = gate.wait_for_audit(|line| line["request_id"] == id).await?;
    assert_eq!(line["reason"], "rate_limited", "{line}");
    assert_eq!(line["client_ip"], ada);
    let counted = ["limit=\"address\""];
    let counted = gate
        .metric("sessiongate_rate_limited_total", counted)
        .await?;
    assert_eq!(counted, 1.0);

    // For IPv6, the first 64 bits of the address identify a client.
    let [here, there] = ["2001:db8:0:1::1", "[2001:db8:0:1:ffff::2]:4711"];
    let elsewhere = "2001:db8:0:2::1";
    let statuses = statuses(&gate, [here, there, here, there, elsewhere, bob, bob]).await?;
    assert_eq!(statuses, [200, 200, 429, 429, 200, 200, 429]);
    Ok(())
}

#[tokio::test]
async fn bursts_are_allowed_and_every_limit_applies() -> Result<()> {
    let limits = ("RATE_LIMIT", "1/h burst 3, 1000000/s, 2/h by route");
    let open = ("PUBLIC_PATHS", "/open/");
    let (_echo, gate) = started([BEHIND_PROXY, open, limits]).await?;
    let [ada, bob] = ["192.0.2.1", "192.0.2.2"];
    // The third request exceeds the limit of the route.
    assert_eq!(statuses(&gate, [ada, bob, ada]).await?, [200, 200, 429]);
    let answer = gate.send(&from(bob, Request::get("/open/"))).await?;
    is_limited(&answer, "route", 2)?;
    // Another route; this is the last of the three requests that Ada's address has.
    assert_eq!(
        gate.send(&from(ada, signed_in("/", "ada"))).await?.status,
        200
    );
    assert_eq!(
        gate.send(&from(bob, signed_in("/", "bob"))).await?.status,
        200
    );
    let answer = gate.send(&from(bob, signed_in("/", "bob"))).await?;
    is_limited(&answer, "address", 1)
}

#[tokio::test]
async fn a_user_limit_counts_requests_from_all_addresses() -> Result<()> {
    let open = ("PUBLIC_PATHS", "/open/");
    let (echo, gate) = started([BEHIND_PROXY, open, ("RATE_LIMIT", "1/h by user")]).await?;
    let [here, there] = ["192.0.2.1", "192.0.2.2"];
    assert_eq!(
        gate.send(&from(here, signed_in("/", "ada"))).await?.status,
        200
    );
    let answer = gate.send(&from(there, signed_in("/", "ada"))).await?;
    is_limited(&answer, "user", 1)?;
    let line = gate.wait_for_audit(|line| line["status"] == 429).await?;
    assert_eq!(
        (&line["user_id"], &line["cred"]),
        (&"ada".into(), &"authjs5".into())
    );
    assert_eq!(
        gate.send(&from(here, signed_in("/", "bob"))).await?.status,
        200
    );
    assert_eq!(
        statuses(&gate, [here, here]).await?,
        [200; 2],
        "the limit by user does not apply without a session"
    );
    assert_eq!(echo.seen().len(), 4);
    Ok(())
}

/// The file of a gate with a route that has limits of its own, and one that has none.
fn file(echo: &Echo, limit: &str, more: &str) -> String {
    let (secret, upstream) = (mint::SECRET, echo.url());
    format!(
        r#"
auth_secret = "{secret}"
upstream = "{upstream}"
trusted_proxies = ["127.0.0.1/32"]
{more}

[[route]]
name = "login"
path = "/login"
access = "public"
rate_limit = {limit}

[[route]]
path = "/open/"
access = "public"
"#
    )
}

#[tokio::test]
async fn limits_can_be_set_for_a_route() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let path = folder.path().join("gate.toml");
    let limits = r#"["1/h", "2/h by route"]"#;
    fs::write(&path, file(&echo, limits, "rate_limit = [\"4/h\"]"))?;
    let gate = gate(&echo.url()).without("AUTH_SECRET").without("UPSTREAM");
    let gate = gate.args(["serve", "--config", path.to_str().context("a path")?]);
    // The harness waits for the proxy's listener.
    let gate = gate.start().await?;
    let [ada, bob, eve] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    let ask = async |address| gate.send(&from(address, Request::get("/login"))).await;
    assert_eq!(ask(ada).await?.status, 200);
    is_limited(&ask(ada).await?, "address", 1)?;
    assert_eq!(ask(bob).await?.status, 200);
    is_limited(&ask(eve).await?, "route", 2)?;
    // These requests count towards the limits of the whole gate too, including those that the route refused.
    assert_eq!(statuses(&gate, [ada, ada, ada]).await?, [200, 200, 429]);
    let explained = gate.admin("/explain?url=%2Flogin").await?.json()?;
    assert_eq!(
        explained["answer"]["status"],
        serde_json::Value::Null,
        "it enters"
    );
    let note = explained["notes"][0].as_str().unwrap_or_default();
    assert!(note.contains("rate_limit"), "{explained}");
    let of_login = |line: &serde_json::Value| line["rule"] == "login" && line["status"] == 429;
    gate.wait_for_audit(of_login).await?;
    Ok(())
}

#[tokio::test]
async fn a_reload_keeps_the_counts_of_unchanged_limits() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let path = folder.path().join("gate.toml");
    fs::write(&path, file(&echo, "\"1/h\"", ""))?;
    let gate = gate(&echo.url()).without("AUTH_SECRET").without("UPSTREAM");
    let gate = gate.args(["serve", "--config", path.to_str().context("a path")?]);
    let gate = gate.start().await?;
    let status = async || {
        let request = from("192.0.2.1", Request::get("/login"));
        anyhow::Ok(gate.send(&request).await?.status)
    };
    let reload = async |limit, more| {
        fs::write(&path, file(&echo, limit, more))?;
        let mut admin = Client::connect(gate.admin).await?;
        let answer = admin.send(&Request::post("/reload", "")).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        anyhow::Ok(())
    };
    assert_eq!((status().await?, status().await?), (200, 429));
    reload("\"1/h\"", "max_in_flight = 100").await?;
    assert_eq!(status().await?, 429, "another setting has changed");
    reload("\"1/h burst 2\"", "").await?;
    assert_eq!(
        [status().await?, status().await?, status().await?],
        [200, 200, 429]
    );
    reload("\"1000/s\"", "").await?;
    assert_eq!(status().await?, 200, "it has the effect of no limit");
    Ok(())
}

#[tokio::test]
async fn calling_proxies_get_the_rate_limit_status_that_they_can_handle() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(&echo.url())
        .env("AUTH_LISTEN", "127.0.0.1:0")
        .env("RATE_LIMIT", "1/h")
        .start()
        .await?;
    for (number, (endpoint, status)) in [
        ("/auth", 429),
        ("/auth/traefik", 429),
        // nginx knows only 401 and 403, and answers everything else with 500.
        ("/auth/nginx", 403),
    ]
    .into_iter()
    .enumerate()
    {
        let address = format!("192.0.2.{number}");
        let decision_request = from(&address, Request::get(endpoint))
            .header("X-Forwarded-Method", "GET")
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Host", "a.example")
            .header("X-Forwarded-Uri", "/");
        let decision_request = match endpoint {
            "/auth/nginx" => from(&address, Request::get(endpoint))
                .header("X-Original-URL", "https://a.example/")
                .header("X-Original-Method", "GET"),
            _ => decision_request,
        };
        let decision_request = decision_request.cookie(Mint::user("ada").authjs());
        assert_eq!(
            decision_answer(&gate, &decision_request).await?.status,
            200,
            "{endpoint}"
        );
        let answer = decision_answer(&gate, &decision_request).await?;
        assert_eq!(answer.status, status, "{endpoint}");
        assert!(answer.header("retry-after").is_some(), "{endpoint}");
        assert!(answer.header("ratelimit").is_some(), "{endpoint}");
    }
    Ok(())
}

#[tokio::test]
async fn a_malformed_limit_is_reported_with_its_position() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let path = folder.path().join("gate.toml");
    let wrong = "bad_session_rate_limit = \"5/s by user\"\nmax_header_fields = 0";
    fs::write(&path, file(&echo, "[\"5/m\", \"5/day\"]", wrong))?;
    let words = ["check-config", "--config", path.to_str().context("a path")?];
    let gate = gate(&echo.url()).without("AUTH_SECRET").without("UPSTREAM");
    let finished = gate.args(words).run().await?;
    let printed = finished.stdout + &finished.stderr;
    assert!(!finished.status.success(), "{printed}");
    for words in [
        "`day` is not a time unit; write s, m or h, such as `5/m`",
        "gate.toml:12",
        "it always counts by client address",
        "write a number from 1 to 10000",
    ] {
        assert!(
            printed.contains(words),
            "{words} is missing from:\n{printed}"
        );
    }
    Ok(())
}

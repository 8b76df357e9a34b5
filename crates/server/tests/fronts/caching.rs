//! Which decisions an nginx with a cache may reuse, and for which requests.

use anyhow::{Result, ensure};
use harness::{Client, Echo, Gate, Mint, Request};
use serde_json::Value;

use crate::front::{Front, Kind, gate};

/// An nginx that caches decisions, its gate and its service.
struct World {
    front: Front,
    gate: Gate,
    echo: Echo,
}

impl World {
    async fn start<const N: usize>(settings: [(&str, &str); N]) -> Result<Self> {
        let echo = Echo::start().await?;
        let gate = gate(Kind::NginxCached, &echo)
            // One worker writes audit lines in order.
            .env("WORKERS", "1")
            .envs(settings)
            .start()
            .await?;
        let front = Front::start(Kind::NginxCached, &gate, &echo).await?;
        Ok(Self { front, gate, echo })
    }

    async fn status(&self, request: &Request) -> Result<u16> {
        let mut client = Client::connect(self.front.address).await?;
        Ok(client.send(request).await?.status)
    }

    /// Verifies that the request enters, and returns the user id that the service receives.
    async fn enters(&self, request: &Request) -> Result<String> {
        let status = self.status(request).await?;
        ensure!(status == 200, "{status}");
        let seen = self.echo.seen().pop().expect("it arrived");
        Ok(seen.headers.get("x-user-id").unwrap_or_default().to_owned())
    }

    /// Returns how many decisions the gate has made about `path` so far.
    async fn decisions(&self, path: &str) -> Result<usize> {
        // The line of a new path, which comes after those of all earlier requests.
        let last = format!("/last/{}", self.echo.seen().len());
        let session = Mint::user("ada").authjs();
        self.enters(&Request::get(&last).cookie(session)).await?;
        self.gate
            .wait_for_audit(|line| line["path"] == last.as_str())
            .await?;
        let about = |line: &&Value| line["path"] == path;
        Ok(self.gate.audit_lines().iter().filter(about).count())
    }
}

#[tokio::test]
async fn two_users_in_turn_get_their_own_cached_decisions() -> Result<()> {
    let world = World::start([]).await?;
    let sessions = ["ada", "eve"].map(|user| {
        let mint = Mint::user(user);
        (user, mint.authjs(), mint.authjs_token())
    });
    for _ in 0..3 {
        for (user, cookie, token) in &sessions {
            let by_cookie = Request::get("/same").cookie(cookie);
            assert_eq!(world.enters(&by_cookie).await?, *user);
            let by_token = Request::get("/same").header("Authorization", format!("Bearer {token}"));
            assert_eq!(world.enters(&by_token).await?, *user);
        }
    }
    assert_eq!(world.decisions("/same").await?, 4, "one per credential");
    Ok(())
}

#[tokio::test]
async fn a_cached_permit_applies_to_one_request_only() -> Result<()> {
    let world = World::start([("PUBLIC_PATHS", "/public/")]).await?;
    let cookie = Mint::user("ada").authjs();
    let signed_in = |request: Request| request.cookie(&cookie).header("Host", "grafana.example");
    for _ in 0..2 {
        let request = signed_in(Request::get("/page"));
        assert_eq!(world.enters(&request).await?, "ada");
    }
    for other in [
        signed_in(Request::get("/page?x=1")),
        signed_in(Request::new("DELETE", "/page")),
        signed_in(Request::post("/page", "body")),
        Request::get("/page")
            .cookie(&cookie)
            .header("Host", "other.example"),
        signed_in(Request::get("/page")).header("Authorization", "Basic eDp5"),
    ] {
        // The decision does not matter: nginx must ask the gate.
        world.status(&other).await?;
    }
    for _ in 0..2 {
        let anonymous = Request::get("/page").header("Host", "grafana.example");
        assert_eq!(world.status(&anonymous).await?, 401);
        let tampered = anonymous.cookie(format!("{cookie}x"));
        assert_eq!(world.status(&tampered).await?, 401);
    }
    // The first, five others, and four refusals: refusals are not cached.
    assert_eq!(world.decisions("/page").await?, 1 + 5 + 4);

    for _ in 0..2 {
        assert_eq!(world.enters(&Request::get("/public/page")).await?, "");
    }
    assert_eq!(world.decisions("/public/page").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_decision_for_a_session_in_eight_cookies_is_cached() -> Result<()> {
    let world = World::start([]).await?;
    let large = Mint::user("ada").claim("padding", "x".repeat(22_000));
    let request = Request::get("/large").cookie(large.authjs());
    for _ in 0..3 {
        assert_eq!(world.enters(&request).await?, "ada");
    }
    assert_eq!(world.decisions("/large").await?, 1);
    Ok(())
}

#[tokio::test]
async fn permits_without_a_session_are_not_cached() -> Result<()> {
    let value = "a-value-of-thirty-two-characters-";
    let world = World::start([
        ("ALLOW_BYPASS", "true"),
        ("BYPASS_HEADER_VALUE", value),
        ("CORS_PREFLIGHT", "pass"),
    ])
    .await?;
    let bypass = || Request::get("/page").header("X-Bypass-Auth", value);
    let preflight = || {
        Request::new("OPTIONS", "/page")
            .header("Origin", "https://app.example")
            .header("Access-Control-Request-Method", "PUT")
    };
    for _ in 0..2 {
        assert_eq!(world.enters(&bypass()).await?, "");
        assert_eq!(world.enters(&preflight()).await?, "");
        assert_eq!(world.status(&Request::get("/page")).await?, 401);
        assert_eq!(world.status(&Request::new("OPTIONS", "/page")).await?, 401);
    }
    assert_eq!(world.decisions("/page").await?, 8);
    Ok(())
}

//! One file of routes and one table of requests, behind every front: the rules are the same for all of them.

use anyhow::{Context, Result, ensure};
use harness::{Client, Echo, Mint, Request};

use crate::front::{Front, Kind, gate};

/// The routes for every front.
const ROUTES: &str = r#"
case_insensitive = false

[[route]]
name = "everybody else"
path = "/"

[[route]]
name = "welcome"
path = ["/welcome", "/assets/"]
access = "public"

[[route]]
name = "admin"
path = "/admin/"
require = { claim = "role", one_of = ["admin", "owner"] }

[[route]]
name = "reports"
path = "/admin/reports/{year}"
require = [
  { claim = "groups", contains = "finance" },
  { not = { claim = "impersonatedBy", present = true } },
]

[[route]]
name = "changes"
path = "/admin/"
methods = ["POST", "DELETE"]
require = { claim = "role", equals = "owner" }

[[route]]
name = "closed"
path = "/internal/"
access = "deny"

[[route]]
name = "number"
path = "/number/"
require = { claim = "role", equals = 1 }

[[route]]
name = "legacy"
path = "/legacy/"
csrf = true

[[route]]
name = "other host"
host = "*.other.test"
path = "/"
access = "public"
"#;

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The request reaches the service by this route.
    Enters(&'static str),
    /// The client gets this status, for this reason.
    Refused(u16, &'static str),
}

use Outcome::{Enters, Refused};

/// The user of a request; `ActingAdmin` is one who impersonates an accountant, `SignedOut` a client without a session.
#[derive(Clone, Copy, Debug)]
enum TestUser {
    Accountant,
    ActingAdmin,
    Admin,
    SignedOut,
    Owner,
    User,
}

impl TestUser {
    fn cookie(self) -> Option<String> {
        let mint = Mint::user("ada").claim("name", "Ada");
        Some(
            match self {
                Self::SignedOut => return None,
                Self::User => mint,
                Self::Admin => mint.claim("role", "admin"),
                Self::Owner => mint.claim("role", "owner"),
                Self::Accountant => mint.claim("groups", vec!["staff", "finance"]),
                Self::ActingAdmin => mint
                    .claim("groups", vec!["finance"])
                    .claim("impersonatedBy", "eve"),
            }
            .authjs(),
        )
    }
}

type Row = (&'static str, &'static str, TestUser, Outcome);

const TABLE: &[Row] = &[
    ("GET", "/welcome", TestUser::SignedOut, Enters("welcome")),
    (
        "GET",
        "/assets/a%20b.css?x=/admin/",
        TestUser::SignedOut,
        Enters("welcome"),
    ),
    ("GET", "/%61ssets/x", TestUser::SignedOut, Enters("welcome")),
    (
        "GET",
        "/",
        TestUser::SignedOut,
        Refused(401, "no_credential"),
    ),
    ("GET", "/", TestUser::User, Enters("everybody else")),
    (
        "GET",
        "/@scope%2fname",
        TestUser::User,
        Enters("everybody else"),
    ),
    (
        "GET",
        "/admin/",
        TestUser::SignedOut,
        Refused(401, "no_credential"),
    ),
    (
        "GET",
        "/admin/",
        TestUser::User,
        Refused(403, "rule_denied"),
    ),
    ("GET", "/admin/", TestUser::Admin, Enters("admin")),
    ("HEAD", "/admin/x", TestUser::Admin, Enters("admin")),
    (
        "GET",
        "/%61dmin/",
        TestUser::User,
        Refused(403, "rule_denied"),
    ),
    ("GET", "/%61dmin/x", TestUser::Admin, Enters("admin")),
    // An upstream would read these as paths of another route.
    (
        "GET",
        "/x/../admin/",
        TestUser::User,
        Refused(400, "ambiguous_path"),
    ),
    (
        "GET",
        "/assets/..%2fadmin/",
        TestUser::SignedOut,
        Refused(400, "ambiguous_path"),
    ),
    (
        "GET",
        "/admin%2fx",
        TestUser::User,
        Refused(400, "ambiguous_path"),
    ),
    (
        "GET",
        "/ADMIN%2fx",
        TestUser::User,
        Refused(400, "ambiguous_path"),
    ),
    ("GET", "/Admin/", TestUser::User, Enters("everybody else")),
    (
        "POST",
        "/admin/x",
        TestUser::Admin,
        Refused(403, "rule_denied"),
    ),
    ("POST", "/admin/x", TestUser::Owner, Enters("changes")),
    (
        "DELETE",
        "/admin/x",
        TestUser::Admin,
        Refused(403, "rule_denied"),
    ),
    ("PUT", "/admin/x", TestUser::Admin, Enters("admin")),
    (
        "GET",
        "/admin/reports/2026",
        TestUser::Admin,
        Refused(403, "rule_denied"),
    ),
    (
        "GET",
        "/admin/reports/2026",
        TestUser::Accountant,
        Enters("reports"),
    ),
    (
        "GET",
        "/admin/reports/2026",
        TestUser::ActingAdmin,
        Refused(403, "rule_denied"),
    ),
    (
        "GET",
        "/admin/reports/",
        TestUser::Accountant,
        Refused(403, "rule_denied"),
    ),
    (
        "GET",
        "/admin/reports/2026/x",
        TestUser::Accountant,
        Refused(403, "rule_denied"),
    ),
    (
        "GET",
        "/internal/x",
        TestUser::Owner,
        Refused(403, "route_denied"),
    ),
    (
        "GET",
        "/internal/x",
        TestUser::SignedOut,
        Refused(403, "route_denied"),
    ),
    (
        "GET",
        "/number/x",
        TestUser::Admin,
        Refused(403, "rule_incomparable"),
    ),
    ("GET", "/legacy/x", TestUser::User, Enters("legacy")),
    (
        "POST",
        "/legacy/x",
        TestUser::User,
        Refused(403, "cross_origin"),
    ),
];

#[tokio::test]
async fn behind_caddy() -> Result<()> {
    run(Kind::Caddy).await
}

#[tokio::test]
async fn behind_the_latest_caddy() -> Result<()> {
    run(Kind::CaddyPinned).await
}

#[tokio::test]
async fn behind_envoy_over_grpc() -> Result<()> {
    run(Kind::EnvoyGrpc).await
}

#[tokio::test]
async fn behind_envoy_over_http() -> Result<()> {
    run(Kind::EnvoyHttp).await
}

#[tokio::test]
async fn behind_haproxy() -> Result<()> {
    run(Kind::Haproxy).await
}

#[tokio::test]
async fn behind_nginx() -> Result<()> {
    run(Kind::Nginx).await
}

#[tokio::test]
async fn behind_the_gate_itself() -> Result<()> {
    run(Kind::Proxy).await
}

#[tokio::test]
async fn behind_traefik() -> Result<()> {
    run(Kind::Traefik).await
}

async fn run(kind: Kind) -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let file = folder.path().join("gate.toml");
    std::fs::write(&file, ROUTES)?;
    let file = file.to_str().context("a path")?;
    let gate = gate(kind, &echo)
        .env("SESSIONGATE_CONFIG", file)
        .start()
        .await?;
    let front = Front::start(kind, &gate, &echo).await?;
    for (method, target, user, outcome) in TABLE {
        let what = format!("{kind:?}: {method} {target} by {user:?}");
        let request = Request::new(method, target).header("Host", "app.example.com");
        let request = user.cookie().into_iter().fold(request, Request::cookie);
        let before = echo.seen().len();
        let answer = Client::connect(front.address).await?.send(&request).await?;
        let arrived = echo.seen().len() > before;
        let id = answer.header("x-request-id").map(str::to_owned);
        match *outcome {
            Enters(route) => {
                ensure!(
                    answer.status == 200 && arrived,
                    "{what}: {answer:?}\n{}",
                    front.transcript()
                );
                let id = echo.seen().pop().context("it arrived")?;
                let id = id.headers.get("x-request-id").map(str::to_owned);
                seen(&gate, id, route, "allow").await.context(what)?;
            }
            Refused(status, reason) => {
                let status = match (status, reason) {
                    (400, _) => kind.ambiguous(),
                    (status, _) => status,
                };
                ensure!(answer.status == status && !arrived, "{what}: {answer:?}");
                seen(&gate, id, reason, "deny").await.context(what)?;
            }
        }
    }
    let other = Request::get("/").header("Host", "A.Other.Test.:8080");
    let answer = Client::connect(front.address).await?.send(&other).await?;
    ensure!(answer.status == 200, "{kind:?}: {answer:?}");
    Ok(())
}

/// Waits for the audit line of a request, by its id if the front passes the id on, and verifies its outcome.
async fn seen(gate: &harness::Gate, id: Option<String>, wanted: &str, outcome: &str) -> Result<()> {
    let field = match outcome {
        "allow" => "rule",
        _ => "reason",
    };
    let Some(id) = id else {
        // The last line is that of the last request.
        gate.wait_for_audit(|line| line["outcome"] == outcome && line[field] == wanted)
            .await?;
        return Ok(());
    };
    let line = gate
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    ensure!(
        line["outcome"] == outcome && line[field] == wanted,
        "{line}"
    );
    Ok(())
}

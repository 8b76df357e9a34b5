//! One table of requests, and the outcome of each behind every front.
//!
//! Each front is started once, with a gate that has public and protected paths, a sign-in page, and a database of
//! users. A case is checked by what the client received and what the upstream saw; where fronts must differ, `Kind` says so.

use anyhow::{Context, Result, ensure};
use harness::{Client, CutProxy, Echo, Gate, Mint, Postgres, ReceivedRequest, Request};

use crate::documents::{block, replace_literal};
use crate::front::{Front, Kind, gate, haproxy};

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
async fn behind_nginx_with_a_decision_cache() -> Result<()> {
    run(Kind::NginxCached).await
}

#[tokio::test]
async fn behind_nginx_over_a_unix_socket() -> Result<()> {
    run(Kind::NginxSocket).await
}

#[tokio::test]
async fn behind_the_gate_itself() -> Result<()> {
    run(Kind::Proxy).await
}

#[tokio::test]
async fn behind_traefik() -> Result<()> {
    run(Kind::Traefik).await
}

#[tokio::test]
async fn a_failing_haproxy_script_denies() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(Kind::Haproxy, &echo).start().await?;
    let script = block("haproxy.md", "lua", 0)?;
    for (right, wrong) in [
        ("local answer = ", "error('broken')\n    local answer = "),
        ("core.httpclient()", "core.nothing()"),
        ("answer.headers[name:lower()]", "answer.nothing.at.all"),
        ("/auth\"", "/nothing\""),
    ] {
        let broken = replace_literal(&script, right, wrong)?;
        let haproxy = haproxy(&broken, gate.decisions_port()?, &echo).await?;
        let request = Request::get("/").header("Host", HOST).cookie(eve());
        let answer = Client::connect(haproxy.address())
            .await?
            .send(&request)
            .await?;
        ensure!(answer.status >= 400, "with {wrong}: {answer:?}");
    }
    assert!(echo.seen().is_empty());
    Ok(())
}

async fn run(kind: Kind) -> Result<()> {
    let world = World::start(kind).await?;
    let outcome = world.check_all().await;
    outcome.with_context(|| format!("{kind:?} says:\n{}", world.front.transcript()))?;
    world.outages().await
}

/// A front, its gate, the service behind it, and the database of users.
struct World {
    kind: Kind,
    front: Front,
    gate: Gate,
    echo: Echo,
    to_postgres: CutProxy,
    _postgres: Postgres,
    _folder: tempfile::TempDir,
}

/// A request and its expected outcome.
struct Case {
    what: String,
    request: Request,
    method: &'static str,
    target: String,
    body: &'static [u8],
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The path has two readings.
    Ambiguous,
    /// The request reaches the service with this id, email address and name of the user; empty means absent.
    Enters([&'static str; 3]),
    /// The client gets this status, and no redirect.
    Refused(u16),
    /// A browser is redirected to the sign-in page, with the URL to return to.
    SignIn,
    /// A gRPC call is refused as unauthenticated: with a status of gRPC, if the front supports it.
    Unauthenticated,
}

use Outcome::{Ambiguous, Enters, Refused, SignIn, Unauthenticated};

const NO_USER: Outcome = Enters(["", "", ""]);
const ADA: Outcome = Enters(["ada", "ada@example.com", "Ada Lovelace"]);
const EVE: Outcome = Enters(["eve", "", ""]);

fn ada() -> Mint {
    Mint::user("ada")
        .claim("email", "ada@example.com")
        .claim("name", "Ada Lovelace")
}

/// Returns the session cookie of a user with neither email address nor name.
fn eve() -> String {
    Mint::user("eve").authjs()
}

fn case(
    what: impl Into<String>,
    outcome: Outcome,
    method: &'static str,
    target: &str,
    change: impl FnOnce(Request) -> Request,
) -> Case {
    Case {
        what: what.into(),
        request: change(Request::new(method, target).header("Host", HOST)),
        method,
        target: target.to_owned(),
        body: b"",
        outcome,
    }
}

fn get(
    what: impl Into<String>,
    outcome: Outcome,
    target: &str,
    change: impl FnOnce(Request) -> Request,
) -> Case {
    case(what, outcome, "GET", target, change)
}

fn cases() -> Vec<Case> {
    let cookie = |request: Request| request.cookie(ada().authjs());
    let mut cases = vec![
        get("a session", ADA, "/private?a=1&b=%2F..%2F&&", cookie),
        get("a session without more than an id", EVE, "/private", |r| {
            r.cookie(eve())
        }),
        get("a session of NextAuth", ADA, "/private", |r| {
            r.cookie(ada().nextauth())
        }),
        get("a session among other cookies", ADA, "/private", |r| {
            r.cookie(format!("theme=dark; {}; lang=en", ada().authjs()))
        }),
        get("a session as a bearer token", ADA, "/private", |r| {
            r.header("Authorization", format!("Bearer {}", ada().authjs_token()))
        }),
        get("a session in eight cookies", ADA, "/private", |r| {
            r.cookie(in_eight_cookies())
        }),
        get("a public path", NO_USER, "/public/x?y=/../z", |r| r),
        get("a public path, signed in", NO_USER, "/public/x", cookie),
        get("no session", Refused(401), "/private", |r| r),
        get(
            "no session, a browser",
            SignIn,
            "/private?page=2",
            Request::as_navigation,
        ),
        get("no session, a script", Refused(401), "/private", |r| {
            r.header("Sec-Fetch-Mode", "cors")
                .header("Accept", "application/json")
        }),
        get("an expired session", Refused(401), "/private", |r| {
            r.cookie(ada().expiring_in(-60).authjs())
        }),
        get("an expired session, a browser", SignIn, "/private", |r| {
            r.cookie(ada().expiring_in(-60).authjs()).as_navigation()
        }),
        get("a cookie that was changed", Refused(401), "/private", |r| {
            r.cookie(changed(&ada().authjs()))
        }),
        get(
            "a cookie of another secret",
            Refused(401),
            "/private",
            |r| {
                r.cookie(
                    ada()
                        .secret("another-secret-T6yQ8sWd1Kp4Zc9Xv3Lm7Nb2")
                        .authjs(),
                )
            },
        ),
        get("a user who does not exist", Refused(403), "/private", |r| {
            r.cookie(Mint::user("mallory").authjs())
        }),
        get(
            "a user who does not exist, a browser",
            Refused(403),
            "/private",
            |r| r.cookie(Mint::user("mallory").authjs()).as_navigation(),
        ),
        get("identity nominated away", ADA, "/private", |r| {
            cookie(r).header("Connection", "X-User-Id, X-User-Email")
        }),
        get(
            "the public path in a query",
            Refused(401),
            "/private?/public/x",
            |r| r,
        ),
        get(
            "the public path in another case",
            Refused(401),
            "/PUBLIC/x",
            |r| r,
        ),
        case("a HEAD", Refused(401), "HEAD", "/private", |r| r),
        case("a DELETE", Refused(401), "DELETE", "/private", |r| r),
        case("an OPTIONS", Refused(401), "OPTIONS", "/private", |r| r),
        case("a HEAD with a session", ADA, "HEAD", "/private", cookie),
        case("a DELETE with a session", ADA, "DELETE", "/private", cookie),
        case(
            "an OPTIONS with a session",
            ADA,
            "OPTIONS",
            "/private",
            cookie,
        ),
    ];
    for target in [
        "/public/../private",
        "/public/..%2fprivate",
        "/public/%2e%2e/private",
        "/public/..;/private",
        "/public//../private",
        "//public/x",
        "/private/../public/x",
        "/public/%5c..%5cprivate",
        "/public/%252e%252e/private",
    ] {
        cases.push(get(target, Ambiguous, target, |r| r));
        cases.push(get(
            format!("{target}, signed in"),
            Ambiguous,
            target,
            cookie,
        ));
    }
    cases.extend([
        get("every spelling of every identity", ADA, "/private", |r| {
            forged(cookie(r))
        }),
        get(
            "the same from one without address and name",
            EVE,
            "/private",
            |r| forged(r.cookie(eve())),
        ),
        get("the same on a public path", NO_USER, "/public/x", forged),
    ]);
    for (name, value) in CLAIMS {
        cases.push(get(
            format!("{name} without a session"),
            Refused(401),
            "/private",
            |r| r.header(name, value),
        ));
        cases.push(get(
            format!("{name} with a session"),
            ADA,
            "/private",
            |r| cookie(r).header(name, value),
        ));
    }
    cases.push(get("all of them at once", Refused(401), "/private", |r| {
        CLAIMS
            .iter()
            .fold(r, |r, (name, value)| r.header(name, *value))
    }));
    let post = |outcome, what: &str, kind: &str, cookie: Option<String>| {
        let request = Request::post("/private", BODY)
            .header("Host", HOST)
            .header("Content-Type", kind);
        Case {
            what: what.to_owned(),
            request: cookie.into_iter().fold(request, Request::cookie),
            method: "POST",
            target: "/private".to_owned(),
            body: BODY,
            outcome,
        }
    };
    let session = || Some(ada().authjs());
    cases.extend([
        post(ADA, "a body", "text/plain", session()),
        post(Refused(401), "a body without a session", "text/plain", None),
        post(Unauthenticated, "a call of gRPC", "application/grpc", None),
        post(
            ADA,
            "a call of gRPC with a session",
            "application/grpc",
            session(),
        ),
    ]);
    cases
}

/// Fields that describe the original request to a gate or proxy if they come from the proxy in front, forged by a client.
const CLAIMS: [(&str, &str); 15] = [
    ("X-Original-URL", "http://app.example/public/x"),
    ("X-Original-URI", "/public/x"),
    ("X-Original-Method", "OPTIONS"),
    ("X-Original-Host", "app.example"),
    ("X-Forwarded-Uri", "/public/x"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Method", "OPTIONS"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Prefix", "/public"),
    ("X-Rewrite-URL", "/public/x"),
    ("X-Envoy-Original-Path", "/public/x"),
    ("Forwarded", "for=6.6.6.6;host=evil.example;proto=https"),
    ("X-Forwarded-For", "6.6.6.6"),
    ("X-Real-IP", "6.6.6.6"),
    ("X-Request-Id", "chosen-by-the-client"),
];

/// Adds, twice each, every spelling that some service reads as one of the gate's headers.
fn forged(request: Request) -> Request {
    let mut request = request;
    for field in ["Id", "Email", "Name"] {
        for first in ["-", "_", "."] {
            for second in ["-", "_", "."] {
                let name = format!("X{first}User{second}{field}");
                request = request
                    .header(&name, "forged")
                    .header(&name.to_lowercase(), "forged-again");
            }
        }
    }
    request
}

fn in_eight_cookies() -> String {
    let cookies = ada().claim("padding", "x".repeat(22_000)).authjs();
    let count = cookies.matches("session-token.").count();
    assert_eq!(count, 8, "as many cookies as fit in one header");
    cookies
}

/// The cookie with its last character changed.
fn changed(cookie: &str) -> String {
    let (rest, last) = cookie.split_at(cookie.len() - 1);
    format!("{rest}{}", if last == "A" { "B" } else { "A" })
}

impl World {
    async fn start(kind: Kind) -> Result<Self> {
        let postgres = Postgres::start().await?;
        postgres
            .execute("CREATE TABLE users (id text PRIMARY KEY); INSERT INTO users VALUES ('ada'), ('eve')")
            .await?;
        let to_postgres = CutProxy::start(&postgres.address()).await?;
        let folder = tempfile::tempdir()?;
        let echo = Echo::start().await?;
        let mut command = gate(kind, &echo)
            .env("PUBLIC_PATHS", "/public/")
            .env("PUBLIC_URL", format!("http://{HOST}"))
            .env("SIGN_IN_URL", "https://app.example/signin")
            .env("ENABLE_DB_CHECK", "true")
            .env(
                "DATABASE_URL",
                postgres.url_through(&to_postgres.address(), Postgres::DATABASE),
            )
            // A busy machine must not look like an outage; a cut connection fails at once.
            .env("DATABASE_TIMEOUT", "10000")
            .env("MEMORY_CACHE_TTL", "0")
            .env("ABSENT_CACHE_TTL", "0");
        if kind == Kind::NginxSocket {
            let socket = folder.path().join("auth.sock");
            command = command.env("AUTH_LISTEN", format!("unix:{}", socket.display()));
        }
        let gate = command.start().await?;
        let front = Front::start(kind, &gate, &echo).await?;
        Ok(Self {
            kind,
            front,
            gate,
            echo,
            to_postgres,
            _postgres: postgres,
            _folder: folder,
        })
    }

    /// Judges every case and reports all failures together.
    async fn check_all(&self) -> Result<()> {
        let mut wrong = Vec::new();
        for case in cases() {
            if let Err(error) = self.check_case(&case).await {
                wrong.push(format!("{}: {error:#}", case.what));
            }
        }
        if let Err(error) = self.websockets().await {
            wrong.push(format!("a WebSocket: {error:#}"));
        }
        if let Err(error) = self.chunked().await {
            wrong.push(format!("a body of unknown length: {error:#}"));
        }
        for line in self.gate.audit_lines() {
            let told_by_client =
                line.to_string().contains("chosen-by-the-client") || line["client_ip"] == "6.6.6.6";
            if line["mode"] != self.kind.mode() || told_by_client {
                wrong.push(format!("the audit log says {line}"));
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    }

    async fn check_case(&self, case: &Case) -> Result<()> {
        let before = self.echo.seen().len();
        let answer = Client::connect(self.front.address)
            .await?
            .send(&case.request)
            .await?;
        let seen = self.echo.seen().split_off(before);
        let got = format!("{} {:?} {}", answer.status, answer.headers, answer.text());
        match case.outcome {
            Enters(identity) => {
                ensure!(answer.status == 200, "{got}");
                let [seen] = seen.as_slice() else {
                    anyhow::bail!("{} requests arrived", seen.len())
                };
                ensure!(seen.broken.is_none() && seen.complete, "{seen:?}");
                ensure!(
                    (
                        seen.method.as_str(),
                        seen.target.as_str(),
                        seen.body.as_slice()
                    ) == (case.method, case.target.as_str(), case.body),
                    "{seen:?}"
                );
                return names(seen, identity);
            }
            Ambiguous => ensure!(answer.status == self.kind.ambiguous(), "{got}"),
            Refused(status) => {
                ensure!(answer.status == status, "{got}");
                ensure!(answer.header("location").is_none(), "{got}");
            }
            SignIn => {
                let back = case
                    .target
                    .replace('?', "%3F")
                    .replace('=', "%3D")
                    .replace('/', "%2F");
                let sign_in = format!(
                    "https://app.example/signin?callbackUrl=http%3A%2F%2Fgrafana.example{back}"
                );
                ensure!(answer.status == 302, "{got}");
                ensure!(answer.header("location") == Some(&sign_in), "{got}");
                ensure!(answer.header("cache-control") == Some("no-store"), "{got}");
            }
            Unauthenticated if self.kind.speaks_grpc() => {
                ensure!(answer.status == 200, "{got}");
                ensure!(answer.header("grpc-status") == Some("16"), "{got}");
                ensure!(answer.header("location").is_none(), "{got}");
            }
            Unauthenticated => {
                ensure!(answer.status == 401, "{got}");
                ensure!(answer.header("location").is_none(), "{got}");
            }
        }
        ensure!(seen.is_empty(), "it reached the service: {seen:?}");
        Ok(())
    }

    async fn websockets(&self) -> Result<()> {
        let handshake = || Request::get("/ws").header("Host", HOST).websocket();
        let before = self.echo.seen().len();
        let mut stranger = Client::connect(self.front.address).await?;
        let refused = stranger.send(&handshake()).await?;
        ensure!(refused.status == 401, "without a session: {refused:?}");
        ensure!(self.echo.seen().len() == before, "it reached the service");

        let mut client = Client::connect(self.front.address).await?;
        let request = handshake().cookie(ada().authjs());
        client.raw(&request.bytes(self.front.address)).await?;
        let accepted = client.head().await?;
        ensure!(accepted.status == 101, "{accepted:?}");
        for message in ["there", "and back again"] {
            client.raw(message.as_bytes()).await?;
            let echoed = client.bytes(message.len()).await?;
            ensure!(echoed == message.as_bytes(), "{echoed:?}");
        }
        let seen = self.echo.seen().pop().context("it arrived")?;
        names(&seen, ["ada", "ada@example.com", "Ada Lovelace"])
    }

    async fn chunked(&self) -> Result<()> {
        let mut client = Client::connect(self.front.address).await?;
        let request = Request::new("POST", "/private")
            .header("Host", HOST)
            .cookie(ada().authjs())
            .header("Transfer-Encoding", "chunked");
        client.raw(&request.bytes(self.front.address)).await?;
        client
            .raw(b"5\r\nhello\r\n6\r\n there\r\n0\r\n\r\n")
            .await?;
        let answer = client.response().await?;
        ensure!(answer.status == 200, "{answer:?}");
        let seen = self.echo.seen().pop().context("it arrived")?;
        ensure!(seen.complete && seen.body == b"hello there", "{seen:?}");
        names(&seen, ["ada", "ada@example.com", "Ada Lovelace"])
    }

    /// Cuts off the database, then ends the gate: neither may permit anything.
    async fn outages(self) -> Result<()> {
        self.to_postgres.cut().await?;
        let request = |target: &str| Request::get(target).header("Host", HOST);
        let signed_in = |target: &str| {
            let request = request(target).cookie(ada().authjs());
            request.header("X-User-Id", "forged")
        };
        let before = self.echo.seen().len();
        for request in [signed_in("/lost"), signed_in("/lost").as_navigation()] {
            let answer = Client::connect(self.front.address)
                .await?
                .send(&request)
                .await?;
            let status = self.kind.store_down();
            assert_eq!(answer.status, status, "without a database: {answer:?}");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            assert!(
                answer.text().to_lowercase().contains("unavailable"),
                "{answer:?}"
            );
        }

        let Some(status) = self.kind.gate_down() else {
            return Ok(());
        };
        drop(self.gate);
        for request in [
            signed_in("/down"),
            signed_in("/down").as_navigation(),
            request("/down"),
            request("/public/down"),
        ] {
            let answer = Client::connect(self.front.address)
                .await?
                .send(&request)
                .await?;
            assert_eq!(answer.status, status, "without a gate: {answer:?}");
        }
        assert_eq!(
            self.echo.seen().len(),
            before,
            "nothing reached the service"
        );
        Ok(())
    }
}

/// Verifies that the service receives this identity, and no other under any name that it might read as one of the gate's.
fn names(seen: &ReceivedRequest, identity: [&str; 3]) -> Result<()> {
    for (name, expected) in ["x-user-id", "x-user-email", "x-user-name"]
        .into_iter()
        .zip(identity)
    {
        let seen_values: Vec<_> = seen
            .headers
            .iter()
            .filter(|(spelled, _)| normal(spelled) == name)
            .collect();
        let known = match seen_values.as_slice() {
            [] => expected.is_empty(),
            [(spelled, value)] => spelled.eq_ignore_ascii_case(name) && *value == expected,
            _ => false,
        };
        ensure!(
            known,
            "{name} should be {expected:?}, but the service saw {seen_values:?}"
        );
    }
    let nominated = seen.headers.all("connection").join(",").to_lowercase();
    ensure!(!nominated.contains("user"), "Connection: {nominated}");
    ensure!(
        !seen
            .headers
            .iter()
            .any(|(_, value)| value.contains("forged")),
        "{:?}",
        seen.headers
    );
    Ok(())
}

/// Returns the name as a service that folds names reads it.
fn normal(name: &str) -> String {
    name.to_lowercase().replace(['_', '.'], "-")
}

/// The host that clients request.
const HOST: &str = "grafana.example";

/// The body of POST requests, longer than a buffer or two.
const BODY: &[u8] = &[b'b'; 100_000];

//! The answers to decision requests of a client that is not one of the fronts, or that pretends to be another.

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use harness::{Client, Echo, Gate, Mint, Request, Response};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::front::{Front, Kind, gate};

/// Starts a gate to which the tests send decision requests directly.
pub(crate) async fn deciding_gate<const N: usize>(settings: [(&str, &str); N]) -> Result<Gate> {
    let echo = Echo::start().await?;
    gate(Kind::Traefik, &echo)
        .env("PUBLIC_PATHS", "/public/")
        .env("SIGN_IN_URL", "https://app.example/signin")
        .envs(settings)
        .start()
        .await
}

pub(crate) async fn decide(gate: &Gate, request: &Request) -> Result<Response> {
    Client::connect(gate.decisions_port()?)
        .await?
        .send(request)
        .await
}

/// The fields from which an endpoint reads the original request.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    pub(crate) endpoint: &'static str,
    fields: &'static [(&'static str, &'static str)],
    /// The field that holds the target, and the text before the path in it.
    target: (&'static str, &'static str),
}

const FORWARDED: &[(&str, &str)] = &[
    ("X-Forwarded-Method", "GET"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "app.example"),
];

pub(crate) const SOURCES: [Source; 4] = [
    Source {
        endpoint: "/auth",
        fields: FORWARDED,
        target: ("X-Forwarded-Uri", ""),
    },
    Source {
        endpoint: "/auth/traefik",
        fields: FORWARDED,
        target: ("X-Forwarded-Uri", ""),
    },
    Source {
        endpoint: "/auth/caddy",
        fields: FORWARDED,
        target: ("X-Forwarded-Uri", ""),
    },
    Source {
        endpoint: "/auth/nginx",
        fields: &[("X-Original-Method", "GET")],
        target: ("X-Original-URL", "https://app.example"),
    },
];

impl Source {
    /// Returns the decision request about `GET path`.
    pub(crate) fn about(self, path: &str) -> Request {
        let (name, before) = self.target;
        self.fields
            .iter()
            .fold(Request::get(self.endpoint), |request, (name, value)| {
                request.header(name, *value)
            })
            .header(name, format!("{before}{path}"))
    }

    /// Returns the decision request about `GET /public/x`, with the field `name` replaced by the values that `change` returns.
    fn but(self, name: &str, change: impl Fn(&str) -> Vec<String>) -> Request {
        let target = format!("{}/public/x", self.target.1);
        let all = self.fields.iter().copied();
        let all = all.chain([(self.target.0, target.as_str())]);
        all.fold(Request::get(self.endpoint), |request, (field, value)| {
            if field != name {
                return request.header(field, value);
            }
            change(value)
                .into_iter()
                .fold(request, |request, value| request.header(field, value))
        })
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        self.fields
            .iter()
            .map(|(name, _)| *name)
            .chain([self.target.0])
    }
}

fn ada() -> String {
    Mint::user("ada").claim("name", "Ada").authjs()
}

#[tokio::test]
async fn each_endpoint_decides_about_the_request_in_its_own_headers() -> Result<()> {
    let gate = deciding_gate([]).await?;
    for source in SOURCES {
        let what = source.endpoint;
        let public = decide(&gate, &source.about("/public/x")).await?;
        assert_eq!(public.status, 200, "{what}: {public:?}");
        assert_eq!(identity(&public), ["", "", ""], "{what}");
        let refused = decide(&gate, &source.about("/private")).await?;
        assert_eq!(refused.status, 401, "{what}: {refused:?}");
        assert_eq!(refused.header("cache-control"), Some("no-store"), "{what}");
        assert_eq!(refused.header("location"), None, "{what}");
        let allowed = decide(&gate, &source.about("/private").cookie(ada())).await?;
        assert_eq!(allowed.status, 200, "{what}: {allowed:?}");
        assert_eq!(identity(&allowed), ["ada", "", "Ada"], "{what}");
        assert_eq!(allowed.header("cache-control"), None, "{what}");
        assert!(allowed.header("x-request-id").is_some(), "{what}");
    }
    let envoy = "/auth/envoy";
    for (target, status) in [
        ("/public/x", 200),
        ("/private", 401),
        ("/private?/public/x", 401),
    ] {
        let answer = decide(&gate, &Request::get(&format!("{envoy}{target}"))).await?;
        assert_eq!(answer.status, status, "{target}: {answer:?}");
    }
    let post = Request::post("/auth/envoy/private", "").cookie(ada());
    assert_eq!(decide(&gate, &post).await?.status, 200);
    Ok(())
}

/// Returns the three identity headers of an answer, which must have all of them.
fn identity(answer: &Response) -> [&str; 3] {
    ["x-user-id", "x-user-email", "x-user-name"]
        .map(|name| answer.header(name).unwrap_or("(no such header)"))
}

#[tokio::test]
async fn endpoints_redirect_to_sign_in_if_the_calling_proxy_forwards_that() -> Result<()> {
    let gate = deciding_gate([("PUBLIC_URL", "https://app.example")]).await?;
    for source in SOURCES {
        let decision_request = source.about("/private").as_navigation();
        let answer = decide(&gate, &decision_request).await?;
        let expected = if source.endpoint == "/auth/nginx" {
            401
        } else {
            302
        };
        assert_eq!(answer.status, expected, "{}: {answer:?}", source.endpoint);
        let location = answer.header("location").context("a sign-in URL")?;
        assert!(
            location.starts_with("https://app.example/signin?callbackUrl="),
            "{location}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_missing_duplicate_or_empty_header_denies_even_with_a_session() -> Result<()> {
    let gate = deciding_gate([]).await?;
    for source in SOURCES {
        for name in source.names() {
            for (what, request) in [
                ("missing", source.but(name, |_| Vec::new())),
                ("empty", source.but(name, |_| vec![String::new()])),
                (
                    "doubled",
                    source.but(name, |value| vec![value.to_owned(); 2]),
                ),
                (
                    "a list",
                    source.but(name, |value| vec![format!("{value}, {value}")]),
                ),
                (
                    "contradicted",
                    source.but(name, |value| vec![value.to_owned(), "x".to_owned()]),
                ),
            ] {
                let answer = decide(&gate, &request.cookie(ada())).await?;
                assert_eq!(
                    answer.status, 403,
                    "{}: {name} is {what}, and the answer {answer:?}",
                    source.endpoint
                );
            }
        }
        let none = decide(&gate, &Request::get(source.endpoint).cookie(ada())).await?;
        assert_eq!(none.status, 403, "{}: {none:?}", source.endpoint);
    }
    Ok(())
}

#[tokio::test]
async fn an_original_target_that_is_not_a_plain_path_is_denied() -> Result<()> {
    let gate = deciding_gate([]).await?;
    for source in SOURCES {
        // nginx passes on no refusals except 401 and 403.
        let ambiguous = if source.endpoint == "/auth/nginx" {
            403
        } else {
            400
        };
        for (path, status) in [
            ("https://app.example/public/x", 403),
            ("//app.example/public/x", ambiguous),
            ("/public/../private", ambiguous),
            ("/public/%2e%2e/private", ambiguous),
            ("/public/..%2fprivate", ambiguous),
            ("%2Fpublic%2Fx", 403),
            ("/public/x#/private", 403),
            ("/private#/public/x", 403),
            ("/public/x/..;/y", ambiguous),
            ("/public\\..\\private", ambiguous),
            // Not valid in HTTP.
            ("/public/\u{7f}", 400),
            ("/public/ x", 403),
            ("public", 403),
            ("*", 403),
            ("?/public/x", 403),
            ("@evil.example/public/x", 403),
            (":80@evil.example/public/x", 403),
        ] {
            for decision_request in [source.about(path), source.about(path).cookie(ada())] {
                let answer = decide(&gate, &decision_request).await?;
                assert_eq!(
                    answer.status, status,
                    "{} {path}: {answer:?}",
                    source.endpoint
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn one_endpoint_ignores_the_headers_of_another() -> Result<()> {
    let gate = deciding_gate([]).await?;
    let [forwarded, _, _, nginx] = SOURCES;
    for source in SOURCES {
        let other = if source.endpoint == nginx.endpoint {
            forwarded
        } else {
            nginx
        };
        let (name, before) = other.target;
        let claim = format!("{before}/public/x");
        let decision_request = source.about("/private").header(name, &*claim);
        let answer = decide(&gate, &decision_request).await?;
        assert_eq!(answer.status, 401, "{}: {answer:?}", source.endpoint);
        let alone = Request::get(source.endpoint).header(name, &*claim);
        assert_eq!(
            decide(&gate, &alone).await?.status,
            403,
            "{}",
            source.endpoint
        );
    }
    let envoy = [forwarded, nginx]
        .iter()
        .fold(Request::get("/auth/envoy/private"), |request, source| {
            request.header(source.target.0, format!("{}/public/x", source.target.1))
        });
    assert_eq!(decide(&gate, &envoy).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn nginx_may_send_only_a_path_but_not_conflicting_targets() -> Result<()> {
    let gate = deciding_gate([]).await?;
    let decision_request = || Request::get("/auth/nginx").header("X-Original-Method", "GET");
    let host = |request: Request| request.header("Host", "app.example");
    let url = "https://app.example/public/x";
    for (what, request, status) in [
        (
            "a path",
            host(decision_request()).header("X-Original-URI", "/public/x"),
            200,
        ),
        (
            "a private path",
            host(decision_request()).header("X-Original-URI", "/private"),
            401,
        ),
        (
            "two stories",
            host(decision_request())
                .header("X-Original-URL", url)
                .header("X-Original-URI", "/private"),
            403,
        ),
        (
            "two stories, the other way round",
            host(decision_request())
                .header("X-Original-URL", "https://app.example/private")
                .header("X-Original-URI", "/public/x"),
            403,
        ),
        (
            "a URL where a path belongs",
            host(decision_request()).header("X-Original-URI", url),
            403,
        ),
        (
            "a path where a URL belongs",
            host(decision_request()).header("X-Original-URL", "/public/x"),
            403,
        ),
        (
            "another scheme",
            decision_request().header("X-Original-URL", "ftp://app.example/public/x"),
            403,
        ),
    ] {
        let answer = decide(&gate, &request).await?;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_method_of_the_original_request_decides_and_must_be_valid() -> Result<()> {
    let gate = deciding_gate([("CORS_PREFLIGHT", "pass")]).await?;
    for source in SOURCES {
        let method = source.fields[0].0;
        let with = |value: &str| source.but(method, |_| vec![value.to_owned()]);
        for (odd, status) in [
            ("G T", 403),
            ("GET/1", 403),
            // Not valid in HTTP.
            ("GET\u{7f}", 400),
            ("\"GET\"", 403),
            ("CONNECT", 403),
            ("TRACE", 403),
        ] {
            let answer = decide(&gate, &with(odd).cookie(ada())).await?;
            assert_eq!(
                answer.status, status,
                "{} {odd}: {answer:?}",
                source.endpoint
            );
        }
        for fine in ["PROPFIND", "get", "X-ODD"] {
            let answer = decide(&gate, &with(fine).cookie(ada())).await?;
            assert_eq!(answer.status, 200, "{} {fine}: {answer:?}", source.endpoint);
        }
        // The method of the original request makes a preflight, not that of the decision request.
        let preflight = |request: Request| {
            request
                .header("Origin", "https://app.example")
                .header("Access-Control-Request-Method", "PUT")
        };
        let told_get = decide(&gate, &preflight(source.about("/private"))).await?;
        assert_eq!(told_get.status, 401, "{}: {told_get:?}", source.endpoint);
    }
    Ok(())
}

#[tokio::test]
async fn identity_headers_of_a_decision_request_are_never_in_the_answer() -> Result<()> {
    let gate = deciding_gate([]).await?;
    let forged = |request: Request| {
        ["X-User-Id", "X-User-Email", "X_User_Name", "Remote-User"]
            .iter()
            .fold(request, |request, name| request.header(name, "forged"))
    };
    let envoy = |path: &str| Request::get(&format!("/auth/envoy{path}"));
    let asks = SOURCES
        .iter()
        .flat_map(|source| ["/public/x", "/private"].map(|path| source.about(path)));
    for decision_request in asks.chain([envoy("/public/x"), envoy("/private")]) {
        for decision_request in [
            forged(decision_request.clone()),
            forged(decision_request).cookie(ada()),
        ] {
            let answer = decide(&gate, &decision_request).await?;
            let text = format!("{:?} {}", answer.headers, answer.text());
            assert!(!text.contains("forged"), "{text}");
        }
    }
    let answer = decide(&gate, &forged(envoy("/private")).cookie(ada())).await?;
    let removed = answer
        .header("x-envoy-auth-headers-to-remove")
        .unwrap_or_default();
    let removed: Vec<_> = removed.split(',').map(str::trim).collect();
    for name in ["x_user_name", "remote-user"] {
        assert!(removed.contains(&name), "{name} among {removed:?}");
    }
    Ok(())
}

#[tokio::test]
async fn paths_other_than_endpoints_never_permit() -> Result<()> {
    let gate = deciding_gate([]).await?;
    for target in [
        "/",
        "/public/x",
        "/authx",
        "/auth/",
        "/auth/nginx/",
        "/auth/unknown",
        "/AUTH/nginx",
        "/auth/envoyx/public/x",
        "//auth",
        "/auth/../public/x",
        "/healthz",
        "/metrics",
    ] {
        let answer = decide(&gate, &Request::get(target).cookie(ada())).await?;
        assert!((400..500).contains(&answer.status), "{target}: {answer:?}");
    }
    // A gRPC call gets status 200, whatever its message says.
    let call = "/envoy.service.auth.v3.Authorization/Check";
    let call = Request::post(call, *b"\0\0\0\0\0").header("Content-Type", "application/grpc");
    assert_eq!(decide(&gate, &call).await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn a_target_with_another_host_than_the_header_is_denied() -> Result<()> {
    let gate = deciding_gate([]).await?;
    let target = "http://evil.example/auth/envoy/public/x";
    let request = Request::get(target).header("Host", "app.example");
    assert_eq!(decide(&gate, &request).await?.status, 403);
    Ok(())
}

/// An endpoint of another gateway, the source of the original request, the status of a permit, and the headers that identify
/// Ada.
pub(crate) type DropIn = (
    &'static str,
    Source,
    u16,
    &'static [(&'static str, &'static str)],
);

pub(crate) const DROP_INS: [DropIn; 8] = {
    const AUTHELIA: &[(&str, &str)] = &[
        ("remote-user", "ada"),
        ("remote-name", "Ada"),
        ("remote-email", ""),
        ("remote-groups", ""),
    ];
    const AUTHENTIK: &[(&str, &str)] = &[
        ("x-authentik-username", "ada"),
        ("x-authentik-uid", "ada"),
        ("x-authentik-name", "Ada"),
        ("x-authentik-email", ""),
        ("x-authentik-groups", ""),
    ];
    const OAUTH2_PROXY: &[(&str, &str)] = &[
        ("x-auth-request-user", "ada"),
        ("x-auth-request-email", ""),
        ("x-auth-request-groups", ""),
    ];
    [
        ("/oauth2/auth", SOURCES[0], 202, OAUTH2_PROXY),
        ("/validate", SOURCES[0], 200, &[("x-vouch-user", "")]),
        ("/api/verify", SOURCES[0], 200, AUTHELIA),
        ("/api/authz/forward-auth", SOURCES[0], 200, AUTHELIA),
        ("/api/authz/auth-request", SOURCES[3], 200, AUTHELIA),
        (
            "/outpost.goauthentik.io/auth/nginx",
            SOURCES[3],
            200,
            AUTHENTIK,
        ),
        (
            "/outpost.goauthentik.io/auth/traefik",
            SOURCES[0],
            200,
            AUTHENTIK,
        ),
        (
            "/outpost.goauthentik.io/auth/caddy",
            SOURCES[0],
            200,
            AUTHENTIK,
        ),
    ]
};

#[tokio::test]
async fn drop_in_endpoints_keep_the_paths_and_headers_of_other_gateways() -> Result<()> {
    let gate = deciding_gate([]).await?;
    for (endpoint, source, allowed, expected) in DROP_INS {
        let decision_request = Source { endpoint, ..source }.about("/private");
        let refused = decide(&gate, &decision_request).await?;
        assert_eq!(refused.status, 401, "{endpoint}: {refused:?}");
        let answer = decide(&gate, &decision_request.clone().cookie(ada())).await?;
        assert_eq!(answer.status, allowed, "{endpoint}: {answer:?}");
        for (name, value) in expected {
            assert_eq!(answer.header(name), Some(*value), "{endpoint}: {name}");
        }
        assert_eq!(answer.header("x-user-id"), None, "{endpoint}");
        let browser = decide(&gate, &decision_request.as_navigation()).await?;
        let passed_on = [
            "/api/authz/forward-auth",
            "/outpost.goauthentik.io/auth/traefik",
        ];
        if passed_on.contains(&endpoint) {
            assert_eq!(browser.status, 302, "{endpoint}: {browser:?}");
        }
    }
    for prefix in ["/api/authz/ext-authz", "/outpost.goauthentik.io/auth/envoy"] {
        for (path, status) in [
            ("/public/x", 200),
            ("/private", 401),
            ("/public/../private", 400),
        ] {
            let answer = decide(&gate, &Request::get(&format!("{prefix}{path}"))).await?;
            assert_eq!(answer.status, status, "{prefix}{path}: {answer:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn endpoints_without_an_original_path_never_treat_it_as_public() -> Result<()> {
    let gate = deciding_gate([]).await?;
    let about_public = SOURCES.iter().flat_map(|source| {
        ["/oauth2/auth", "/validate"].map(|endpoint| {
            Source {
                endpoint,
                ..*source
            }
            .about("/public/x")
        })
    });
    for decision_request in about_public {
        let answer = decide(&gate, &decision_request).await?;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_decision_request_with_a_body_keeps_the_connection_in_sync() -> Result<()> {
    let gate = deciding_gate([]).await?;
    let mut client = Client::connect(gate.decisions_port()?).await?;
    let source = SOURCES[0];
    let with_body = |length: usize| {
        let decision_request = Request::post(source.endpoint, "b".repeat(length));
        let decision_request = source
            .fields
            .iter()
            .fold(decision_request, |decision_request, (name, value)| {
                decision_request.header(name, *value)
            });
        decision_request.header(source.target.0, "/private")
    };
    for _ in 0..3 {
        let answer = client.send(&with_body(1000)).await?;
        assert_eq!(answer.status, 401, "{answer:?}");
        let answer = client.send(&with_body(1000).cookie(ada())).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = client.send(&source.about("/private")).await?;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    // Two pipelined requests are answered in order.
    let address = gate.decisions_port()?;
    let mut both = source.about("/public/x").bytes(address);
    both.extend(source.about("/private").bytes(address));
    client.raw(&both).await?;
    assert_eq!(client.response().await?.status, 200);
    assert_eq!(client.response().await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn malformed_decision_requests_never_permit() -> Result<()> {
    let gate = deciding_gate([]).await?;
    for bytes in [
        &b"GET /auth/envoy/public/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"[..],
        b"GET /auth/envoy/public/x HTTP/1.1\r\n\r\n",
        b"GET http://evil.example/auth/envoy/public/x HTTP/1.1\r\nHost: a@b\r\n\r\n",
        b"GET /auth/envoy/public/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /auth/envoy/public/x HTTP/1.1\nHost: a\n\n",
        b"GET /auth/envoy/public/x HTTP/1.1\r\nHost: a\r\n X-Folded: 1\r\n\r\n",
        b"GET /auth/envoy/public/x#y HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT /auth/envoy/public/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        let mut client = Client::connect(gate.decisions_port()?).await?;
        client.raw(bytes).await?;
        let what = String::from_utf8_lossy(bytes);
        // A closed connection without an answer is fine.
        if let Ok(answer) = client.response().await {
            assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn shutdown_does_not_wait_for_idle_calling_proxies() -> Result<()> {
    for kind in [Kind::Nginx, Kind::EnvoyGrpc, Kind::EnvoyHttp] {
        let echo = Echo::start().await?;
        // Longer than the test waits.
        let mut gate = gate(kind, &echo)
            .env("DRAIN_TIMEOUT", "600")
            .start()
            .await?;
        let front = Front::start(kind, &gate, &echo).await?;
        let request = Request::get("/")
            .header("Host", "app.example")
            .cookie(ada());
        let answer = Client::connect(front.address).await?.send(&request).await?;
        assert_eq!(answer.status, 200, "{kind:?}");
        gate.signal("TERM")?;
        assert!(gate.wait().await?.success(), "{kind:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_stale_unix_socket_is_replaced_and_a_live_one_is_not() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("auth.sock");
    let listen = format!("unix:{}", socket.display());
    let echo = Echo::start().await?;
    let command = || gate(Kind::NginxSocket, &echo).env("AUTH_LISTEN", &*listen);
    for mode in ["660", "600"] {
        let running = command().env("AUTH_SOCKET_MODE", mode).start().await?;
        let permissions = std::fs::metadata(&socket)?.permissions();
        assert_eq!(permissions.mode() & 0o777, u32::from_str_radix(mode, 8)?);
        let second = command().run().await?;
        assert!(!second.status.success(), "{}", second.stderr);
        let front = Front::start(Kind::NginxSocket, &running, &echo).await?;
        let request = Request::get("/")
            .header("Host", "app.example")
            .cookie(ada());
        let answer = Client::connect(front.address).await?.send(&request).await?;
        assert_eq!(answer.status, 200);
        // A gate that is killed leaves its socket behind.
        drop(running);
        assert!(socket.exists());
    }
    Ok(())
}

#[tokio::test]
async fn decision_requests_of_unlisted_addresses_are_refused() -> Result<()> {
    let own = own_address()?;
    for (settings, public, protected) in [
        (
            [
                ("AUTH_LISTEN", "0.0.0.0:0"),
                ("TRUSTED_PROXIES", "198.51.100.0/24"),
            ],
            403,
            403,
        ),
        (
            [("AUTH_LISTEN", "0.0.0.0:0"), ("TRUSTED_PROXIES", &*own)],
            200,
            200,
        ),
    ] {
        let gate = deciding_gate(settings).await?;
        let address = SocketAddr::new(own.parse()?, gate.decisions_port()?.port());
        for source in SOURCES {
            for (decision_request, status) in [
                (source.about("/public/x"), public),
                (source.about("/private").cookie(ada()), protected),
            ] {
                let answer = Client::connect(address)
                    .await?
                    .send(&decision_request)
                    .await?;
                assert_eq!(answer.status, status, "{}: {answer:?}", source.endpoint);
            }
        }
        if public == 403 {
            gate.wait_for_audit(|line| line["reason"] == "untrusted_proxy")
                .await?;
        }
    }
    Ok(())
}

/// Returns an address of this machine, other than the loopback, from which it can reach itself.
fn own_address() -> Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // Sends nothing: the kernel only chooses an address.
    socket
        .connect("192.0.2.1:9")
        .context("this test needs a network interface beside the loopback")?;
    let own = socket.local_addr()?.ip();
    ensure!(!own.is_loopback(), "this machine has no address but {own}");
    Ok(own.to_string())
}

#[tokio::test]
async fn a_grpc_decision_request_is_always_answered_and_never_permitted_by_mistake() -> Result<()> {
    let gate = deciding_gate([]).await?;
    let bytes = |tag: u8, bytes: &[u8]| grpc::field(tag, bytes);
    let header = |name: &str, value: &str| {
        bytes(
            3,
            &[bytes(1, name.as_bytes()), bytes(2, value.as_bytes())].concat(),
        )
    };
    let asked_for = |method: &str, host: &str, path: &str, headers: &[Vec<u8>]| {
        let http = [
            bytes(2, method.as_bytes()),
            headers.concat(),
            bytes(4, path.as_bytes()),
            bytes(5, host.as_bytes()),
        ];
        // attributes, request, http
        bytes(1, &bytes(4, &bytes(2, &http.concat())))
    };
    let get = |path: &str, headers: &[Vec<u8>]| asked_for("GET", "app.example", path, headers);
    let session = [header("cookie", &ada())];
    let forged = ["x-user-id", "x.user.name", "remote-user"].map(|name| header(name, "forged"));
    for (what, decision_request, allowed, expected) in [
        ("a public path", get("/public/x?y", &[]), true, "x-user-id"),
        ("a session", get("/private", &session), true, "ada"),
        (
            "forged headers",
            get("/public/x", &forged),
            true,
            "x.user.name",
        ),
        ("no session", get("/private", &[]), false, "Bearer"),
        (
            "a browser",
            get("/private", &[header("accept", "text/html")]),
            false,
            "callbackUrl",
        ),
        (
            "two readings",
            get("/public/../private", &session),
            false,
            "",
        ),
        ("no path", get("", &session), false, ""),
        ("a fragment", get("/public/x#y", &session), false, ""),
        (
            "a whole URL",
            get("http://app.example/public/x", &[]),
            false,
            "",
        ),
        ("no host", asked_for("GET", "", "/public/x", &[]), false, ""),
        (
            "two hosts",
            asked_for("GET", "a, b", "/public/x", &[]),
            false,
            "",
        ),
        (
            "no method",
            asked_for("", "app.example", "/public/x", &[]),
            false,
            "",
        ),
        (
            "CONNECT",
            asked_for("CONNECT", "app.example", "/public/x", &[]),
            false,
            "",
        ),
        (
            "a bad field",
            get("/public/x", &[header("a b", "c")]),
            false,
            "",
        ),
        (
            "a broken line",
            get("/public/x", &[header("a", "b\r\nc: d")]),
            false,
            "",
        ),
        ("nothing", Vec::new(), false, ""),
        ("no request", bytes(1, b""), false, ""),
        (
            "the path twice over",
            get("/private", &[bytes(4, b"/public/x")]),
            false,
            "",
        ),
    ] {
        let answer = grpc::decide(gate.decisions_port()?, &decision_request).await;
        let answer = answer.with_context(|| what.to_owned())?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        // The fields of the answer: 3 is `ok_response`, 2 is `denied_response`.
        let tags: Vec<_> = grpc::fields(&answer).iter().map(|(tag, _)| *tag).collect();
        assert_eq!(
            (tags.contains(&3), tags.contains(&2)),
            (allowed, !allowed),
            "{what}: {text:?}"
        );
        assert!(text.contains(expected), "{what}: {text:?}");
        assert!(!text.contains("forged"), "{what}: {text:?}");
    }
    // A malformed message is an error of the call, which no front treats as a permit unless configured to.
    assert!(
        grpc::decide(gate.decisions_port()?, b"\x0a\xff")
            .await
            .is_err()
    );
    Ok(())
}

/// As much of gRPC as one decision request needs.
pub(crate) mod grpc {
    use std::net::SocketAddr;

    use anyhow::{Context, Result, ensure};
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::net::TcpStream;

    /// Encodes a field that holds a text or a message.
    pub(crate) fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![tag << 3 | 2];
        let mut length = bytes.len();
        while length >= 0x80 {
            field.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
            length >>= 7;
        }
        field.push(u8::try_from(length).expect("seven bits"));
        field.extend_from_slice(bytes);
        field
    }

    /// Returns the fields of a message that holds only texts and messages.
    pub(crate) fn fields(mut message: &[u8]) -> Vec<(u8, &[u8])> {
        let mut fields = Vec::new();
        while let [key, rest @ ..] = message {
            assert_eq!(key & 7, 2, "a text or a message");
            let end = rest.iter().position(|byte| byte & 0x80 == 0);
            let (length, rest) = rest.split_at(end.expect("a length") + 1);
            let length = length
                .iter()
                .rev()
                .fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
            let (value, rest) = rest.split_at(length);
            fields.push((key >> 3, value));
            message = rest;
        }
        fields
    }

    /// Calls `Check` and returns the message of the answer.
    pub(crate) async fn decide(address: SocketAddr, message: &[u8]) -> Result<Bytes> {
        let stream = TokioIo::new(TcpStream::connect(address).await?);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
        let mut body = vec![0];
        body.extend(u32::try_from(message.len())?.to_be_bytes());
        body.extend(message);
        let call = http::Request::post(format!(
            "http://{address}/envoy.service.auth.v3.Authorization/Check"
        ))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from(body)))?;
        let exchange = async {
            let answer = sender.send_request(call).await?;
            ensure!(answer.headers().get("grpc-status").is_none(), "{answer:?}");
            let body = answer.into_body().collect().await?;
            let status = body.trailers().and_then(|fields| fields.get("grpc-status"));
            ensure!(status.context("a status")? == "0", "{body:?}");
            let bytes = body.to_bytes();
            ensure!(bytes.len() >= 5, "no message came");
            Ok(bytes.slice(5..))
        };
        tokio::select! {
            answered = exchange => answered,
            ended = connection => Err(anyhow::anyhow!("the connection ended: {ended:?}")),
        }
    }
}

#[tokio::test]
async fn decision_requests_over_http2_share_one_connection() -> Result<()> {
    let gate = deciding_gate([]).await?;
    let address = gate.decisions_port()?;
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
    let decide = async |number: usize| {
        let mut decision_request = http::Request::get(format!("http://{address}/auth/traefik"))
            .header("x-forwarded-method", "GET")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "app.example")
            .header("x-forwarded-uri", format!("/private/{number}"));
        let user = format!("user-{number}");
        if number.is_multiple_of(2) {
            decision_request = decision_request.header("cookie", Mint::user(&user).authjs());
        }
        let decision_request = decision_request.body(Empty::<Bytes>::new())?;
        let answer = sender.clone().send_request(decision_request).await?;
        let named = answer.headers().get("x-user-id");
        let named = named.map(|id| id.to_str()).transpose()?;
        match number.is_multiple_of(2) {
            true => ensure!(answer.status() == 200 && named == Some(&user), "{answer:?}"),
            false => ensure!(answer.status() == 401 && named.is_none(), "{answer:?}"),
        }
        Ok(())
    };
    tokio::select! {
        answers = try_join_all((0..100).map(&decide)) => answers.map(drop),
        ended = connection => Err(anyhow::anyhow!("the connection ended: {ended:?}")),
    }
}

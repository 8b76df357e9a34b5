//! Behind both Caddys, every header of a gateway's documented list is the gate's, whatever its answer says.
//!
//! Caddy 2.6.2 writes a placeholder as literal text where the answer lacks a header of `copy_headers`, and 2.11.7 removes
//! it.

use anyhow::{Context, Result, ensure};
use harness::{CaddyVersion, Client, Echo, Gate, Mint, ReceivedRequest, Request};

use crate::documents::{block, replace_literal};
use crate::front::{Kind, caddy, envoy, gate};

/// An endpoint, the headers that the documentation of its gateway copies, and those of them that have a value for Ada.
struct Family {
    endpoint: &'static str,
    copied: &'static str,
    expected_values: &'static [(&'static str, &'static str)],
    /// Whether the endpoint receives the path of the original request, and permits public ones without a session.
    has_public: bool,
}

const AUTHELIA: &str = "Remote-User Remote-Groups Remote-Email Remote-Name";

const AUTHELIA_VALUES: &[(&str, &str)] = &[
    ("remote-user", "ada"),
    ("remote-email", "ada@example.com"),
    ("remote-name", "Ada Lovelace"),
];

const FAMILIES: [Family; 6] = [
    Family {
        endpoint: "/auth/caddy",
        copied: "X-User-Id X-User-Email X-User-Name X-Request-Id",
        expected_values: &[
            ("x-user-id", "ada"),
            ("x-user-email", "ada@example.com"),
            ("x-user-name", "Ada Lovelace"),
        ],
        has_public: true,
    },
    Family {
        endpoint: "/outpost.goauthentik.io/auth/caddy",
        copied: "X-Authentik-Username X-Authentik-Groups X-Authentik-Entitlements X-Authentik-Email \
            X-Authentik-Name X-Authentik-Uid X-Authentik-Jwt X-Authentik-Meta-Jwks X-Authentik-Meta-Outpost \
            X-Authentik-Meta-Provider X-Authentik-Meta-App X-Authentik-Meta-Version",
        expected_values: &[
            ("x-authentik-username", "ada"),
            ("x-authentik-uid", "ada"),
            ("x-authentik-email", "ada@example.com"),
            ("x-authentik-name", "Ada Lovelace"),
        ],
        has_public: true,
    },
    Family {
        endpoint: "/api/authz/forward-auth",
        copied: AUTHELIA,
        expected_values: AUTHELIA_VALUES,
        has_public: true,
    },
    Family {
        endpoint: "/api/verify?rd=https://auth.example.com/",
        copied: AUTHELIA,
        expected_values: AUTHELIA_VALUES,
        has_public: true,
    },
    Family {
        endpoint: "/oauth2/auth",
        copied: "X-Auth-Request-User X-Auth-Request-Email X-Auth-Request-Groups \
            X-Auth-Request-Preferred-Username X-Auth-Request-Access-Token Authorization",
        expected_values: &[
            ("x-auth-request-user", "ada"),
            ("x-auth-request-email", "ada@example.com"),
        ],
        has_public: false,
    },
    Family {
        endpoint: "/validate",
        copied: "X-Vouch-User X-Vouch-Success X-Vouch-IdP-AccessToken X-Vouch-IdP-IdToken \
            X-Vouch-IdP-Claims-Groups X-Vouch-IdP-Claims-Given-Name",
        expected_values: &[
            ("x-vouch-user", "ada@example.com"),
            ("x-vouch-success", "true"),
        ],
        has_public: false,
    },
];

#[tokio::test]
async fn debians_caddy_gets_every_documented_header() -> Result<()> {
    run(CaddyVersion::Debian).await
}

#[tokio::test]
async fn the_latest_caddy_gets_every_documented_header() -> Result<()> {
    run(CaddyVersion::Pinned).await
}

async fn run(version: CaddyVersion) -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(Kind::Caddy, &echo)
        .env("PUBLIC_PATHS", "/public/")
        .start()
        .await?;
    for family in FAMILIES {
        let endpoint = family.endpoint;
        let judged = family.verify(version, &gate, &echo).await;
        judged.with_context(|| format!("{endpoint} behind {version:?}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn an_envoy_that_copies_one_header_forwards_no_forged_ones() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(Kind::EnvoyHttp, &echo)
        .env("PUBLIC_PATHS", "/public/")
        .start()
        .await?;
    let text = block("envoy.md", "yaml", 0)?;
    let prefix = "path_prefix: /outpost.goauthentik.io/auth/envoy";
    let text = replace_literal(&text, "path_prefix: /auth/envoy", prefix)?;
    let taken = "[{ exact: x-user-id }, { exact: x-user-email }, { exact: x-user-name }]";
    let text = replace_literal(&text, taken, "[{ exact: x-authentik-username }]")?;
    let envoy = envoy(&text, gate.decisions_port()?, &echo).await?;
    let names = FAMILIES[1].copied.split_whitespace();
    let session = Mint::user("ada").authjs();
    for (target, expected_values) in [("/private", "ada"), ("/public/x", "")] {
        let request = Request::get(target).header("Host", "app.example");
        // For a session without address and name, the gate writes nothing except the id, twice.
        let forged = names.clone().filter(|name| *name != "X-Authentik-Uid");
        let request = forged.fold(request, |request, name| request.header(name, "forged"));
        let mut client = Client::connect(envoy.address()).await?;
        let answer = client.send(&request.cookie(&session)).await?;
        ensure!(answer.status == 200, "{answer:?}");
        let seen = echo.seen().pop().context("it arrived")?;
        let username = seen.headers.get("x-authentik-username").unwrap_or_default();
        ensure!(username == expected_values, "{username:?}");
        let mut values = seen.headers.iter().map(|(_, value)| value);
        ensure!(!values.any(|value| value == "forged"), "{:?}", seen.headers);
    }
    Ok(())
}

impl Family {
    async fn verify(&self, version: CaddyVersion, gate: &Gate, echo: &Echo) -> Result<()> {
        let text = block("caddy.md", "caddyfile", 0)?;
        let uri = format!("uri {}\n", self.endpoint);
        let text = replace_literal(&text, "uri /auth/caddy?\n", &uri)?;
        let documented = "copy_headers X-User-Id X-User-Email X-User-Name X-Request-Id\n";
        let copied = format!("copy_headers {}\n", self.copied);
        let text = replace_literal(&text, documented, &copied)?;
        let caddy = caddy(version, &text, gate.decisions_port()?, echo).await?;
        let ada = Mint::user("ada")
            .claim("email", "ada@example.com")
            .claim("name", "Ada Lovelace");
        let forged = |target: &str| {
            let request = Request::get(target).header("Host", "app.example");
            let names = self.copied.split_whitespace();
            names.fold(request, |request, name| request.header(name, "forged"))
        };
        let mut requests = vec![(
            forged("/private").cookie(ada.authjs()),
            self.expected_values,
        )];
        if self.has_public {
            requests.push((forged("/public/x"), &[]));
        }
        for (request, expected_values) in requests {
            let mut client = Client::connect(caddy.address()).await?;
            let answer = client.send(&request).await?;
            ensure!(answer.status == 200, "{answer:?}");
            self.check(&echo.seen().pop().context("it arrived")?, expected_values)?;
        }
        Ok(())
    }

    fn check(&self, seen: &ReceivedRequest, expected_values: &[(&str, &str)]) -> Result<()> {
        for name in self.copied.split_whitespace() {
            let values = seen.headers.all(name);
            let expected = expected_values
                .iter()
                .find(|(known, _)| name.eq_ignore_ascii_case(known));
            let right = match (expected, values.as_slice()) {
                (Some((_, expected)), [value]) => value == expected,
                // The gate gives each request an id.
                (None, [value]) if name == "X-Request-Id" => value.len() == 32,
                (None, [] | [""]) => true,
                (Some(_) | None, _) => false,
            };
            ensure!(right, "{name}: {values:?}, not {expected:?}");
        }
        Ok(())
    }
}

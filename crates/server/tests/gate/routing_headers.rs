//! Headers from which a service reads another path, host, scheme or method than those of the request.

use anyhow::Result;
use harness::{Echo, Request, Wsgi};

use crate::support::{gate, signed_in, started};

/// Routing headers of every kind, as they are spelled by the stacks that read them.
const ROUTING: [&str; 60] = [
    // The path.
    "X-Script-Name",
    "Script-Name",
    "X-Forwarded-Prefix",
    "X-Forwarded-Path",
    "X-Forwarded-Uri",
    "X-Forwarded-Script-Name",
    "X-Proxy-Script-Name",
    "X-Ingress-Path",
    "X-Replaced-Path",
    "X-Envoy-Original-Path",
    "X-Original-URL",
    "X-Original-URI",
    "X-Rewrite-URL",
    "X-Request-Uri",
    "Request-Uri",
    "Path-Info",
    "X-Path-Info",
    "X-Base-Path",
    "X-Url-Prefix",
    "X-Traversal-Path",
    "X-WAWS-Unencoded-URL",
    "X-Invoke-Path",
    "X-Matched-Path",
    "X-Middleware-Rewrite",
    "X-Now-Route-Matches",
    "X-VHM-Root",
    // A file mapping.
    "X-Sendfile-Type",
    "X-Accel-Mapping",
    "X-Sendfile",
    // The scheme.
    "X-Scheme",
    "X-Url-Scheme",
    "X-Forwarded-Ssl",
    "X-Forwarded-Protocol",
    "X-HTTPS",
    "Front-End-Https",
    "X-Arr-Ssl",
    "CF-Visitor",
    "CloudFront-Forwarded-Proto",
    "WL-Proxy-SSL",
    "Fastly-SSL",
    // The host.
    "X-Host",
    "X-HTTP-Host-Override",
    "X-Forwarded-Server",
    "X-Original-Host",
    "X-Forwarded-Port",
    // The method.
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    // The client.
    "Forwarded",
    "X-Real-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "DO-Connecting-IP",
    "Fastly-Client-IP",
    "X-Cluster-Client-IP",
    "X-Azure-ClientIP",
    "X-SSL-Client-Cert",
    "Client-Cert",
    "X-AppEngine-User-IP",
    "Proxy",
];

/// Headers that mean something only to applications.
const HARMLESS: [&str; 10] = [
    "X-Requested-With",
    "X-CSRF-Token",
    "X-Api-Key",
    "X-Client-Version",
    "X-Nextjs-Data",
    "X-Middleware-Prefetch",
    "Next-Action",
    "Idempotency-Key",
    "X-Hub-Signature-256",
    "X-Amzn-Trace-Id",
];

async fn arrived(gate: &harness::Gate, echo: &Echo, request: Request) -> Result<Vec<String>> {
    let names = ROUTING.iter().chain(&HARMLESS);
    let request = names.fold(request, |request, name| request.header(name, "/forged"));
    assert_eq!(gate.send(&request).await?.status, 200);
    let seen = echo.seen().pop().expect("the request arrived");
    let forged = seen.headers.iter().filter(|(_, value)| *value == "/forged");
    Ok(forged.map(|(name, _)| name.to_lowercase()).collect())
}

fn lower(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_lowercase()).collect()
}

#[tokio::test]
async fn routing_headers_of_clients_are_removed() -> Result<()> {
    let (echo, gate) = started([("PUBLIC_PATHS", "/public/")]).await?;
    for request in [Request::get("/public/x"), signed_in("/private", "ada")] {
        assert_eq!(arrived(&gate, &echo, request).await?, lower(&HARMLESS));
    }
    Ok(())
}

#[tokio::test]
async fn routing_headers_of_a_listed_proxy_are_forwarded() -> Result<()> {
    let trusted = [("TRUSTED_PROXIES", "127.0.0.1/32")];
    let (echo, gate) = started(trusted).await?;
    // The proxy writes `X-Forwarded-For`, and leaves `Forwarded` as the client sent it.
    let mut expected = lower(&[&ROUTING[..], &HARMLESS].concat());
    expected.retain(|name| name != "forwarded");
    let mut arrived = arrived(&gate, &echo, signed_in("/", "ada")).await?;
    expected.sort();
    arrived.sort();
    assert_eq!(arrived, expected);
    // Spellings that only the upstream would fold do not arrive.
    let folded = ["X_Script_Name", "X.Scheme", "Script_Name"];
    let request = signed_in("/", "ada");
    let request = folded
        .iter()
        .fold(request, |request, name| request.header(name, "/forged"));
    assert_eq!(gate.send(&request).await?.status, 200);
    let seen = echo.seen().pop().expect("the request arrived");
    assert!(!seen.headers.iter().any(|(_, value)| value == "/forged"));
    Ok(())
}

#[tokio::test]
async fn routing_headers_cannot_lead_out_of_a_public_path() -> Result<()> {
    let app = Wsgi::start().await?;
    let gate = gate(&format!("http://{}", app.address)).env("PUBLIC_PATHS", "/static/");
    // The gate forwards the header of a trusted proxy, and the application then serves another path.
    let listed = gate.clone().env("TRUSTED_PROXIES", "127.0.0.1/32");
    let mounted = Request::get("/static/private").header("X-Script-Name", "/static");
    let answer = listed.start().await?.send(&mounted).await?;
    assert_eq!(answer.text(), "http /private");

    let gate = gate.start().await?;
    for name in [
        "X-Script-Name",
        "Script-Name",
        "X_Script_Name",
        "x.script.name",
        "SCRIPT_NAME",
    ] {
        let request = Request::get("/static/private").header(name, "/static");
        let request = request.header("X-Scheme", "https");
        let answer = gate.send(&request).await?;
        assert_eq!(answer.text(), "http /static/private", "{name}");
    }
    Ok(())
}

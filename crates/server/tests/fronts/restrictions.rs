//! The parameters with which a calling proxy restricts who may enter: the gate obeys those that it knows, and refuses requests
//! with others.

use anyhow::{Context, Result, ensure};
use harness::{CaddyVersion, Client, Echo, Mint, Nginx, Request};

use crate::documents::{block, replace_literal};
use crate::endpoints::{DROP_INS, SOURCES, Source, decide, deciding_gate, grpc};
use crate::front::{Kind, caddy, envoy, gate};

/// Returns the decision request of a proxy made for oauth2-proxy, with a session that has this email address, if any.
fn decision_request(query: &str, email: Option<&str>) -> Request {
    let mint = Mint::user("ada");
    let mint = email
        .into_iter()
        .fold(mint, |mint, email| mint.claim("email", email));
    Request::get(&format!("/oauth2/auth?{query}"))
        .header("Host", "app.example")
        .cookie(mint.authjs())
}

#[tokio::test]
async fn allowed_emails_and_domains_of_oauth2_proxy_are_enforced() -> Result<()> {
    let gate = deciding_gate([]).await?;
    let ada = Some("ada@eu.example.com");
    for (query, email, status) in [
        ("", ada, 202),
        ("allowed_emails=ada@eu.example.com", ada, 202),
        (
            "allowed_emails=eve@example.com,ada@eu.example.com",
            ada,
            202,
        ),
        (
            "allowed_emails=eve@example.com&allowed_emails=ada@eu.example.com",
            ada,
            202,
        ),
        ("allowed%5Femails=eve%40a%2Cada%40eu.example.com", ada, 202),
        ("allowed_emails=eve@example.com", ada, 403),
        ("allowed_emails=Ada@eu.example.com", ada, 403),
        ("allowed_emails=ada@eu.example.com", None, 403),
        ("allowed_emails=ada@eu.example.com", Some(""), 403),
        ("allowed_emails=ada", None, 403),
        ("allowed_emails=", None, 202),
        ("allowed_emails=,&allowed_email_domains", None, 202),
        ("allowed_email_domains=eu.example.com", ada, 202),
        ("allowed_email_domains=example.com", ada, 403),
        ("allowed_email_domains=.example.com", ada, 202),
        ("allowed_email_domains=*.example.com", ada, 202),
        ("allowed_email_domains=other.example,.example.com", ada, 202),
        ("allowed_email_domains=.example.com", None, 403),
        (
            "allowed_email_domains=.example.com",
            Some("ada@notexample.com"),
            403,
        ),
        (
            "allowed_email_domains=example.com",
            Some("eve@evil.example@example.com"),
            403,
        ),
        (
            "allowed_emails=ada@eu.example.com&allowed_email_domains=other.example",
            ada,
            403,
        ),
        ("allowed_emails=ada@eu.example.com&rd=%2Fback", ada, 202),
    ] {
        let answer = decide(&gate, &decision_request(query, email)).await?;
        assert_eq!(answer.status, status, "{query} {email:?}: {answer:?}");
    }
    let line = gate
        .wait_for_audit(|line| line["reason"] == "restricted")
        .await?;
    assert_eq!(line["outcome"], "deny");
    assert_eq!(line["user_id"], "ada");
    assert_eq!(line["status"], 403);

    // Without a session the answer is 401, restricted or not.
    let without_session = Request::get("/oauth2/auth?allowed_emails=ada@eu.example.com");
    assert_eq!(decide(&gate, &without_session).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn a_restriction_never_admits_without_a_session() -> Result<()> {
    let value = "a-value-of-thirty-two-characters-";
    let gate = deciding_gate([("ALLOW_BYPASS", "true"), ("BYPASS_HEADER_VALUE", value)]).await?;
    for (query, status) in [("", 202), ("?allowed_emails=ada@example.com", 403)] {
        let bypass = Request::get(&format!("/oauth2/auth{query}"));
        let bypass = bypass.header("X-Bypass-Auth", value);
        assert_eq!(decide(&gate, &bypass).await?.status, status, "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_parameter_denies_at_every_endpoint() -> Result<()> {
    let gate = deciding_gate([]).await?;
    let session = Mint::user("ada").claim("email", "ada@example.com").authjs();
    let drop_ins = DROP_INS.map(|(endpoint, source, ..)| (endpoint, source));
    let own = SOURCES.map(|source| (source.endpoint, source));
    for (endpoint, source) in drop_ins.into_iter().chain(own) {
        for query in [
            "allowed_groups=admins",
            "allowed_groups",
            "allowed%5fgroups=admins",
            "rd=/&allowed_groups=admins",
            "Allowed_Emails=ada@example.com",
            "allowed_email=ada@example.com",
            "allowed_emails=ada@example.com;x",
            "allowed_emails=%zz",
            "allowed_emails%=ada@example.com",
            "auth=basic",
            "access_token=x",
            "group=admins",
            "=x",
            "%",
        ] {
            for path in ["/private", "/public/x"] {
                let decision_request = source
                    .about(path)
                    .with_target(&format!("{endpoint}?{query}"));
                let answer = decide(&gate, &decision_request.cookie(&session)).await?;
                assert_eq!(answer.status, 403, "{endpoint}?{query}: {answer:?}");
                assert_eq!(answer.header("cache-control"), Some("no-store"));
            }
        }
    }
    let decision_request = decision_request("allowed_groups=admins", None);
    let page = decide(&gate, &decision_request.clone().as_navigation()).await?;
    assert!(page.text().starts_with("<!DOCTYPE html>"), "{page:?}");
    let call = decision_request.header("Content-Type", "application/grpc");
    assert_eq!(decide(&gate, &call).await?.header("grpc-status"), Some("7"));
    let line = gate
        .wait_for_audit(|line| line["reason"] == "unknown_restriction")
        .await?;
    assert_eq!(
        (&line["outcome"], &line["status"]),
        (&"deny".into(), &403.into())
    );
    let stderr = gate.stderr();
    let warned = "by the word `allowed_groups`, which the gate does not support";
    stderr
        .wait_for(|line| line.contains(warned).then_some(()))
        .await?;
    let all = stderr.all().join("\n");
    assert!(!all.contains("admins"), "{all}");
    Ok(())
}

#[tokio::test]
async fn parameters_without_a_restriction_are_accepted_at_their_endpoint() -> Result<()> {
    let gate = deciding_gate([]).await?;
    let session = Mint::user("ada").authjs();
    for (endpoint, source, query) in [
        ("/oauth2/auth", SOURCES[0], "rd=https://app.example/a?b;c%"),
        (
            "/api/verify",
            SOURCES[0],
            "rd=https%3A%2F%2Fauth.example&rm=GET",
        ),
        (
            "/api/authz/forward-auth",
            SOURCES[0],
            "authelia_url=https%3A%2F%2Fauth.example%2F",
        ),
        ("/api/authz/auth-request", SOURCES[3], "rd=/"),
        ("/outpost.goauthentik.io/auth/nginx", SOURCES[3], "rd=/"),
        ("/outpost.goauthentik.io/auth/caddy", SOURCES[0], "rd=/"),
        ("/validate", SOURCES[0], ""),
        ("/auth/nginx", SOURCES[3], ""),
        ("/auth/traefik", SOURCES[0], "&"),
    ] {
        let decision_request = source
            .about("/private")
            .with_target(&format!("{endpoint}?{query}"));
        let answer = decide(&gate, &decision_request.cookie(&session)).await?;
        assert!(answer.status < 300, "{endpoint}?{query}: {answer:?}");
    }
    // Behind a prefix the query is that of the original request.
    for prefix in [
        "/auth/envoy",
        "/api/authz/ext-authz",
        "/outpost.goauthentik.io/auth/envoy",
    ] {
        let decision_request = Request::get(&format!("{prefix}/private?allowed_groups=admins"));
        let answer = decide(&gate, &decision_request.cookie(&session)).await?;
        assert_eq!(answer.status, 200, "{prefix}: {answer:?}");
        let decision_request = Request::get(&format!("{prefix}?allowed_groups=admins/private"));
        let answer = decide(&gate, &decision_request.cookie(&session)).await?;
        assert_eq!(answer.status, 403, "{prefix}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_restriction_in_a_header_denies() -> Result<()> {
    let gate = deciding_gate([]).await?;
    let session = Mint::user("ada").claim("email", "ada@example.com").authjs();
    let envoy = Request::get("/auth/envoy/private");
    let decision_requests = SOURCES.map(|source: Source| source.about("/private"));
    for decision_request in decision_requests
        .into_iter()
        .chain([envoy, decision_request("", None)])
    {
        for name in [
            "X-Allowed-Groups",
            "Allowed_Groups",
            "X-Auth-Request-Allowed-Emails",
            "x-allowed-email-domains",
        ] {
            let decision_request = decision_request
                .clone()
                .cookie(&session)
                .header(name, "admins");
            let answer = decide(&gate, &decision_request).await?;
            assert_eq!(answer.status, 403, "{name}: {answer:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn context_extensions_of_envoy_restrict_or_deny() -> Result<()> {
    let gate = deciding_gate([]).await?;
    let text = |tag, text: &str| grpc::field(tag, text.as_bytes());
    let entry =
        |tag, name: &str, value: &str| grpc::field(tag, &[text(1, name), text(2, value)].concat());
    let session = Mint::user("ada").claim("email", "ada@example.com").authjs();
    let http = [
        text(2, "GET"),
        entry(3, "cookie", &session),
        text(4, "/private"),
        text(5, "app.example"),
    ];
    let request = grpc::field(4, &grpc::field(2, &http.concat()));
    for (what, extra, allowed) in [
        ("nothing", Vec::new(), true),
        ("groups", entry(10, "allowed_groups", "admins"), false),
        ("a role", entry(10, "role", "admin"), false),
        (
            "a name in another case",
            entry(10, "Allowed_Emails", "ada@example.com"),
            false,
        ),
        (
            "her address",
            entry(10, "allowed_emails", "eve@a,ada@example.com"),
            true,
        ),
        (
            "another address",
            entry(10, "allowed_emails", "eve@example.com"),
            false,
        ),
        (
            "her domain",
            entry(10, "allowed_email_domains", "example.com"),
            true,
        ),
        (
            "another domain",
            entry(10, "allowed_email_domains", "other.example"),
            false,
        ),
        (
            "one that she satisfies and one that is unknown",
            [
                entry(10, "allowed_emails", "ada@example.com"),
                entry(10, "virtual_host", "app"),
            ]
            .concat(),
            false,
        ),
        (
            "metadata of the route",
            grpc::field(13, &text(1, "x")),
            false,
        ),
        ("no metadata of the route", grpc::field(13, b""), true),
    ] {
        let decision_request = grpc::field(1, &[request.clone(), extra].concat());
        let answer = grpc::decide(gate.decisions_port()?, &decision_request).await?;
        let tags: Vec<_> = grpc::fields(&answer).iter().map(|(tag, _)| *tag).collect();
        // ok_response or denied_response.
        assert_eq!(
            (tags.contains(&3), tags.contains(&2)),
            (allowed, !allowed),
            "{what}"
        );
    }
    // A public path is open to all, even with a restriction; an unknown parameter denies all.
    let public = [text(2, "GET"), text(4, "/public/x"), text(5, "app.example")];
    let public = grpc::field(4, &grpc::field(2, &public.concat()));
    for (name, allowed) in [("allowed_emails", true), ("allowed_groups", false)] {
        let decision_request = [public.clone(), entry(10, name, "eve@example.com")].concat();
        let answer =
            grpc::decide(gate.decisions_port()?, &grpc::field(1, &decision_request)).await?;
        let tags: Vec<_> = grpc::fields(&answer).iter().map(|(tag, _)| *tag).collect();
        assert_eq!(tags.contains(&3), allowed, "{name}");
    }
    Ok(())
}

/// Returns the configuration for nginx from oauth2-proxy's documentation (docs/configuration/integration), shortened, with the
/// query where nginx accepts one: `auth_request` does not.
fn as_for_oauth2_proxy(gate: &str, service: &str, query: &str) -> String {
    format!(
        "location /oauth2/ {{
            proxy_pass       http://{gate};
            proxy_set_header Host      $host;
            proxy_set_header X-Real-IP $remote_addr;
        }}
        location = /oauth2/auth {{
            proxy_pass       http://{gate}/oauth2/auth?{query};
            proxy_set_header Host            $host;
            proxy_set_header X-Real-IP       $remote_addr;
            proxy_set_header X-Forwarded-Uri $request_uri;
            proxy_set_header Content-Length  \"\";
            proxy_pass_request_body off;
        }}
        location / {{
            auth_request /oauth2/auth;
            auth_request_set $user $upstream_http_x_auth_request_user;
            proxy_set_header X-User $user;
            proxy_pass       http://{service};
            proxy_http_version 1.1;
        }}"
    )
}

#[tokio::test]
async fn an_nginx_configured_for_oauth2_proxy_keeps_its_restriction() -> Result<()> {
    let gate = deciding_gate([]).await?;
    let echo = Echo::start().await?;
    let addresses = (
        gate.decisions_port()?.to_string(),
        echo.address().to_string(),
    );
    let session = Mint::user("ada").claim("email", "ada@example.com").authjs();
    for (query, status) in [
        ("allowed_emails=ada@example.com", 200),
        ("allowed_emails=eve@example.com", 403),
        ("allowed_email_domains=.example.com", 200),
        ("allowed_groups=admins", 403),
    ] {
        let nginx = as_for_oauth2_proxy(&addresses.0, &addresses.1, query);
        let nginx = Nginx::start(&nginx).await?;
        let before = echo.seen().len();
        let request = Request::get("/private").cookie(&session);
        let answer = Client::connect(nginx.address())
            .await?
            .send(&request)
            .await?;
        assert_eq!(answer.status, status, "{query}: {answer:?}");
        assert_eq!(
            echo.seen().len() - before,
            usize::from(status == 200),
            "{query}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn behind_caddy_a_client_query_cannot_lift_restrictions() -> Result<()> {
    let gate = deciding_gate([]).await?;
    let echo = Echo::start().await?;
    let session = Mint::user("ada").claim("email", "ada@example.com").authjs();
    let text = block("caddy.md", "caddyfile", 0)?;
    for version in [CaddyVersion::Debian, CaddyVersion::Pinned] {
        for (uri, target, status) in [
            ("/auth/caddy", "/private?page=2&x=%zz;y&auth=token", 200),
            ("/auth/caddy", "/private?allowed_groups=admins", 403),
            ("/auth/caddy?allowed_groups=admins", "/private", 403),
            ("/auth/caddy?allowed_groups=admins", "/private?page=2", 403),
            (
                "/auth/caddy?allowed_groups=admins",
                "/private?allowed_groups=admins",
                403,
            ),
            ("/auth/caddy?role=admins", "/private?page=2", 403),
            ("/oauth2/auth", "/private?page=2", 200),
            (
                "/oauth2/auth?allowed_emails=ada@example.com",
                "/private?page=2",
                200,
            ),
            (
                "/oauth2/auth?allowed_emails=eve@example.com",
                "/private?page=2",
                403,
            ),
            (
                "/oauth2/auth?allowed_emails=eve@example.com",
                "/private?allowed_emails=ada@example.com",
                403,
            ),
            ("/outpost.goauthentik.io/auth/caddy", "/private?page=2", 200),
            (
                "/api/authz/forward-auth?authelia_url=https://auth.example/",
                "/private?page=2",
                200,
            ),
            (
                "/api/verify?rd=https://auth.example/&auth=basic",
                "/private?auth=basic",
                403,
            ),
        ] {
            let text = replace_literal(&text, "uri /auth/caddy?\n", &format!("uri {uri}\n"))?;
            let caddy = caddy(version, &text, gate.decisions_port()?, &echo).await?;
            let before = echo.seen().len();
            let request = Request::get(target).header("Host", "app.example");
            let mut client = Client::connect(caddy.address()).await?;
            let answer = client.send(&request.cookie(&session)).await?;
            let what = format!("{version:?}, {uri}, {target}: {answer:?}");
            ensure!(answer.status == status, "{what}");
            ensure!(
                echo.seen().len() - before == usize::from(status == 200),
                "{what}"
            );
        }
    }
    // At other endpoints no calling proxy leaves the client's query in its decision request.
    for (source, endpoint) in [(SOURCES[1], "/auth/traefik"), (SOURCES[3], "/auth/nginx")] {
        let decision_request = source
            .about("/private?page=2")
            .with_target(&format!("{endpoint}?page=2"));
        let decision_request = decision_request.cookie(&session);
        assert_eq!(
            decide(&gate, &decision_request).await?.status,
            403,
            "{endpoint}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn restrictions_of_an_envoy_route_are_enforced_or_denied() -> Result<()> {
    let per_route = "typed_per_filter_config: { envoy.filters.http.ext_authz: { \
        \"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, \
        check_settings: { context_extensions: { WORDS } } } }";
    let over_http =
        "authorization_request: { headers_to_add: [{ key: x-allowed-groups, value: admins }] }";
    let over_grpc = "initial_metadata: [{ key: x-allowed-groups, value: admins }]";
    let route = "route: { cluster: service, timeout: 0s } }";
    let extended = |words: &str| {
        let words = per_route.replace("WORDS", words);
        route.replace(" } }", &format!(" }}, {words} }}"))
    };
    let http = "                        path_prefix: /auth/envoy\n";
    let grpc = "                        envoy_grpc: { cluster_name: gate }\n";
    let added = |line: &str, more: &str| format!("{line}                        {more}\n");
    let echo = Echo::start().await?;
    let session = Mint::user("ada").claim("email", "ada@example.com").authjs();
    for (kind, literal, value, status) in [
        (
            Kind::EnvoyGrpc,
            route,
            extended("allowed_groups: admins"),
            403,
        ),
        (
            Kind::EnvoyGrpc,
            route,
            extended("allowed_emails: eve@example.com"),
            403,
        ),
        (
            Kind::EnvoyGrpc,
            route,
            extended("allowed_emails: ada@example.com"),
            200,
        ),
        (Kind::EnvoyGrpc, grpc, added(grpc, over_grpc), 403),
        (Kind::EnvoyHttp, http, added(http, over_http), 403),
    ] {
        let text = block("envoy.md", "yaml", usize::from(kind == Kind::EnvoyGrpc))?;
        let text = replace_literal(&text, literal, &value)?;
        let gate = gate(kind, &echo).start().await?;
        let envoy = envoy(&text, gate.decisions_port()?, &echo).await?;
        let before = echo.seen().len();
        let request = Request::get("/private").cookie(&session);
        let answer = Client::connect(envoy.address()).await?.send(&request).await;
        let answer = answer.with_context(|| envoy.transcript())?;
        ensure!(answer.status == status, "{value}: {answer:?}");
        ensure!(
            echo.seen().len() - before == usize::from(status == 200),
            "{value}"
        );
    }
    Ok(())
}

//! Who may enter by which route.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use gate::{Access, Arrival, Condition, Facts, HostPattern, Matched, Methods};
use http::{HeaderMap, HeaderValue, Method};
use session::UnixTime;

use crate::world::{NOW, TestRequest, Who, gate, route};

#[test]
fn every_access_is_decided_for_every_kind_of_user() {
    let any = || Access::ANY_SESSION;
    let mut shop = route("/shop/", any());
    shop.route.realm = 1;
    let mut csrf = route("/csrf/", any());
    csrf.route.same_origin = true;
    let gate = gate(
        vec![
            route("/session/", any()),
            route("/public/", Access::Public),
            route("/deny/", Access::Deny),
            shop,
            csrf,
        ],
        Vec::new(),
    );
    use Who::*;
    for (path, who, outcome) in [
        ("/session/", Anonymous, "no_credential SignIn"),
        ("/session/", Ada, "session"),
        ("/session/", AdaBearer, "session"),
        ("/session/", Eve, "user_disabled Forbid"),
        ("/session/", Shopper, "no_credential SignIn"),
        ("/session/", ShopperBearer, "malformed_token SignIn"),
        ("/public/", Anonymous, "public"),
        ("/public/", Ada, "public"),
        ("/public/", Eve, "public"),
        ("/deny/", Anonymous, "route_denied Forbid"),
        ("/deny/", Ada, "route_denied Forbid"),
        ("/shop/", Anonymous, "no_credential SignIn"),
        ("/shop/", Ada, "no_credential SignIn"),
        ("/shop/", AdaBearer, "unsupported_algorithm SignIn"),
        ("/shop/", Shopper, "session"),
        ("/shop/", ShopperBearer, "session"),
        ("/csrf/", Ada, "session"),
        // Requests that no route matches.
        ("/", Anonymous, "no_credential SignIn"),
        ("/elsewhere", Anonymous, "no_credential SignIn"),
        ("/elsewhere", Ada, "no_route NotFound"),
        ("/elsewhere", Shopper, "no_route NotFound"),
        ("/elsewhere", ShopperBearer, "no_route NotFound"),
        ("/elsewhere", Eve, "user_disabled Forbid"),
        // A path that could belong to two routes.
        ("/public/../session/", Ada, "ambiguous_path BadRequest"),
        (
            "/public/%2e%2e/deny/",
            Anonymous,
            "ambiguous_path BadRequest",
        ),
    ] {
        let request = TestRequest::get(path, who);
        assert_eq!(request.outcome(&gate), outcome, "{path} {who:?}");
    }
    let bypass: &[_] = &[("x-bypass-auth", "let me in")];
    let preflight: &[_] = &[
        ("origin", "https://a.example"),
        ("access-control-request-method", "POST"),
    ];
    for (method, path, headers, outcome) in [
        (Method::GET, "/session/", bypass, "bypass"),
        (Method::GET, "/shop/", bypass, "bypass"),
        (Method::GET, "/public/", bypass, "public"),
        (Method::GET, "/deny/", bypass, "route_denied Forbid"),
        (Method::GET, "/elsewhere", bypass, "no_credential SignIn"),
        (Method::OPTIONS, "/session/", preflight, "preflight"),
        (Method::OPTIONS, "/deny/", preflight, "route_denied Forbid"),
        (
            Method::OPTIONS,
            "/elsewhere",
            preflight,
            "no_credential SignIn",
        ),
        (Method::OPTIONS, "/session/", &[], "no_credential SignIn"),
    ] {
        let request = TestRequest {
            method,
            headers,
            ..TestRequest::get(path, Who::Anonymous)
        };
        assert_eq!(request.outcome(&gate), outcome, "{path} {headers:?}");
    }
}

#[test]
fn methods_are_distinguished_as_services_do() {
    let no_posts = Condition::Not(Box::new(Condition::Methods(vec![Method::POST])));
    let gets = Condition::Methods(vec![Method::GET]);
    let mut denied = route("/routes/", Access::Deny);
    denied.methods = Methods::new([Method::POST]);
    let gate = gate(
        vec![
            denied,
            route("/routes/", Access::ANY_SESSION),
            route("/no-posts", Access::Session(no_posts)),
            route("/gets", Access::Session(gets)),
            route("/any", Access::ANY_SESSION),
        ],
        Vec::new(),
    );
    let (met, unmet) = ("session", "rule_denied Forbid");
    for (path, method, outcome) in [
        ("/routes/", "GET", met),
        ("/routes/", "POST", "route_denied Forbid"),
        ("/routes/", "post", "ambiguous_path BadRequest"),
        ("/routes/", "get", met),
        ("/routes/", "M-SEARCH", met),
        ("/no-posts", "GET", met),
        ("/no-posts", "POST", unmet),
        ("/no-posts", "PoSt", unmet),
        ("/gets", "HEAD", met),
        ("/gets", "PUT", unmet),
        ("/any", "post", met),
    ] {
        let request = TestRequest {
            method: method.parse().unwrap(),
            ..TestRequest::get(path, Who::Ada)
        };
        assert_eq!(request.outcome(&gate), outcome, "{method} {path}");
    }
}

#[test]
fn every_spelling_of_a_host_has_the_same_routes() {
    let on = |host: &str, access| Matched {
        hosts: vec![HostPattern::new(host).unwrap()],
        ..route("/", access)
    };
    let gate = gate(
        vec![
            on("admin.example.com", Access::Deny),
            on("*.example.com", Access::ANY_SESSION),
            on("[2001:db8::1]", Access::Deny),
            on("127.0.0.1", Access::Deny),
            route("/", Access::Public),
        ],
        Vec::new(),
    );
    let (deny, session, public) = ("route_denied Forbid", "session", "public");
    let long = format!("{}.example.com", "A".repeat(250));
    for (host, outcome) in [
        ("admin.example.com", deny),
        ("ADMIN.Example.COM", deny),
        ("admin.example.com.", deny),
        ("admin.example.com:8443", deny),
        ("Admin.Example.com.:1", deny),
        ("b.example.com", session),
        ("b.EXAMPLE.com:80", session),
        ("a.b.example.com", public),
        ("example.com", public),
        (".example.com", public),
        ("admin.example.com.evil.example", public),
        ("[2001:db8::1]", deny),
        ("[2001:DB8:0:0::1]:80", deny),
        ("[2001:db8::2]", public),
        ("127.0.0.1:80", deny),
        ("127.0.0.10", public),
        (&long, public),
    ] {
        let request = TestRequest {
            host,
            ..TestRequest::get("/", Who::Ada)
        };
        assert_eq!(request.outcome(&gate), outcome, "{host}");
    }
}

#[test]
fn changing_requests_must_come_from_a_page_of_this_host() {
    let mut session = route("/", Access::ANY_SESSION);
    session.route.same_origin = true;
    let mut open = route("/public/", Access::Public);
    open.route.same_origin = true;
    let gate = gate(
        vec![session, open, route("/unguarded/", Access::ANY_SESSION)],
        Vec::new(),
    );
    let (met, other) = ("session", "cross_origin Forbid");
    for (headers, outcome) in [
        (&[][..], other),
        (&[("sec-fetch-site", "same-origin")], met),
        (&[("sec-fetch-site", "none")], met),
        (&[("sec-fetch-site", "same-site")], other),
        (&[("sec-fetch-site", "cross-site")], other),
        (
            &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
            other,
        ),
        (&[("origin", "https://app.example")], met),
        (&[("origin", "http://APP.example:80")], met),
        (&[("origin", "https://app.example:443")], met),
        (&[("origin", "https://app.example:444")], other),
        (&[("origin", "https://evil.example")], other),
        (&[("origin", "https://app.example.evil.example")], other),
        (&[("origin", "null")], other),
        (&[("origin", "ftp://app.example")], other),
        (
            &[
                ("origin", "https://app.example"),
                ("origin", "https://evil.example"),
            ],
            other,
        ),
        // `Sec-Fetch-Site`, which no page can set, takes precedence over `Origin`.
        (
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://app.example"),
            ],
            other,
        ),
        (&[("referer", "https://app.example/")], other),
    ] {
        let request = TestRequest::post("/", Who::Ada, headers);
        assert_eq!(request.outcome(&gate), outcome, "{headers:?}");
    }
    let cross: &[_] = &[("sec-fetch-site", "cross-site")];
    let socket: &[_] = &[("upgrade", "WebSocket"), ("origin", "https://evil.example")];
    for (method, path, who, headers, outcome) in [
        (Method::GET, "/", Who::Ada, cross, met),
        (Method::HEAD, "/", Who::Ada, cross, met),
        (Method::DELETE, "/", Who::Ada, cross, other),
        (Method::PUT, "/", Who::Anonymous, cross, other),
        (Method::GET, "/", Who::Ada, socket, other),
        (Method::POST, "/public/", Who::Anonymous, cross, other),
        (Method::GET, "/public/", Who::Anonymous, cross, "public"),
        (Method::POST, "/unguarded/", Who::Ada, cross, met),
    ] {
        let request = TestRequest {
            method,
            headers,
            ..TestRequest::get(path, who)
        };
        assert_eq!(request.outcome(&gate), outcome, "{path} {headers:?}");
    }
}

#[test]
fn an_unknown_path_is_admitted_under_a_single_route() {
    let decide = |all: Vec<Matched>| {
        let gate = gate(all, Vec::new());
        let mut headers = HeaderMap::new();
        for (name, value) in Who::Ada.headers() {
            headers.insert(name, value.parse().unwrap());
        }
        let arrival = Arrival {
            peer: "192.0.2.1".parse().unwrap(),
            client: "192.0.2.1".parse().unwrap(),
            trusted_peer: true,
            relayed: true,
            secure: false,
            certificate: None,
            request_id: HeaderValue::from_static("id"),
        };
        let facts = Facts {
            method: &Method::GET,
            host: Some("app.example"),
            path: None,
            headers: &headers,
            arrival: &arrival,
        };
        let decision = pin!(gate.decide(&facts, UnixTime::from_secs(NOW)));
        match decision.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(permit)) => permit.admission().reason(),
            Poll::Ready(Err(refused)) => refused.refusal.reason(),
            Poll::Pending => panic!("everything is in memory"),
        }
    };
    let any = || Access::ANY_SESSION;
    assert_eq!(decide(vec![route("/", any())]), "session");
    let with_public = vec![route("/", any()), route("/public/", Access::Public)];
    assert_eq!(decide(with_public), "session");
    let with_deny = vec![route("/", any()), route("/a/", Access::Deny)];
    assert_eq!(decide(with_deny), "unknown_path");
    // Outside `/a/` there is no route, and the unknown path could be there.
    assert_eq!(decide(vec![route("/a/", any())]), "unknown_path");
    let on_host = Matched {
        hosts: vec![HostPattern::new("app.example").unwrap()],
        ..route("/", any())
    };
    assert_eq!(decide(vec![on_host]), "unknown_path");
}

//! What else changes in a request on its way to its service.

use gate::Access;

use crate::world::{TestRequest, Who, gate, route};

#[test]
fn no_session_of_any_realm_is_forwarded_unless_the_route_allows_it() {
    let mut shop = route("/shop/", Access::ANY_SESSION);
    shop.route.realm = 1;
    let gate = gate(
        vec![
            route("/", Access::ANY_SESSION),
            shop,
            route("/public/", Access::Public),
        ],
        Vec::new(),
    );
    let ada = Who::Ada.headers().remove(0).1;
    let shopper = Who::Shopper.headers().remove(0).1;
    let bearer = Who::ShopperBearer.headers().remove(0).1;
    let basic = "Basic YTpi";
    for (path, headers, kept) in [
        ("/", [("cookie", &*ada), ("cookie", &*shopper)], None),
        ("/shop/", [("cookie", &*ada), ("cookie", &*shopper)], None),
        ("/public/", [("cookie", &*ada), ("cookie", &*shopper)], None),
        // A cookie of another realm does not tell by which credential the request entered.
        (
            "/shop/",
            [("cookie", &*ada), ("authorization", &*bearer)],
            None,
        ),
        (
            "/",
            [("cookie", &*ada), ("authorization", basic)],
            Some(basic),
        ),
        (
            "/shop/",
            [("cookie", &*shopper), ("authorization", basic)],
            Some(basic),
        ),
    ] {
        let request = TestRequest {
            headers: &headers,
            ..TestRequest::get(path, Who::Anonymous)
        };
        let seen = request.ask(&gate).unwrap();
        let cookies = seen
            .fields
            .iter()
            .filter(|field| field.starts_with("cookie: "));
        assert!(cookies.clone().count() > 0);
        for cookie in cookies {
            assert_eq!(cookie, "cookie: theme=dark", "{path}");
        }
        assert_eq!(seen.field("authorization"), kept, "{path}");
    }
}

#[test]
fn the_service_gets_the_path_and_host_of_its_route() {
    let stripped = |path: &str, segments| {
        let mut matched = route(path, Access::ANY_SESSION);
        matched.route.strip_segments = segments;
        matched
    };
    let gate = gate(
        vec![
            route("/", Access::ANY_SESSION),
            stripped("/wiki/", 1),
            stripped("/exact", 1),
            stripped("/a/{x}/", 2),
        ],
        Vec::new(),
    );
    for (target, seen, prefix) in [
        ("/z%2fb//c?d", "/z%2fb//c?d", None),
        ("/wiki/", "/", Some("/wiki")),
        ("/wiki/Main%20Page?a=/b", "/Main%20Page?a=/b", Some("/wiki")),
        ("/%77iki/x", "/x", Some("/%77iki")),
        ("/exact", "/", Some("/exact")),
        ("/exact?a", "/?a", Some("/exact")),
        ("/a/b%20c/d", "/d", Some("/a/b%20c")),
    ] {
        let found = TestRequest::get(target, Who::Ada).ask(&gate).unwrap();
        assert_eq!(found.target, seen, "{target}");
        assert_eq!(found.field("x-forwarded-prefix"), prefix, "{target}");
        assert_eq!(found.field("host"), Some("app.example"));
    }
    for target in [
        "/wiki//x",
        "/wiki/a%2fb",
        "/wiki/a/../b",
        "/wiki/a;b",
        "/wiki/%2e%2e/",
    ] {
        let outcome = TestRequest::get(target, Who::Ada).outcome(&gate);
        assert_eq!(outcome, "ambiguous_path BadRequest", "{target}");
    }
    let request = TestRequest {
        rewrite_host: Some("wiki.internal:8080"),
        headers: &[
            ("x-forwarded-prefix", "/forged"),
            ("x-forwarded-host", "forged"),
        ],
        ..TestRequest::get("/wiki/", Who::Ada)
    };
    let seen = request.ask(&gate).unwrap();
    assert_eq!(seen.field("host"), Some("wiki.internal:8080"));
    assert_eq!(seen.field("x-forwarded-host"), Some("app.example"));
    assert_eq!(seen.field("x-forwarded-prefix"), Some("/wiki"));
    let request = TestRequest {
        headers: &[("x-forwarded-prefix", "/outer/")],
        by_listed_proxy: true,
        ..TestRequest::get("/wiki/", Who::Ada)
    };
    let seen = request.ask(&gate).unwrap();
    assert_eq!(seen.field("x-forwarded-prefix"), Some("/outer/wiki"));
}

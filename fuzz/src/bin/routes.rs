//! Fuzzes the routes with any path: the path is refused, or its route is the one that a slow implementation finds, also for the
//! path as each parser normalizes it.
#![no_main]

use std::net::Ipv4Addr;
use std::sync::OnceLock;

use gate::{Access, Arrival, Facts, HostPattern, Matched, Methods, PathPattern, Route, Routes};
use http::{HeaderMap, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;

#[path = "../../../crates/gate/tests/routes/normalizers.rs"]
mod normalizers;
#[path = "../../../crates/gate/tests/routes/slow.rs"]
#[expect(dead_code, reason = "the rules here have no conflicts")]
mod slow;

use slow::Rule;

const HOSTS: [&str; 3] = ["app.example", "b.example:8080", "other"];
const METHODS: [Method; 2] = [Method::GET, Method::POST];

fuzz_target!(|data: &[u8]| {
    let Some((first, path)) = data.split_first() else {
        return;
    };
    let Ok(path) = str::from_utf8(path) else {
        return;
    };
    // The paths of request targets contain no other bytes.
    let is_of_target = |byte: u8| byte > b' ' && byte != 0x7f && byte != b'?';
    if !path.starts_with('/') || !path.bytes().all(is_of_target) {
        return;
    }
    let host = HOSTS[usize::from(*first) % HOSTS.len()];
    let method = &METHODS[usize::from(*first) / HOSTS.len() % METHODS.len()];
    let (rules, routes) = routes();
    let arrival = Arrival {
        peer: Ipv4Addr::LOCALHOST.into(),
        client: Ipv4Addr::LOCALHOST.into(),
        trusted_peer: false,
        relayed: false,
        secure: false,
        certificate: None,
        request_id: HeaderValue::from_static("id"),
    };
    let facts = Facts {
        method,
        host: Some(host),
        path: Some(path),
        headers: &HeaderMap::new(),
        arrival: &arrival,
    };
    let Ok(route) = routes.of(&facts) else {
        return;
    };
    let chosen = (route.access != Access::Unknown).then_some(route.id);
    let own = slow::choose(rules, host, path.as_bytes(), true, method);
    assert_eq!(chosen, own);
    for normalizer in &normalizers::ALL {
        let Some(normal) = (normalizer.normalize)(path) else {
            continue;
        };
        let seen = slow::choose(rules, host, &normal, normalizer.leaves_escapes, method);
        assert_eq!(chosen, seen, "{}", normalizer.name);
    }
});

fn routes() -> &'static (Vec<Rule>, Routes) {
    static ROUTES: OnceLock<(Vec<Rule>, Routes)> = OnceLock::new();
    ROUTES.get_or_init(|| {
        let rules = [
            ("", "/", None),
            ("", "/a/", None),
            ("", "/a/{x}", None),
            ("", "/a/{x}/c", Some(Method::GET)),
            ("", "/admin/", None),
            ("", "/b/{$}", None),
            ("app.example", "/a/", None),
            ("app.example", "/a/b/", Some(Method::POST)),
            ("*.example", "/b", None),
        ];
        let rules = rules.map(|(host, path, method)| Rule {
            host: host.to_owned(),
            path: path.to_owned(),
            methods: method.into_iter().collect(),
        });
        let matched = rules.iter().enumerate().map(|(id, rule)| Matched {
            hosts: match rule.host.as_str() {
                "" => Vec::new(),
                host => vec![HostPattern::new(host).expect("a host")],
            },
            paths: vec![PathPattern::new(&rule.path).expect("a path")],
            methods: Methods::new(rule.methods.iter().cloned()),
            route: Route {
                id,
                name: rule.path.as_str().into(),
                access: Access::ANY_SESSION,
                realm: 0,
                profile: 0,
                forwards_session: true,
                same_origin: false,
                strip_segments: 0,
            },
        });
        let routes = Routes::new(matched.collect(), false).expect("no conflict");
        (rules.into(), routes)
    })
}

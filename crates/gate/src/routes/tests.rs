//! Which route a path has, and which paths have no route.

use std::net::Ipv4Addr;

use http::{HeaderMap, HeaderValue};

use super::*;
use crate::Arrival;

fn route(id: usize, access: Access) -> Route {
    Route {
        id,
        name: format!("r{id}").into(),
        access,
        realm: 0,
        profile: 0,
        forwards_session: true,
        same_origin: false,
        strip_segments: 0,
    }
}

fn matched(id: usize, host: &str, path: &str, methods: &[Method]) -> Matched {
    let hosts = (!host.is_empty()).then(|| HostPattern::new(host).unwrap());
    Matched {
        hosts: hosts.into_iter().collect(),
        paths: vec![PathPattern::new(path).unwrap()],
        methods: Methods::new(methods.iter().cloned()),
        route: route(id, Access::ANY_SESSION),
    }
}

/// Makes routes with these hosts, paths and methods, in this order.
fn routes(all: &[(&str, &str, &[Method])]) -> Routes {
    let all = all.iter().enumerate();
    let all = all.map(|(id, (host, path, methods))| matched(id, host, path, methods));
    Routes::new(all.collect(), false).unwrap()
}

/// Returns the route of a request; `None` when no route matches, an error when the path is ambiguous.
fn of(routes: &Routes, method: &Method, host: &str, path: &str) -> Result<Option<usize>, ()> {
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
        host: (!host.is_empty()).then_some(host),
        path: Some(path),
        headers: &HeaderMap::new(),
        arrival: &arrival,
    };
    let route = routes.of(&facts).map_err(drop)?;
    Ok((route.access != Access::Unknown).then_some(route.id))
}

#[test]
fn the_most_specific_route_wins_in_any_order() {
    let get: &[Method] = &[Method::GET];
    let both: &[Method] = &[Method::GET, Method::POST];
    let mut all = vec![
        ("", "/", &[][..]),
        ("", "/a/", &[]),
        ("", "/a/b", &[]),
        ("", "/a/b", both),
        ("", "/a/b", get),
        ("", "/a/b/", &[]),
        ("", "/a/{x}", &[]),
        ("", "/a/{x}/c", &[]),
        ("", "/a/{x}/", &[]),
        ("", "/a/b/{$}", &[]),
        ("app.example.com", "/a/", &[]),
        ("*.example.com", "/a/b", &[]),
        ("*.example.com", "/only/", &[]),
    ];
    let table = [
        (Method::GET, "", "/", "/", ""),
        (Method::GET, "", "/x", "/", ""),
        (Method::GET, "", "/a", "/", ""),
        (Method::GET, "", "/a/", "/a/", ""),
        (Method::GET, "", "/a/b", "/a/b", "GET"),
        (Method::HEAD, "", "/a/b", "/a/b", "GET"),
        (Method::POST, "", "/a/b", "/a/b", "GET, POST"),
        (Method::PUT, "", "/a/b", "/a/b", "any"),
        (Method::GET, "", "/a/b/", "/a/b/{$}", "any"),
        (Method::GET, "", "/a/b/x", "/a/b/", "any"),
        // A path takes precedence over a folder, even if the folder has more literal segments.
        (Method::GET, "", "/a/b/c", "/a/{x}/c", "any"),
        (Method::GET, "", "/a/z", "/a/{x}", "any"),
        (Method::GET, "", "/a/z/c", "/a/{x}/c", "any"),
        (Method::GET, "", "/a/z/d", "/a/{x}/", "any"),
        (Method::GET, "", "/a//b", "ambiguous", ""),
        // The host takes precedence over the path.
        (
            Method::GET,
            "app.example.com",
            "/a/b",
            "app.example.com/a/",
            "",
        ),
        (
            Method::GET,
            "App.Example.com.:8080",
            "/a/b",
            "app.example.com/a/",
            "",
        ),
        (
            Method::GET,
            "b.example.com",
            "/a/b",
            "*.example.com/a/b",
            "",
        ),
        (
            Method::GET,
            "app.example.com",
            "/only/x",
            "*.example.com/only/",
            "",
        ),
        (Method::GET, "a.b.example.com", "/a/b", "/a/b", "GET"),
        (Method::GET, "example.com", "/only/x", "/", ""),
        (Method::GET, "app.example.com", "/x", "/", ""),
        (Method::GET, "[::1]:80", "/x", "/", ""),
    ];
    for _ in 0..all.len() {
        all.rotate_left(1);
        let routes = routes(&all);
        for (method, host, path, wanted, methods) in &table {
            let found = match of(&routes, method, host, path) {
                Err(()) => ("ambiguous".to_owned(), String::new()),
                Ok(found) => {
                    let (host, path, methods) = all[found.unwrap()];
                    (
                        format!("{host}{path}"),
                        Methods::new(methods.iter().cloned()).to_string(),
                    )
                }
            };
            assert_eq!(found.0, *wanted, "{method} {host} {path}");
            assert!(
                methods.is_empty() || found.1 == *methods,
                "{method} {host} {path} {found:?}"
            );
        }
    }
}

#[test]
fn an_unmatched_request_is_unknown() {
    let routes = routes(&[("app.example.com", "/a/", &[Method::GET])]);
    for (method, host, path) in [
        (Method::GET, "", "/a/x"),
        (Method::GET, "other.example.com", "/a/x"),
        (Method::GET, "app.example.com", "/b"),
        (Method::POST, "app.example.com", "/a/x"),
    ] {
        assert_eq!(
            of(&routes, &method, host, path),
            Ok(None),
            "{method} {host} {path}"
        );
    }
}

#[test]
fn without_a_host_only_routes_for_any_host_match() {
    let routes = routes(&[
        ("app.example.com", "/", &[]),
        ("*.example.com", "/", &[]),
        ("", "/a/", &[]),
    ]);
    assert_eq!(of(&routes, &Method::GET, "", "/b"), Ok(None));
    assert_eq!(of(&routes, &Method::GET, "", "/a/b"), Ok(Some(2)));
}

#[test]
fn hosts_that_no_request_can_have_are_refused() {
    let label = "a".repeat(63);
    let longest = [&*label, &label, &label, &"a".repeat(61)].join(".");
    for host in [&*label, &longest, &format!("*.{label}"), "my_app", "a.b."] {
        assert!(HostPattern::new(host).is_ok(), "{host}");
    }
    for host in [
        &format!("{label}a"),
        &format!("a{longest}"),
        "a..b",
        "a,b",
        "a..",
    ] {
        let read = HostPattern::new(host);
        assert_eq!(read, Err(InvalidHost::Malformed), "{host}");
    }
}

#[test]
fn two_routes_that_match_equally_are_a_conflict() {
    let conflicts = |one: (&str, &str, &[Method]), other: (&str, &str, &[Method])| {
        let all = [one, other].into_iter().enumerate();
        let all = all.map(|(id, (host, path, methods))| matched(id, host, path, methods));
        Routes::new(all.collect(), false).is_err()
    };
    let (get, post, both) = (
        &[Method::GET][..],
        &[Method::POST][..],
        &[Method::GET, Method::POST][..],
    );
    for (one, other, conflict) in [
        (("", "/a", &[][..]), ("", "/a", &[][..]), true),
        (("", "/a/{x}", &[]), ("", "/a/{y}", &[]), true),
        (("", "/a%41", &[]), ("", "/aA", &[]), true),
        (("a", "/", &[]), ("A.", "/", &[]), true),
        (
            ("", "/a", both),
            ("", "/a", &[Method::PUT, Method::GET]),
            true,
        ),
        (
            ("", "/a", get),
            ("", "/a", &[Method::HEAD, Method::GET]),
            true,
        ),
        (
            ("", "/a", both),
            ("", "/a", &[Method::GET, Method::HEAD, Method::POST]),
            true,
        ),
        // `GET` includes `HEAD`, so the second route has fewer methods.
        (("", "/a", get), ("", "/a", &[Method::HEAD]), false),
        (("", "/a", get), ("", "/a", post), false),
        (("", "/a", get), ("", "/a", both), false),
        (("", "/a", &[]), ("", "/a/", &[]), false),
        (("", "/a/", &[]), ("", "/a/{$}", &[]), false),
        (("", "/a", &[]), ("", "/A", &[]), false),
        (("a", "/", &[]), ("b", "/", &[]), false),
        (("a.b", "/", &[]), ("*.b", "/", &[]), false),
        (("", "/{x}/b", &[]), ("", "/a/{y}", &[]), false),
    ] {
        assert_eq!(conflicts(one, other), conflict, "{one:?} {other:?}");
    }
}

#[test]
fn case_is_ignored_where_the_upstream_ignores_it() {
    let fold = |all: &[(&str, &str)]| {
        let all = all.iter().enumerate();
        let all = all.map(|(id, (host, path))| matched(id, host, path, &[]));
        Routes::new(all.collect(), true)
    };
    let routes = fold(&[("", "/"), ("", "/Admin/")]).unwrap();
    for path in ["/admin/x", "/ADMIN/x", "/%41dmin/x"] {
        assert_eq!(of(&routes, &Method::GET, "", path), Ok(Some(1)), "{path}");
    }
    // Characters that some upstream reads as ASCII letters, or drops.
    for path in [
        "/adm%C4%B1n/x",
        "/adm%C4%B0n/x",
        "/ad%E2%80%8Bmin/x",
        "/%EF%BD%81dmin/x",
    ] {
        assert_eq!(of(&routes, &Method::GET, "", path), Err(()), "{path}");
    }
    assert!(fold(&[("", "/a"), ("", "/A")]).is_err());
}

#[test]
fn unnecessary_escapes_are_decoded() {
    let routes = routes(&[
        ("", "/", &[]),
        ("", "/admin/", &[]),
        ("", "/a%20b/{x}", &[]),
    ]);
    for (path, found) in [
        ("/%61dmin/x", Ok(Some(1))),
        ("/admin/%78", Ok(Some(1))),
        ("/a%20b/%C3%A4", Ok(Some(2))),
        ("/a%20%62/c", Ok(Some(2))),
        ("/admin%2fx", Err(())),
        ("/x/%2e%2e/admin/", Err(())),
        // An upstream that folds case would read it as the path of another route.
        ("/%41DMIN/x", Err(())),
        ("/adm%C4%B1n/x", Err(())),
        ("/ADM\u{130}N/x", Err(())),
        // Windows drops dots and blanks at the end of a name.
        ("/admin./x", Err(())),
        ("/admin%20/x", Err(())),
        ("/%20admin/x", Err(())),
        ("/%20/admin/x", Err(())),
        ("/.../admin/x", Err(())),
        ("/x/..%20/admin/", Err(())),
        ("/x/%20../admin/", Err(())),
        ("/....%5cadmin/x", Err(())),
        ("/%c2%a0/admin/x", Err(())),
        ("/%e2%80%8b/admin/x", Err(())),
        ("/x/%e2%80%8b../admin/", Err(())),
        ("/admin::$INDEX_ALLOCATION/x", Err(())),
        ("/x%20y", Ok(Some(0))),
        ("/x./y", Ok(Some(0))),
        ("/x:$y", Ok(Some(0))),
        ("/%C4%B1/x", Ok(Some(0))),
    ] {
        assert_eq!(of(&routes, &Method::GET, "", path), found, "{path}");
    }
}

const ENTRIES: [&str; 5] = [
    "/assets/",
    "/healthz",
    "/api/Auth/",
    "/caf%C3%A9/",
    "/-/ping",
];

fn policy() -> Routes {
    let public = ENTRIES.map(|entry| PathPattern::literal(entry).unwrap());
    let all = [
        (public.into(), Access::Public),
        (vec![PathPattern::new("/").unwrap()], Access::ANY_SESSION),
    ];
    let all = all
        .into_iter()
        .enumerate()
        .map(|(id, (paths, access))| Matched {
            hosts: Vec::new(),
            paths,
            methods: Methods::ANY,
            route: route(id, access),
        });
    Routes::new(all.collect(), false).unwrap()
}

const PUBLIC: usize = 0;
const SESSION: usize = 1;

/// Returns the route of the path; `None` when it is refused.
fn rule(path: &str) -> Option<usize> {
    of(&policy(), &Method::GET, "", path).ok().flatten()
}

#[test]
fn a_path_whose_readings_share_one_rule_is_forwarded() {
    for path in [
        "/@scope%2fname",
        "/@scope%2Fname/-/name-1.0.0.tgz",
        "//",
        "//private",
        "/a//b",
        "/shop;jsessionid=1A2B",
        "/shop;jsessionid=1A2B/cart",
        "/./private",
        "/a/../b",
        "/a\\b",
        "/a%5cb",
        "/100%",
        "/a%zz",
        "/a%ff",
        "/files/a%252fb",
        "/a%3fassets",
        "/proxy/https://example.com/assets/x",
        "/browse/assets;v=1/x",
    ] {
        assert_eq!(rule(path), Some(SESSION), "{path}");
    }
    for path in [
        "/assets//x",
        "/assets/a%2fb",
        "/assets/a;v=1",
        "/assets/./x",
        "/assets/a/../x",
        "/assets/v1..v2/%20",
        "/assets/v1..;x",
        "/%68ealthz",
        "/caf%C3%A9/x",
        "/caf%c3%a9/x",
        "/caf\u{e9}/x",
        "/caf%C3%A9/a%2fb",
    ] {
        assert_eq!(rule(path), Some(PUBLIC), "{path}");
    }
}

#[test]
fn a_path_with_a_reading_under_another_rule_is_refused() {
    for path in [
        "/assets/../private",
        "/assets/..",
        "/assets/%2e%2e/private",
        "/assets/..%2fprivate",
        "/assets/..;/private",
        "/assets/..\\private",
        "/assets/%252e%252e/private",
        "/assets/..%00/private",
        "/assets/..%2500/private",
        "/assets/x/../../private",
        "/assets//../private",
        "/assets/../Assets/x",
        "/assets/%c0%ae%c0%ae/private",
        "/assets/%ef%bc%8e%ef%bc%8e/private",
        "/assets/%e2%80%a5/private",
        "/assets/%u002e%u002e/private",
        "/private/../assets/x",
        "/assets%2fx",
        "/assets%252fx",
        "/ASSETS%2fx",
        "//assets/x",
        "/./healthz",
        "/healthz;x",
        "/healthz;x/y",
        "/healthz%3fx",
        "/healthz#x",
        "/assets/#/x",
        "/private#/x",
        "/assets/x/..;/y",
        "//host/assets/x",
        "/HEALTH%5a",
        "/api%2fauth%2fx",
        "/-%2fping",
    ] {
        assert_eq!(rule(path), None, "{path}");
    }
}

#[test]
fn a_difference_in_case_demands_a_session() {
    for path in ["/Healthz", "/ASSETS/x", "/api/auth/x"] {
        assert_eq!(rule(path), Some(SESSION), "{path}");
    }
}

/// Returns the rule of a path as an obvious implementation finds it: segment by segment, escapes decoded.
fn plain_rule(text: &[u8], same: fn(&[u8], &[u8]) -> bool) -> usize {
    let segments = |text: &[u8]| -> Vec<Vec<u8>> {
        let segments = text.split(|byte| *byte == b'/');
        segments
            .map(|segment| percent_encoding::percent_decode(segment).collect())
            .collect()
    };
    let path = segments(text);
    let is_public = ENTRIES.iter().any(|entry| {
        let mut entry_segments = segments(entry.as_bytes());
        let is_folder = entry.ends_with('/');
        if is_folder {
            entry_segments.pop();
        }
        let begins = path.len() >= entry_segments.len()
            && path
                .iter()
                .zip(&entry_segments)
                .all(|(one, other)| same(one, other));
        begins && (path.len() > entry_segments.len()) == is_folder
    });
    if is_public { PUBLIC } else { SESSION }
}

/// Compares with a slow and obvious enumeration that examines every reading, without quick checks before.
#[test]
fn the_quick_checks_change_no_result() {
    let pieces = [
        "/",
        "/",
        "assets",
        "ASSETS",
        "healthz",
        "x",
        "..",
        ".",
        "%2e",
        "%2f",
        "%252e",
        "%252F",
        ";",
        "\\",
        "#",
        "%",
        "%5c",
        "%3b",
        "%c0%ae",
        "%ef%bc%8f",
        "\u{ff0e}",
        "%61",
    ];
    let mut random = 0x5e55_1096_a7e0_0001_u64;
    let mut below = |end: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % end as u64).unwrap()
    };
    let (mut refused, mut many) = (0, 0);
    for _ in 0..20_000 {
        let starts = ["/", "/assets/", "/healthz", "/private/"];
        let mut path = starts[below(starts.len())].to_owned();
        for _ in 0..below(7) {
            path += pieces[below(pieces.len())];
        }
        let own = plain_rule(path.as_bytes(), <[u8]>::eq);
        let public = own == PUBLIC;
        let other = |reading: &Vec<u8>| {
            plain_rule(reading, <[u8]>::eq) != own
                || plain_rule(reading, <[u8]>::eq_ignore_ascii_case) != own
        };
        let differs = readings::all(&path, usize::MAX).unwrap().iter().any(other);
        let plain = readings::has_one_reading(&path);
        if rule(&path).is_none() && readings::all(&path, budget(&path)).is_none() {
            many += 1;
            continue;
        }
        refused += usize::from(differs);
        let dishonest = path.contains('#')
            || public && has_parent_with_parameter(&readings::fully_decoded(&path));
        let differs = differs || dishonest;
        assert_eq!(rule(&path).is_none(), differs && !plain, "{path}");
    }
    assert!(refused > 1000 && many < 2000, "{refused} {many}");
}

#[test]
fn encoded_control_characters_are_recognized_in_any_spelling() {
    for path in ["/a%00", "/%0d%0aX", "/%1F", "/%7f", "/%7F"] {
        assert!(has_encoded_control(path), "{path}");
    }
    assert!(!has_encoded_control("/%20%70%0"));
}

//! Tests that explanations agree with decisions, and that the page about paths does too.

use std::net::Ipv4Addr;

use http::{HeaderMap, HeaderValue, Method};

use super::*;
use crate::{Arrival, Condition};

fn matched(id: usize, host: &str, path: &str, methods: &[Method]) -> Matched {
    let hosts = (!host.is_empty()).then(|| HostPattern::new(host).unwrap());
    Matched {
        hosts: hosts.into_iter().collect(),
        paths: vec![PathPattern::new(path).unwrap()],
        methods: Methods::new(methods.iter().cloned()),
        route: Route {
            name: format!("{host}{path}").into(),
            access: Access::Session(Condition::ALWAYS),
            ..nameless(id)
        },
    }
}

/// Returns what `answer` says about a request.
fn ask<T>(method: &Method, host: &str, path: &str, answer: impl FnOnce(&Facts<'_>) -> T) -> T {
    let arrival = Arrival {
        peer: Ipv4Addr::LOCALHOST.into(),
        client: Ipv4Addr::LOCALHOST.into(),
        trusted_peer: false,
        relayed: false,
        secure: false,
        certificate: None,
        request_id: HeaderValue::from_static("id"),
    };
    answer(&Facts {
        method,
        host: (!host.is_empty()).then_some(host),
        path: Some(path),
        headers: &HeaderMap::new(),
        arrival: &arrival,
    })
}

fn sample() -> Routes {
    let get: &[Method] = &[Method::GET];
    let all = [
        ("", "/", &[][..]),
        ("", "/a/", &[]),
        ("", "/a/b", &[Method::GET, Method::PUT]),
        ("", "/a/b", get),
        ("", "/a/{x}", &[]),
        ("", "/a/b/", &[]),
        ("", "/{x}/b/", &[]),
        ("", "/a/b/{$}", &[]),
        ("app.example.com", "/a/", &[]),
        ("*.example.com", "/a/b", &[]),
    ];
    let all = all.into_iter().enumerate();
    let all = all.map(|(id, (host, path, methods))| matched(id, host, path, methods));
    Routes::new(all.collect(), false).unwrap()
}

#[test]
fn the_first_candidate_governs_and_the_list_of_routes_has_the_same_order() {
    let routes = sample();
    let order: Vec<_> = routes.rows().iter().map(|row| row.route.id).collect();
    for host in ["", "app.example.com", "b.example.com", "example.com"] {
        for path in [
            "/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/z", "/z/b/c",
        ] {
            for method in [Method::GET, Method::PUT, Method::POST] {
                ask(&method, host, path, |facts| {
                    let found: Vec<_> = routes.candidates(facts);
                    let found: Vec<_> = found.iter().map(|row| row.route.id).collect();
                    assert_eq!(found.first(), Some(&routes.of(facts).unwrap().id), "{path}");
                    let listed = order.iter().filter(|id| found.contains(id));
                    let listed: Vec<_> = listed.copied().collect();
                    assert_eq!(found, listed, "{method} {host} {path}");
                });
            }
        }
    }
}

#[test]
fn a_near_miss_differs_in_one_thing() {
    let all = [
        ("", "/admin/", &[][..]),
        ("", "/post", &[Method::POST][..]),
        ("other.example.com", "/here", &[]),
    ];
    let all = all.into_iter().enumerate();
    let all = all.map(|(id, (host, path, methods))| matched(id, host, path, methods));
    let routes = Routes::new(all.collect(), false).unwrap();
    for (path, wanted) in [
        ("/admin", Some((0, Differs::FinalSlash))),
        ("/Admin/x", Some((0, Differs::Case))),
        ("/post", Some((1, Differs::Method))),
        ("/post/", None),
        ("/here", Some((2, Differs::Host))),
        ("/elsewhere", None),
        ("/admin/x", None),
    ] {
        ask(&Method::GET, "app.example.com", path, |facts| {
            let misses = routes.near_misses(facts);
            let misses: Vec<_> = misses
                .iter()
                .map(|miss| (miss.row.route.id, miss.differs))
                .collect();
            let wanted: Vec<_> = wanted.into_iter().collect();
            assert_eq!(misses, wanted, "{path}");
        });
    }
}

#[test]
fn every_other_reading_is_shown_with_its_route() {
    let routes = sample();
    ask(&Method::GET, "", "/z%2fb/c", |facts| {
        let reading = routes.reading(facts);
        assert_eq!(reading.ambiguity, Some(Ambiguity::OtherRoute));
        assert_eq!(reading.segments, ["z%2Fb", "c"]);
        let [other] = &reading.others[..] else {
            panic!("{reading:?}");
        };
        assert_eq!(other.path, "/z/b/c");
        assert_eq!(other.route.map(|route| &*route.name), Some("/{x}/b/"));
    });
    ask(&Method::GET, "", "/plain/path", |facts| {
        let reading = routes.reading(facts);
        assert_eq!((reading.ambiguity, reading.others.len()), (None, 0));
    });
}

const PAGE: &str = include_str!("../../../../../docs/paths.md");

/// Returns the rows of the first table below `mark` whose rows begin with code; a cell that is code comes without its backquotes.
fn table<'p>(page: &'p str, mark: &str) -> Vec<Vec<&'p str>> {
    let (_, below) = page.split_once(mark).expect("the page has it");
    let rows = below.lines().skip_while(|line| !line.starts_with("| `"));
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells = row.trim_matches('|').split(" | ").map(str::trim);
        cells.map(|cell| uncoded(cell).unwrap_or(cell)).collect()
    })
    .collect()
}

fn uncoded(cell: &str) -> Option<&str> {
    let code = cell.strip_prefix('`')?.strip_suffix('`')?;
    (!code.contains('`')).then_some(code)
}

#[test]
fn the_page_about_paths_is_correct() {
    let mut all = Vec::new();
    for (id, row) in table(PAGE, "With these routes:").iter().enumerate() {
        let [name, path, more @ ..] = &row[..] else {
            panic!("{row:?}");
        };
        let mut one = matched(id, "", path, &[]);
        one.route.name = (*name).into();
        match more {
            [] | [""] => {}
            ["public"] => one.route.access = Access::Public,
            ["cut"] => one.route.strip_segments = one.paths[0].depth(),
            more => panic!("{more:?}"),
        }
        all.push(one);
    }
    assert!(all.len() > 5);
    for (mark, folds_case, least) in [
        ("(`public`:", false, 25),
        ("## Where upstreams fold case", true, 4),
    ] {
        let routes = Routes::new(all.clone(), folds_case).unwrap();
        let examples = table(PAGE, mark);
        assert!(examples.len() >= least, "{mark}");
        for row in examples {
            let [path, read, outcome] = row[..] else {
                panic!("{row:?}");
            };
            ask(&Method::GET, "", path, |facts| {
                let reading = routes.reading(facts);
                assert_eq!(format!("/{}", reading.segments.join("/")), read, "{path}");
                let found = match (routes.of(facts), reading.ambiguity) {
                    (Ok(route), None) => route.name.to_string(),
                    (Err(_), Some(why)) => format!("400: {why}"),
                    other => panic!("{path}: {other:?}"),
                };
                assert_eq!(found, outcome, "{path}");
            });
        }
    }
}

//! The cost of choosing a route among 1,000 on 100 hosts, compared with the cost if there is only one route.
//!
//! Both are measured in turn, round after round, and compared within the round, so that other load on the machine affects both
//! sides. Run as `cargo xtask bench routes`.

#![allow(clippy::unwrap_used, reason = "as in tests")]
#![expect(clippy::disallowed_methods, reason = "a benchmark is about the clock")]

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use gate::{Access, Arrival, Facts, HostPattern, Matched, Methods, PathPattern, Route, Routes};
use http::{HeaderMap, HeaderValue, Method};

fn main() {
    println!(
        "choosing a route among 1,000 on 100 hosts, compared with choosing it if it is the only one\n"
    );
    println!("| | nanoseconds | compared with | ratio |\n|---|--:|--:|--:|");
    let measured = routes(HOSTS, AREAS);
    for (name, host, path) in [
        ("a folder", "host50.example.com", "/area5/page"),
        (
            "deep in it",
            "host50.example.com",
            "/area5/a/b/c/d/page.html",
        ),
        (
            "the host in capitals, with a port",
            "Host50.Example.com:8080",
            "/area5/page",
        ),
        ("an escape", "host50.example.com", "/area5/My%20File.pdf"),
        ("no route", "host50.example.com", "/elsewhere/page"),
        ("no host", "elsewhere.example.com", "/area5/page"),
    ] {
        let alone = Routes::new(vec![matched(0, 50, 5)], false).unwrap();
        report(name, &|| choose(&measured, host, path), &|| {
            choose(&alone, host, path);
        });
    }
    let everything = Routes::of_one_service(Vec::new(), true);
    let (host, path) = ("host50.example.com", "/area5/page");
    report(
        "a folder, compared with one route for everything",
        &|| choose(&measured, host, path),
        &|| choose(&everything, host, path),
    );
    let start = Instant::now();
    let many = routes(1000, 10);
    let built = start.elapsed().as_secs_f64() * 1000.0;
    println!("\n10,000 routes on 1,000 hosts: built in {built:.1} ms");
    drop(many);
}

const HOSTS: usize = 100;
const AREAS: usize = 10;

/// Returns `areas` routes on each of `hosts` hosts.
fn routes(hosts: usize, areas: usize) -> Routes {
    let all = (0..hosts * areas).map(|id| matched(id, id / areas, id % areas));
    Routes::new(all.collect(), false).unwrap()
}

fn matched(id: usize, host: usize, area: usize) -> Matched {
    Matched {
        hosts: vec![HostPattern::new(&format!("host{host}.example.com")).unwrap()],
        paths: vec![PathPattern::new(&format!("/area{area}/")).unwrap()],
        methods: Methods::ANY,
        route: Route {
            id,
            name: format!("host{host}-area{area}").into(),
            access: Access::ANY_SESSION,
            realm: 0,
            profile: 0,
            forwards_session: true,
            same_origin: false,
            strip_segments: 0,
        },
    }
}

fn choose(routes: &Routes, host: &str, path: &str) {
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
        method: &Method::GET,
        host: Some(black_box(host)),
        path: Some(black_box(path)),
        headers: &HeaderMap::new(),
        arrival: &arrival,
    };
    for _ in 0..CALLS {
        assert!(black_box(routes.of(black_box(&facts))).is_ok());
    }
}

/// The number of calls in a row: so many that neither building the facts nor reading the clock matters.
const CALLS: u32 = 1000;

/// Prints the median times of both sides, and the median of their ratio within each round.
fn report(name: &str, measured: &dyn Fn(), baseline: &dyn Fn()) {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((nanoseconds(measured), nanoseconds(baseline)));
    }
    let measured = median(rounds.iter().map(|(measured, _)| *measured));
    let baseline = median(rounds.iter().map(|(_, baseline)| *baseline));
    let ratio = median(
        rounds
            .iter()
            .map(|(measured, baseline)| measured / baseline),
    );
    println!("| {name} | {measured:.1} | {baseline:.1} | {ratio:.2} |");
}

/// Returns the mean time of one call in nanoseconds, over as many calls as fit into `MOMENT`.
fn nanoseconds(calls: &dyn Fn()) -> f64 {
    let start = Instant::now();
    let mut count = 0;
    loop {
        calls();
        count += CALLS;
        let elapsed = start.elapsed();
        if elapsed >= MOMENT {
            return elapsed.as_nanos() as f64 / f64::from(count);
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

const ROUNDS: usize = 101;
const MOMENT: Duration = Duration::from_micros(500);

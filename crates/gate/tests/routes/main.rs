//! Which route a request has, compared with a slow implementation, and with how other programs would read its path.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod normalizers;
mod slow;

use std::net::Ipv4Addr;

use allocation_counter::measure;
use gate::{
    Access, Arrival, Facts, HostPattern, Matched, Methods, PathPattern, Refusal, Route, Routes,
};
use http::{HeaderMap, HeaderValue, Method};

use self::slow::Rule;

/// Returns the routes of these rules; the id of each is its position.
fn routes(rules: &[Rule]) -> Option<Routes> {
    let matched = rules.iter().enumerate().map(|(id, rule)| Matched {
        hosts: match rule.host.as_str() {
            "" => Vec::new(),
            host => vec![HostPattern::new(host).unwrap()],
        },
        paths: vec![PathPattern::new(&rule.path).unwrap()],
        methods: Methods::new(rule.methods.iter().cloned()),
        route: Route {
            id,
            name: format!("r{id}").into(),
            access: Access::ANY_SESSION,
            realm: 0,
            profile: 0,
            forwards_session: true,
            same_origin: false,
            strip_segments: 0,
        },
    });
    Routes::new(matched.collect(), false).ok()
}

/// Returns the position of the route of a request, if any matches.
fn chosen(
    routes: &Routes,
    host: &str,
    path: &str,
    method: &Method,
) -> Result<Option<usize>, Refusal> {
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
    let route = routes.of(&facts)?;
    Ok((route.access != Access::Unknown).then_some(route.id))
}

/// A generator of pseudorandom numbers, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn of<'t, T: ?Sized>(&mut self, all: &[&'t T]) -> &'t T {
        all[self.below(all.len())]
    }

    fn rule(&mut self) -> Rule {
        let mut path = String::new();
        for _ in 0..self.below(4) {
            path.push('/');
            path += self.of(&["a", "b", "admin", "{x}", "%61b", "a%20b", "B"]);
        }
        path += self.of(match path.is_empty() {
            true => &["/", "/{$}"],
            false => &["", "", "/", "/", "/{$}"],
        });
        let methods = [Method::GET, Method::POST, Method::HEAD, Method::PUT];
        let named = match self.below(3) {
            0 => 1 + self.below(2),
            _ => 0,
        };
        let mut methods: Vec<_> = (0..named)
            .map(|_| methods[self.below(methods.len())].clone())
            .collect();
        methods.dedup();
        Rule {
            host: self
                .of(&[
                    "",
                    "",
                    "app.example",
                    "*.example",
                    "a.b.example",
                    "*.b.example",
                ])
                .to_owned(),
            path,
            methods,
        }
    }

    /// Returns rules without a conflict between them.
    fn rules(&mut self) -> Vec<Rule> {
        let mut rules: Vec<Rule> = Vec::new();
        for _ in 0..1 + self.below(14) {
            let rule = self.rule();
            if !rules.iter().any(|other| rule.conflicts_with(other)) {
                rules.push(rule);
            }
        }
        rules
    }

    fn host(&mut self) -> &'static str {
        self.of(&[
            "",
            "app.example",
            "APP.example.:8080",
            "b.example",
            "a.b.example",
            "c.b.example:1",
            ".example",
            "example",
            "[::1]:80",
            "a.a.b.example",
        ])
    }

    fn method(&mut self) -> Method {
        let all = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::DELETE,
        ];
        all[self.below(all.len())].clone()
    }

    /// Returns a path of ordinary names.
    fn plain_path(&mut self) -> String {
        let mut path = String::from("/");
        for _ in 0..self.below(5) {
            path += self.of(&["a", "b", "ab", "admin", "x", "B"]);
            path += self.of(&["/", "/", "/", ""]);
        }
        while path.contains("//") {
            path = path.replace("//", "/");
        }
        path
    }

    /// Returns a path with pieces that parsers may treat specially.
    fn odd_path(&mut self) -> String {
        let mut path = String::from("/");
        for _ in 0..1 + self.below(8) {
            path += self.of(&ODD);
        }
        path
    }
}

const ODD: [&str; 40] = [
    "/",
    "/",
    "/",
    "/",
    "/",
    "a",
    "b",
    "admin",
    "x",
    "B",
    "a",
    "b",
    "admin",
    "..",
    "..",
    ".",
    "%2e",
    "%2E%2e",
    "%2f",
    "%2F",
    "%252e",
    "%252f",
    ";",
    ";v=1",
    "..;",
    "\\",
    "#",
    "%",
    "%5c",
    "%3b",
    "%61",
    "%2561",
    "%41DMIN",
    "%20",
    "%c0%ae",
    "%ef%bc%8f",
    "\u{ff0e}",
    "?",
    "%3f",
    "%23",
];

#[test]
fn the_route_equals_that_of_a_linear_search() {
    let mut random = Random(0x7012_7e5a_11c4_0001);
    let mut found = 0;
    for _ in 0..3000 {
        let rules = random.rules();
        let routes = routes(&rules).expect("no conflict");
        for _ in 0..12 {
            let (host, path) = (random.host(), random.plain_path());
            let method = random.method();
            let wanted = slow::choose(&rules, host, path.as_bytes(), true, &method);
            let chosen = chosen(&routes, host, &path, &method).unwrap();
            assert_eq!(chosen, wanted, "{method} {host} {path} {rules:#?}");
            found += usize::from(chosen.is_some());
        }
    }
    assert!(found > 10_000, "{found}");
}

#[test]
fn two_overlapping_rules_conflict_when_neither_is_more_specific() {
    let mut random = Random(0x7012_7e5a_11c4_0002);
    let mut conflicts = 0;
    for _ in 0..40_000 {
        let (one, other) = (random.rule(), random.rule());
        let is_conflict = one.conflicts_with(&other);
        let pair = [one, other];
        assert_eq!(routes(&pair).is_none(), is_conflict, "{pair:#?}");
        conflicts += usize::from(is_conflict);
    }
    assert!(conflicts > 100, "{conflicts}");
}

#[test]
fn a_path_has_the_route_that_every_parser_reads_or_is_refused() {
    let mut random = Random(0x7012_7e5a_11c4_0003);
    let (mut refused, mut chosen_at_all) = (0, 0);
    for _ in 0..1500 {
        let rules = random.rules();
        let routes = routes(&rules).expect("no conflict");
        for _ in 0..12 {
            let (host, path) = (random.host(), random.odd_path());
            let method = random.method();
            let Ok(chosen) = chosen(&routes, host, &path, &method) else {
                refused += 1;
                continue;
            };
            chosen_at_all += 1;
            let own = slow::choose(&rules, host, path.as_bytes(), true, &method);
            assert_eq!(chosen, own, "{method} {host} {path} {rules:#?}");
            for normalizer in &normalizers::ALL {
                let Some(normal) = (normalizer.normalize)(&path) else {
                    continue;
                };
                let seen = slow::choose(&rules, host, &normal, normalizer.leaves_escapes, &method);
                assert_eq!(
                    chosen,
                    seen,
                    "{method} {host} {path}, as {} sees it: {} {rules:#?}",
                    normalizer.name,
                    String::from_utf8_lossy(&normal)
                );
            }
        }
    }
    assert!(
        refused > 4000 && chosen_at_all > 4000,
        "{refused} {chosen_at_all}"
    );
}

#[test]
fn a_path_that_a_parser_reads_as_another_route_is_refused() {
    let rule = |path: &str| Rule {
        host: String::new(),
        path: path.to_owned(),
        methods: Vec::new(),
    };
    let routes = routes(&[rule("/"), rule("/admin/")]).unwrap();
    for path in [
        // WHATWG URL and RFC 3986 climb over a segment in which they see no slash.
        "/x%2fy/%2e%2e/admin/",
        "/x%2fy/.%2E/admin/",
        "/x%252fy/%252e%252e/admin/",
        // WHATWG URL looks for a host after all slashes.
        "///x/admin/",
        "////x/admin/",
        "/\\/x/admin/",
        "/a;b/..;c/..;/admin/",
        "/a//../..%2fadmin/",
    ] {
        let chosen = chosen(&routes, "", path, &Method::GET);
        assert!(chosen.is_err(), "{path} {chosen:?}");
    }
}

#[test]
fn choosing_among_many_allocates_nothing() {
    let rules = (0..1000).map(|number| Rule {
        host: format!("host{}.example.com", number % 100),
        path: format!("/area{}/", number / 100),
        methods: vec![Method::GET],
    });
    let rules: Vec<_> = rules.collect();
    let routes = routes(&rules).unwrap();
    for (host, path) in [
        ("host50.example.com", "/area5/a/b/page.html"),
        ("Host50.Example.com.:8080", "/area5/page"),
        ("[2001:db8::1]:80", "/area5/page"),
        ("host50.example.com", "/elsewhere"),
    ] {
        let choose = || drop(chosen(&routes, host, path, &Method::GET));
        assert_eq!(measure(choose).count_total, 0, "{host} {path}");
    }
}

#[test]
fn honest_paths_with_several_readings_are_forwarded() {
    let rule = |path: &str| Rule {
        host: String::new(),
        path: path.to_owned(),
        methods: Vec::new(),
    };
    let rules = [
        rule("/"),
        rule("/admin/"),
        rule("/files/"),
        rule("/api/{id}"),
    ];
    let routes = routes(&rules).unwrap();
    for (path, route) in [
        ("/@scope%2fname", 0),
        ("/@scope%2Fname/-/name-1.0.0.tgz", 0),
        ("/a//b", 0),
        ("/caf%C3%A9/100%25", 0),
        ("/a/v1.2..3/b;v=1", 0),
        ("/files/My%20File.pdf", 2),
        ("/files/a%2fb", 2),
        ("/files//a", 2),
        ("/files/a%2eb", 2),
        ("/%66iles/a", 2),
        ("/api/a%20b", 3),
        ("/api/100%25", 3),
        ("/api/caf%C3%A9", 3),
        ("/%61dmin/", 1),
    ] {
        assert_eq!(
            chosen(&routes, "", path, &Method::GET).unwrap(),
            Some(route),
            "{path}"
        );
    }
}

//! Which rule a path has, and which paths have none.

use super::*;

fn covers(entry: &str, path: &str) -> bool {
    PublicPath::new(entry).unwrap().covers(path)
}

#[test]
fn a_folder_covers_what_is_below_it() {
    assert!(covers("/assets/", "/assets/"));
    assert!(covers("/assets/", "/assets/site.css"));
    assert!(!covers("/assets/", "/assets"));
    assert!(!covers("/assets/", "/assetsx"));
    assert!(!covers("/assets/", "/Assets/site.css"));
}

#[test]
fn anything_else_covers_itself_alone() {
    assert!(covers("/healthz", "/healthz"));
    assert!(!covers("/healthz", "/healthz/"));
    assert!(!covers("/healthz", "/healthz2"));
    assert!(!covers("/healthz", "/HEALTHZ"));
}

#[test]
fn entries_that_cannot_mean_one_thing_are_refused() {
    for (entry, why) in [
        ("assets/", InvalidPath::NotAbsolute),
        ("", InvalidPath::NotAbsolute),
        ("/a?b=1", InvalidPath::Query),
        ("/a/*", InvalidPath::Wildcard),
        ("/a b", InvalidPath::NotAscii),
        ("/ä", InvalidPath::NotAscii),
        ("/a/../b", InvalidPath::Ambiguous),
        ("//a", InvalidPath::Ambiguous),
        ("/a%2fb", InvalidPath::Ambiguous),
    ] {
        assert_eq!(PublicPath::new(entry), Err(why), "{entry}");
    }
}

#[test]
fn paths_that_parsers_read_differently_are_ambiguous() {
    for path in [
        "/public/../private",
        "/./a",
        "/a/..",
        "//a",
        "/a//b",
        "/a\\b",
        "/a;v=1",
        "/a#b",
        "/%2e%2e/private",
        "/a%2Fb",
        "/a%5cb",
        "/%252e",
        "/a%3fb",
        "/a%23b",
        "/a%3bb",
        "/a%",
        "/a%2",
        "/%u002e",
        "/%c0%ae%c0%ae/b",
        "/%ef%bc%8e%ef%bc%8e/b",
        "/a%zz",
    ] {
        assert!(is_ambiguous(path), "{path}");
    }
}

#[test]
fn ordinary_paths_are_not() {
    for path in [
        "/",
        "/a",
        "/a/b.css",
        "/a/.well-known/x",
        "/..a/b",
        "/a%20b",
        "/%C3%A4",
        "/a:b@c,d+e=f&g!h~i",
    ] {
        assert!(!is_ambiguous(path), "{path}");
    }
}

const ENTRIES: [&str; 5] = [
    "/assets/",
    "/healthz",
    "/api/Auth/",
    "/caf%C3%A9/",
    "/-/ping",
];

fn policy() -> Policy {
    Policy::new(ENTRIES.map(|entry| PublicPath::new(entry).unwrap()).into())
}

/// The rule of the path; `None` when it is refused.
fn rule(path: &str) -> Option<Rule> {
    let headers = http::HeaderMap::new();
    let arrival = crate::Arrival {
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        trusted_peer: false,
        relayed: false,
        request_id: http::HeaderValue::from_static("id"),
    };
    let facts = Facts {
        method: &http::Method::GET,
        path: Some(path),
        headers: &headers,
        arrival: &arrival,
    };
    policy().rule_for(&facts).ok()
}

#[test]
fn a_path_of_which_every_reading_has_one_rule_goes_on() {
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
        assert_eq!(rule(path), Some(Rule::Session), "{path}");
    }
    for path in [
        "/assets//x",
        "/assets/a%2fb",
        "/assets/a;v=1",
        "/assets/./x",
        "/assets/a/../x",
        "/assets/v1..v2/%20",
        "/assets/v1..;x",
        "/caf%C3%A9/x",
        "/caf%C3%A9/a%2fb",
    ] {
        assert_eq!(rule(path), Some(Rule::Public), "{path}");
    }
}

#[test]
fn a_path_of_which_a_reading_has_another_rule_is_refused() {
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
        "/%68ealthz",
        "/HEALTH%5a",
        "/api%2fauth%2fx",
        "/caf%c3%a9/x",
        "/caf\u{e9}/x",
        "/-%2fping",
    ] {
        assert_eq!(rule(path), None, "{path}");
    }
}

#[test]
fn the_case_of_letters_alone_demands_a_session() {
    for path in ["/Healthz", "/ASSETS/x", "/api/auth/x"] {
        assert_eq!(rule(path), Some(Rule::Session), "{path}");
    }
}

/// A slow and obvious enumeration: every reading is looked at, without any look before.
#[test]
fn the_quick_looks_change_nothing() {
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
        let public = policy().public.iter().any(|public| public.covers(&path));
        let other = |reading: &Vec<u8>| {
            let policy = policy();
            let mut public_paths = policy.public.iter();
            if public {
                !public_paths.any(|public| public.covers_reading(reading))
            } else {
                public_paths.any(|public| public.resembles(reading))
            }
        };
        let differs = readings::all(&path, usize::MAX).unwrap().iter().any(other);
        let plain = readings::is_plain(&path);
        if rule(&path).is_none() && readings::all(&path, budget(&path)).is_none() {
            many += 1;
            continue;
        }
        refused += usize::from(differs);
        let dishonest =
            path.contains('#') || public && climbs_with_parameter(&readings::plainest(&path));
        let differs = differs || dishonest;
        assert_eq!(rule(&path).is_none(), differs && !plain, "{path}");
    }
    assert!(refused > 1000 && many < 2000, "{refused} {many}");
}

#[test]
fn encoded_controls_are_seen_in_any_spelling() {
    for path in ["/a%00", "/%0d%0aX", "/%1F", "/%7f", "/%7F"] {
        assert!(has_encoded_control(path), "{path}");
    }
    assert!(!has_encoded_control("/%20%70%0"));
}

use super::*;

#[test]
fn paths_that_cannot_mean_one_thing_are_refused() {
    for (path, why) in [
        ("assets/", InvalidPath::NotAbsolute),
        ("", InvalidPath::NotAbsolute),
        ("/a?b=1", InvalidPath::Query),
        ("/a/*", InvalidPath::Wildcard),
        ("/a b", InvalidPath::NotAscii),
        ("/ä", InvalidPath::NotAscii),
        ("/a/../b", InvalidPath::Ambiguous),
        ("//a", InvalidPath::Ambiguous),
        ("/%zz", InvalidPath::Escape),
        ("/a%", InvalidPath::Escape),
        ("/a%2", InvalidPath::Escape),
        ("/a%+f", InvalidPath::Escape),
        ("/a%2fb", InvalidPath::Ambiguous),
        ("/a{b}", InvalidPath::Placeholder),
        ("/{a}b", InvalidPath::Placeholder),
        ("/{}", InvalidPath::Placeholder),
        ("/{a b}", InvalidPath::NotAscii),
        ("/{$}/a", InvalidPath::Placeholder),
        ("/a{$}", InvalidPath::Placeholder),
    ] {
        assert_eq!(PathPattern::new(path), Err(why), "{path}");
    }
    assert!(PathPattern::literal("/a{b}").is_ok());
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

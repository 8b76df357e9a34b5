use gate::PathPattern;

use super::*;
use crate::config::Variables;

/// Reads the settings of a proxy with these public paths. Returns the problems and the warnings too.
fn read(
    pairs: &[(&'static str, &str)],
    public: &[&str],
) -> (Option<SignIn>, Vec<String>, Vec<String>) {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    let variables = Variables::default().with(pairs);
    let mut reader = Reader::new(&variables);
    let public = public
        .iter()
        .map(|path| PathPattern::literal(path).unwrap());
    let mut warnings = Vec::new();
    let routes = Routes::of_one_service(public.collect(), true);
    let around = SignInCheck::of_one_service(&routes, PublicBy::Paths);
    let sign_in = settings(&mut reader, &around, &mut warnings);
    let problems = reader.problems.iter().map(ToString::to_string).collect();
    (sign_in, problems, warnings)
}

fn sign_in(url: &str, public_url: &str) -> SignIn {
    let pairs = [("SIGN_IN_URL", url), ("PUBLIC_URL", public_url)];
    let (sign_in, problems, _) = read(&pairs, &["/signin", "/in", "/api/auth/"]);
    sign_in.unwrap_or_else(|| panic!("{problems:?}"))
}

fn location(url: &str, public_url: &str, path: &str) -> String {
    sign_in(url, public_url).location(Some("b.example"), false, path)
}

#[test]
fn return_url_has_the_requested_origin() {
    let origins = "https://a.example, https://B.example";
    let back = |origins| location("/signin", origins, "/x");
    assert_eq!(
        back(origins),
        "/signin?callbackUrl=https%3A%2F%2Fb.example%2Fx"
    );
    assert_eq!(
        back("https://a.example, https://c.example"),
        "/signin?callbackUrl=%2Fx"
    );
    assert_eq!(
        back("https://a.example"),
        "/signin?callbackUrl=https%3A%2F%2Fa.example%2Fx"
    );
}

#[test]
fn exact_origin_and_current_scheme_are_preferred() {
    let origins =
        "https://*.example.com, http://dev.example.com, https://c.example, http://c.example";
    let sign_in = sign_in("https://app.example/in", origins);
    let back = |host, is_https| {
        let location = sign_in.location(Some(host), is_https, "/");
        let back = location.strip_prefix("https://app.example/in?callbackUrl=");
        percent_decode_str(back.unwrap())
            .decode_utf8_lossy()
            .into_owned()
    };
    assert_eq!(back("dev.example.com", true), "http://dev.example.com/");
    assert_eq!(
        back("Wiki.example.com.", false),
        "https://wiki.example.com/"
    );
    assert_eq!(back("c.example", false), "http://c.example/");
    assert_eq!(back("c.example", true), "https://c.example/");
    assert_eq!(back("c.example:443", false), "https://c.example/");
    assert_eq!(back("a.b.example.com", true), "/");
    let star = super::tests::sign_in("https://app.example/in", "https://*.example.com");
    assert_eq!(
        star.location(Some("evil.example"), true, "/"),
        "https://app.example/in?callbackUrl=%2F"
    );
}

#[test]
fn return_url_is_a_path_without_a_configured_origin() {
    assert_eq!(
        location("/signin", "", "/a?b=c d"),
        "/signin?callbackUrl=%2Fa%3Fb%3Dc%20d"
    );
    assert_eq!(
        location("https://app.example/in?x=1", "https://g.example/", "/a"),
        "https://app.example/in?x=1&callbackUrl=https%3A%2F%2Fg.example%2Fa"
    );
}

#[test]
fn path_that_looks_like_an_origin_becomes_a_slash() {
    for path in ["//evil.example", r"/\evil.example"] {
        assert_eq!(location("/signin", "", path), "/signin?callbackUrl=%2F");
    }
}

#[test]
fn sign_in_page_must_be_a_web_url_or_a_path() {
    for text in [
        "javascript:alert(1)",
        "//evil.example",
        "ftp://x/",
        "signin",
        "/a#b",
    ] {
        assert!(sign_in_url(text).is_err(), "{text}");
    }
}

#[test]
fn return_parameter_is_configurable() {
    let pairs = [
        ("SIGN_IN_URL", "https://a.example/in"),
        ("SIGN_IN_CALLBACK_PARAMETER", "rd"),
    ];
    let (sign_in, problems, _) = read(&pairs, &[]);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(
        sign_in.unwrap().location(None, false, "/x"),
        "https://a.example/in?rd=%2Fx"
    );
    for name in ["a=b", "a b", "\u{e4}", "a&b"] {
        let pairs = [
            ("SIGN_IN_URL", "https://a.example/in"),
            ("SIGN_IN_CALLBACK_PARAMETER", name),
        ];
        assert!(read(&pairs, &[]).0.is_none(), "{name}");
    }
}

#[test]
fn page_with_its_own_return_parameter_is_refused() {
    for (parameter, query) in [
        ("callbackUrl", "callbackUrl=/x"),
        ("callbackUrl", "a=b&callbackURL="),
        ("callbackUrl", "callback%55rl=/x"),
        ("callbackUrl", "rd=/x"),
        ("next", "next"),
        ("next", "callbackUrl=/x"),
    ] {
        let url = format!("https://a.example/in?{query}");
        let pairs = [
            ("SIGN_IN_URL", url.as_str()),
            ("SIGN_IN_CALLBACK_PARAMETER", parameter),
        ];
        let (sign_in, problems, _) = read(&pairs, &[]);
        assert!(sign_in.is_none(), "{query}");
        assert!(
            problems[0]
                .starts_with("SIGN_IN_URL: the gate puts the return URL into its parameter `"),
            "{problems:?}"
        );
    }
    let pairs = [("SIGN_IN_URL", "https://a.example/in?next=/x")];
    assert!(read(&pairs, &[]).0.is_some());
}

#[test]
fn page_behind_the_gate_must_be_public() {
    let ours = "https://*.example.com, http://g.example:8080";
    for (url, public) in [
        ("/signin", &[][..]),
        ("/signin", &["/api/auth/"]),
        ("/signin?x=1", &["/signin/"]),
        ("/signin/", &["/signin"]),
        ("/Signin", &["/signin"]),
        ("/sign%49n", &["/signin"]),
        ("/api/auth/signin", &["/assets/"]),
        ("/a/../signin", &["/signin"]),
        ("/", &["/assets/"]),
        ("https://app.example.com/signin", &[]),
        ("https://APP.example.com.:443/signin", &[]),
        ("http://g.example:8080", &[]),
    ] {
        let pairs = [("SIGN_IN_URL", url), ("PUBLIC_URL", ours)];
        let (_, problems, _) = read(&pairs, public);
        assert_eq!(problems.len(), 1, "{url} {public:?}: {problems:?}");
        assert!(problems[0].contains("redirect to itself"), "{problems:?}");
    }
    for (url, public) in [
        ("/signin", &["/signin", "/api/auth/"][..]),
        ("/signin?x=1", &["/signin"]),
        ("/api/auth/signin", &["/api/auth/"]),
        ("https://app.example.com/signin", &["/signin"]),
        ("https://app.example.net/signin", &[]),
        ("https://a.b.example.com/signin", &[]),
        ("http://app.example.com/signin", &[]),
        ("https://app.example.com:8443/signin", &[]),
        ("http://g.example/signin", &[]),
    ] {
        let pairs = [("SIGN_IN_URL", url), ("PUBLIC_URL", ours)];
        let (_, problems, _) = read(&pairs, public);
        assert!(problems.is_empty(), "{url} {public:?}: {problems:?}");
    }
}

#[test]
fn missing_public_auth_routes_cause_a_warning() {
    let warnings = |url, public: &[&str]| read(&[("SIGN_IN_URL", url)], public).2.len();
    assert_eq!(warnings("/signin", &["/signin"]), 1);
    assert_eq!(warnings("/signin", &["/signin", "/api/auth/"]), 0);
    assert_eq!(warnings("/auth/signin", &["/auth/"]), 0);
    assert_eq!(warnings("/api/auth/signin", &["/api/auth/signin"]), 1);
}

#[test]
fn request_for_the_sign_in_page_is_recognized() {
    let by_path = sign_in("/signin", "");
    for path in [
        "/signin",
        "/signin/",
        "/SignIn?a=b",
        "/sign%69n",
        "//signin",
    ] {
        assert!(by_path.is_requested(None, path), "{path}");
    }
    assert!(!by_path.is_requested(None, "/signin/help"));
    let elsewhere = sign_in("https://app.example/signin", "");
    assert!(elsewhere.is_requested(Some("APP.example.:443"), "/signin"));
    assert!(!elsewhere.is_requested(Some("g.example"), "/signin"));
    assert!(elsewhere.is_requested(Some("gate:8080"), "/signin?callbackUrl=%2F"));
    assert!(!elsewhere.is_requested(Some("gate:8080"), "/?callbackUrl=%2F"));
}

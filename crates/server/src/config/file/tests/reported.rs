//! Tests that all problems are reported at once, and each of them once.

use super::load_text;
use crate::config::Config;

/// The problems of a file with a secret and these lines, in the order of the file, without excerpts.
fn titles(text: &str) -> Vec<String> {
    let secret = "auth_secret = '0123456789abcdef0123456789abcdef0123'\n";
    let loaded = load_text(&format!("{secret}{text}"));
    let errors = Config::from_loaded(&loaded).expect_err("a problem");
    let errors = errors.to_string();
    let titles = errors.lines().filter_map(|line| {
        line.strip_prefix("error: ")
            .or_else(|| line.strip_prefix("  "))
    });
    let is_title = |line: &&str| !line.starts_with([' ', '|', '=', '-']);
    titles.filter(is_title).map(str::to_owned).collect()
}

/// Asserts that a file has exactly these problems, each given by its beginning.
pub(super) fn assert_problems(text: &str, expected: &[&str]) {
    let titles = titles(text);
    let as_expected = titles.len() == expected.len()
        && titles
            .iter()
            .zip(expected)
            .all(|(title, start)| title.starts_with(start));
    assert!(as_expected, "{text}\n----\n{titles:#?}");
}

const ROUTE: &str = "[[route]]\npath = '/'\nupstream = 'http://a'\n";

#[test]
fn one_problem_does_not_hide_another() {
    for (text, expected) in [
        (
            format!(
                "[profile.own]\nbase = 'grafna'\nencoding = 'rot13'\nseparator = ''\n\
                 headers = {{ Cookie = {{ value = 'a' }} }}\n{ROUTE}headers = 'own'\n"
            ),
            &[
                "`grafna` is not a built-in profile",
                "`rot13`: it is not one of",
                "give the characters between",
                "`Cookie`: this header has a meaning",
            ][..],
        ),
        (
            "[[route]]\npath = '/'\nservice = 'a'\nupstream = 'ftp://b'\ntimeout = 0\n".to_owned(),
            &[
                "there is no service `a`",
                "`ftp://b`: the scheme",
                "this route also has `service`",
                "it must be a whole number of seconds",
            ],
        ),
        (
            format!("{ROUTE}require = [{{ claim = 'a..b', contains = 'x', separator = '' }}]\n"),
            &[
                "`a..b`: write the path of the claim",
                "give the characters between",
            ],
        ),
        (
            format!(
                "{ROUTE}require = {{ not = {{ claim = 'a', contains = ['x', 3], separator = ',' }} }}\n"
            ),
            &["with `separator` a text is split into texts"],
        ),
        (
            format!("{ROUTE}require = [{{ claim = 5, empty = 'x', separator = 6 }}]\n"),
            &["`claim` must be", "`empty` must be", "`separator` must be"],
        ),
        (
            format!(
                "{ROUTE}headers = 'own'\n[profile.own.headers]\nX-A = {{ claim = 5, encoding = 6 }}\n"
            ),
            &["`claim` must be", "`encoding` must be"],
        ),
        (
            "[[route]]\nmethods = ['get']\nservice = 'a'\n".to_owned(),
            &[
                "this route has no `path`",
                "`get`: write methods in upper case",
                "there is no service `a`",
            ],
        ),
        (
            format!("public_paths = ['/a,/b', '/c,/d', 5]\n{ROUTE}"),
            &[
                "an entry of `public_paths` must not contain a comma",
                "an entry of `public_paths` must not contain a comma",
                "`public_paths` must be",
            ],
        ),
    ] {
        assert_problems(&text, expected);
    }
}

#[test]
fn each_problem_is_reported_once() {
    let profile = "[profile.own]\nbase = 'grafna'\nheaders = { 'X-A' = { claim = 'a..b' } }\n";
    let realm = "[realm.shop]\nauth_secret = '0123456789abcdef0123456789abcdef4567'\n";
    let own = format!("{ROUTE}headers = 'own'\n");
    let other = own.replace("'/'", "'/b'");
    let elsewhere = own.replace("'/'", "'/c'") + "realm = 'shop'\n";
    let of_profile: &[&str] = &[
        "`grafna` is not a built-in profile",
        "`a..b`: write the path",
    ];
    let open = "[[route]]\npath = '/'\n";
    for (text, expected) in [
        (
            format!("{realm}{profile}{own}{other}{elsewhere}"),
            of_profile,
        ),
        (format!("{profile}{ROUTE}"), of_profile),
        (
            format!("upstream = 'ftp://x'\n{open}"),
            &["upstream: the scheme `ftp`"],
        ),
        (
            format!("upstream = 'ftp://x'\n{open}service = 'default'\n"),
            &["upstream: the scheme `ftp`"],
        ),
        (format!("upstream = 5\n{open}"), &["`upstream` must be"]),
        (format!("{open}upstream = 5\n"), &["`upstream` must be"]),
        (format!("{open}service = 5\n"), &["`service` must be"]),
        (
            format!("{open}upstrem = 'http://a'\n"),
            &["unknown key `upstrem`"],
        ),
        (format!("auth_listen = 'x'\n{open}"), &["auth_listen: `x`"]),
        ("auth_listen = 'x'\n".to_owned(), &["auth_listen: `x`"]),
        (
            format!("auth_listen = 5\n{open}"),
            &["`auth_listen` must be"],
        ),
        (
            format!(
                "[realm.default]\nauth_secret = '0123456789abcdef0123456789abcdef4567'\n{ROUTE}"
            ),
            &["the realm `default` is that of the top level"],
        ),
        (
            format!("{ROUTE}realm = 'shop'\nrequire = [{{ column = 'role', equals = 'a' }}]\n"),
            &["there is no realm `shop`"],
        ),
    ] {
        assert_problems(&text, expected);
    }
}

#[test]
fn error_describes_the_wrong_value() {
    for (line, expected) in [
        (
            "path = '/%zz'",
            "`/%zz`: `%` must be followed by two hexadecimal digits, as in `%20`",
        ),
        (
            "path = '/'\nhost = 'https://x/'",
            "`https://x/`: give the host alone, such as `app.example.com`, without `https://` and a path",
        ),
        (
            "path = '/'\nmethods = ['']",
            "``: it is empty; give a method such as `GET`",
        ),
    ] {
        assert_problems(
            &format!("[[route]]\n{line}\nupstream = 'http://a'\n"),
            &[expected],
        );
    }
    let route = "[[route]]\npath = '/'\n";
    for (url, what) in [
        ("http://a?b=1", "a query"),
        ("http://a/?", "a query"),
        ("http://a#b", "a fragment"),
        ("http://a/#", "a fragment"),
    ] {
        let tail = format!("`{url}` has {what}; the gate forwards that of each request");
        assert_problems(
            &format!("upstream = '{url}'\n{route}"),
            &[&format!("upstream: {tail}")],
        );
        assert_problems(&format!("{route}upstream = '{url}'\n"), &[&tail]);
    }
}

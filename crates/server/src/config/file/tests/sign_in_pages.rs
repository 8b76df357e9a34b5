//! Tests that a sign-in page behind the gate must be public on every host from which browsers are redirected to it.

use super::load_text;
use crate::config::Config;

const TOP: &str = "auth_secret = '0123456789abcdef0123456789abcdef0123'\nupstream = 'http://a'\n";

/// The problems of a file with a secret, an upstream and these lines; empty if there are none.
fn problem(text: &str) -> String {
    let loaded = load_text(&format!("{TOP}{text}"));
    match Config::from_loaded(&loaded) {
        Ok(_) => String::new(),
        Err(errors) => errors.to_string(),
    }
}

fn route(host: &str, path: &str, more: &str) -> String {
    format!("[[route]]\nhost = {host}\npath = {path}\n{more}\n")
}

const PUBLIC: &str = "access = 'public'";
const PAGE: &str = "['/signin', '/api/auth/']";

#[test]
fn sign_in_path_must_be_public_on_every_redirecting_host() {
    let app = route("'app.example'", PAGE, PUBLIC) + &route("'app.example'", "'/'", "");
    let wiki = route("'wiki.example'", "'/'", "");
    let below = route("'*.team.example'", "'/'", "");
    let top = "sign_in_url = '/signin'\n";
    assert_eq!(problem(&format!("{top}{app}")), "");
    let everywhere = format!("[[route]]\npath = {PAGE}\n{PUBLIC}\n");
    // A path that no route of its host matches is governed by the routes without `host`.
    let exact = "[[route]]\npath = '/'\n";
    assert_eq!(problem(&format!("{top}{everywhere}{exact}")), "");
    // The file does not say which hosts browsers use.
    let page_alone = route("'app.example'", PAGE, PUBLIC);
    assert_eq!(problem(&format!("{top}{page_alone}{exact}")), "");
    let no_session = route("'files.example'", "'/'", PUBLIC);
    assert_eq!(problem(&format!("{top}{app}{no_session}")), "");
    for (other, host) in [(wiki, "wiki.example"), (below, "*.team.example")] {
        let problem = problem(&format!("{top}{app}{other}"));
        let expected = format!("not public on `{host}`, so");
        assert!(problem.contains(&expected), "{problem}");
    }
}

#[test]
fn sign_in_page_of_a_route_must_be_public_on_its_hosts() {
    let app = route("'app.example'", PAGE, PUBLIC) + &route("'app.example'", "'/'", "");
    let own = "sign_in_url = '/signin'";
    let here = route("'app.example'", "'/x/'", own);
    assert_eq!(problem(&format!("{app}{here}")), "");
    let there = route("['app.example', 'adm.example']", "'/x/'", own);
    let problem = problem(&format!("{app}{there}"));
    assert!(problem.contains("not public on `adm.example`"), "{problem}");
}

#[test]
fn sign_in_page_of_a_realm_must_be_public_on_the_hosts_of_its_routes() {
    let app = route("'app.example'", PAGE, PUBLIC) + &route("'app.example'", "'/'", "");
    let shop = route("'shop.example'", "'/'", "realm = 'shop'");
    let realm = "[realm.shop]\nauth_secret = 'fedcba9876543210fedcba98765432100123'\n\
                 auth_cookie_name = 'shop'\nsign_in_url = '/signin'\n";
    let message = problem(&format!("{app}{shop}{realm}"));
    assert!(
        message.contains("not public on `shop.example`"),
        "{message}"
    );
    let page = route("'shop.example'", PAGE, PUBLIC);
    assert_eq!(problem(&format!("{app}{shop}{page}{realm}")), "");
}

#[test]
fn sign_in_url_must_be_public_on_its_own_host() {
    let top = "sign_in_url = 'https://app.example/signin'\n\
               public_url = ['https://app.example', 'https://wiki.example']\n";
    let all = route("['app.example', 'wiki.example']", "'/'", "");
    let right = route("'app.example'", PAGE, PUBLIC);
    assert_eq!(problem(&format!("{top}{right}{all}")), "");
    let wrong = route("'wiki.example'", PAGE, PUBLIC);
    let problem = problem(&format!("{top}{wrong}{all}"));
    assert!(problem.contains("not public on `app.example`"), "{problem}");
}

//! Tests that a sign-in page behind the gate must be public on every host from which browsers are redirected to it.

use super::load_text;
use crate::config::Config;

const TOP: &str = "auth_secret = '0123456789abcdef0123456789abcdef0123'\nupstream = 'http://a'\n";

/// The problems of a file with a secret, an upstream and these lines; empty if there are none.
fn said(text: &str) -> String {
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
fn a_page_that_is_a_path_is_public_on_every_host_whose_people_are_sent_there() {
    let app = route("'app.example'", PAGE, PUBLIC) + &route("'app.example'", "'/'", "");
    let wiki = route("'wiki.example'", "'/'", "");
    let below = route("'*.team.example'", "'/'", "");
    let top = "sign_in_url = '/signin'\n";
    assert_eq!(said(&format!("{top}{app}")), "");
    let everywhere = format!("[[route]]\npath = {PAGE}\n{PUBLIC}\n");
    // A path that no route of its host matches is governed by the routes without `host`.
    let exact = "[[route]]\npath = '/'\n";
    assert_eq!(said(&format!("{top}{everywhere}{exact}")), "");
    // The file does not say which hosts browsers use.
    let page_alone = route("'app.example'", PAGE, PUBLIC);
    assert_eq!(said(&format!("{top}{page_alone}{exact}")), "");
    let no_session = route("'files.example'", "'/'", PUBLIC);
    assert_eq!(said(&format!("{top}{app}{no_session}")), "");
    for (other, host) in [(wiki, "wiki.example"), (below, "*.team.example")] {
        let said = said(&format!("{top}{app}{other}"));
        let expected = format!("not public on `{host}`, so");
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn a_page_of_one_route_is_public_on_its_hosts() {
    let app = route("'app.example'", PAGE, PUBLIC) + &route("'app.example'", "'/'", "");
    let own = "sign_in_url = '/signin'";
    let here = route("'app.example'", "'/x/'", own);
    assert_eq!(said(&format!("{app}{here}")), "");
    let there = route("['app.example', 'adm.example']", "'/x/'", own);
    let said = said(&format!("{app}{there}"));
    assert!(said.contains("not public on `adm.example`"), "{said}");
}

#[test]
fn a_page_of_a_realm_is_public_on_the_hosts_of_its_routes() {
    let app = route("'app.example'", PAGE, PUBLIC) + &route("'app.example'", "'/'", "");
    let shop = route("'shop.example'", "'/'", "realm = 'shop'");
    let realm = "[realm.shop]\nauth_secret = 'fedcba9876543210fedcba98765432100123'\n\
                 auth_cookie_name = 'shop'\nsign_in_url = '/signin'\n";
    let told = said(&format!("{app}{shop}{realm}"));
    assert!(told.contains("not public on `shop.example`"), "{told}");
    let page = route("'shop.example'", PAGE, PUBLIC);
    assert_eq!(said(&format!("{app}{shop}{page}{realm}")), "");
}

#[test]
fn a_page_that_is_a_url_is_public_on_its_own_host() {
    let top = "sign_in_url = 'https://app.example/signin'\n\
               public_url = ['https://app.example', 'https://wiki.example']\n";
    let all = route("['app.example', 'wiki.example']", "'/'", "");
    let right = route("'app.example'", PAGE, PUBLIC);
    assert_eq!(said(&format!("{top}{right}{all}")), "");
    let wrong = route("'wiki.example'", PAGE, PUBLIC);
    let said = said(&format!("{top}{wrong}{all}"));
    assert!(said.contains("not public on `app.example`"), "{said}");
}

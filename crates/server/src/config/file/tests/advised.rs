//! Tests that a problem is shown at its place with fitting advice, and that unused definitions do not prevent the start.

use super::load_files;
use crate::config::Config;

const TOP: &str = "auth_secret = '0123456789abcdef0123456789abcdef0123'\n";
const ROUTE: &str = "[[route]]\npath = '/'\nupstream = 'http://a'\n";

fn read(text: &str) -> Result<Config, String> {
    let loaded = load_files(&[("gate.toml", &format!("{TOP}{text}"))], &[]);
    let folder = loaded.files[0].path.parent().unwrap().to_str().unwrap();
    let read = Config::from_loaded(&loaded);
    read.map_err(|errors| errors.to_string().replace(&format!("{folder}/"), ""))
}

#[test]
fn unused_files_and_columns_need_not_exist() {
    for (text, warned_key) in [
        (
            format!(
                "{ROUTE}[profile.p.headers]\nX-A = {{ column = 'a' }}\nX-B = {{ secret_file = '/no/such' }}\n"
            ),
            "[profile.p] has no effect",
        ),
        (
            format!("groups_column = 'a'\n{ROUTE}"),
            "GROUPS_CLAIM or GROUPS_COLUMN has no effect",
        ),
        (
            format!(
                "{ROUTE}[realm.r]\nauth_secret = 'fedcba9876543210fedcba98765432100123'\nauth_cookie_name = 'r'\n\
                 active = [{{ column = 'a', empty = true }}]\n"
            ),
            "[realm.r] has no effect",
        ),
        (
            format!("{ROUTE}[service.s]\nupstream = 'https://a'\ntls_ca_file = '/no/such'\n"),
            "[service.s] has no effect",
        ),
    ] {
        let config = read(&text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
        let is_named = |warning: &String| warning.contains(warned_key);
        assert!(
            config.warnings.iter().any(is_named),
            "{:?}",
            config.warnings
        );
        let queried = config
            .realms
            .iter()
            .filter_map(|realm| realm.stores.as_ref());
        assert_eq!(queried.count(), 0, "{text}");
    }
}

#[test]
fn unused_columns_are_not_queried() {
    let text = format!(
        "enable_db_check = true\ndatabase_url = 'sqlite://u.db'\ngroups_column = 'g'\n{ROUTE}\
         [profile.p.headers]\nX-A = {{ column = 'a' }}\n"
    );
    let config = read(&text).unwrap();
    let stores = config.realms[0].stores.as_ref().unwrap();
    assert_eq!(stores.database.as_ref().unwrap().columns, []);
    let names: Vec<_> = config
        .rules
        .profiles
        .iter()
        .map(|profile| &*profile.name)
        .collect();
    assert_eq!(names, ["default", "p"]);
}

#[test]
fn groups_are_used_if_calling_proxies_ask_for_decisions() {
    let text = format!("auth_listen = '127.0.0.1:0'\ngroups_claim = 'g'\n{ROUTE}");
    let config = read(&text).unwrap();
    assert!(config.realms[0].identity.groups.is_some());
    let is_idle = |warning: &String| warning.contains("GROUPS_CLAIM");
    assert!(
        !config.warnings.iter().any(is_idle),
        "{:?}",
        config.warnings
    );
}

#[test]
fn column_without_user_lookup_is_shown_at_its_place() {
    for (text, line, name) in [
        (
            format!("{ROUTE}require = {{ column = 'role', equals = 'x' }}\n"),
            "gate.toml:5:22",
            "the column `role`",
        ),
        (
            format!("groups_column = 'grpp'\n{ROUTE}headers = 'authelia'\n"),
            "gate.toml:2:17",
            "the column `grpp`",
        ),
        (
            format!(
                "session_format = 'better-auth'\n{ROUTE}require = {{ organization_role = ['a'] }}\n"
            ),
            "gate.toml:6:11",
            "the role in an organization",
        ),
    ] {
        let errors = read(&text).unwrap_err();
        assert!(errors.contains(line) && errors.contains(name), "{errors}");
    }
    let looked_up =
        "enable_db_check = true\ndatabase_url = 'sqlite://u.db'\ngroups_column = 'grpp'\n";
    let config = read(&format!("{looked_up}{ROUTE}headers = 'authelia'\n")).unwrap();
    let (name, place) = &config.realms[0].places[0];
    assert_eq!(name, "grpp");
    assert!(place.to_string().ends_with("gate.toml:4"), "{place}");
}

#[test]
fn realm_without_a_secret_gets_advice_for_its_table() {
    for (format, key) in [
        ("authjs", "auth_secret"),
        ("better-auth", "better_auth_secret"),
    ] {
        let text = format!("{ROUTE}realm = 'r'\n[realm.r]\nsession_format = '{format}'\n");
        let errors = read(&text).unwrap_err();
        assert!(errors.contains(&format!("`{key}_file = ")), "{errors}");
        assert!(!errors.contains("NEXTAUTH_SECRET"), "{errors}");
    }
}

#[test]
fn misspelled_table_is_not_reported_as_missing() {
    for (text, expected) in [
        (ROUTE.replace("route", "routes"), "unknown key `routes`"),
        (
            "[route]\npath = '/'\nupstream = 'http://a'\n".to_owned(),
            "`route` must be a list of tables",
        ),
        (
            "[services.s]\nupstream = 'http://a'\n[[route]]\npath = '/'\nservice = 's'\n"
                .to_owned(),
            "unknown key `services`",
        ),
        (
            format!("{ROUTE}headers = 'p'\n[profiles.p.headers]\nX-A = 'email'\n"),
            "unknown key `profiles`",
        ),
        (
            format!(
                "sign_in_url = '/signin'\n{}",
                ROUTE.replace("route", "routes")
            ),
            "unknown key `routes`",
        ),
    ] {
        let errors = read(&text).unwrap_err();
        assert!(errors.contains(expected), "{errors}");
        assert!(
            errors.starts_with("the configuration has 1 problem:"),
            "{errors}"
        );
    }
}

#[test]
fn header_names_that_differ_only_in_case_are_shown_at_both_places() {
    let headers = "[profile.p.headers]\nX-Team = { value = 'a' }\nx-team = 'email'\n";
    for route in [ROUTE.to_owned(), format!("{ROUTE}headers = 'p'\n")] {
        let errors = read(&format!("{route}{headers}")).unwrap_err();
        assert!(
            errors.contains("the header `x-team` is defined twice"),
            "{errors}"
        );
        assert!(errors.contains("X-Team = {"), "{errors}");
    }
    let based = format!(
        "{ROUTE}headers = 'p'\n[profile.p]\nbase = 'remote-user'\nheaders = {{ remote-user = 'email' }}\n"
    );
    assert!(read(&based).is_ok());
}

#[test]
fn empty_values_and_invalid_hosts_are_reported_with_a_correction() {
    for (line, expected) in [
        ("strip_prefix = '/'", "`/` removes nothing from the path"),
        ("name = ''", "this name is empty"),
        ("name = ' '", "this name is empty"),
        ("host = '::1'", "as in `[::1]`"),
        ("host = 'm\u{fc}nchen.de'", "as `xn--mnchen-3ya.de`"),
        ("host = '*.m\u{fc}nchen.de'", "as `*.xn--mnchen-3ya.de`"),
        ("host = 'a.example:80'", "without a port"),
        (
            "require = { max_age = '99999999999999d' }",
            "no session is that old",
        ),
    ] {
        let errors = read(&format!("{ROUTE}{line}\n")).unwrap_err();
        assert!(errors.contains(expected), "{errors}");
        assert!(errors.contains("has 1 problem:"), "{errors}");
    }
    let short = read(&format!("better_auth_secret = 'a'\n{ROUTE}")).unwrap_err();
    assert!(short.contains("has only 1 byte;"), "{short}");
}

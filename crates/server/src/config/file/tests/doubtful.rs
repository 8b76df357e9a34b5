//! Tests of files that are valid but probably not intended that way.

use super::load_text;
use crate::config::Config;

/// The warnings about a file with a secret, an upstream and these lines.
fn warnings(text: &str) -> Vec<String> {
    let loaded = load_text(&format!("{TOP}{text}"));
    let warnings = Config::from_loaded(&loaded).expect("a valid file").warnings;
    let is_of_file = |warning: &String| !warning.contains("ENABLE_DB_CHECK");
    warnings.into_iter().filter(is_of_file).collect()
}

/// The problems of a file with a secret, an upstream and these lines.
fn refused(text: &str) -> String {
    let loaded = load_text(&format!("{TOP}{text}"));
    let errors = Config::from_loaded(&loaded).expect_err("a problem");
    errors.to_string()
}

/// The beginning of each file. It listens on loopback, so that there is no warning about sessions in the clear.
const TOP: &str = "auth_secret = '0123456789abcdef0123456789abcdef0123'\nupstream = 'http://a'\nlisten = '127.0.0.1:0'\n";

const ALL: &str = "[[route]]\npath = '/'\n";

/// Asserts that there is exactly one warning, which contains all `parts`; or none, if there are no `parts`.
fn assert_warning(text: &str, parts: &[&str]) {
    let warnings = warnings(text);
    let is_expected = match parts {
        [] => warnings.is_empty(),
        parts => warnings.len() == 1 && parts.iter().all(|part| warnings[0].contains(part)),
    };
    assert!(is_expected, "{text}\n----\n{warnings:#?}");
}

#[test]
fn unset_variable_is_reported_once() {
    let text = "admin_listen = '0.0.0.0:9'\nadmin_token = '${NONE}'\nrevocation_store = 'redis'\n\
                redis_url = '${NONE}'\nrate_limit = '1/s'\nrate_limit_shared = true\n";
    let loaded = load_text(&format!("{TOP}{text}"));
    let errors = Config::from_loaded(&loaded).expect_err("problems");
    let problems: Vec<_> = errors
        .problems()
        .iter()
        .map(|problem| &*problem.what)
        .collect();
    assert_eq!(problems, ["the variable NONE is not set"; 2]);
}

#[test]
fn misspelled_profile_is_reported_once() {
    let text = "[headers.x]\n'X-User' = { claim = 'sub' }\n[[route]]\npath = '/'\nheaders = 'x'\n";
    let loaded = load_text(&format!("{TOP}{text}"));
    let errors = Config::from_loaded(&loaded).expect_err("a problem");
    assert_eq!(errors.problems().len(), 1, "{errors}");
}

#[test]
fn service_at_the_gates_own_address_is_refused() {
    let own = "[[listener]]\naddress = '127.0.0.1:8080'\n";
    for text in [
        "[[route]]\npath = '/'\nupstream = 'http://127.0.0.1:8080'\n",
        "[service.a]\nupstream = ['http://a', 'h2c://localhost:8080 weight 2']\n\
         [[route]]\npath = '/'\nservice = 'a'\n",
    ] {
        let message = refused(&format!("{own}{text}"));
        assert!(
            message.contains("([[listener]]), so requests would loop"),
            "{message}"
        );
    }
}

#[test]
fn sign_in_page_public_on_some_hosts_only_causes_a_warning() {
    let page = "[[route]]\npath = ['/signin', '/api/auth/']\naccess = 'public'\n";
    let below = "host = 'app.example'\n";
    let top = "sign_in_url = '/signin'\n";
    assert_warning(&format!("{top}{ALL}{page}"), &[]);
    let known = format!("{top}{ALL}{below}{page}{below}");
    assert_warning(&known, &[]);
    let parts = ["`/signin` is public only on some hosts", "without `host`"];
    assert_warning(&format!("{top}{ALL}{page}{below}"), &parts);
}

#[test]
fn duplicate_hosts_and_paths_are_dropped() {
    let route = "[[route]]\npath = ['/a', '/a']\nhost = ['A.x', 'a.x', 'a.x.', '*.x', '*.X']\n";
    let loaded = load_text(&format!("{TOP}{route}"));
    let config = Config::from_loaded(&loaded).expect("a valid file");
    let rows = config.rules.routes.rows();
    assert_eq!(rows.len(), 2, "{rows:?}");
}

#[test]
fn unregistered_method_causes_a_warning_with_a_suggestion() {
    for route in [
        "methods = ['DELTE']\naccess = 'deny'\n",
        "require = { methods = ['DELTE'] }\n",
        "require = { any = [{ not = { methods = ['DELTE'] } }, { max_age = '1h' }] }\n",
    ] {
        let text = format!("{ALL}[[route]]\npath = ['/a', '/a/']\n{route}");
        assert_warning(
            &text,
            &[
                "`DELTE` is not a registered method",
                "did you mean `DELETE`?",
            ],
        );
    }
    let own = format!("{ALL}[[route]]\npath = ['/a', '/a/']\nmethods = ['FROBNICATE']\n");
    assert_warning(&own, &["`FROBNICATE` is not a registered method"]);
    let known = format!(
        "{ALL}[[route]]\npath = ['/a', '/a/']\nmethods = ['PROPFIND', 'VERSION-CONTROL', 'QUERY']\n"
    );
    assert_warning(&known, &[]);
}

#[test]
fn methods_left_to_a_weaker_route_cause_a_warning() {
    let admin =
        "[[route]]\npath = ['/admin', '/admin/']\nrequire = { claim = 'role', equals = 'admin' }\n";
    let left = format!("{ALL}{admin}methods = ['GET', 'POST']\n");
    assert_warning(
        &left,
        &["PUT, PATCH, DELETE, OPTIONS, every other method go to the route `/`"],
    );
    let some = format!("{ALL}{admin}methods = ['POST', 'PUT']\n");
    assert_warning(&some, &["with PATCH, DELETE go to the route `/`"]);
    for harmless in [
        format!("{ALL}{admin}"),
        format!("{ALL}{admin}methods = ['POST', 'PUT', 'PATCH', 'DELETE']\n"),
        format!("{ALL}{admin}methods = ['DELETE']\n"),
        format!("{ALL}[[route]]\npath = '/admin/'\nmethods = ['GET']\naccess = 'public'\n"),
        format!(
            "{ALL}[[route]]\npath = ['/admin', '/admin/']\nmethods = ['PUT', 'DELETE']\naccess = 'deny'\n"
        ),
        format!("{admin}methods = ['GET']\n"),
        format!(
            "{ALL}{admin}methods = ['GET']\n[[route]]\npath = ['/admin', '/admin/']\naccess = 'deny'\n"
        ),
    ] {
        assert_warning(&harmless, &[]);
    }
}

#[test]
fn paths_below_a_strict_path_with_a_weaker_route_cause_a_warning() {
    let admin = "[[route]]\npath = '/admin'\nrequire = { claim = 'role', equals = 'admin' }\n";
    let left = format!("{ALL}{admin}");
    assert_warning(
        &left,
        &[
            "`/admin/x`, match the route `/`",
            "add `/admin/` to its `path`",
        ],
    );
    for harmless in [
        format!(
            "{ALL}{}",
            admin.replace("'/admin'", "['/admin', '/admin/']")
        ),
        format!("{ALL}{admin}[[route]]\npath = '/admin/'\naccess = 'public'\n"),
        format!("{ALL}[[route]]\npath = '/healthz'\naccess = 'public'\n"),
        admin.to_owned(),
    ] {
        assert_warning(&harmless, &[]);
    }
}

#[test]
fn path_of_a_strict_folder_with_a_weaker_route_causes_a_warning() {
    let admin = "[[route]]\npath = '/admin/'\nrequire = { claim = 'role', equals = 'admin' }\n";
    assert_warning(
        &format!("{ALL}{admin}"),
        &[
            "is for the folder `/admin/`: the path `/admin` goes to the route `/`",
            "add `/admin` to its `path`",
        ],
    );
    for harmless in [
        format!(
            "{ALL}{}",
            admin.replace("'/admin/'", "['/admin', '/admin/']")
        ),
        format!("{ALL}{}", admin.replace("'/admin/'", "'/admin/{$}'")),
        format!("{ALL}{admin}[[route]]\npath = '/admin'\naccess = 'public'\n"),
        format!("{ALL}[[route]]\npath = '/assets/'\naccess = 'public'\n"),
        admin.to_owned(),
    ] {
        assert_warning(&harmless, &[]);
    }
}

#[test]
fn unused_tables_cause_warnings() {
    let service = format!("{ALL}[service.z]\nupstream = 'http://z'\n");
    assert_warning(
        &service,
        &["[service.z] has no effect: no route has `service = \"z\"`"],
    );
    let profile = format!("{ALL}[profile.z.headers]\nX-A = 'email'\n");
    assert_warning(
        &profile,
        &["[profile.z] has no effect: no route has `headers = \"z\"`"],
    );
    let realm = format!(
        "{ALL}[realm.z]\nauth_secret = 'fedcba9876543210fedcba98765432100123'\nauth_cookie_name = 'z'\n"
    );
    assert_warning(
        &realm,
        &["[realm.z] has no effect: no route has `realm = \"z\"`"],
    );
    let groups = format!("groups_claim = 'roles'\n{ALL}");
    assert_warning(&groups, &["GROUPS_CLAIM or GROUPS_COLUMN has no effect"]);
    assert_warning(
        &format!("groups_claim = 'roles'\n{ALL}headers = 'authelia'\n"),
        &[],
    );
}

/// The settings to look up users in a database, with a cache in Redis.
const USERS: &str = "enable_db_check = true\ndatabase_url = 'postgres://127.0.0.1/app'\nredis_url = 'redis://127.0.0.1'\n";

#[test]
fn doubtful_cache_settings_cause_warnings() {
    assert_warning(&format!("{USERS}{ALL}"), &[]);
    let stale = ["STALE_IF_DOWN is 60 s", "deleted in the meantime"];
    assert_warning(&format!("{USERS}stale_if_down = 60\n{ALL}"), &stale);
    let kept = |seconds: u32, place: &str| {
        let warnings = warnings(&format!(
            "{USERS}stale_if_down = {seconds}\nrevocation_store = '{place}'\n{ALL}"
        ));
        let limit = "STALE_IF_DOWN is limited by REVOCATION_MAX_STALE, 60 s";
        warnings.iter().any(|warning| warning.contains(limit))
    };
    let elsewhere = [kept(61, "redis"), kept(61, "/var/lib/revocations.db")];
    assert_eq!(elsewhere, [false, false]);
    assert_eq!(
        [60, 61].map(|seconds| kept(seconds, "postgres")),
        [false, true]
    );
    let format = format!("{USERS}redis_cache_format = 'true'\n");
    assert_warning(&format!("{format}{ALL}"), &[]);
    let listen = "listen_database_url = 'postgres://127.0.0.1/app'\n";
    let parts = [
        "REDIS_CACHE_FORMAT=true with LISTEN_DATABASE_URL",
        "does not say when it was written",
    ];
    assert_warning(&format!("{format}{listen}{ALL}"), &parts);
}

#[test]
fn impossible_values_and_unused_keys_are_refused() {
    for (text, expected) in [
        (
            format!(
                "{USERS}redis_cache_format = 'true'\nactive = [{{ column = 'banned', equals = false }}]\n{ALL}"
            ),
            "`true` only stores that a user exists",
        ),
        (
            format!(
                "session_format = 'authjs'\n{ALL}require = {{ organization_role = ['owner'] }}\n"
            ),
            "sessions of the format `authjs` have no active organization",
        ),
        (
            format!("{ALL}require = {{ claim = 'a', equals = 'x', separator = ',' }}\n"),
            "`separator` has no effect together with `equals`",
        ),
        (
            format!(
                "{ALL}headers = 'own'\n[profile.own.headers]\nX-A = {{ value = 'x', encoding = 'base64' }}\n"
            ),
            "`encoding` has no effect together with `value`",
        ),
        (
            format!(
                "{ALL}headers = 'own'\n[profile.own.headers]\nX-A = {{ route = true, separator = ';' }}\n"
            ),
            "`separator` has no effect together with `route`",
        ),
        (
            format!("{ALL}headers = 'grafna'\n"),
            "did you mean `grafana`? the known ones are",
        ),
        (
            format!("{ALL}access = 'publc'\n"),
            "did you mean `public`? the known ones are `session`, `public` and `deny`",
        ),
        (
            format!("{ALL}headers = 'own'\n[profile.own]\nbase = 'gitae'\n"),
            "did you mean `gitea`? the known ones are",
        ),
        (
            format!(
                "{ALL}realm = 'shp'\n[realm.shop]\nauth_secret = 'fedcba9876543210fedcba98765432100123'\n"
            ),
            "did you mean `shop`? the known ones are `default` and `shop`",
        ),
        (
            format!("{ALL}host = '*'\n"),
            "leave `host` out for any host",
        ),
    ] {
        let errors = refused(&text);
        assert!(errors.contains(expected), "{text}\n----\n{errors}");
    }
}

#[test]
fn duplicates_are_shown_at_both_places() {
    for text in [
        "[service.a]\nupstream = 'http://a'\n[service.b]\nupstream = 'http://b'\n[service.a]\nupstream = 'http://c'\n",
        "[[route]]\npath = '/'\ncsrf = true\npath = '/b'\n",
    ] {
        let errors = refused(text);
        assert!(
            errors.contains("it is defined here already"),
            "{text}\n----\n{errors}"
        );
        assert!(errors.contains("1 problem:"), "{text}\n----\n{errors}");
    }
}

#[test]
fn unclosed_table_name_is_one_problem() {
    let errors = refused(&format!(
        "{ALL}[[route]\npath = '/b'\naccess = 'deny'\n[[route]]\npath = '/c'\n"
    ));
    assert!(errors.contains("1 problem:"), "{errors}");
}

#[test]
fn long_line_is_shown_in_full_once() {
    let entries: Vec<_> = (0..17).map(|at| format!("'nothing-{at:02}'")).collect();
    let errors = refused(&format!("[[route]]\npath = [{}]\n", entries.join(", ")));
    assert!(errors.contains("17 problems"), "{errors}");
    let lines = errors.lines().filter(|line| line.starts_with("5 |"));
    let widths: Vec<_> = lines.map(|line| line.chars().count()).collect();
    assert!(
        widths[0] > 110 && widths[1..].iter().all(|width| *width <= 110),
        "{errors}"
    );
    let is_mark = |line: &&str| line.contains("^^^^^^^^^^^^");
    assert_eq!(errors.lines().filter(is_mark).count(), 17, "{errors}");
}

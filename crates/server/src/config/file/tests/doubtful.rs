//! Tests of files that are valid but probably not intended that way.

use super::load_text;
use crate::config::Config;

/// The warnings about a file with a secret, an upstream and these lines.
fn warned(text: &str) -> Vec<String> {
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
fn warns(text: &str, parts: &[&str]) {
    let warnings = warned(text);
    let is_expected = match parts {
        [] => warnings.is_empty(),
        parts => warnings.len() == 1 && parts.iter().all(|part| warnings[0].contains(part)),
    };
    assert!(is_expected, "{text}\n----\n{warnings:#?}");
}

#[test]
fn what_lacks_a_variable_that_is_not_set_is_told_once() {
    let text = "admin_listen = '0.0.0.0:9'\nadmin_token = '${NONE}'\nrevocation_store = 'redis'\n\
                redis_url = '${NONE}'\nrate_limit = '1/s'\nrate_limit_shared = true\n";
    let loaded = load_text(&format!("{TOP}{text}"));
    let errors = Config::from_loaded(&loaded).expect_err("problems");
    let told: Vec<_> = errors
        .problems()
        .iter()
        .map(|problem| &*problem.what)
        .collect();
    assert_eq!(told, ["the variable NONE is not set"; 2]);
}

#[test]
fn a_profile_that_is_called_otherwise_is_no_second_mistake() {
    let text = "[headers.x]\n'X-User' = { claim = 'sub' }\n[[route]]\npath = '/'\nheaders = 'x'\n";
    let loaded = load_text(&format!("{TOP}{text}"));
    let errors = Config::from_loaded(&loaded).expect_err("a problem");
    assert_eq!(errors.problems().len(), 1, "{errors}");
}

#[test]
fn a_service_at_the_address_of_the_gate_is_refused() {
    let own = "[[listener]]\naddress = '127.0.0.1:8080'\n";
    for text in [
        "[[route]]\npath = '/'\nupstream = 'http://127.0.0.1:8080'\n",
        "[service.a]\nupstream = ['http://a', 'h2c://localhost:8080 weight 2']\n\
         [[route]]\npath = '/'\nservice = 'a'\n",
    ] {
        let said = refused(&format!("{own}{text}"));
        assert!(
            said.contains("([[listener]]), so requests would loop"),
            "{said}"
        );
    }
}

#[test]
fn a_sign_in_page_of_some_hosts_is_named_where_people_come_from_any() {
    let page = "[[route]]\npath = ['/signin', '/api/auth/']\naccess = 'public'\n";
    let below = "host = 'app.example'\n";
    let top = "sign_in_url = '/signin'\n";
    warns(&format!("{top}{ALL}{page}"), &[]);
    let known = format!("{top}{ALL}{below}{page}{below}");
    warns(&known, &[]);
    let said = ["`/signin` is public only on some hosts", "without `host`"];
    warns(&format!("{top}{ALL}{page}{below}"), &said);
}

#[test]
fn a_host_and_a_path_that_stand_twice_are_there_once() {
    let route = "[[route]]\npath = ['/a', '/a']\nhost = ['A.x', 'a.x', 'a.x.', '*.x', '*.X']\n";
    let loaded = load_text(&format!("{TOP}{route}"));
    let config = Config::from_loaded(&loaded).expect("a valid file");
    let rows = config.rules.routes.rows();
    assert_eq!(rows.len(), 2, "{rows:?}");
}

#[test]
fn a_method_that_nobody_has_registered_is_named_with_the_one_that_was_meant() {
    for route in [
        "methods = ['DELTE']\naccess = 'deny'\n",
        "require = { methods = ['DELTE'] }\n",
        "require = { any = [{ not = { methods = ['DELTE'] } }, { max_age = '1h' }] }\n",
    ] {
        let text = format!("{ALL}[[route]]\npath = ['/a', '/a/']\n{route}");
        warns(
            &text,
            &[
                "`DELTE` is not a registered method",
                "did you mean `DELETE`?",
            ],
        );
    }
    let own = format!("{ALL}[[route]]\npath = ['/a', '/a/']\nmethods = ['FROBNICATE']\n");
    warns(&own, &["`FROBNICATE` is not a registered method"]);
    let known = format!(
        "{ALL}[[route]]\npath = ['/a', '/a/']\nmethods = ['PROPFIND', 'VERSION-CONTROL', 'QUERY']\n"
    );
    warns(&known, &[]);
}

#[test]
fn methods_that_a_strict_route_leaves_to_a_weaker_one_are_named() {
    let admin =
        "[[route]]\npath = ['/admin', '/admin/']\nrequire = { claim = 'role', equals = 'admin' }\n";
    let left = format!("{ALL}{admin}methods = ['GET', 'POST']\n");
    warns(
        &left,
        &["PUT, PATCH, DELETE, OPTIONS, every other method go to the route `/`"],
    );
    let some = format!("{ALL}{admin}methods = ['POST', 'PUT']\n");
    warns(&some, &["with PATCH, DELETE go to the route `/`"]);
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
        warns(&harmless, &[]);
    }
}

#[test]
fn what_lies_below_a_strict_path_and_has_a_weaker_route_is_named() {
    let admin = "[[route]]\npath = '/admin'\nrequire = { claim = 'role', equals = 'admin' }\n";
    let left = format!("{ALL}{admin}");
    warns(
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
        warns(&harmless, &[]);
    }
}

#[test]
fn the_path_of_a_strict_folder_that_has_a_weaker_route_is_named() {
    let admin = "[[route]]\npath = '/admin/'\nrequire = { claim = 'role', equals = 'admin' }\n";
    warns(
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
        warns(&harmless, &[]);
    }
}

#[test]
fn tables_that_no_route_names_are_named() {
    let service = format!("{ALL}[service.z]\nupstream = 'http://z'\n");
    warns(
        &service,
        &["[service.z] has no effect: no route has `service = \"z\"`"],
    );
    let profile = format!("{ALL}[profile.z.headers]\nX-A = 'email'\n");
    warns(
        &profile,
        &["[profile.z] has no effect: no route has `headers = \"z\"`"],
    );
    let realm = format!(
        "{ALL}[realm.z]\nauth_secret = 'fedcba9876543210fedcba98765432100123'\nauth_cookie_name = 'z'\n"
    );
    warns(
        &realm,
        &["[realm.z] has no effect: no route has `realm = \"z\"`"],
    );
    let groups = format!("groups_claim = 'roles'\n{ALL}");
    warns(&groups, &["GROUPS_CLAIM or GROUPS_COLUMN has no effect"]);
    warns(
        &format!("groups_claim = 'roles'\n{ALL}headers = 'authelia'\n"),
        &[],
    );
}

/// The settings to look up users in a database, with a cache in Redis.
const USERS: &str = "enable_db_check = true\ndatabase_url = 'postgres://127.0.0.1/app'\nredis_url = 'redis://127.0.0.1'\n";

#[test]
fn what_trusts_old_answers_or_none_in_redis_is_named() {
    warns(&format!("{USERS}{ALL}"), &[]);
    let stale = ["STALE_IF_DOWN is 60 s", "deleted in the meantime"];
    warns(&format!("{USERS}stale_if_down = 60\n{ALL}"), &stale);
    let kept = |seconds: u32, place: &str| {
        let said = warned(&format!(
            "{USERS}stale_if_down = {seconds}\nrevocation_store = '{place}'\n{ALL}"
        ));
        let limit = "STALE_IF_DOWN is limited by REVOCATION_MAX_STALE, 60 s";
        said.iter().any(|warning| warning.contains(limit))
    };
    let elsewhere = [kept(61, "redis"), kept(61, "/var/lib/revocations.db")];
    assert_eq!(elsewhere, [false, false]);
    assert_eq!(
        [60, 61].map(|seconds| kept(seconds, "postgres")),
        [false, true]
    );
    let format = format!("{USERS}redis_cache_format = 'true'\n");
    warns(&format!("{format}{ALL}"), &[]);
    let listen = "listen_database_url = 'postgres://127.0.0.1/app'\n";
    let ageless = [
        "REDIS_CACHE_FORMAT=true with LISTEN_DATABASE_URL",
        "has no age",
    ];
    warns(&format!("{format}{listen}{ALL}"), &ageless);
}

#[test]
fn what_cannot_be_or_has_no_effect_is_refused() {
    for (text, said) in [
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
            "did you mean `grafana`? there are",
        ),
        (
            format!("{ALL}access = 'publc'\n"),
            "did you mean `public`? there are `session`, `public` and `deny`",
        ),
        (
            format!("{ALL}headers = 'own'\n[profile.own]\nbase = 'gitae'\n"),
            "did you mean `gitea`? there are",
        ),
        (
            format!(
                "{ALL}realm = 'shp'\n[realm.shop]\nauth_secret = 'fedcba9876543210fedcba98765432100123'\n"
            ),
            "did you mean `shop`? there are `default` and `shop`",
        ),
        (
            format!("{ALL}host = '*'\n"),
            "leave `host` out for any host",
        ),
    ] {
        let errors = refused(&text);
        assert!(errors.contains(said), "{text}\n----\n{errors}");
    }
}

#[test]
fn what_stands_twice_is_shown_at_both_places() {
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
fn an_unclosed_name_of_a_table_is_one_fault() {
    let errors = refused(&format!(
        "{ALL}[[route]\npath = '/b'\naccess = 'deny'\n[[route]]\npath = '/c'\n"
    ));
    assert!(errors.contains("1 problem:"), "{errors}");
}

#[test]
fn a_long_line_is_shown_whole_once() {
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

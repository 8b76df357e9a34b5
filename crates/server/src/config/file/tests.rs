//! Tests of the configuration file: what it may contain, how it is read, and how each mistake is reported.

mod advised;
mod damaged;
mod doubtful;
mod pools;
mod reported;
mod sign_in_pages;

use std::fs;
use std::path::Path;

use super::super::Config;
use super::super::raw_tables::{RawActive, RawKind, RawScalar, RawSource, RawTestKind};
use super::*;

/// Writes files with these names and texts to a folder, and loads the first one.
fn load_files(files: &[(&str, &str)], environment: &[(&'static str, &str)]) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let pairs = environment
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    load(
        &folder.path().join(files[0].0),
        &Variables::default().with(pairs),
    )
}

fn load_text(text: &str) -> Loaded {
    load_files(&[("gate.toml", text)], &[("SET", "from the environment")])
}

/// All reports, with file names instead of paths.
fn reports(loaded: &Loaded) -> String {
    let folder = loaded.files[0].path.parent().unwrap().to_str().unwrap();
    let reports = loaded.problems.iter().map(|problem| problem.to_string());
    let reports = reports.collect::<Vec<_>>().join("\n\n");
    reports.replace(&format!("{folder}/"), "")
}

/// Each block of `mistakes.txt` is a file, a line of dashes, and the expected reports.
#[test]
fn each_mistake_is_shown_with_a_correction() {
    let mistakes = include_str!("tests/mistakes.txt");
    for mistake in mistakes.split("\n====\n") {
        let (text, expected) = mistake.split_once("\n----\n").expect("a line of dashes");
        let actual = reports(&load_text(text));
        assert_eq!(actual.trim(), expected.trim(), "\n{text}\n----\n{actual}\n");
    }
}

#[test]
fn file_settings_become_variables() {
    let loaded = load_text(
        "listen = ':1'\npublic_paths = ['/a', '/b/']\ntrusted_proxies = '10.0.0.0/8, ::1'\n\
         enable_db_check = true\ndrain_timeout = 1_0\nauth_secret_file = '/run/x'\n\
         auth_cookie_name = '$a'\ndatabase_url = 'postgres://${SET}$$'",
    );
    assert_eq!(reports(&loaded), "");
    for (name, value) in [
        ("LISTEN", ":1"),
        ("PUBLIC_PATHS", "/a,/b/"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
        ("ENABLE_DB_CHECK", "true"),
        ("DRAIN_TIMEOUT", "10"),
        ("AUTH_SECRET_FILE", "/run/x"),
        ("AUTH_COOKIE_NAME", "$a"),
        ("DATABASE_URL", "postgres://from the environment$"),
    ] {
        assert_eq!(loaded.variables.get(name), Some(value), "{name}");
    }
}

#[test]
fn environment_takes_precedence_even_with_a_secret_file() {
    let text = "listen = ':1'\nauth_secret = 'a'\nbearer_secret_file = '/b'\nadmin_token = 'c'\n";
    let environment = [
        ("LISTEN", ":2"),
        ("AUTH_SECRET_FILE", "/a"),
        ("BEARER_SECRET", "b"),
        ("ADMIN_TOKEN", ""),
    ];
    let loaded = load_files(&[("gate.toml", text)], &environment);
    let variables = &loaded.variables;
    let get = |name| variables.get(name);
    assert_eq!(get("LISTEN"), Some(":2"));
    assert_eq!(
        (get("AUTH_SECRET"), get("AUTH_SECRET_FILE")),
        (None, Some("/a"))
    );
    assert_eq!(
        (get("BEARER_SECRET"), get("BEARER_SECRET_FILE")),
        (Some("b"), None)
    );
    assert_eq!(get("ADMIN_TOKEN"), Some("c"));
    let place = |name| variables.place(name).unwrap().to_string();
    assert_eq!(place("LISTEN"), "variable LISTEN");
    assert_eq!(place("AUTH_SECRET"), "variable AUTH_SECRET_FILE");
    assert!(place("ADMIN_TOKEN").ends_with("gate.toml:4"));
}

#[test]
fn realm_shares_servers_and_process_settings_with_the_top_level() {
    let text = "workers = 2\nauth_secret = 'top'\nadmin_token = 'top'\nsession_format = 'nextauth'\n\
                database_url = 'postgres://top'\npostgres_password = 'top'\nredis_url = 'redis://top'\n\
                database_timeout = 9\nupstream = 'http://top'\n\
                [realm.shared]\nauth_secret = 'own'\n\
                [realm.apart]\npostgres_host = 'own'\ndatabase_timeout = 8\n";
    let environment = [
        ("AUTH_SECRET_1", "top"),
        ("NODE_ENV", "production"),
        ("REDIS_TIMEOUT", "7"),
    ];
    let loaded = load_files(&[("gate.toml", text)], &environment);
    assert_eq!(reports(&loaded), "");
    let [shared, apart] = loaded.raw_tables.realms.as_slice() else {
        panic!("two realms");
    };
    assert_eq!(
        (shared.name.value.as_str(), apart.name.value.as_str()),
        ("shared", "apart")
    );
    for (name, of_shared, of_apart) in [
        ("WORKERS", Some("2"), Some("2")),
        ("NODE_ENV", Some("production"), Some("production")),
        ("AUTH_SECRET", Some("own"), None),
        ("AUTH_SECRET_1", None, None),
        ("ADMIN_TOKEN", None, None),
        ("SESSION_FORMAT", None, None),
        ("UPSTREAM", None, None),
        ("DATABASE_URL", Some("postgres://top"), None),
        ("POSTGRES_PASSWORD", Some("top"), None),
        ("POSTGRES_HOST", None, Some("own")),
        ("DATABASE_TIMEOUT", Some("9"), Some("8")),
        ("REDIS_URL", Some("redis://top"), Some("redis://top")),
        ("REDIS_TIMEOUT", Some("7"), Some("7")),
    ] {
        let found = (shared.settings.get(name), apart.settings.get(name));
        assert_eq!(found, (of_shared, of_apart), "{name}");
    }
    let Some(Place::File { file, span }) = apart.settings.default_place() else {
        panic!("a place in the file");
    };
    assert_eq!(&file.text[span.clone()], "apart");
}

#[test]
fn files_are_included_once_relative_to_the_main_file() {
    let route = "[[route]]\npath = '/'\n";
    let loaded = load_files(
        &[
            (
                "gate.toml",
                "include = ['routes/*.toml', '**/b.toml', '*.toml']",
            ),
            ("routes/b.toml", route),
            ("routes/a.toml", route),
            ("routes/c.txt", route),
        ],
        &[],
    );
    assert_eq!(reports(&loaded), "");
    let folder = loaded.files[0].path.parent().unwrap();
    let names = loaded
        .files
        .iter()
        .map(|file| file.path.strip_prefix(folder).unwrap());
    let names: Vec<_> = names.collect();
    assert_eq!(
        names,
        ["gate.toml", "routes/a.toml", "routes/b.toml"].map(Path::new)
    );
    assert_eq!(loaded.raw_tables.routes.len(), 2);
}

#[test]
fn problems_of_an_included_file_are_shown_there() {
    let loaded = load_files(
        &[
            (
                "gate.toml",
                "include = 'more.toml'\n[service.a]\nupstream = 'http://a'\n",
            ),
            (
                "more.toml",
                "listen = ':1'\ninclude = 'x'\nfoo = 1\n[service.a]\nupstream = 'http://b'\n",
            ),
        ],
        &[],
    );
    let expected = include_str!("tests/included.txt");
    assert_eq!(reports(&loaded).trim(), expected.trim());
}

#[test]
fn unreadable_file_is_named() {
    let missing = load(Path::new("/nonexistent/gate.toml"), &Variables::default());
    assert_eq!(
        missing.problems[0].to_string(),
        "/nonexistent/gate.toml: cannot read this configuration file: No such file or directory (os error 2)"
    );
    // Settings that may be in the file are not reported as missing.
    let errors = Config::from_loaded(&missing).unwrap_err();
    assert_eq!(errors.problems().len(), 1, "{errors}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.toml");
    fs::write(&path, b"listen = ':1'\n\xff").unwrap();
    let odd = load(&path, &Variables::default());
    let actual = odd.problems[0].to_string();
    assert!(
        actual.ends_with("gate.toml: it is not UTF-8 text: see line 2"),
        "{actual}"
    );
}

#[test]
fn check_problems_are_shown_at_their_place_in_the_file() {
    let loaded = load_text(
        "upstream = 'ftp://x'\nauth_secret = 'short'\npublic_paths = [\n  '/a',\n  'b',\n]\nsession_format = 'x'\n",
    );
    let errors = Config::from_loaded(&loaded).unwrap_err().to_string();
    let folder = loaded.files[0].path.parent().unwrap().to_str().unwrap();
    let expected = include_str!("tests/checked.txt");
    assert_eq!(
        errors.replace(&format!("{folder}/"), "").trim(),
        expected.trim()
    );
}

#[test]
fn invalid_setting_is_not_reported_as_missing() {
    let loaded = load_text("upstream = 3000\nauth_secret_file = true\nlisten = 'x\n");
    let errors = Config::from_loaded(&loaded).unwrap_err();
    assert_eq!(errors.problems().len(), 3, "{errors}");
}

#[test]
fn all_keys_of_a_route_are_read() {
    let loaded = load_text(ROUTE);
    assert_eq!(reports(&loaded), "");
    let route = &loaded.raw_tables.routes[0];
    let texts = |values: &[Spanned<String>]| {
        let texts = values.iter().map(|value| value.value.clone());
        texts.collect::<Vec<_>>()
    };
    let text = |value: &Option<Spanned<String>>| value.as_ref().unwrap().value.clone();
    assert_eq!(texts(&route.hosts), ["a.example", "*.b.example"]);
    assert_eq!(texts(&route.paths), ["/a/{id}"]);
    assert_eq!(texts(&route.methods), ["GET"]);
    assert_eq!(texts(&route.upstreams), ["http://from the environment"]);
    assert_eq!(
        texts(route.cors_origins.as_ref().unwrap()),
        ["https://c.example"]
    );
    assert_eq!(text(&route.name), "n");
    assert_eq!(text(&route.access), "session");
    assert_eq!(text(&route.realm), "shop");
    assert_eq!(text(&route.headers), "wiki");
    assert_eq!(text(&route.strip_prefix), "/a");
    assert_eq!(text(&route.rewrite_host), "h");
    assert_eq!(text(&route.sign_in_url), "/in");
    let number = |value: &Option<Spanned<i64>>| value.as_ref().unwrap().value;
    assert_eq!(number(&route.timeout), 60);
    assert_eq!(number(&route.connect_timeout), 5);
    assert_eq!(number(&route.body_limit), 10_485_760);
    assert!(route.csrf.as_ref().unwrap().value);
    assert!(!route.forward_session_cookie.as_ref().unwrap().value);
    let Place::File { file, span } = &route.hosts[1].place else {
        panic!("a place in the file");
    };
    assert_eq!(&file.text[span.clone()], "\"*.b.example\"");
    let [role, plan, any, not] = route.require.as_slice() else {
        panic!("four conditions");
    };
    let RawKind::Column(column, test) = &role.kind else {
        panic!("a column: {role:?}");
    };
    assert_eq!(
        (column.value.as_str(), text(&test.separator).as_str()),
        ("role", ",")
    );
    assert!(matches!(&test.kind, RawTestKind::Contains(values)
        if values[0].value == RawScalar::Text("admin".into())));
    assert!(
        matches!(&plan.kind, RawKind::Claim(path, test) if path.value == "org.plan"
        && matches!(&test.kind, RawTestKind::OneOf(values)
            if values[0].value == RawScalar::Number(1.5) && values[1].value == RawScalar::Bool(true)))
    );
    let RawKind::Any(any) = &any.kind else {
        panic!("any: {any:?}");
    };
    assert!(
        matches!(&any[0].kind, RawKind::Network(networks) if networks[0].value == "10.0.0.0/8")
    );
    assert!(matches!(&any[1].kind, RawKind::MaxAge(age) if age.value == "12h"));
    assert!(matches!(&any[2].kind, RawKind::Methods(methods) if methods[0].value == "GET"));
    assert!(matches!(&any[3].kind, RawKind::OrganizationRole(roles) if roles[1].value == "admin"));
    assert!(matches!(&any[4].kind, RawKind::Certificate(names) if names[0].value == "CN=billing"));
    assert!(matches!(&any[5].kind, RawKind::All(all) if all.len() == 3));
    assert!(
        matches!(&not.kind, RawKind::Not(not) if matches!(&not.kind, RawKind::Claim(_, test)
        if matches!(test.kind, RawTestKind::Present(true))))
    );
}

#[test]
fn all_keys_of_services_profiles_and_realms_are_read() {
    let loaded = load_text(REST);
    assert_eq!(reports(&loaded), "");
    let raw_tables = &loaded.raw_tables;
    assert!(raw_tables.case_insensitive);
    assert!(
        matches!(&raw_tables.active, Some(RawActive::Preset(preset)) if preset.value == "better-auth")
    );
    assert_eq!(raw_tables.services[0].upstreams.len(), 2);
    assert_eq!(
        raw_tables.services[1].upstreams[0].value,
        "unix:/run/api.sock"
    );
    assert_eq!(raw_tables.services[1].timeout.as_ref().unwrap().value, 60);
    let profile = &raw_tables.profiles[0];
    assert_eq!(profile.base.as_ref().unwrap().value, "remote-user");
    let sources: Vec<_> = profile
        .headers
        .iter()
        .map(|(name, header)| {
            (
                name.value.as_str(),
                match &header.source {
                    RawSource::Claim(text) => format!("claim {}", text.value),
                    RawSource::Column(text) => format!("column {}", text.value),
                    RawSource::Route => "route".to_owned(),
                    RawSource::SecretFile(text) => format!("file {}", text.value),
                    RawSource::Value(text) => format!("value {}", text.value),
                    RawSource::Word(text) => format!("word {}", text.value),
                },
            )
        })
        .collect();
    let expected = [
        ("X-Team", "column team"),
        ("X-Plan", "claim org.plan"),
        ("X-Login", "word email"),
        ("X-Route", "route"),
        ("X-Key", "file /run/key"),
        ("X-Value", "value from the environment"),
    ];
    assert_eq!(
        sources,
        expected.map(|(name, source)| (name, source.to_owned()))
    );
    assert_eq!(
        profile.headers[1].1.encoding.as_ref().unwrap().value,
        "latin-1"
    );
    assert!(
        matches!(&raw_tables.realms[0].active, Some(RawActive::Conditions(conditions)) if conditions.len() == 1)
    );
}

const ROUTE: &str = r#"
[[route]]
name = "n"
host = ["a.example", "*.b.example"]
path = "/a/{id}"
methods = "GET"
access = "session"
realm = "shop"
require = [
  { column = "role", contains = "admin", separator = "," },
  { claim = "org.plan", one_of = [1.5, true] },
  { any = [
    { network = "10.0.0.0/8" }, { max_age = "12h" }, { methods = ["GET"] }, { organization_role = ["owner", "admin"] },
    { certificate = "CN=billing" },
    { all = [{ claim = "a", past = true }, { claim = "a", future = true }, { claim = "a", empty = false }] },
  ] },
  { not = { claim = "impersonatedBy", present = true } },
]
upstream = "http://${SET}"
headers = "wiki"
strip_prefix = "/a"
rewrite_host = "h"
timeout = 60
connect_timeout = 5
body_limit = 10485760
cors_origins = "https://c.example"
forward_session_cookie = false
sign_in_url = "/in"
csrf = true
"#;

const REST: &str = r#"
case_insensitive = true
active = "better-auth"
[service.a]
upstream = ["http://a", "http://b"]
[service.b]
upstream = "unix:/run/api.sock"
connect_timeout = 5
timeout = 60
[profile.wiki]
base = "remote-user"
encoding = "percent"
separator = ","
[profile.wiki.headers]
"X-Team" = { column = "team", separator = " " }
"X-Plan" = { claim = "org.plan", encoding = "latin-1" }
"X-Login" = "email"
"X-Route" = { route = true }
"X-Key" = { secret_file = "/run/key" }
"X-Value" = { value = "${SET}" }
[realm.shop]
active = { column = "banned", equals = false }
"#;

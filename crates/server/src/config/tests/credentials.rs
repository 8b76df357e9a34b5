//! Tests that a misplaced password is not repeated: not in a report, a warning, or the output of `check-config`.

use super::super::catalogue::{
    self, CONDITION, Entry, HEADER, Key, Kind, LISTENER, PROFILE, ROUTE, SERVICE, TOP_LEVEL,
};
use super::super::file::load_text;
use super::*;

const PASSWORD: &str = "Sup3r-S3cret";

const VALUES: [&str; 5] = [
    "https://user:Sup3r-S3cret@host.example/x",
    "ftp://user:Sup3r-S3cret@host.example/x",
    "user:Sup3r-S3cret@127.0.0.1:1",
    "dir:user:Sup3r-S3cret@x",
    "https://user:a,Sup3r-S3cret@host.example",
];

/// Everything that the gate prints about a configuration.
fn printed(read: Result<Config, ConfigErrors>) -> String {
    let config = match read {
        Ok(config) => config,
        Err(errors) => return errors.to_string(),
    };
    let of_realms = config.realms.iter().flat_map(|realm| &realm.settings);
    let settings = config.settings.iter().chain(of_realms);
    let settings = settings.map(|setting| format!("{} {}", setting.name, setting.shown));
    let lines: Vec<_> = settings.chain(config.warnings).collect();
    lines.join("\n")
}

/// Tests each variable alone, because a problem of one can hide that of another; then all of them together, with other values.
#[test]
fn password_in_a_variable_is_not_repeated() {
    for entry in catalogue::entries() {
        let printed = printed(config(&[(entry.name, VALUES[0])]));
        assert!(!printed.contains(PASSWORD), "{}\n{printed}", entry.name);
    }
    for value in VALUES {
        let pairs: Vec<_> = catalogue::entries()
            .map(|entry| (entry.name, value))
            .collect();
        let printed = printed(config(&pairs));
        assert!(!printed.contains(PASSWORD), "{value}\n{printed}");
    }
    let files = catalogue::entries().map(|entry| format!("{}_FILE", entry.name).leak());
    let pairs: Vec<_> = files.map(|name| (&*name, VALUES[0])).collect();
    let printed = printed(config(&pairs));
    assert!(!printed.contains(PASSWORD), "{printed}");
}

/// A value in TOML for a key of this kind.
fn written(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Files
        | Kind::Hosts
        | Kind::List
        | Kind::Networks
        | Kind::Scalars
        | Kind::SecretList
        | Kind::Urls => format!("[{value:?}]"),
        Kind::Active
        | Kind::Address
        | Kind::Choice(_)
        | Kind::Condition
        | Kind::Conditions
        | Kind::Count
        | Kind::File
        | Kind::Headers
        | Kind::Millis
        | Kind::Port
        | Kind::Scalar
        | Kind::Seconds
        | Kind::Secret
        | Kind::SecretUrl
        | Kind::Switch
        | Kind::Tables
        | Kind::Text
        | Kind::Url => format!("{value:?}"),
    }
}

fn printed_of_file(text: &str) -> String {
    let environment = Variables::default().with([("PW", PASSWORD.to_owned())]);
    let loaded = load_text("gate.toml", text, &environment);
    printed(Config::from_loaded(&loaded))
}

#[test]
fn password_in_a_file_is_not_repeated() {
    let top = format!("auth_secret = '{SECRET}'\n");
    let route = "[[route]]\npath = '/'\nupstream = 'http://127.0.0.1:1'\n";
    let values = VALUES.into_iter().chain(["https://user:${PW}@host/x"]);
    for value in values {
        let lines = |counts: fn(&Entry) -> bool| {
            let entries = catalogue::entries().filter(|entry| counts(entry));
            let lines = entries.map(|entry| {
                let written = written(entry.kind, value);
                format!("{} = {written}\n", entry.key())
            });
            lines.collect::<String>()
        };
        let of_realm = lines(|entry| entry.scope.is_of_realms());
        for text in [
            format!("{}{route}", lines(|_| true)),
            format!("{top}{route}realm = 'x'\n[realm.x]\n{of_realm}"),
        ] {
            let printed = printed_of_file(&text);
            assert!(!printed.contains(PASSWORD), "{text}\n{printed}");
        }
        let header = format!("{route}headers = 'p'\n[profile.p]\nheaders = {{ X-A = {{ @ }} }}\n");
        let tables: [(&[Key], String); 7] = [
            (TOP_LEVEL, format!("@\n{route}")),
            (
                LISTENER,
                format!("{route}[[listener]]\naddress = ':1'\n@\n"),
            ),
            (ROUTE, format!("{route}@\n")),
            (
                SERVICE,
                format!("{route}service = 's'\n[service.s]\nupstream = 'https://a'\n@\n"),
            ),
            (PROFILE, format!("{route}headers = 'p'\n[profile.p]\n@\n")),
            (HEADER, header),
            (CONDITION, format!("{route}require = {{ @ }}\n")),
        ];
        for (keys, template) in tables {
            for key in keys {
                let line = format!("{} = {}", key.name, written(key.kind, value));
                let twice = |other: &&str| other.split(" =").next() != Some(key.name);
                let template: Vec<_> = template.lines().filter(twice).collect();
                let text = top.clone() + &template.join("\n").replace('@', &line);
                let printed = printed_of_file(&text);
                assert!(!printed.contains(PASSWORD), "{text}\n{printed}");
            }
        }
    }
}

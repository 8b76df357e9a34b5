//! The commands, and that each accepts what the documentation says.

use super::Tool;

/// Returns the commands that `--help` lists.
fn commands() -> Vec<String> {
    let help = Tool::new(["--help"]).run().stdout;
    let (_, listed) = help.split_once("Commands:\n").expect("a list of commands");
    let (listed, _) = listed.split_once("\nOptions:").expect("options behind it");
    let lines = listed.lines().filter_map(|line| line.strip_prefix("  "));
    let names = lines.filter(|line| !line.starts_with(' '));
    let names = names.filter_map(|line| line.split_ascii_whitespace().next());
    let names: Vec<_> = names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 8, "{help}");
    names
}

#[test]
fn the_documentation_lists_the_commands_that_read_a_configuration() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let text = std::fs::read_to_string(file).expect("the documentation");
    let (_, from) = text
        .split_once("Every command except ")
        .expect("a list of commands");
    let (sentence, _) = from.split_once('.').expect("a sentence");
    let mut listed: Vec<_> = sentence.split('`').skip(1).step_by(2).collect();
    listed.sort_unstable();
    let mut commands = commands();
    commands.sort_unstable();
    assert_eq!(listed, commands);
    for command in ["demo", "reference"] {
        assert!(
            sentence.starts_with("`demo` and `reference` takes"),
            "{sentence}"
        );
        let mut words = vec![command, "--config", "/nowhere/at/all"];
        if command == "reference" {
            words.push("keys");
        }
        let refused = Tool::new(words).run();
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(
            refused.stderr.contains("takes no configuration file"),
            "{}",
            refused.stderr
        );
    }
}

#[test]
fn sqlite_users_see_no_advice_about_postgresql() {
    for command in ["status", "install", "uninstall"] {
        let printed = Tool::new(["db", command])
            .env("AUTH_SECRET", super::SECRET)
            .env("UPSTREAM", "http://127.0.0.1:9")
            .env("ENABLE_DB_CHECK", "true")
            .env("DATABASE_URL", "sqlite:///nowhere/users.db")
            .run();
        assert_eq!(printed.code, Some(1), "{printed:?}");
        let text = printed.stderr;
        assert!(
            text.contains("the database is a SQLite file, /nowhere/users.db"),
            "{text}"
        );
        assert!(!text.contains("set DATABASE_URL"), "{text}");
    }
    let printed = Tool::new(["revocations", "install", "--print"])
        .env("AUTH_SECRET", super::SECRET)
        .env("UPSTREAM", "http://127.0.0.1:9")
        .env("REVOCATION_STORE", "/nowhere/revocations.db")
        .run();
    assert_eq!(
        (printed.code, &*printed.stdout),
        (Some(1), ""),
        "{printed:?}"
    );
    assert!(
        printed.stderr.contains("which needs no table"),
        "{}",
        printed.stderr
    );
}

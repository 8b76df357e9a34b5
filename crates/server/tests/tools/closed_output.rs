//! A reader that closes the output before everything is printed, such as `head`, is not an error.

use std::io;
use std::process::{Command, Stdio};

use super::SECRET;

/// Runs the binary with these arguments and closes the reader of its standard output or standard error; returns the exit code
/// and the captured standard error.
fn run(words: &[&str], is_error_closed: bool) -> (Option<i32>, String) {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessiongate"));
    let command = command
        .args(words)
        .env_clear()
        .env("AUTH_SECRET", SECRET)
        .env("UPSTREAM", "http://127.0.0.1:3000")
        .stdin(Stdio::null());
    let command = match is_error_closed {
        true => command.stdout(Stdio::null()).stderr(writer),
        false => command.stdout(writer).stderr(Stdio::piped()),
    };
    let finished = command.spawn().expect("it starts");
    let finished = finished.wait_with_output().expect("it ends");
    let printed = String::from_utf8(finished.stderr).expect("text");
    (finished.status.code(), printed)
}

#[test]
fn a_command_with_a_closed_output_ends_quietly() {
    for (words, code) in [
        (&["check-config"][..], 0),
        (&["check-config", "--json"], 0),
        (&["explain", "--no-stores", "GET", "/"], 1),
        (&["explain", "--no-stores", "--json", "GET", "/"], 1),
        (&["doctor", "--ignore", "service-unreachable"], 0),
        (&["doctor", "--ignore", "service-unreachable", "--json"], 0),
        (&["reference", "example"], 0),
        (&["reference", "findings"], 0),
        (&["reference", "keys"], 0),
        (&["reference", "schema"], 0),
        (&["reference", "settings"], 0),
        (&["open"], 1),
        (&["open", "--json"], 1),
        (&["mint", "--format", "authjs", "--user", "7"], 0),
        (&["--help"], 0),
        (&["help", "serve"], 0),
        (&["--version"], 0),
    ] {
        let (ended, printed) = run(words, false);
        assert_eq!(ended, Some(code), "{words:?}: {printed}");
        // `mint` prints a warning.
        let is_quiet = printed.is_empty() || words[0] == "mint" && printed.starts_with("WARNING: ");
        assert!(
            is_quiet && printed.lines().count() <= 1,
            "{words:?}: {printed}"
        );
    }
}

#[test]
fn an_error_on_a_closed_stderr_does_not_panic() {
    for (words, code) in [
        (&["check-config", "--config", "/nonexistent"][..], 1),
        (
            &[
                "explain",
                "--no-stores",
                "--config",
                "/nonexistent",
                "GET",
                "/",
            ],
            2,
        ),
        (&["open", "--secret-file", "/nonexistent"], 2),
        (
            &[
                "mint",
                "--format",
                "authjs",
                "--secret-file",
                "/nonexistent",
                "--user",
                "7",
            ],
            2,
        ),
        (&["serve", "--config", "/nonexistent"], 1),
        (&["nonsense"], 2),
    ] {
        let (ended, _) = run(words, true);
        assert_eq!(ended, Some(code), "{words:?}");
    }
}

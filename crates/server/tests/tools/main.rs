//! The commands for people, `open`, `mint`, `explain` and `doctor`, through the real binary.

mod closed_output;
mod commands;
mod doctor;
mod explain;
mod guides;
mod mint;
mod open;
mod realms;
mod signed_sessions;
mod variables;
mod variants;
mod vectors;

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A secret that causes no warning.
const SECRET: &str = "tools-secret-7f3kQ9xW2mVb8Rz1LtYc5NdJ0pA";

/// A command line of the binary, with its environment and standard input.
#[derive(Clone)]
struct Tool {
    words: Vec<String>,
    variables: Vec<(String, String)>,
    input: Vec<u8>,
}

/// The result of a run.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Tool {
    /// Returns `sessiongate` with these arguments.
    fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            words: words.into_iter().map(str::to_owned).collect(),
            variables: Vec::new(),
            input: Vec::new(),
        }
    }

    fn args<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.words.extend(words.into_iter().map(str::to_owned));
        self
    }

    fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    fn run(&self) -> Outcome {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sessiongate"))
            .args(&self.words)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        // The binary may end before it has read anything, for example on wrong usage.
        let _ = stdin.write_all(&self.input);
        drop(stdin);
        let output = child.wait_with_output().expect("the binary ends");
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Outcome {
    /// Returns the JSON of standard output, which must be one line.
    fn json(&self) -> Value {
        let line = self.stdout.strip_suffix('\n').expect("a line");
        assert!(!line.contains('\n'), "one line: {line}");
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

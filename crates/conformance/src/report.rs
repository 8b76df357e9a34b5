//! The results, as a table.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::case::{Case, Level};

/// The results of all cases.
#[derive(Clone, Debug)]
pub struct Report {
    /// The results, in the order of the catalogue.
    pub rows: Vec<Row>,
}

/// The result of one case.
#[derive(Clone, Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// Its outcome.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// The outcome of a case, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The case must hold, and does not.
    Fails(String),
    /// The case holds.
    Holds(String),
    /// Something is missing that the case needs.
    NotRun(String),
    /// The case does not apply to this kind of gateway.
    NotApplicable(String),
    /// The case should hold, and does not; or it must hold, and is safe, but not as it should be.
    Weak(String),
}

impl Outcome {
    /// The outcome in one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Fails(_) => "fail",
            Self::Holds(_) => "pass",
            Self::NotApplicable(_) => "not applicable",
            Self::NotRun(_) => "not run",
            Self::Weak(_) => "weak",
        }
    }

    /// What was seen, or why the case was not run.
    pub fn why(&self) -> &str {
        match self {
            Self::Fails(why)
            | Self::Holds(why)
            | Self::NotApplicable(why)
            | Self::NotRun(why)
            | Self::Weak(why) => why,
        }
    }
}

impl Row {
    pub(crate) fn new(case: &Case, outcome: Outcome) -> Self {
        Self {
            case: *case,
            outcome,
            took: Duration::ZERO,
        }
    }

    /// One line: `FR01  pass  request smuggling  what is sent: what was seen`.
    pub fn line(&self) -> String {
        let Self { case, outcome, .. } = self;
        let known = if case.known.is_empty() {
            String::new()
        } else {
            format!(" [{}]", case.known)
        };
        format!(
            "{:<5} {:<14} {:<22} {}{known}: {}",
            case.id,
            outcome.word(),
            case.class,
            case.title,
            outcome.why()
        )
    }
}

impl Report {
    /// Whether a case that must hold fails; with `strictly`, also whether a case is weak.
    pub fn fails(&self, strictly: bool) -> bool {
        self.rows.iter().any(|row| match row.outcome {
            Outcome::Fails(_) => true,
            Outcome::Weak(_) => strictly,
            Outcome::Holds(_) | Outcome::NotApplicable(_) | Outcome::NotRun(_) => false,
        })
    }

    /// Returns the counts: `140 passed, 0 failed, 2 weak, 3 not applicable, 9 not run`.
    pub fn summary(&self) -> String {
        let count = |word: &str| {
            self.rows
                .iter()
                .filter(|row| row.outcome.word() == word)
                .count()
        };
        format!(
            "{} passed, {} failed, {} weak, {} not applicable, {} not run",
            count("pass"),
            count("fail"),
            count("weak"),
            count("not applicable"),
            count("not run")
        )
    }

    /// Returns the report as a table in Markdown, with the summary.
    pub fn markdown(&self) -> String {
        let mut text = "| case | class | known as | what is sent | result | why |\n|---|---|---|---|---|---|\n".to_owned();
        for Row { case, outcome, .. } in &self.rows {
            let cells = [
                case.class.to_string(),
                case.known.to_owned(),
                case.title.to_owned(),
            ];
            let cells = cells.map(|cell| cell.replace('|', "\\|")).join(" | ");
            let why = outcome.why().replace('|', "\\|").replace('\n', " ");
            // Writing to a text cannot fail.
            let _ = writeln!(
                text,
                "| {} | {cells} | {} | {why} |",
                case.id,
                outcome.word()
            );
        }
        format!("{text}\n{}\n", self.summary())
    }

    /// Returns the report as a JSON object with `cases` and `summary`.
    pub fn json(&self) -> Value {
        let row = |Row {
                       case,
                       outcome,
                       took,
                   }: &Row| {
            let mut row = described(case);
            row["result"] = outcome.word().into();
            row["why"] = outcome.why().into();
            row["seconds"] = took.as_secs_f32().into();
            row
        };
        let cases: Vec<_> = self.rows.iter().map(row).collect();
        json!({ "cases": cases, "summary": self.summary() })
    }
}

/// Returns a case without a result, as JSON.
pub fn described(case: &Case) -> Value {
    json!({
        "id": case.id,
        "class": case.class.to_string(),
        "known": case.known,
        "rule": case.rule,
        "level": case.level.to_string(),
        "sent": case.title,
        "expected": case.expects,
    })
}

/// Returns cases without results, as a table in Markdown.
pub fn list_markdown(cases: &[Case]) -> String {
    let mut text = "| case | class | level | what is sent | what must hold | rule | known as |\n|---|---|---|---|---|---|---|\n".to_owned();
    for case in cases {
        let Case {
            id,
            class,
            title,
            expects,
            rule,
            known,
            ..
        } = case;
        let level = if case.level == Level::Must {
            "must"
        } else {
            "should"
        };
        let cells = [*title, *expects, *rule, *known].map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(text, "| {id} | {class} | {level} | {} |", cells.join(" | "));
    }
    text
}

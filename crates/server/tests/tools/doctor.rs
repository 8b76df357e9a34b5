//! `doctor`: its findings in real apps, stores and configurations, and its exit codes.

mod acme;
mod apps;
mod cookies;
mod database;
mod redis;
mod settings;

use super::{Outcome, Tool};

/// Returns `sessiongate doctor --json` with these arguments. Other tests cover the warnings of start-up.
fn doctor<'a>(words: impl IntoIterator<Item = &'a str>) -> Tool {
    Tool::new(["doctor", "--json", "--ignore", "start-up-warning"]).args(words)
}

/// Returns `sessiongate doctor --json` for tests of stores, with a service that does not exist.
fn doctor_of_stores<'a>(words: impl IntoIterator<Item = &'a str>) -> Tool {
    doctor([
        "--ignore",
        "service-unreachable",
        "--ignore",
        "revocation-time",
    ])
    .args(words)
    .env("UPSTREAM", "http://127.0.0.1:9")
    .env("LISTEN", "127.0.0.1:8080")
}

/// The findings, as `id: subject`.
fn findings(outcome: &Outcome) -> Vec<String> {
    let report = outcome.json();
    let findings = report["findings"].as_array().expect("findings").iter();
    let text = |finding: &serde_json::Value, name: &str| {
        finding[name].as_str().expect("a text").to_owned()
    };
    findings
        .map(|finding| format!("{}: {}", text(finding, "id"), text(finding, "subject")))
        .collect()
}

/// The ids of the findings.
fn ids(outcome: &Outcome) -> Vec<String> {
    let findings = findings(outcome).into_iter();
    findings
        .map(|finding| finding.split(": ").next().expect("an id").to_owned())
        .collect()
}

/// Returns a text of the finding with this id: the member `seen` or `advice`.
fn finding_text(outcome: &Outcome, id: &str, member: &str) -> String {
    let report = outcome.json();
    let mut findings = report["findings"].as_array().expect("findings").iter();
    let finding = findings.find(|finding| finding["id"] == id);
    let finding = finding.unwrap_or_else(|| panic!("no {id} in {outcome:?}"));
    finding[member].as_str().expect("a text").to_owned()
}

/// Creates a file with this text in a new folder; returns the folder, which must outlive the file, and the path.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    std::fs::write(&path, text).expect("a file");
    let path = path.display().to_string();
    (folder, path)
}

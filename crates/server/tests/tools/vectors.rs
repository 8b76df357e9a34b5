//! `open` reaches the expected verdict for every session that the real libraries wrote, and for every changed copy of one.

#[path = "../../../session/tests/common/vector.rs"]
mod vector;

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use self::vector::{Expect, Vector};
use super::{Outcome, Tool};

#[test]
fn every_vector_has_its_expected_outcome() {
    let wrong = wrong_verdicts(|vector| vector.tool(true));
    assert!(wrong.is_empty(), "{} differ: {wrong:#?}", wrong.len());
}

#[test]
fn without_a_strategy_only_other_strategy_vectors_differ() {
    let wrong = wrong_verdicts(|vector| vector.tool(false));
    let mut names: Vec<_> = wrong.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let expected = ["compact", "jwe", "jwt"]
        .map(|strategy| format!("public/better-auth-{strategy}/other-strategy"));
    assert_eq!(names, expected);
}

impl Vector {
    fn tool(&self, with_strategy: bool) -> Tool {
        let (format, strategy) = match self.format.as_str() {
            "authjs-v5" | "authjs-v5-a256gcm" => ("authjs", None),
            "nextauth-v4" => ("nextauth", None),
            "better-auth-signed-token" => ("better-auth", None),
            other => ("better-auth", other.strip_prefix("better-auth-")),
        };
        let name = self.token_cookie_name.as_ref().unwrap_or(&self.cookie_name);
        let at = self.now.to_string();
        let mut tool = Tool::new(["open", "--json", "--format", format, "--at", &at])
            .args(["--cookie-name", name])
            .input(self.cookie_header.as_bytes());
        for secret in &self.secrets {
            tool = tool.args(["--secret", secret]);
        }
        if let Some(salt) = self.salt.as_ref().filter(|_| format != "better-auth") {
            tool = tool.args(["--salt", salt]);
        }
        if let Some(strategy) = strategy.filter(|_| with_strategy) {
            tool = tool.args(["--strategy", strategy]);
        }
        if let Some(version) = &self.cache_version {
            tool = tool.args(["--cache-version", version]);
        }
        if let Some(authorization) = &self.authorization {
            tool = tool.args(["--authorization", authorization]);
        }
        tool
    }

    /// Returns an error that says how an outcome differs from the vector.
    fn check(&self, outcome: &Outcome) -> Result<(), String> {
        let json = outcome.json();
        let text = |name: &str| json.get(name).and_then(Value::as_str);
        let format = self.format.as_str();
        let is_token = format == "better-auth-signed-token";
        let needs_lookup = json.get("lookup_required").is_some();
        let opened = json["opened"] == true;
        if outcome.code != Some(i32::from(!opened)) {
            return Err(format!("exit code {:?}: {json}", outcome.code));
        }
        if !opened && (text("reason").is_none() || text("message").is_none()) {
            return Err(format!("no reason: {json}"));
        }
        for secret in &self.secrets {
            if outcome.stdout.contains(secret.trim()) || outcome.stderr.contains(secret.trim()) {
                return Err("a secret was printed".to_owned());
            }
        }
        // One vector of a token has a valid cache beside it, which contains more than the token.
        if is_token && opened && !needs_lookup {
            let token = json.pointer("/claims/session/token");
            let expected = self.claims.as_ref().and_then(|claims| claims.get("token"));
            return match token.is_some() && token == expected {
                true => Ok(()),
                false => Err(format!("another token: {json}")),
            };
        }
        // Vectors of a cache test whether it is valid; those of a token, whether there is one to look up.
        let accepted = opened && (is_token == needs_lookup);
        match (self.expect, accepted) {
            (Expect::Valid, true) => {
                let format = format.trim_end_matches("-a256gcm");
                let claims = json["claims"].as_object();
                if text("format") != Some(format) || claims != self.claims.as_ref() {
                    return Err(format!("other claims: {json}"));
                }
                Ok(())
            }
            (Expect::Invalid, false) => Ok(()),
            _ => Err(json.to_string()),
        }
    }
}

/// Runs every vector, as many at a time as there are cores; returns the names and problems of those that differ.
fn wrong_verdicts(tool: impl Fn(&Vector) -> Tool + Sync) -> Vec<(String, String)> {
    let vectors = vector::all();
    assert_eq!(vectors.len(), 546);
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(vector) = vectors.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(problem) = vector.check(&tool(vector).run()) {
                let mut wrong = wrong.lock().expect("no other thread panicked");
                wrong.push((vector.name.clone(), problem));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(work);
        }
    });
    wrong.into_inner().expect("no thread panicked")
}

//! The outcomes of many requests.

use std::collections::BTreeMap;
use std::fmt;

use super::conduct::{Conduct, Expected};

/// The outcome of one request.
pub(super) enum Outcome {
    /// The complete answer with its mark, with this status.
    Own(u16),
    /// The beginning of the answer with its mark.
    Broken,
    /// An answer of the gate with this status.
    Refusal(u16),
    /// No answer, or an invalid one.
    Nothing(String),
    /// Another request's answer, which must never happen.
    Another(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(status) => write!(f, "its answer with {status}"),
            Self::Broken => write!(f, "the beginning of its answer"),
            Self::Refusal(status) => write!(f, "a refusal with {status}"),
            Self::Nothing(why) => write!(f, "no answer: {why}"),
            Self::Another(what) => write!(f, "ANOTHER REQUEST'S ANSWER: {what}"),
        }
    }
}

/// The number of requests by outcome.
#[derive(Debug, Default)]
pub(super) struct Tally {
    expected_outcomes: BTreeMap<(&'static str, Conduct), u64>,
    /// Requests refused or broken off although their service did nothing wrong: another request ended their connection.
    collateral: u64,
    wrong: u64,
    examples: Vec<String>,
}

impl Tally {
    /// Counts the outcome of a request to this service.
    pub(super) fn note(&mut self, service: &'static str, number: u64, outcome: &Outcome) {
        let conduct = Conduct::of(number);
        let is_expected = match (conduct.expected(), outcome) {
            (Expected::Own(expected), Outcome::Own(status)) => expected == *status,
            (
                Expected::BrokenOr(expected) | Expected::Refusal(expected),
                Outcome::Refusal(status),
            ) => expected == *status,
            (Expected::BrokenOr(_), Outcome::Broken) => true,
            _ => false,
        };
        // A POST that meets the end of a half-closed connection may not be sent again (RFC 9112 §9.3.1).
        let is_post = conduct.method() == "POST";
        let is_collateral = match outcome {
            Outcome::Broken => service == "http2",
            Outcome::Refusal(status) => *status == 502 && (service == "http2" || is_post),
            Outcome::Own(_) | Outcome::Nothing(_) | Outcome::Another(_) => false,
        };
        if is_expected {
            *self
                .expected_outcomes
                .entry((service, conduct))
                .or_default() += 1;
        } else if is_collateral {
            self.collateral += 1;
        } else {
            self.wrong += 1;
            if self.examples.len() < 20 {
                let example = format!("{service} {number} {conduct:?}: {outcome}");
                self.examples.push(example);
            }
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        for (key, count) in other.expected_outcomes {
            *self.expected_outcomes.entry(key).or_default() += count;
        }
        self.collateral += other.collateral;
        self.wrong += other.wrong;
        self.examples.extend(other.examples);
        self.examples.truncate(20);
    }

    /// The number of requests with the wanted outcome.
    pub(super) fn as_expected(&self) -> u64 {
        self.expected_outcomes.values().sum()
    }

    /// Whether every outcome was wanted or collateral.
    pub(super) fn is_sound(&self) -> bool {
        self.wrong == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((service, conduct), count) in &self.expected_outcomes {
            writeln!(f, "{service} {conduct:?}: {count}")?;
        }
        let (own, collateral) = (self.as_expected(), self.collateral);
        writeln!(
            f,
            "{own} as expected; {collateral} failed together with the connection of another request"
        )?;
        writeln!(f, "{} wrong {:#?}", self.wrong, self.examples)?;
        Ok(())
    }
}

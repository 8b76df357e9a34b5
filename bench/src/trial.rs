//! Measurements other than requests/s: memory while little or nothing happens, and the effect of slow clients.
//!
//! To add a trial, add a variant of [`Trial`] and a file in `trial/`.

mod crowd;
mod idle;
mod slow;
mod stream;

use std::collections::HashMap;

use anyhow::Result;
use serde_json::{Value, json};

use super::goal::{Bound, Goal};
use super::lab::Lab;
use super::table::Table;

/// The subject of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    Idle,
    Slow,
    Stream,
}

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// The number of rounds, each a second long.
    pub(crate) rounds: usize,
    /// Bytes to stream each way, in units of 10^9.
    pub(crate) gigabytes: u64,
}

/// The result of a trial.
#[derive(Debug)]
pub(crate) struct TrialResult {
    /// Its name among the cases.
    pub(crate) name: &'static str,
    /// The heading of its table.
    pub(crate) title: &'static str,
    pub(crate) aims: &'static [Aim],
    /// What it found, or why it failed.
    pub(crate) found: Result<Found>,
}

/// The name of a figure, its description, and the goal for it.
pub(crate) type Aim = (&'static str, &'static str, Bound);

/// The findings of a trial.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) table: Table,
    pub(crate) notes: Vec<String>,
    /// The figures by name; some of them have a goal.
    pub(crate) figures: HashMap<&'static str, f64>,
    /// More data for programs, such as every round.
    pub(crate) details: Value,
}

/// Every trial.
pub(crate) const ALL: [Trial; 3] = [Trial::Idle, Trial::Slow, Trial::Stream];

impl Trial {
    /// Its name among the cases.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Slow => "slow",
            Self::Stream => "stream",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Idle => "Memory of 10,000 idle connections after one request on each",
            Self::Slow => {
                "A usual load beside 10,000 idle connections, 1,000 clients that send slowly and 1,000 that read slowly"
            }
            Self::Stream => "Memory while bytes are streamed",
        }
    }

    /// Runs the trial.
    pub(crate) fn run(self, lab: &Lab, scale: Scale) -> TrialResult {
        eprintln!("bench: {}", self.name());
        let found = match self {
            Self::Idle => idle::run(lab),
            Self::Slow => slow::run(lab, scale),
            Self::Stream => stream::run(lab, scale),
        };
        if let Err(error) = &found {
            eprintln!("bench:   broken: {error:#}");
        }
        TrialResult {
            name: self.name(),
            title: self.title(),
            aims: self.aims(),
            found,
        }
    }

    /// Returns the goals, by the names of the figures.
    fn aims(self) -> &'static [Aim] {
        match self {
            Self::Idle => &idle::GOALS,
            Self::Slow => &slow::GOALS,
            Self::Stream => &stream::GOALS,
        }
    }
}

impl TrialResult {
    /// Returns its goals, with the measured values.
    pub(crate) fn goals(&self) -> Vec<Goal> {
        let goals = self.aims.iter();
        let goals = goals.map(|(figure, what, bound)| Goal {
            case: self.name,
            what,
            bound: *bound,
            measured: self.figure(figure),
        });
        goals.collect()
    }

    /// Returns the result as JSON.
    pub(crate) fn json(&self) -> Value {
        let broken = self.found.as_ref().err();
        json!({
            "name": self.name,
            "title": self.title,
            "figures": self.found.as_ref().ok().map(|found| &found.figures),
            "details": self.found.as_ref().ok().map(|found| &found.details),
            "broken": broken.map(|error| format!("{error:#}")),
        })
    }

    fn figure(&self, name: &str) -> Option<f64> {
        self.found.as_ref().ok()?.figures.get(name).copied()
    }
}

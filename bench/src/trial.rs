//! Measurements that are no comparison of requests/s: what is held while little or nothing happens, and for how long.
//!
//! A new one is a variant of [`Subject`] and a file in `trial/`.

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

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Idle,
    Slow,
    Stream,
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Rounds of a second.
    pub(crate) rounds: usize,
    /// Bytes to stream each way, in units of 10^9.
    pub(crate) gigabytes: u64,
}

/// A trial that is over.
#[derive(Debug)]
pub(crate) struct Tried {
    /// Its name among the cases.
    pub(crate) name: &'static str,
    /// The heading of its table.
    pub(crate) title: &'static str,
    pub(crate) aims: &'static [Aim],
    /// The reason when it did not come to an end.
    pub(crate) found: Result<Found>,
}

/// A figure, what it is, and what is to be reached.
pub(crate) type Aim = (&'static str, &'static str, Bound);

/// What a trial has found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) table: Table,
    pub(crate) notes: Vec<String>,
    /// The figures, by name; some of them have a goal.
    pub(crate) figures: HashMap<&'static str, f64>,
    /// What else a program may want to know, such as every round.
    pub(crate) details: Value,
}

/// Every trial.
pub(crate) const ALL: [Subject; 3] = [Subject::Idle, Subject::Slow, Subject::Stream];

impl Subject {
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
            Self::Idle => {
                "Memory of 10,000 idle connections that have each made one request and are kept"
            }
            Self::Slow => {
                "A usual load beside 10,000 idle connections, 1,000 clients that send slowly and 1,000 that read slowly"
            }
            Self::Stream => "Memory while bytes are streamed",
        }
    }

    /// Tries it.
    pub(crate) fn run(self, lab: &Lab, scale: Scale) -> Tried {
        eprintln!("bench: {}", self.name());
        let found = match self {
            Self::Idle => idle::run(lab),
            Self::Slow => slow::run(lab, scale),
            Self::Stream => stream::run(lab, scale),
        };
        if let Err(error) = &found {
            eprintln!("bench:   broken: {error:#}");
        }
        Tried {
            name: self.name(),
            title: self.title(),
            aims: self.aims(),
            found,
        }
    }

    /// What is to be reached, by the names of the figures.
    fn aims(self) -> &'static [Aim] {
        match self {
            Self::Idle => &idle::GOALS,
            Self::Slow => &slow::GOALS,
            Self::Stream => &stream::GOALS,
        }
    }
}

impl Tried {
    /// Its goals, beside what it has found.
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

    /// All of it, for programs.
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

//! `cargo xtask bench users`: what it saves to hear of changes. A gate that hears of them remembers users for minutes, one that does
//! not for five seconds, and each user asks every ten seconds.
//!
//! Either has a Redis of its own, and a database of its own in one PostgreSQL, because both count what they are asked for the whole
//! of it.

mod flood;
mod pace;
mod questions;
mod sessions;
mod side;

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::runtime::Builder;

use self::questions::Asked;
use self::sessions::Sessions;
use self::side::{Side, Way};
use super::cpu::Snapshot;
use super::goal::Bound;
use super::lab::Lab;
use super::machine::version_of;
use super::report;
use super::table::Table;
use super::trial::{Aim, Found, Tried};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Whether Redis says what changes, beside PostgreSQL.
    pub(crate) tracks: bool,
    /// How many have a session.
    pub(crate) users: usize,
    /// How many of them ask at the pace that they have.
    pub(crate) paced_users: usize,
    /// How often each of them asks at the pace that they have, and that counts.
    pub(crate) passes: usize,
    /// For how many seconds the gate with channels remembers a user, and Redis of either gate.
    pub(crate) remember: u32,
    /// Rounds under full load that count.
    pub(crate) rounds: usize,
    /// Of each gate in each of these rounds.
    pub(crate) seconds: u32,
}

/// Measures a gate with channels, the lab's, beside an earlier one without: how much they ask while every user asks every ten
/// seconds, and how many requests they answer when it is as many as they can.
pub(crate) fn run(lab: &Lab, earlier: &Path, scale: Scale) -> Vec<Tried> {
    let (paced, flooded) = match both(lab, earlier, scale) {
        Ok((paced, flooded)) => (Ok(paced), flooded),
        Err(error) => {
            eprintln!("bench:   broken: {error:#}");
            (Err(error), Err(anyhow::anyhow!("it was not come to")))
        }
    };
    if let Err(error) = &flooded {
        eprintln!("bench:   broken: {error:#}");
    }
    vec![
        Tried {
            name: "users-paced",
            title: "Every user asks every ten seconds, 32 connections",
            aims: &PACED_AIMS,
            found: paced,
        },
        Tried {
            name: "users-flood",
            title: "As many users as come again after ten seconds under full load, 32 connections",
            aims: &FLOODED_AIMS,
            found: flooded,
        },
    ]
}

/// How often each user asks until everybody has been forgotten and met again twice.
pub(crate) fn passes(remember: u32) -> usize {
    (2 * remember / AGAIN) as usize
}

/// The versions of what is measured here beside the lab's gate.
///
/// # Errors
/// When a store does not say.
pub(crate) fn versions(lab: &Lab, earlier: &Path) -> Result<Vec<(&'static str, String)>> {
    let mut versions = side::versions(lab)?;
    versions.push(("sessiongate without channels", version_of(earlier)));
    Ok(versions)
}

/// Both parts; of the second one what went wrong by itself, so that the first one is not lost with it.
fn both(lab: &Lab, earlier: &Path, scale: Scale) -> Result<(Found, Result<Found>)> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let way = match scale.tracks {
        true => Way::WithChannels,
        false => Way::WithPostgres,
    };
    eprintln!("bench: sealing {} sessions", scale.users);
    let sessions = Sessions::seal(lab.folder(), scale.users)?;
    let sides = [
        Side::start(lab, &runtime, Way::Without, earlier, scale)?,
        Side::start(lab, &runtime, way, &lab.gate, scale)?,
    ];
    for side in &sides {
        side.verify(&sessions)?;
    }
    let paced = pace::run(&sides, &sessions, scale)?;
    let flooded = flood::run(&sides, &sessions, scale).and_then(|found| {
        // A gate that only remembers for long would do as well up to here.
        sides[1].forgets_who_is_deleted(&sessions)?;
        Ok(found)
    });
    Ok((paced, flooded))
}

/// What a gate came to in a part of the measurement.
struct Row {
    way: Way,
    /// For how many seconds the gate with channels remembers a user.
    remember: u32,
    users: usize,
    /// Seconds after which each of them comes again.
    again: f64,
    /// Requests each second.
    rate: f64,
    /// Microseconds of user and system time for each request.
    cpu: f64,
    /// All requests that `asked` is for.
    requests: f64,
    asked: Asked,
    /// MiB.
    memory: Option<f64>,
}

impl Row {
    fn memory_of(side: &Side<'_>) -> Option<f64> {
        let memory = Snapshot::take().memory(&[side.process()]);
        memory.map(|memory| memory.pss)
    }

    /// Questions to both stores for each request.
    fn questions(&self) -> f64 {
        self.asked.all() as f64 / self.requests
    }

    fn json(&self) -> Value {
        json!({
            "name": self.way.name(), "users": self.users, "seconds_until_each_comes_again": self.again,
            "requests_per_second": self.rate, "cpu_us": self.cpu, "requests": self.requests,
            "redis_per_1000_requests": per_thousand(self.asked.redis(), self.requests),
            "postgres_per_1000_requests": per_thousand(self.asked.postgres, self.requests),
            "redis_commands": self.asked.commands, "postgres_transactions": self.asked.postgres,
            "pss_mib": self.memory,
        })
    }
}

/// A line for each of two gates; `rate` and `cpu` are the second's, divided by the first's.
fn table(rows: &[Row; 2], rate: f64, cpu: f64) -> Table {
    let mut table = Table::new([
        "",
        "users",
        "again after s",
        "requests/s",
        "×",
        "CPU µs",
        "×",
        "Redis",
        "PostgreSQL",
        "×",
        "MiB",
    ]);
    let questions = rows[1].questions() / rows[0].questions();
    for (row, [rate, cpu, questions]) in rows.iter().zip([[1.0; 3], [rate, cpu, questions]]) {
        let asked = |questions| format!("{:.2}", per_thousand(questions, row.requests));
        table.push([
            row.way.label(row.remember),
            report::thousands(row.users as f64),
            format!("{:.1}", row.again),
            report::thousands(row.rate),
            report::ratio(rate),
            format!("{:.1}", row.cpu),
            report::ratio(cpu),
            asked(row.asked.redis()),
            asked(row.asked.postgres),
            report::ratio(questions),
            row.memory
                .map_or("–".to_owned(), |memory| format!("{memory:.1}")),
        ]);
    }
    table
}

/// How many there are for a thousand requests.
fn per_thousand(questions: u64, requests: f64) -> f64 {
    questions as f64 / requests * 1000.0
}

const PACED_AIMS: [Aim; 1] = [(
    "fewer",
    "questions to Redis and PostgreSQL without channels, against with them",
    Bound::AtLeast(20.0),
)];

const FLOODED_AIMS: [Aim; 1] = [(
    "faster",
    "requests/s with channels, against without them",
    Bound::AtLeast(1.3),
)];

/// After so many seconds every user comes again.
const AGAIN: u32 = 10;

const CONNECTIONS: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(way: Way, requests: f64, redis: u64, postgres: u64) -> Row {
        Row {
            way,
            remember: 600,
            users: 100_000,
            again: 10.0,
            rate: 10_000.0,
            cpu: 20.0,
            requests,
            asked: Asked {
                commands: [("getrange".to_owned(), redis)].into(),
                postgres,
            },
            memory: None,
        }
    }

    #[test]
    fn questions_are_compared_for_as_many_requests() {
        let rows = [
            row(Way::Without, 2_000.0, 2_000, 100),
            row(Way::WithChannels, 4_000.0, 60, 24),
        ];
        assert_eq!(per_thousand(60, 4_000.0), 15.0);
        let ratio = rows[0].questions() / rows[1].questions();
        assert!((ratio - 50.0).abs() < 1e-9, "{ratio}");
        let text = table(&rows, 1.5, 0.5).markdown();
        assert!(text.contains("| 1000.00 | 50.00 | 1.00 |"), "{text}");
        assert!(text.contains("| 15.00 | 6.00 | 0.0200 |"), "{text}");
    }
}

//! `cargo xtask bench users`: what channels save. A gate that is notified of changes remembers users for minutes, one that is
//! not for five seconds, and each user sends a request every ten seconds.
//!
//! Each gate has a Redis of its own, and a database of its own in one PostgreSQL, because each store counts commands and
//! transactions for the whole of it.

mod flood;
mod lookups;
mod pace;
mod sessions;
mod side;

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::runtime::Builder;

use self::lookups::Lookups;
use self::sessions::Sessions;
use self::side::{Channels, Side};
use super::cpu::Snapshot;
use super::goal::Bound;
use super::lab::Lab;
use super::machine::version_of;
use super::report;
use super::table::Table;
use super::trial::{Aim, Found, TrialResult};

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UsersScale {
    /// Whether Redis reports changes, besides PostgreSQL.
    pub(crate) tracks: bool,
    /// The number of users, each with a session.
    pub(crate) users: usize,
    /// How many of them send requests in the paced part.
    pub(crate) paced_users: usize,
    /// How many requests each of them sends in the paced part.
    pub(crate) passes: usize,
    /// The seconds for which the gate with channels, and the Redis of either gate, remember a user.
    pub(crate) remember: u32,
    /// The rounds under full load that count.
    pub(crate) rounds: usize,
    /// The seconds for each gate in each of these rounds.
    pub(crate) seconds: u32,
}

/// Measures the lab's gate with channels beside an earlier one without: the lookups in the stores while every user sends a
/// request every ten seconds, and the requests/s under full load.
pub(crate) fn run(lab: &Lab, earlier: &Path, scale: UsersScale) -> Vec<TrialResult> {
    let (paced, flooded) = match both(lab, earlier, scale) {
        Ok((paced, flooded)) => (Ok(paced), flooded),
        Err(error) => {
            eprintln!("bench:   broken: {error:#}");
            (
                Err(error),
                Err(anyhow::anyhow!(
                    "not measured, because the first part failed"
                )),
            )
        }
    };
    if let Err(error) = &flooded {
        eprintln!("bench:   broken: {error:#}");
    }
    vec![
        TrialResult {
            name: "users-paced",
            title: "Every user sends a request every ten seconds, 32 connections",
            aims: &PACED_AIMS,
            found: paced,
        },
        TrialResult {
            name: "users-flood",
            title: "Full load, each user returning after ten seconds, 32 connections",
            aims: &FLOODED_AIMS,
            found: flooded,
        },
    ]
}

/// Returns how many requests each user sends in twice the time for which users are remembered.
pub(crate) fn passes(remember: u32) -> usize {
    (2 * remember / RETURN_AFTER) as usize
}

/// Returns the versions of the stores and of the gate without channels.
///
/// # Errors
/// When a store does not report its version.
pub(crate) fn versions(lab: &Lab, earlier: &Path) -> Result<Vec<(&'static str, String)>> {
    let mut versions = side::versions(lab)?;
    versions.push(("sessiongate without channels", version_of(earlier)));
    Ok(versions)
}

/// Measures both parts. An error of the second part is returned in its place, so that it does not discard the first.
fn both(lab: &Lab, earlier: &Path, scale: UsersScale) -> Result<(Found, Result<Found>)> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let channels = match scale.tracks {
        true => Channels::Both,
        false => Channels::PostgresOnly,
    };
    eprintln!("bench: sealing {} sessions", scale.users);
    let sessions = Sessions::seal(lab.folder(), scale.users)?;
    let sides = [
        Side::start(lab, &runtime, Channels::None, earlier, scale)?,
        Side::start(lab, &runtime, channels, &lab.gate, scale)?,
    ];
    for side in &sides {
        side.verify(&sessions)?;
    }
    let paced = pace::run(&sides, &sessions, scale)?;
    let flooded = flood::run(&sides, &sessions, scale).and_then(|found| {
        // Up to here, a gate that remembers users for long without hearing of changes would do as well.
        sides[1].refuses_deleted_user(&sessions)?;
        Ok(found)
    });
    Ok((paced, flooded))
}

/// The result of a gate in one part of the measurement.
struct GateResult {
    channels: Channels,
    /// The seconds for which the gate with channels remembers a user.
    remember: u32,
    users: usize,
    /// The seconds between two requests of the same user.
    again: f64,
    /// Requests each second.
    rate: f64,
    /// Microseconds of user and system time for each request.
    cpu: f64,
    /// The number of requests to which `lookups` belongs.
    requests: f64,
    lookups: Lookups,
    /// MiB.
    memory: Option<f64>,
}

impl GateResult {
    fn memory_of(side: &Side<'_>) -> Option<f64> {
        let memory = Snapshot::take().memory(&[side.process()]);
        memory.map(|memory| memory.pss)
    }

    /// Returns the lookups in both stores per request.
    fn lookups(&self) -> f64 {
        self.lookups.all() as f64 / self.requests
    }

    fn json(&self) -> Value {
        json!({
            "name": self.channels.name(), "users": self.users, "seconds_until_each_comes_again": self.again,
            "requests_per_second": self.rate, "cpu_us": self.cpu, "requests": self.requests,
            "redis_per_1000_requests": per_thousand(self.lookups.redis(), self.requests),
            "postgres_per_1000_requests": per_thousand(self.lookups.postgres, self.requests),
            "redis_commands": self.lookups.commands, "postgres_transactions": self.lookups.postgres,
            "pss_mib": self.memory,
        })
    }
}

/// Returns a table with a line for each gate; `rate` and `cpu` are the second gate's, divided by the first's.
fn table(rows: &[GateResult; 2], rate: f64, cpu: f64) -> Table {
    let mut table = Table::new([
        "",
        "users",
        "seconds between a user's requests",
        "requests/s",
        "×",
        "CPU µs",
        "×",
        "Redis",
        "PostgreSQL",
        "×",
        "MiB",
    ]);
    let lookups = rows[1].lookups() / rows[0].lookups();
    for (row, [rate, cpu, lookups]) in rows.iter().zip([[1.0; 3], [rate, cpu, lookups]]) {
        let cell = |lookups| format!("{:.2}", per_thousand(lookups, row.requests));
        table.push([
            row.channels.label(row.remember),
            report::thousands(row.users as f64),
            format!("{:.1}", row.again),
            report::thousands(row.rate),
            report::ratio(rate),
            format!("{:.1}", row.cpu),
            report::ratio(cpu),
            cell(row.lookups.redis()),
            cell(row.lookups.postgres),
            report::ratio(lookups),
            row.memory
                .map_or("–".to_owned(), |memory| format!("{memory:.1}")),
        ]);
    }
    table
}

/// Returns the number of lookups per thousand requests.
fn per_thousand(lookups: u64, requests: f64) -> f64 {
    lookups as f64 / requests * 1000.0
}

const PACED_AIMS: [Aim; 1] = [(
    "fewer",
    "lookups in Redis and PostgreSQL without channels, against with them",
    Bound::AtLeast(20.0),
)];

const FLOODED_AIMS: [Aim; 1] = [(
    "faster",
    "requests/s with channels, against without them",
    Bound::AtLeast(1.3),
)];

/// The seconds after which every user sends another request.
const RETURN_AFTER: u32 = 10;

const CONNECTIONS: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(channels: Channels, requests: f64, redis: u64, postgres: u64) -> GateResult {
        GateResult {
            channels,
            remember: 600,
            users: 100_000,
            again: 10.0,
            rate: 10_000.0,
            cpu: 20.0,
            requests,
            lookups: Lookups {
                commands: [("getrange".to_owned(), redis)].into(),
                postgres,
            },
            memory: None,
        }
    }

    #[test]
    fn lookups_are_compared_per_request() {
        let rows = [
            row(Channels::None, 2_000.0, 2_000, 100),
            row(Channels::Both, 4_000.0, 60, 24),
        ];
        assert_eq!(per_thousand(60, 4_000.0), 15.0);
        let ratio = rows[0].lookups() / rows[1].lookups();
        assert!((ratio - 50.0).abs() < 1e-9, "{ratio}");
        let text = table(&rows, 1.5, 0.5).markdown();
        assert!(text.contains("| 1000.00 | 50.00 | 1.00 |"), "{text}");
        assert!(text.contains("| 15.00 | 6.00 | 0.0200 |"), "{text}");
    }
}

//! The lookups of both gates in their stores, while every user sends a request to both every ten seconds.

use std::collections::HashMap;
use std::path::Path;
use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use xtask::step::clock;

use super::lookups::Lookups;
use super::sessions::Sessions;
use super::side::Side;
use super::{CONNECTIONS, GateResult, RETURN_AFTER, UsersScale, table};
use crate::cpu::Snapshot;
use crate::load::{Answered, Load};
use crate::report::thousands;
use crate::trial::Found;

/// Measures passes, in each of which every user sends one request to each gate.
///
/// # Errors
/// When a request is refused.
pub(super) fn run(sides: &[Side<'_>; 2], sessions: &Sessions, scale: UsersScale) -> Result<Found> {
    let users = scale.paced_users.min(sessions.count);
    let file = sessions.first(users)?;
    for side in sides {
        eprintln!(
            "bench:   {} gets requests of {users} users",
            side.channels.name()
        );
        side.warm_up(sessions, users)?;
    }
    let before = lookups(sides)?;
    let (began, cpu_before) = (clock(), Snapshot::take());
    let mut requests = [0.0; 2];
    let mut passes = Vec::new();
    for number in 1..=scale.passes {
        let answered = pass(sides, &file, users)?;
        for (requests, answered) in requests.iter_mut().zip(&answered) {
            *requests += answered.requests;
        }
        eprintln!("bench:   pass {number} of {}", scale.passes);
        passes.push(answered.map(
            |Answered {
                 requests, p50, p99, ..
             }| json!({"requests": requests, "p50_us": p50, "p99_us": p99}),
        ));
    }
    let (cpu_after, elapsed) = (Snapshot::take(), began.elapsed().as_secs_f64());
    let after = lookups(sides)?;
    for side in sides {
        side.wait_for_channels()?;
    }
    let due = (users * scale.passes) as f64;
    let row = |index: usize| {
        let process = [sides[index].process()];
        let cpu = cpu_after.seconds(&process) - cpu_before.seconds(&process);
        GateResult {
            channels: sides[index].channels,
            remember: scale.remember,
            users,
            again: elapsed / scale.passes as f64,
            rate: requests[index] / elapsed,
            cpu: cpu / requests[index] * 1e6,
            requests: requests[index],
            lookups: after[index].since(&before[index]),
            memory: GateResult::memory_of(&sides[index]),
        }
    };
    let rows = [row(0), row(1)];
    Ok(Found {
        table: table(
            &rows,
            rows[1].rate / rows[0].rate,
            rows[1].cpu / rows[0].cpu,
        ),
        notes: notes(
            users,
            elapsed,
            scale.remember,
            requests.map(|requests| requests / due),
        ),
        figures: HashMap::from([("fewer", rows[0].lookups() / rows[1].lookups())]),
        details: json!({"seconds": elapsed, "gates": rows.map(|row| row.json()), "passes": passes}),
    })
}

/// Sends one request of every user to both gates.
fn pass(sides: &[Side<'_>; 2], file: &Path, users: usize) -> Result<[Answered; 2]> {
    let send = |side: &Side<'_>| {
        let order = side.order(file, users as f64 / f64::from(RETURN_AFTER), RETURN_AFTER);
        let load = Load::Paced {
            connections: CONNECTIONS,
        };
        load.run(&order)
    };
    let [first, second] = scope(|scope| {
        let sending = [0, 1].map(|index| scope.spawn(move || send(&sides[index])));
        sending.map(|sending| sending.join().ok().context("a load failed")?)
    });
    Ok([first?, second?])
}

/// Returns the lookups in the stores of both gates, after waiting until they have counted all of it.
pub(super) fn lookups(sides: &[Side<'_>; 2]) -> Result<[Lookups; 2]> {
    sleep(COUNTER_DELAY);
    Ok([sides[0].lookups()?, sides[1].lookups()?])
}

/// Returns what a reader must know; `kept` is the share of the due requests that were answered.
fn notes(users: usize, elapsed: f64, remember: u32, kept: [f64; 2]) -> Vec<String> {
    let mut notes = vec![format!(
        "Lookups in Redis and PostgreSQL for 1,000 requests, as the servers count them, including those that check the channels. \
         Both gates get requests at the same time, {} requests/s each, for {elapsed:.0} s, after two requests of every user. A \
         million users make {:.0} times as many requests.",
        thousands(users as f64 / f64::from(RETURN_AFTER)),
        1e6 / users as f64
    )];
    let kept = kept[0].min(kept[1]);
    if kept < MIN_PACE_SHARE {
        notes.push(format!(
            "LATE: the machine did not keep the pace: it sent {:.1} % of the requests that were due.",
            kept * 100.0
        ));
    }
    // After this long, every user has been looked up again in Redis, and once more in PostgreSQL, because the entry in Redis had
    // expired as well.
    let enough = 2.0 * f64::from(remember);
    if elapsed < enough {
        notes.push(format!(
            "SHORT: users are remembered for {remember} s and then looked up again in Redis, and after as long again in PostgreSQL, so \
             the run must last {enough:.0} s to show both. Set `--passes` higher."
        ));
    }
    notes
}

/// Below this share of the due requests, some users return later than the table says.
const MIN_PACE_SHARE: f64 = 0.99;

/// How long to wait for the counters: an idle server process of PostgreSQL 15 reports its counters after ten seconds at the
/// latest (`PGSTAT_IDLE_INTERVAL`).
const COUNTER_DELAY: Duration = Duration::from_secs(11);

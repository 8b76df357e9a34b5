//! The requests/s of each gate under full load, with so many users that each returns after ten seconds.

use std::collections::HashMap;

use anyhow::Result;
use serde_json::{Value, json};

use super::pace::lookups;
use super::sessions::Sessions;
use super::side::Side;
use super::{CONNECTIONS, GateResult, RETURN_AFTER, UsersScale, table};
use crate::cpu::Snapshot;
use crate::load::Load;
use crate::measure::{Figures, Metric, median, settle};
use crate::report::DISTURBED;
use crate::trial::Found;

/// Measures both gates in turn, round after round.
///
/// # Errors
/// When a request is refused.
pub(super) fn run(sides: &[Side<'_>; 2], sessions: &Sessions, scale: UsersScale) -> Result<Found> {
    for side in sides {
        eprintln!(
            "bench:   {} gets a request of every user",
            side.channels.name()
        );
        side.warm_up(sessions, sessions.count)?;
    }
    // A round that does not count yields the number of users.
    let users = |side| {
        let rate = measure(side, sessions, sessions.count, scale.seconds)?
            .figures
            .rate;
        anyhow::Ok(users_at(rate, sessions.count))
    };
    let users = [users(&sides[0])?, users(&sides[1])?];
    let before = lookups(sides)?;
    let mut rounds = [const { Vec::new() }; 2];
    for _ in 0..scale.rounds {
        for ((side, users), rounds) in sides.iter().zip(users).zip(&mut rounds) {
            rounds.push(measure(side, sessions, users, scale.seconds)?);
        }
    }
    let after = lookups(sides)?;
    for side in sides {
        side.wait_for_channels()?;
    }
    let row = |index: usize| {
        let of = |metric| median(rounds[index].iter().map(|round| round.figures.of(metric)));
        let rate = of(Metric::Rate).unwrap_or(f64::NAN);
        GateResult {
            channels: sides[index].channels,
            remember: scale.remember,
            users: users[index],
            again: users[index] as f64 / rate,
            rate,
            cpu: of(Metric::Cpu).unwrap_or(f64::NAN),
            requests: rounds[index].iter().map(|round| round.requests).sum(),
            lookups: after[index].since(&before[index]),
            memory: GateResult::memory_of(&sides[index]),
        }
    };
    let ratio = |metric| {
        let pairs = rounds[0].iter().zip(&rounds[1]);
        let ratios =
            pairs.map(|(first, second)| second.figures.of(metric) / first.figures.of(metric));
        median(ratios).unwrap_or(f64::NAN)
    };
    let rows = [row(0), row(1)];
    let faster = ratio(Metric::Rate);
    let spread = spread(rounds[0].iter().map(|round| round.figures.rate));
    let returns_too_soon = rows[0].again <= REMEMBERED_WITHOUT;
    let figures = (!returns_too_soon).then_some(("faster", faster));
    Ok(Found {
        table: table(&rows, faster, ratio(Metric::Cpu)),
        notes: notes(spread, returns_too_soon),
        figures: HashMap::from_iter(figures),
        details: json!({
            "gates": rows.map(|row| row.json()), "reference_spread": spread,
            "rounds": rounds.map(|rounds| rounds.iter().map(Round::json).collect::<Vec<_>>()),
        }),
    })
}

/// The result of a gate in one round.
struct Round {
    figures: Figures,
    requests: f64,
}

impl Round {
    fn json(&self) -> Value {
        let Figures {
            cpu,
            p50,
            p99,
            rate,
        } = self.figures;
        json!({"requests_per_second": rate, "cpu_us": cpu, "p50_us": p50, "p99_us": p99})
    }
}

/// Sends requests of the first `users` users in turn.
fn measure(side: &Side<'_>, sessions: &Sessions, users: usize, seconds: u32) -> Result<Round> {
    let order = side.order(&sessions.file, f64::INFINITY, seconds);
    let load = Load::WrkInTurn {
        connections: CONNECTIONS,
        cookies: users,
    };
    settle();
    let before = Snapshot::take();
    let answered = load.run(&order)?;
    let cpu = Snapshot::take().seconds(&[side.process()]) - before.seconds(&[side.process()]);
    let figures = Figures {
        cpu: cpu / answered.requests * 1e6,
        p50: answered.p50,
        p99: answered.p99,
        rate: answered.requests / answered.seconds,
    };
    eprintln!(
        "bench:   {} {:.0}/s, {:.1} µs, {users} users",
        side.channels.name(),
        figures.rate,
        figures.cpu
    );
    Ok(Round {
        figures,
        requests: answered.requests,
    })
}

/// Returns how many users, at most `all`, send `rate` requests per second together.
fn users_at(rate: f64, all: usize) -> usize {
    let users = (rate * f64::from(RETURN_AFTER)).round() as usize;
    users.clamp(1, all)
}

/// Returns by what share the slowest round lies below the fastest.
fn spread(rates: impl Iterator<Item = f64> + Clone) -> f64 {
    let fastest = rates.clone().fold(0.0, f64::max);
    1.0 - rates.fold(fastest, f64::min) / fastest
}

fn notes(spread: f64, returns_too_soon: bool) -> Vec<String> {
    let mut notes = vec![
        "Each gate gets so many users that each returns after ten seconds under full load, if there are enough. Lookups are \
         those of all rounds, including those made while the other gate is measured. Few entries in Redis expire within the rounds."
            .to_owned(),
    ];
    if returns_too_soon {
        notes.push(format!(
            "NOT COMPARED: every user returned within {REMEMBERED_WITHOUT} s, so both gates remembered all users. \
             Measure with more of them (`--users`)."
        ));
    }
    if spread > DISTURBED {
        let spread = spread * 100.0;
        notes.push(format!(
            "DISTURBED: the slowest round of the reference lies {spread:.0} % below its fastest."
        ));
    }
    notes
}

/// The seconds for which [`Channels::None`](super::side::Channels::None) remembers a user.
const REMEMBERED_WITHOUT: f64 = 5.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_return_after_ten_seconds() {
        assert_eq!(users_at(40_000.4, 1_000_000), 400_004);
        assert_eq!(users_at(40_000.0, 2_000), 2_000);
        assert_eq!(users_at(0.0, 2_000), 1);
    }

    #[test]
    fn the_spread_is_relative_to_the_fastest() {
        assert_eq!(spread([80.0, 100.0, 60.0].into_iter()), 0.4);
        assert_eq!(spread([100.0].into_iter()), 0.0);
    }
}

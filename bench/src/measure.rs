//! Measuring a case: its servers take turns, round after round.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use xtask::step::clock;

use super::case::{Case, Entry};
use super::cpu::{Memory, Snapshot};
use super::lab::{Cookies, Lab};
use super::load::{Load, Order};
use super::start::{FEW, start};
use super::target::Target;

/// The number of rounds and their length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// The rounds that count; one more comes before them and is dropped.
    pub(crate) rounds: usize,
    /// The seconds for each server in each round.
    pub(crate) seconds: u32,
}

/// The result of a case.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) case: Case,
    /// The rounds that were measured: more than requested if the load is paced.
    pub(crate) effort: Effort,
    /// One for each entry.
    pub(crate) rows: Vec<Row>,
    /// Requests per second in each round, if the load was paced.
    pub(crate) paces: Vec<f64>,
    /// The largest share of the machine's CPU time that unrelated programs used in a round.
    pub(crate) others: f64,
}

/// The result of an entry.
#[derive(Debug)]
pub(crate) struct Row {
    /// The rounds in order; an invalid one holds the reason.
    pub(crate) rounds: Vec<Result<Figures>>,
    /// The memory after the last round.
    pub(crate) memory: Option<Memory>,
}

/// What was measured of a server in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Microseconds of user and system time for each request.
    pub(crate) cpu: f64,
    /// Microseconds.
    pub(crate) p50: f64,
    /// Microseconds.
    pub(crate) p99: f64,
    /// Requests each second.
    pub(crate) rate: f64,
}

/// One of the [`Figures`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Metric {
    Cpu,
    P50,
    P99,
    Rate,
}

impl Case {
    /// Measures the case. A server that does not start, or does not do what it is measured for, has broken rounds.
    pub(crate) fn measure(self, lab: &Lab, effort: Effort) -> Measured {
        eprintln!("bench: {}", self.name);
        let effort = self.effort(effort);
        let mut stage = Stage {
            lab,
            targets: Vec::new(),
            others: 0.0,
        };
        let broken: Vec<_> = self
            .entries
            .iter()
            .map(|entry| stage.prepare(entry).err())
            .collect();
        let rows = self.entries.iter().map(|_| Row {
            rounds: Vec::new(),
            memory: None,
        });
        let mut rows: Vec<_> = rows.collect();
        let mut paces = Vec::new();
        stage.others = 0.0;
        for round in 0..=effort.rounds {
            let pace = stage.pace(&self, effort);
            paces.extend(pace);
            for ((entry, row), broken) in self.entries.iter().zip(&mut rows).zip(&broken) {
                let outcome = match broken {
                    Some(error) => Err(anyhow!("{error:#}")),
                    None => stage.measure(entry, pace.unwrap_or(f64::NAN), effort.seconds),
                };
                match &outcome {
                    Ok(figures) => eprintln!(
                        "bench:   {} {:.0}/s, {:.1} µs",
                        entry.key, figures.rate, figures.cpu
                    ),
                    Err(error) => eprintln!("bench:   {} is broken: {error:#}", entry.key),
                }
                if round > 0 {
                    row.rounds.push(outcome);
                }
            }
        }
        for (entry, row) in self.entries.iter().zip(&mut rows) {
            let target = stage.target(entry);
            row.memory = target.and_then(|target| Snapshot::take().memory(&target.processes()));
        }
        Measured {
            others: stage.others,
            case: self,
            effort,
            rows,
            paces,
        }
    }

    /// Returns the effort for this case, given the usual one. A p99 depends on the few moments of a round in which something
    /// interferes, so it needs many rounds.
    fn effort(&self, effort: Effort) -> Effort {
        if self.paced_by().is_none() {
            return effort;
        }
        Effort {
            rounds: effort.rounds * 4,
            seconds: effort.seconds.div_ceil(2),
        }
    }

    /// Returns the reference entry, if its throughput sets the pace of the load.
    fn paced_by(&self) -> Option<&Entry> {
        let reference = self.entries.first();
        reference.filter(|entry| matches!(entry.load, Load::Paced { .. }))
    }
}

/// The servers of a case, running.
struct Stage<'a> {
    lab: &'a Lab,
    targets: Vec<Target>,
    others: f64,
}

impl Stage<'_> {
    fn target(&self, entry: &Entry) -> Option<&Target> {
        let mut targets = self.targets.iter();
        targets.find(|target| target.kind == entry.kind && target.cores == entry.cores)
    }

    /// Starts the server that the entry needs, unless it already runs, and verifies that it does what it should.
    fn prepare(&mut self, entry: &Entry) -> Result<()> {
        if self.target(entry).is_none() {
            let target = start(entry.kind, entry.cores, FEW, self.lab)?;
            target.verify(self.lab)?;
            self.targets.push(target);
        }
        match (entry.cookies, self.target(entry)) {
            (Cookies::Many, Some(target)) => target.warm_up_all_users(self.lab),
            _ => Ok(()),
        }
    }

    /// Returns the rate of a paced load in this round: 70 % of what the reference answers under the same load without pauses.
    /// Under `wrk` it would answer more, because `wrk` leaves it more of the machine.
    fn pace(&mut self, case: &Case, effort: Effort) -> Option<f64> {
        let flood = self.measure(case.paced_by()?, f64::INFINITY, effort.seconds);
        Some(flood.ok()?.rate * PACE)
    }

    fn measure(&mut self, entry: &Entry, pace: f64, seconds: u32) -> Result<Figures> {
        let target = self.target(entry).context("it is not running")?;
        let order = Order {
            address: &target.address,
            speaks_tls: entry.kind.speaks_tls(),
            path: entry.kind.path(entry.path),
            headers: &entry.kind.headers(),
            cookies: &self.lab.cookies(entry.cookies),
            call: &self.lab.call(entry.cookies)?,
            refused: entry.refused(),
            cores: entry.cores,
            rate: pace,
            seconds,
            folder: self.lab.folder(),
        };
        let processes = target.processes();
        settle();
        let (start, before) = (clock(), Snapshot::take());
        let answered = entry.load.run(&order);
        let (after, elapsed) = (Snapshot::take(), start.elapsed().as_secs_f64());
        let others = after.seconds_of_others() - before.seconds_of_others();
        self.others = self.others.max(others / elapsed / self.lab.cores as f64);
        let answered = answered?;
        let cpu = after.seconds(&processes) - before.seconds(&processes);
        Ok(Figures {
            cpu: cpu / answered.requests * 1e6,
            p50: answered.p50,
            p99: answered.p99,
            rate: answered.requests / answered.seconds,
        })
    }
}

impl Measured {
    /// Returns the median of a figure over the valid rounds.
    pub(crate) fn median(&self, key: &str, metric: Metric) -> Option<f64> {
        let rounds = self.row(key)?.rounds.iter().flatten();
        median(rounds.map(|figures| figures.of(metric)))
    }

    /// Returns the median of the ratio of a figure of `key` to that of `reference`, over the rounds that are valid for both.
    pub(crate) fn ratio(&self, key: &str, reference: &str, metric: Metric) -> Option<f64> {
        let pairs = self
            .row(key)?
            .rounds
            .iter()
            .zip(&self.row(reference)?.rounds);
        median(pairs.filter_map(|(figures, reference)| {
            let (figures, reference) = (figures.as_ref().ok()?, reference.as_ref().ok()?);
            Some(figures.of(metric) / reference.of(metric))
        }))
    }

    /// Returns by what share the slowest round of the reference lies below its fastest.
    pub(crate) fn spread(&self) -> f64 {
        let rounds = self.rows.first().into_iter().flat_map(|row| &row.rounds);
        let rates: Vec<_> = rounds.flatten().map(|figures| figures.rate).collect();
        let fastest = rates.iter().copied().fold(0.0, f64::max);
        let slowest = rates.iter().copied().fold(fastest, f64::min);
        if fastest > 0.0 {
            1.0 - slowest / fastest
        } else {
            0.0
        }
    }

    /// Returns the row of the entry with this key.
    pub(crate) fn row(&self, key: &str) -> Option<&Row> {
        let mut rows = self.case.entries.iter().zip(&self.rows);
        rows.find_map(|(entry, row)| (entry.key == key).then_some(row))
    }
}

impl Figures {
    /// Returns the figure of this metric.
    pub(crate) fn of(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Cpu => self.cpu,
            Metric::P50 => self.p50,
            Metric::P99 => self.p99,
            Metric::Rate => self.rate,
        }
    }
}

/// Waits until the previous server has finished its work: one that starts a process for each request goes on for a while after
/// the last answer, and would make the next server look slow.
pub(crate) fn settle() {
    let deadline = clock() + MAX_SETTLE_TIME;
    let mut busy = f64::INFINITY;
    while busy > 0.0 && clock() < deadline {
        let before = Snapshot::take().seconds_beside_this();
        thread::sleep(SETTLE_TIME);
        busy = Snapshot::take().seconds_beside_this() - before;
    }
}

/// The machine is settled when, for this long, no other process has used a hundredth of a second of CPU time.
const SETTLE_TIME: Duration = Duration::from_millis(100);

/// The longest wait: on a machine with other work it might never settle.
const MAX_SETTLE_TIME: Duration = Duration::from_secs(1);

pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

/// The share of full load at which latency is compared: far below the point at which every server is late.
pub(crate) const PACE: f64 = 0.7;

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_of_an_even_count_is_the_mean_of_the_middle_two() {
        assert_eq!(median([4.0, 1.0, 3.0, 2.0].into_iter()), Some(2.5));
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([].into_iter()), None);
    }
}

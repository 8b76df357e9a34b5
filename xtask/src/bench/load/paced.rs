//! Requests at a rate of their own, so that latency is what a client sees whose next request does not wait for the last.
//!
//! Each connection has a thread and a timetable. A request that is late because an earlier one is still unanswered counts
//! from the moment at which it was due: otherwise a server that stalls would hide its stall by slowing the load down
//! ("coordinated omission"). One that is late because the thread slept too long counts from when it is sent: that is the
//! load's own doing.

use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Answered, Order, percentile};
use crate::bench::http::{Connection, get};
use crate::step::clock;

/// Runs it.
///
/// # Errors
/// As [`super::Load::run`].
pub(super) fn run(order: &Order<'_>, connections: u32) -> Result<Answered> {
    let mut headers = order.headers.to_vec();
    if let Some(cookie) = order.cookies()?.into_iter().next() {
        headers.push(("Cookie".to_owned(), cookie));
    }
    let request = get(order.path, &headers);
    let interval = Duration::from_secs_f64(f64::from(connections) / order.rate);
    let open = (0..connections).map(|_| Connection::open(order.address));
    let open = open.collect::<Result<Vec<_>>>()?;
    let start = clock() + Duration::from_millis(50);
    let end = start + Duration::from_secs(order.seconds.into());
    let parts = std::thread::scope(|scope| {
        let threads = open
            .into_iter()
            .zip(0..connections)
            .map(|(connection, number)| {
                let timetable = Timetable {
                    due: start + interval * number / connections,
                    interval,
                    end,
                };
                let work = || timetable.follow(connection, &request);
                Builder::new()
                    .stack_size(64 * 1024)
                    .spawn_scoped(scope, work)
            });
        let threads = threads.collect::<std::io::Result<Vec<_>>>()?;
        let parts = threads
            .into_iter()
            .map(|thread| thread.join().ok().context("a thread failed")?);
        parts.collect::<Result<Vec<_>>>()
    })?;
    let mut latencies: Vec<f64> = parts
        .iter()
        .flat_map(|part| &part.latencies)
        .copied()
        .collect();
    latencies.sort_by(f64::total_cmp);
    let refusals = parts.iter().map(|part| part.refusals).sum();
    order.check(latencies.len() as u64, refusals, 0)?;
    Ok(Answered {
        requests: latencies.len() as f64,
        seconds: start.elapsed().as_secs_f64(),
        p50: percentile(&latencies, 0.5),
        p99: percentile(&latencies, 0.99),
    })
}

/// When the requests of one connection are due.
struct Timetable {
    due: Instant,
    interval: Duration,
    end: Instant,
}

/// What one connection has seen.
struct Part {
    /// In microseconds.
    latencies: Vec<f64>,
    refusals: u64,
}

impl Timetable {
    fn follow(mut self, mut connection: Connection, request: &[u8]) -> Result<Part> {
        let mut part = Part {
            latencies: Vec::new(),
            refusals: 0,
        };
        while self.due < self.end {
            let now = clock();
            let begun = if now < self.due {
                sleep(self.due - now);
                clock()
            } else {
                self.due
            };
            let answer = connection.ask(request)?;
            part.latencies.push(begun.elapsed().as_secs_f64() * 1e6);
            part.refusals += u64::from(answer.status > 399);
            self.due += self.interval;
        }
        Ok(part)
    }
}

//! `h2load`, for gRPC and Unix sockets.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Answered, Order, percentile};
use crate::bench::http::Address;
use crate::step::{command, output};

/// HTTP/1.1.
///
/// # Errors
/// As [`super::Load::run`].
pub(super) fn get(order: &Order<'_>, connections: u32) -> Result<Answered> {
    let mut h2load = h2load(order, connections);
    h2load.arg("--h1");
    if let Some(cookie) = order.cookies()?.first() {
        h2load.arg(format!("--header=Cookie: {cookie}"));
    }
    run(h2load, order)
}

/// A gRPC call, one at a time on each connection.
///
/// # Errors
/// As [`super::Load::run`].
pub(super) fn call(order: &Order<'_>, connections: u32) -> Result<Answered> {
    let body = order.folder.join("call");
    fs::write(&body, order.call)?;
    let mut h2load = h2load(order, connections);
    h2load
        .args(["--max-concurrent-streams=1", "--header=te: trailers"])
        .arg("--header=content-type: application/grpc")
        .arg("--data")
        .arg(body);
    run(h2load, order)
}

fn h2load(order: &Order<'_>, connections: u32) -> Command {
    let seconds = order.seconds;
    let mut h2load = command(&format!(
        "prlimit --nofile=8192: h2load --threads=2 --clients={connections} --duration={seconds}"
    ));
    for (name, value) in order.headers {
        h2load.arg(format!("--header={name}: {value}"));
    }
    match order.address {
        Address::Tcp(_) => h2load.arg(format!("http://{}{}", order.address, order.path)),
        Address::Unix(_) => h2load
            .arg(format!("--base-uri={}", order.address))
            .arg(format!("http://localhost{}", order.path)),
    };
    h2load
}

/// Runs it with a log of every answer, because it prints no percentiles.
fn run(mut h2load: Command, order: &Order<'_>) -> Result<Answered> {
    let log = order.folder.join("answers");
    let _ = fs::remove_file(&log);
    let printed = output(h2load.arg("--log-file").arg(&log))?;
    let requests = Line::starting(&printed, "requests:")?;
    let codes = Line::starting(&printed, "status codes:")?;
    let done = requests.number_before("done")?;
    // What is still under way when time is up is neither done nor errored.
    let refusals = codes.number_before("4xx")? + codes.number_before("5xx")?;
    order.check(done, refusals, requests.number_before("errored")?)?;
    let answers = fs::read_to_string(&log)?;
    let latencies = answers
        .lines()
        .filter_map(|line| line.rsplit('\t').next()?.parse::<f64>().ok());
    let mut latencies: Vec<_> = latencies.collect();
    latencies.sort_by(f64::total_cmp);
    Ok(Answered {
        requests: done as f64,
        seconds: f64::from(order.seconds),
        p50: percentile(&latencies, 0.5),
        p99: percentile(&latencies, 0.99),
    })
}

/// A line such as `requests: 12 total, 11 started, 10 done, …`.
struct Line<'a>(&'a str);

impl<'a> Line<'a> {
    fn starting(printed: &'a str, start: &str) -> Result<Self> {
        let line = printed.lines().find_map(|line| line.strip_prefix(start));
        Ok(Self(
            line.with_context(|| format!("h2load printed no {start}"))?,
        ))
    }

    fn number_before(&self, word: &str) -> Result<u64> {
        let mut parts = self.0.split(',').map(str::trim);
        let number = parts.find_map(|part| part.strip_suffix(word));
        let number = number.with_context(|| format!("h2load printed no {word}"))?;
        Ok(number.trim().parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn numbers_stand_before_their_words() {
        let printed = "finished in 1s\nrequests: 12 total, 12 started, 10 done, 9 succeeded, 1 failed, 0 errored, 3 timeout\n";
        let line = Line::starting(printed, "requests:").unwrap();
        assert_eq!(line.number_before("done").unwrap(), 10);
        assert_eq!(line.number_before("timeout").unwrap(), 3);
        assert!(line.number_before("lost").is_err());
    }
}

//! `h2load`, for HTTP/2, gRPC and Unix sockets.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask::step::{command, output};

use super::{Answered, Order, percentile};
use crate::http::Address;
use crate::unary;

/// Runs the load over HTTP/1.1.
///
/// # Errors
/// As [`super::Load::run`].
pub(super) fn get(order: &Order<'_>, connections: u32) -> Result<Answered> {
    let mut h2load = h2load(order, connections);
    h2load.arg("--h1");
    add_cookie(&mut h2load, order)?;
    Ok(run(h2load, order)?.answered())
}

/// Runs the load over HTTP/2.
///
/// # Errors
/// As [`super::Load::run`]; also when the server negotiates another protocol.
pub(super) fn http2(order: &Order<'_>, connections: u32, streams: u32) -> Result<Answered> {
    let mut h2load = h2load(order, connections);
    h2load.arg(format!("--max-concurrent-streams={streams}"));
    add_cookie(&mut h2load, order)?;
    let ran = run(h2load, order)?;
    let protocol = Line::starting(&ran.printed, "Application protocol:")?;
    ensure!(protocol.0.trim() == "h2", "h2load spoke {}", protocol.0);
    Ok(ran.answered())
}

/// Runs unary gRPC calls, with several under way on each connection.
///
/// # Errors
/// As [`super::Load::run`]. A call that fails has status 200 too, but no message.
pub(super) fn unary(order: &Order<'_>, connections: u32, streams: u32) -> Result<Answered> {
    let body = order.folder.join("message");
    fs::write(&body, unary::message())?;
    let mut h2load = h2load(order, connections);
    h2load
        .arg(format!("--max-concurrent-streams={streams}"))
        .args([
            "--header=te: trailers",
            "--header=content-type: application/grpc",
        ])
        .arg("--data")
        .arg(body);
    add_cookie(&mut h2load, order)?;
    let ran = run(h2load, order)?;
    let data = Line::starting(&ran.printed, "traffic:")?.number_before_in_parentheses(" data")?;
    let expected = ran.done * unary::message().len() as u64;
    ensure!(
        data >= expected,
        "{data} bytes of messages arrived instead of {expected}"
    );
    Ok(ran.answered())
}

/// Runs the prepared gRPC call, one at a time on each connection.
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
    Ok(run(h2load, order)?.answered())
}

fn add_cookie(h2load: &mut Command, order: &Order<'_>) -> Result<()> {
    if let Some(cookie) = order.cookies()?.first() {
        h2load.arg(format!("--header=Cookie: {cookie}"));
    }
    Ok(())
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
        Address::Tcp(_) => {
            let scheme = if order.speaks_tls { "https" } else { "http" };
            h2load.arg(format!("{scheme}://{}{}", order.address, order.path))
        }
        Address::Unix(_) => h2load
            .arg(format!("--base-uri={}", order.address))
            .arg(format!("http://localhost{}", order.path)),
    };
    h2load
}

/// Runs `h2load` with a log of every answer, because it prints no percentiles.
fn run(mut h2load: Command, order: &Order<'_>) -> Result<Ran> {
    let log = order.folder.join("answers");
    let _ = fs::remove_file(&log);
    let printed = output(h2load.arg("--log-file").arg(&log))?;
    let requests = Line::starting(&printed, "requests:")?;
    let codes = Line::starting(&printed, "status codes:")?;
    let done = requests.number_before("done")?;
    // A request still under way when the time is over is neither done nor errored.
    let refusals = codes.number_before("4xx")? + codes.number_before("5xx")?;
    order.check(done, refusals, requests.number_before("errored")?)?;
    let answers = fs::read_to_string(&log)?;
    let latencies = answers
        .lines()
        .filter_map(|line| line.rsplit('\t').next()?.parse::<f64>().ok());
    let mut latencies: Vec<_> = latencies.collect();
    latencies.sort_by(f64::total_cmp);
    Ok(Ran {
        printed,
        done,
        latencies,
        seconds: order.seconds,
    })
}

/// The result of a run.
struct Ran {
    printed: String,
    done: u64,
    /// Microseconds, sorted.
    latencies: Vec<f64>,
    seconds: u32,
}

impl Ran {
    fn answered(&self) -> Answered {
        Answered {
            requests: self.done as f64,
            seconds: f64::from(self.seconds),
            p50: percentile(&self.latencies, 0.5),
            p99: percentile(&self.latencies, 0.99),
        }
    }
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

    /// The exact number in parentheses behind a rounded one: `1.2MB (1234567) data`.
    fn number_before_in_parentheses(&self, word: &str) -> Result<u64> {
        let (before, _) = self.0.rsplit_once(word).context("h2load counted nothing")?;
        let number = before.rsplit('(').next().unwrap_or_default();
        Ok(number.trim_end_matches(')').parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn numbers_are_read_before_their_words() {
        let printed = "finished in 1s\nrequests: 12 total, 12 started, 10 done, 9 succeeded, 1 failed, 0 errored, 3 timeout\n";
        let line = Line::starting(printed, "requests:").unwrap();
        assert_eq!(line.number_before("done").unwrap(), 10);
        assert_eq!(line.number_before("timeout").unwrap(), 3);
        assert!(line.number_before("lost").is_err());
        let printed =
            "traffic: 1.2MB (1234) total, 4KB (45) headers (space savings 9%), 7KB (78) data\n";
        let line = Line::starting(printed, "traffic:").unwrap();
        assert_eq!(line.number_before_in_parentheses(" data").unwrap(), 78);
    }
}

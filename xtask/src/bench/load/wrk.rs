//! `wrk`, with `bench/load.lua`.

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Answered, Order};
use crate::bench::service::pinned;
use crate::step::{command, output, root};

/// Runs it on as many threads as the tables of `docs/performance.md`: two.
///
/// # Errors
/// As [`super::Load::run`].
pub(super) fn run(order: &Order<'_>, connections: u32) -> Result<Answered> {
    let headers = order.folder.join("headers");
    let lines = order
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"));
    std::fs::write(&headers, lines.collect::<String>())?;
    let seconds = order.seconds;
    let pinned = pinned(order.cores).join(" ");
    let scheme = if order.speaks_tls { "https" } else { "http" };
    let mut wrk = command(&format!(
        "prlimit --nofile=8192: {pinned} wrk -t2 -c{connections} -d{seconds}s --timeout 10s --latency"
    ));
    wrk.arg("-s")
        .arg(root().join("bench/load.lua"))
        .arg(format!("{scheme}://{}{}", order.address, order.path))
        .env("BENCH_HEADERS", headers)
        .env("BENCH_COOKIES", order.cookies);
    let printed = output(&mut wrk)?;
    let line = printed.lines().find_map(|line| line.strip_prefix("BENCH "));
    let said: Value = serde_json::from_str(line.context("wrk did not report")?)?;
    let number = |name: &str| said[name].as_u64().with_context(|| format!("no {name}"));
    let requests = number("requests")?;
    order.check(
        requests,
        number("statuses_above_399")?,
        number("socket_errors")?,
    )?;
    Ok(Answered {
        requests: requests as f64,
        seconds: number("microseconds")? as f64 / 1e6,
        p50: number("p50")? as f64,
        p99: number("p99")? as f64,
    })
}

//! `wrk`, with `bench/load.lua` or `bench/in-turn.lua`.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;
use xtask::step::{command, output, root};

use super::{Answered, Order};
use crate::service::pinned;

/// Runs `wrk` with every cookie of the file, or with none if it is empty.
///
/// # Errors
/// As [`super::Load::run`].
pub(super) fn run(order: &Order<'_>, connections: u32) -> Result<Answered> {
    load(order, connections, "load.lua", |_| {})
}

/// Runs `wrk` with the first `cookies` cookies of the file in turn, which must all have the same length.
///
/// # Errors
/// As [`super::Load::run`].
pub(super) fn in_turn(order: &Order<'_>, connections: u32, cookies: usize) -> Result<Answered> {
    let mut first = String::new();
    BufReader::new(File::open(order.cookies)?).read_line(&mut first)?;
    load(order, connections, "in-turn.lua", |wrk| {
        wrk.env("BENCH_COUNT", cookies.to_string())
            .env("BENCH_LENGTH", first.trim_end().len().to_string())
            .env("BENCH_THREADS", THREADS.to_string());
    })
}

/// Runs `wrk` with a script from `bench/`.
fn load(
    order: &Order<'_>,
    connections: u32,
    script: &str,
    more: impl FnOnce(&mut Command),
) -> Result<Answered> {
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
        "prlimit --nofile=8192: {pinned} wrk -t{THREADS} -c{connections} -d{seconds}s --timeout 10s --latency"
    ));
    let scripts = root().join("bench");
    wrk.arg("-s")
        .arg(scripts.join(script))
        .arg(format!("{scheme}://{}{}", order.address, order.path))
        .env("BENCH_COMMON", scripts.join("common.lua"))
        .env("BENCH_HEADERS", headers)
        .env("BENCH_COOKIES", order.cookies);
    more(&mut wrk);
    let printed = output(&mut wrk)?;
    let line = printed.lines().find_map(|line| line.strip_prefix("BENCH "));
    let report: Value = serde_json::from_str(line.context("wrk printed no report")?)?;
    let number = |name: &str| report[name].as_u64().with_context(|| format!("no {name}"));
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

/// The number of threads, as for the tables of `docs/performance.md`.
const THREADS: u32 = 2;

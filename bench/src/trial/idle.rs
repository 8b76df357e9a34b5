//! The memory of idle connections, and whether the server gives it back.

use std::collections::HashMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use xtask::step::clock;

use super::Found;
use super::crowd::{self, Crowd};
use crate::cpu::Snapshot;
use crate::goal::Bound;
use crate::kind::{Kind, Users};
use crate::lab::Lab;
use crate::start::{CROWDED, start};
use crate::table::Table;
use crate::target::Target;

/// Opens the idle connections to each server in turn and measures its memory.
///
/// # Errors
/// When a server does not start, or closes a connection.
pub(super) fn run(lab: &Lab) -> Result<Found> {
    crowd::allow_many_files()?;
    let mut table = Table::new([
        "",
        "bytes each",
        "×",
        "MiB before",
        "with them",
        "after they close",
        "kept",
    ]);
    let mut figures = HashMap::new();
    for group in GROUPS {
        let mut reference = None;
        for (kind, label, each, kept) in group {
            let memory = measure(*kind, lab).with_context(|| label.to_string())?;
            let bytes = (memory.with - memory.before) * MIB / CONNECTIONS as f64;
            let remains = (memory.after - memory.before) / (memory.with - memory.before);
            eprintln!("bench:   {label}: {bytes:.0} bytes each, {remains:.2} kept after the close");
            let reference = *reference.get_or_insert(bytes);
            figures.insert(*each, bytes / reference);
            figures.insert(*kept, remains);
            table.push([
                (*label).to_owned(),
                format!("{bytes:.0}"),
                format!("{:.2}", bytes / reference),
                format!("{:.1}", memory.before),
                format!("{:.1}", memory.with),
                format!("{:.1}", memory.after),
                format!("{:.0} %", remains * 100.0),
            ]);
        }
    }
    let notes = vec![format!(
        "Growth of the memory of all processes of a server (PSS), from after a load of 32 connections to {} seconds after the \
         {CONNECTIONS} connections got their answers. The last column is the share of it that remains {} seconds after they close.",
        REST.as_secs(),
        RETURN.as_secs()
    )];
    Ok(Found {
        table,
        notes,
        figures,
        details: Value::Null,
    })
}

/// The memory of a server in MiB.
struct Memory {
    before: f64,
    with: f64,
    after: f64,
}

fn measure(kind: Kind, lab: &Lab) -> Result<Memory> {
    let target = start(kind, None, CROWDED, lab)?;
    target.verify(lab)?;
    warm(&target, lab)?;
    let before = memory(&target, REST)?;
    let crowd = Crowd::gather(&target, lab, CONNECTIONS)?;
    let with = memory(&target, REST)?;
    crowd.is_whole()?;
    drop(crowd);
    let after = memory(&target, RETURN)?;
    Ok(Memory {
        before,
        with,
        after,
    })
}

/// Sends a little load, so that one-time allocations happen before the measurement.
fn warm(target: &Target, lab: &Lab) -> Result<()> {
    let start = clock();
    while start.elapsed() < WARMING {
        drop(Crowd::gather(target, lab, 32)?);
    }
    Ok(())
}

fn memory(target: &Target, rest: Duration) -> Result<f64> {
    sleep(rest);
    let memory = Snapshot::take().memory(&target.processes());
    Ok(memory.context("the server has exited")?.pss)
}

/// Servers to compare with the first of their group: kind, label, and the names of two figures.
type Group = &'static [(Kind, &'static str, &'static str, &'static str)];

const GROUPS: [Group; 2] = [
    &[
        (Kind::Haproxy, "HAProxy", "haproxy", "haproxy kept"),
        (Kind::Nginx, "nginx", "nginx", "nginx kept"),
        (
            Kind::Gate(Users::Memory),
            "**sessiongate**",
            "gate",
            "gate kept",
        ),
    ],
    &[
        (Kind::NginxTls, "nginx, TLS", "nginx tls", "nginx tls kept"),
        (
            Kind::GateTls,
            "**sessiongate**, TLS",
            "gate tls",
            "gate tls kept",
        ),
    ],
];

pub(super) const GOALS: [(&str, &str, Bound); 4] = [
    (
        "gate",
        "memory of an idle connection, against HAProxy",
        Bound::AtMost(1.0),
    ),
    (
        "gate tls",
        "memory of an idle connection over TLS, against nginx",
        Bound::AtMost(0.8),
    ),
    (
        "gate kept",
        "share of that memory kept after the connections close",
        Bound::AtMost(0.1),
    ),
    (
        "gate tls kept",
        "share of that memory kept after the TLS connections close",
        Bound::AtMost(0.1),
    ),
];

const CONNECTIONS: usize = 10_000;
const MIB: f64 = 1024.0 * 1024.0;

/// How long the servers may take to give back the memory that they needed for the answers: the gate checks every five seconds,
/// and its allocator releases a page only at about the fourth check.
const REST: Duration = Duration::from_secs(30);

/// How long the servers may take to give back the memory of the connections.
const RETURN: Duration = Duration::from_secs(30);

const WARMING: Duration = Duration::from_secs(1);

//! Which requests are permitted during faults and afterwards.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, scope, sleep};
use std::time::Duration;

use anyhow::{Context, Result};
use xtask::step::clock;

use super::change::{Places, Stores};
use super::fault::{AT_RANDOM, Fault};
use super::ledger::{BOUND, Ledger, Tally};
use super::node::Node;
use super::world::Servers;
use crate::http::{Address, Connection};
use crate::lab::{Lab, USERS};
use crate::table::Table;

/// Causes one fault after the other, each with gates and stores of its own.
///
/// # Errors
/// When a server does not start, or a fault can be neither caused nor repaired.
pub(super) fn each(lab: &Lab, faults: &[Fault]) -> Result<Table> {
    let mut table = Table::new(HEAD);
    for fault in faults {
        let stays = |servers: &mut Servers, nodes: &[Node]| {
            sleep(BEFORE);
            fault.begin(servers, &nodes[0])?;
            sleep(fault.lasts());
            fault.end(servers, &nodes[0])?;
            sleep(AFTER);
            Ok(())
        };
        let changed = 2000;
        let row = while_changes(
            lab,
            fault.stores(),
            Some(*fault),
            (changed, CHANGE_INTERVAL),
            stays,
        )
        .with_context(|| fault.title())?;
        table.push(row.cells(fault.title()));
    }
    Ok(table)
}

/// Causes random faults for this long; returns the table of late requests, and the memory of each gate over that time.
///
/// # Errors
/// When a server does not start, or a fault can be neither caused nor repaired.
pub(super) fn at_random(lab: &Lab, lasting: Duration) -> Result<(Table, Table)> {
    let mut memory = Table::new(["MiB of memory after", "gate 1", "gate 2", "gate 3"]);
    let changed = USERS / 2 - 1;
    let pause = CHANGE_INTERVAL.max(lasting / u32::try_from(changed)?);
    let mut count = 0;
    let breaking = |servers: &mut Servers, nodes: &[Node]| {
        let (began, mut random) = (clock(), Random::new(0));
        sleep(BEFORE);
        let mut look = Duration::ZERO;
        while began.elapsed() < lasting {
            let fault = AT_RANDOM[random.below(AT_RANDOM.len())];
            let node = &nodes[random.below(nodes.len())];
            fault.begin(servers, node)?;
            sleep(Duration::from_millis(500) * u32::try_from(1 + random.below(6))?);
            fault.end(servers, node)?;
            count += 1;
            sleep(Duration::from_millis(500) * u32::try_from(2 + random.below(6))?);
            if began.elapsed() >= look {
                memory.push(memory_of(began.elapsed(), nodes)?);
                look = began.elapsed() + lasting / 10;
            }
        }
        sleep(AFTER);
        memory.push(memory_of(began.elapsed(), nodes)?);
        Ok(())
    };
    let row = while_changes(lab, Stores::Postgres, None, (changed, pause), breaking)?;
    let mut table = Table::new(HEAD);
    table.push(row.cells(&format!(
        "{count} faults at random in {} s",
        lasting.as_secs()
    )));
    Ok((table, memory))
}

/// The result of a run with faults.
struct FaultResult {
    late: super::distribution::Distribution,
    tally: Tally,
}

impl FaultResult {
    fn cells(self, title: &str) -> [String; 10] {
        let [title, changes, middle, most, last] = self.late.row(title);
        let refused = match self.tally.refused.is_empty() {
            true => "0".to_owned(),
            false => format!("{:?}", self.tally.refused),
        };
        [
            title,
            changes,
            self.tally.answers.to_string(),
            self.tally.unavailable.to_string(),
            self.tally.unanswered.to_string(),
            middle,
            most,
            last,
            self.tally.too_late.to_string(),
            refused,
        ]
    }
}

/// Runs `done` while one client changes a user after every `pause`, and others send requests to all gates all the time.
fn while_changes(
    lab: &Lab,
    stores: Stores,
    fault: Option<Fault>,
    (changed, pause): (usize, Duration),
    done: impl FnOnce(&mut Servers, &[Node]) -> Result<()>,
) -> Result<FaultResult> {
    let mut servers = Servers::start(fault)?;
    let mut people = stores.people(lab, changed)?;
    people.truncate(changed + NEVER_CHANGED);
    let (nodes, places) = servers.open_to(stores, lab, &people, fault)?;
    let ledger = Ledger::new(people, NEVER_CHANGED);
    let is_over = AtomicBool::new(false);
    scope(|scope| {
        let (ledger, is_over) = (&ledger, &is_over);
        scope.spawn(|| keep_changing(stores, &places, ledger, pause, is_over));
        for (number, node) in nodes.iter().enumerate() {
            for client in 0..CLIENTS {
                let random = Random::new(1 + number * CLIENTS + client);
                scope.spawn(move || keep_requesting(ledger, &node.address, random, is_over));
            }
            let random = Random::new(1000 + number);
            scope.spawn(move || keep_connecting(scope, ledger, &node.address, random, is_over));
        }
        let done = done(&mut servers, &nodes);
        is_over.store(true, Ordering::Release);
        done
    })?;
    let tally = ledger.tally().clone();
    Ok(FaultResult {
        late: ledger.late(),
        tally,
    })
}

fn keep_changing(
    stores: Stores,
    places: &Places,
    ledger: &Ledger,
    pause: Duration,
    is_over: &AtomicBool,
) {
    let (kinds, mut client) = (stores.changes(), None);
    while !is_over.load(Ordering::Acquire) {
        sleep(pause);
        if client.is_none() {
            client = stores.client(places).ok();
        }
        let Some(current) = &mut client else {
            continue;
        };
        let make = |number: usize, person: &_| current.make(kinds[number % kinds.len()], person);
        match ledger.change(make) {
            Some(Ok(())) => {}
            // After a failure, the client reconnects.
            Some(Err(_)) => client = None,
            None => return,
        }
    }
}

/// Sends requests on one connection, and opens another when it breaks.
fn keep_requesting(ledger: &Ledger, address: &Address, mut random: Random, is_over: &AtomicBool) {
    let mut connection = None;
    while !is_over.load(Ordering::Acquire) {
        sleep(INTERVAL);
        send_one(ledger, address, &mut connection, &mut random);
    }
}

/// Sends each request on a new connection, so that some are already waiting when a stopped gate continues.
fn keep_connecting<'scope>(
    scope: &'scope Scope<'scope, '_>,
    ledger: &'scope Ledger,
    address: &'scope Address,
    mut random: Random,
    is_over: &AtomicBool,
) {
    while !is_over.load(Ordering::Acquire) {
        sleep(INTERVAL_NEW);
        let mut random = Random::new(random.below(usize::MAX));
        scope.spawn(move || send_one(ledger, address, &mut None, &mut random));
    }
}

fn send_one(
    ledger: &Ledger,
    address: &Address,
    connection: &mut Option<Connection<'static>>,
    random: &mut Random,
) {
    let (number, person) = ledger.choose(random.number());
    if connection.is_none() {
        *connection = Connection::open(address).ok();
    }
    let sent = clock();
    let status = connection
        .as_mut()
        .and_then(|connection| Some(connection.exchange(&person.request).ok()?.status));
    if status.is_none() {
        *connection = None;
    }
    ledger.answered(number, sent, status);
}

/// Returns the resident memory of each gate.
fn memory_of(after: Duration, nodes: &[Node]) -> Result<[String; 4]> {
    let mut cells = [const { String::new() }; 4];
    cells[0] = format!("{} s", after.as_secs());
    for (cell, node) in cells[1..].iter_mut().zip(nodes) {
        let status = fs::read_to_string(format!("/proc/{}/status", node.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib.context("a process has memory")?.trim().parse()?;
        *cell = format!("{}.{}", kib / 1024, kib % 1024 * 10 / 1024);
    }
    Ok(cells)
}

/// Pseudorandom numbers with a fixed seed (`SplitMix64`), so that every run is alike.
struct Random(u64);

impl Random {
    fn new(seed: usize) -> Self {
        Self(u64::try_from(seed).unwrap_or(u64::MAX))
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from(self.number() % end).unwrap_or(0)
    }
}

/// Explains the columns of the table.
pub(super) fn explained() -> String {
    format!(
        "Milliseconds from a change to the last request after it that permitted its user, on any gate; \"too late\" are answers \
         that permitted a user more than {} ms after the change, \"refused\" the refusals, other than 503, of unchanged users.\n",
        BOUND.as_millis()
    )
}

const HEAD: [&str; 10] = [
    "fault", "changes", "answers", "503", "none", "p50 ms", "p99 ms", "max ms", "too late",
    "refused",
];

/// The number of users that are never changed.
const NEVER_CHANGED: usize = 200;

/// The number of clients that send requests to each gate at once.
const CLIENTS: usize = 3;

/// The pause between two changes.
const CHANGE_INTERVAL: Duration = Duration::from_millis(40);

/// The pauses between requests on one connection, and between connections that send one request.
const INTERVAL: Duration = Duration::from_millis(3);
const INTERVAL_NEW: Duration = Duration::from_millis(100);

/// How long the run goes on without a fault before and after it.
const BEFORE: Duration = Duration::from_secs(4);
const AFTER: Duration = Duration::from_secs(8);

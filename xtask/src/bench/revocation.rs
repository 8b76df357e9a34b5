//! `cargo xtask bench revocation`: for how long a request is still allowed after something has changed that ends it, on any of three
//! gates that answer from memory while a load runs.

mod change;
mod distribution;
mod node;

use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use self::change::{Change, Stores};
use self::distribution::Distribution;
use self::node::{Node, Person};
use super::http::Connection;
use super::lab::Lab;
use super::machine::Machine;
use super::table::Table;
use crate::step::{build, clock, command};
use crate::{packages, test};

/// Makes `changes` changes of each group of stores, and prints how late the last allowed answer to each was.
///
/// # Errors
/// When something does not build or start, a request is answered as it should not be, or a change never takes effect.
pub(crate) fn run(binary: Option<&PathBuf>, changes: usize, markdown: bool) -> Result<()> {
    packages::install_missing(packages::FOR_BENCH)?;
    test::install_node_modules()?;
    let gate = match binary {
        Some(path) => path.canonicalize()?,
        None => build(&mut command(
            "cargo build --release --locked -p sessiongate",
        ))?,
    };
    let machine = Machine::look(&gate, std::thread::available_parallelism()?.get());
    let lab = Lab::open(gate)?;
    let mut table = Table::new(["change", "changes", "p50 ms", "p99 ms", "max ms"]);
    let mut answered = 0;
    for stores in Stores::ALL {
        let (late, load) = of(stores, &lab, changes)?;
        answered += load;
        for (change, late) in stores.changes().into_iter().zip(late) {
            table.push(late.row(change.title()));
        }
    }
    let Machine {
        date,
        processor,
        cores,
        kernel,
        ..
    } = machine;
    println!("{date}: {processor}, {cores} cores, Linux {kernel}.");
    let (nodes, pace) = (NODES, PACE);
    println!(
        "{nodes} gates; beside the changes {answered} requests of others were answered, {pace}/s of each gate at most.\n\
         Milliseconds from the moment at which whoever made the change heard that it was made, to the last answer that let \
         its user in, on any gate.\n"
    );
    print!(
        "{}",
        if markdown {
            table.markdown()
        } else {
            table.text()
        }
    );
    Ok(())
}

/// Makes changes with these stores: how late each kind of them was, and how many requests the load has made.
fn of(stores: Stores, lab: &Lab, changes: usize) -> Result<(Vec<Distribution>, usize)> {
    let people = stores.people(lab, changes)?;
    stores.prepare(lab, &people)?;
    let nodes: Vec<Node> = (0..NODES)
        .map(|_| Node::start(lab, stores))
        .collect::<Result<_>>()?;
    // The first so many are changed; the load is of the others.
    let (changed, others) = people.split_at(changes);
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    scope(|scope| {
        let load: Vec<_> = nodes
            .iter()
            .map(|node| scope.spawn(|| load(node, others, &is_over)))
            .collect();
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| scope.spawn(|| work(stores, lab, &nodes, changed, &next)))
            .collect();
        let mut late = vec![Distribution::default(); stores.changes().len()];
        let mut failure = None;
        for worker in workers {
            match worker.join().expect("no worker panics") {
                Ok(found) => late
                    .iter_mut()
                    .zip(found)
                    .for_each(|(all, more)| all.add(more)),
                Err(error) => failure = Some(error),
            }
        }
        is_over.store(true, Ordering::Relaxed);
        let mut answered = 0;
        for load in load {
            answered += load.join().expect("no load panics")?;
        }
        match failure {
            Some(error) => Err(error),
            None => Ok((late, answered)),
        }
    })
}

/// Makes the next changes until there are none left.
fn work(
    stores: Stores,
    lab: &Lab,
    nodes: &[Node],
    people: &[Person],
    next: &AtomicUsize,
) -> Result<Vec<Distribution>> {
    let kinds = stores.changes();
    let mut late = vec![Distribution::default(); kinds.len()];
    let mut client = stores.client(lab)?;
    let mut connections = nodes
        .iter()
        .map(|node| Connection::open(&node.address))
        .collect::<Result<Vec<_>>>()?;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(person) = people.get(number) else {
            return Ok(late);
        };
        let kind = number % kinds.len();
        let make = |change: Change| client.make(change, person);
        let found = one(&mut connections, person, kinds[kind], make);
        late[kind].push(found.with_context(|| format!("{}, {}", kinds[kind].title(), person.id))?);
    }
}

/// Makes one change, while every node is asked all the time whether its user may enter.
fn one(
    connections: &mut [Connection<'static>],
    person: &Person,
    change: Change,
    make: impl FnOnce(Change) -> Result<()>,
) -> Result<Duration> {
    let known = Barrier::new(connections.len() + 1);
    let is_made = AtomicBool::new(false);
    let (made, last) = scope(|scope| {
        let asking: Vec<_> = connections
            .iter_mut()
            .map(|connection| scope.spawn(|| ask(connection, person, &known, &is_made)))
            .collect();
        known.wait();
        let made = make(change).map(|()| clock());
        is_made.store(true, Ordering::Release);
        let last = asking.into_iter().map(|asking| {
            let last = asking.join().expect("nobody who asks panics");
            last.transpose()
        });
        (made, last.collect::<Result<Vec<_>>>())
    });
    let made = made?;
    let last = last?.into_iter().flatten().max();
    Ok(last.map_or(Duration::ZERO, |last| last.saturating_duration_since(made)))
}

/// Asks until the user may not enter any more: when the last answer came that let the user in.
fn ask(
    connection: &mut Connection<'static>,
    person: &Person,
    known: &Barrier,
    is_made: &AtomicBool,
) -> Option<Result<Instant>> {
    // From the second time on, memory answers.
    let known_before = (0..2).try_for_each(|_| {
        let status = connection.ask(&person.request)?.status;
        ensure!(status == 200, "it is {status} before the change");
        Ok(())
    });
    known.wait();
    if let Err(error) = known_before {
        return Some(Err(error));
    }
    let (mut last, mut refused_since, began) = (None, None, clock());
    loop {
        let status = match connection.ask(&person.request) {
            Ok(answer) => answer.status,
            Err(error) => return Some(Err(error)),
        };
        let now = clock();
        if status == 200 {
            (last, refused_since) = (Some(now), None);
        } else if is_made.load(Ordering::Acquire) {
            let since = *refused_since.get_or_insert(now);
            if now - since > QUIET {
                return last.map(Ok);
            }
        }
        if now - began > LIMIT {
            return Some(Err(anyhow::anyhow!("still allowed after {LIMIT:?}")));
        }
        sleep(BETWEEN);
    }
}

/// Asks for people whom no change concerns: how often.
fn load(node: &Node, people: &[Person], is_over: &AtomicBool) -> Result<usize> {
    let mut connection = Connection::open(&node.address)?;
    let (began, mut answered) = (clock(), 0);
    for person in people.iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let status = connection.ask(&person.request)?.status;
        if status != 200 {
            bail!("{} of whom nothing has changed got {status}", person.id);
        }
        answered += 1;
        let due = Duration::from_secs(1) / PACE * answered;
        sleep(due.saturating_sub(began.elapsed()));
    }
    Ok(usize::try_from(answered)?)
}

/// How many gates there are.
const NODES: usize = 3;

/// How many changes are under way at once.
const WORKERS: usize = 4;

/// How many requests of others each gate gets in a second.
const PACE: u32 = 500;

/// How long nobody must be let in until a change counts as known.
const QUIET: Duration = Duration::from_millis(30);

/// How long one who asks waits before asking again: so exact are the results.
const BETWEEN: Duration = Duration::from_micros(300);

/// After so long a change counts as unknown.
const LIMIT: Duration = Duration::from_secs(30);

//! How late changes take effect without faults.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use xtask::step::clock;

use super::change::{Change, Places, Stores};
use super::distribution::Delays;
use super::node::{Node, Person};
use super::socket::WebSocket;
use super::{NODES, socket};
use crate::http::Connection;
use crate::lab::Lab;
use crate::table::Table;

/// Makes `changes` changes of each group of stores; measures how late the last request was permitted and the last WebSocket
/// ended.
///
/// # Errors
/// When a gate does not start, a request gets the wrong answer, or a change never takes effect.
pub(super) fn measure(lab: &Lab, changes: usize) -> Result<Vec<Table>> {
    let mut tables = ["change", "change, until WebSockets are closed"]
        .map(|what| Table::new([what, "changes", "p50 ms", "p99 ms", "max ms"]));
    let mut answered = 0;
    for stores in Stores::ALL {
        let (late, load) = of(stores, lab, changes)?;
        answered += load;
        for (change, late) in stores.changes().into_iter().zip(late) {
            tables[0].push(late.answers.row(change.title()));
            tables[1].push(late.sockets.row(change.title()));
        }
    }
    let (nodes, pace) = (NODES, PACE);
    println!(
        "{nodes} gates; beside the changes, {answered} requests of other users were answered, at most {pace}/s by each gate.\n\
         Milliseconds from the confirmation of a change to the last answer that permitted its user, on any gate, and to the \
         end of the last WebSocket, one on each gate.\n"
    );
    Ok(tables.into())
}

/// Makes changes in these stores; returns how late each kind of change was, and how many requests the load has sent.
fn of(stores: Stores, lab: &Lab, changes: usize) -> Result<(Vec<Delays>, usize)> {
    let people = stores.people(lab, changes)?;
    let places = Places::of(lab, socket::start()?);
    stores.prepare(lab, &places, &people)?;
    let environment = stores.environment(lab, &places)?;
    let nodes: Vec<Node> = (0..NODES)
        .map(|_| Node::start(lab, environment.clone()))
        .collect::<Result<_>>()?;
    // The first `changes` users are changed; the load comes from the others.
    let (changed, others) = people.split_at(changes);
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    scope(|scope| {
        let load: Vec<_> = nodes
            .iter()
            .map(|node| scope.spawn(|| load(node, others, &is_over)))
            .collect();
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| scope.spawn(|| work(stores, &places, &nodes, changed, &next)))
            .collect();
        let mut late = vec![Delays::default(); stores.changes().len()];
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
    places: &Places,
    nodes: &[Node],
    people: &[Person],
    next: &AtomicUsize,
) -> Result<Vec<Delays>> {
    let kinds = stores.changes();
    let mut late = vec![Delays::default(); kinds.len()];
    let mut client = stores.client(places)?;
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
        let found = one(&mut connections, nodes, person, kinds[kind], make);
        let (answer, socket) =
            found.with_context(|| format!("{}, {}", kinds[kind].title(), person.id))?;
        late[kind].answers.push(answer);
        late[kind].sockets.push(socket);
    }
}

/// Makes one change while every node gets requests of its user all the time and has a WebSocket of the user open; returns how
/// late the last answer that permitted a request came, and how late the last WebSocket ended.
fn one(
    connections: &mut [Connection<'static>],
    nodes: &[Node],
    person: &Person,
    change: Change,
    make: impl FnOnce(Change) -> Result<()>,
) -> Result<(Duration, Duration)> {
    let known = Barrier::new(connections.len() + nodes.len() + 1);
    let is_made = AtomicBool::new(false);
    let (made, last, ended) = scope(|scope| {
        let requesting: Vec<_> = connections
            .iter_mut()
            .map(|connection| {
                scope.spawn(|| request_until_refused(connection, person, &known, &is_made))
            })
            .collect();
        let ending: Vec<_> = nodes
            .iter()
            .map(|node| scope.spawn(|| end(node, person, &known)))
            .collect();
        known.wait();
        let made = make(change).map(|()| clock());
        is_made.store(true, Ordering::Release);
        let last = requesting.into_iter().map(|requesting| {
            let last = requesting.join().expect("no client panics");
            last.transpose()
        });
        let last = last.collect::<Result<Vec<_>>>();
        let ended = ending.into_iter();
        let ended = ended.map(|ending| ending.join().expect("no waiting thread panics"));
        (made, last, ended.collect::<Result<Vec<_>>>())
    });
    let made = made?;
    let late = |last: Option<Instant>| {
        last.map_or(Duration::ZERO, |last| last.saturating_duration_since(made))
    };
    Ok((
        late(last?.into_iter().flatten().max()),
        late(ended?.into_iter().max()),
    ))
}

/// Opens a WebSocket and waits until it ends; returns when that was.
fn end(node: &Node, person: &Person, known: &Barrier) -> Result<Instant> {
    let socket = WebSocket::open(&node.address, &person.cookie);
    known.wait();
    socket?.ended()
}

/// Sends requests until the user is refused; returns when the last answer came that permitted a request.
fn request_until_refused(
    connection: &mut Connection<'static>,
    person: &Person,
    known: &Barrier,
    is_made: &AtomicBool,
) -> Option<Result<Instant>> {
    // From the second request on, memory answers.
    let known_before = (0..2).try_for_each(|_| {
        let status = connection.exchange(&person.request)?.status;
        ensure!(status == 200, "the status is {status} before the change");
        Ok(())
    });
    known.wait();
    if let Err(error) = known_before {
        return Some(Err(error));
    }
    let (mut last, mut refused_since, began) = (None, None, clock());
    loop {
        let status = match connection.exchange(&person.request) {
            Ok(answer) => answer.status,
            Err(error) => return Some(Err(error)),
        };
        let now = clock();
        if status == 200 {
            (last, refused_since) = (Some(now), None);
        } else if is_made.load(Ordering::Acquire) {
            let since = *refused_since.get_or_insert(now);
            if now - since > SETTLE_TIME {
                return last.map(Ok);
            }
        }
        if now - began > LIMIT {
            return Some(Err(anyhow::anyhow!("still allowed after {LIMIT:?}")));
        }
        sleep(INTERVAL);
    }
}

/// Sends requests of users whom no change concerns; returns how many were answered.
fn load(node: &Node, people: &[Person], is_over: &AtomicBool) -> Result<usize> {
    let mut connection = Connection::open(&node.address)?;
    let (began, mut answered) = (clock(), 0);
    for person in people.iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let status = connection.exchange(&person.request)?.status;
        if status != 200 {
            bail!("{}, who was not changed, got {status}", person.id);
        }
        answered += 1;
        let due = Duration::from_secs(1) / PACE * answered;
        sleep(due.saturating_sub(began.elapsed()));
    }
    Ok(usize::try_from(answered)?)
}

/// The number of changes that are under way at once.
const WORKERS: usize = 4;

/// The number of requests per second of other users that each gate gets.
const PACE: u32 = 500;

/// How long all requests must be refused before a gate is considered to know of the change.
const SETTLE_TIME: Duration = Duration::from_millis(30);

/// The pause between two requests, which limits the precision of the results.
const INTERVAL: Duration = Duration::from_micros(300);

/// After this long, the change is considered never to take effect.
const LIMIT: Duration = Duration::from_secs(30);

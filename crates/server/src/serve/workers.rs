//! The workers: one thread with a runtime for each core, and what it serves.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::FixedSettings;
use super::listeners::{FixedListener, Listeners};
use crate::audit::Audit;
use crate::inbound::WarningLimiter;
use crate::inbound::decisions::DecisionServer;
use crate::inbound::proxy::Proxy;
use crate::inbound::redirect::Redirect;
use crate::inbound::secured::ProxyListener;
use crate::limits::Connections;
use crate::listener::{Listening, Share};
use crate::live::{SharedLive, View};
use crate::metrics::Metrics;
use crate::pulse::Pulse;
use crate::runtime::{self, Handlers, Tasks};
use crate::signals::Stop;

/// Starts a worker for each of `audits`, and gives each its share of the listeners.
pub(super) fn start(
    fixed: &FixedSettings,
    listeners: Listeners,
    workers: impl ExactSizeIterator<Item = (Audit, Pulse)>,
    live: &SharedLive,
    metrics: &Arc<Metrics>,
    stop: &Stop,
) -> io::Result<()> {
    let ports: Arc<[_]> = listeners.ports().into();
    let of_decisions = Arc::default();
    let all = listeners.all.into_iter();
    let all = all.map(|listener| (listener, Arc::default()));
    let mut all: Vec<CountedListener> = all.enumerate().collect();
    let decisions = listeners.decisions.into_iter();
    let mut decisions: Vec<_> = decisions
        .flat_map(|(_, listening)| listening.shares)
        .collect();
    let count = workers.len();
    for (index, (audit, pulse)) in workers.enumerate() {
        let left = count - index;
        let listeners = all.iter_mut();
        let worker = Worker {
            listeners: listeners
                .flat_map(|listener| WorkerShare::take(listener, left))
                .collect(),
            ports: Arc::clone(&ports),
            of_decisions: Arc::clone(&of_decisions),
            decisions: of_worker(&mut decisions, left),
            live: Arc::clone(live),
            audit,
            metrics: Arc::clone(metrics),
        };
        let name = format!("worker-{index}");
        let handlers = move |tasks: &Tasks| worker.handlers(tasks);
        runtime::start(name, stop.clone(), fixed.drain, pulse, handlers)?;
    }
    Ok(())
}

/// The shares of the next worker, with `left` workers to go: one, unless more sockets were inherited than there are workers.
fn of_worker(shares: &mut Vec<Share>, left: usize) -> Vec<Share> {
    let count = shares.len().div_ceil(left);
    shares.split_off(shares.len() - count)
}

/// What a worker needs to serve.
struct Worker {
    listeners: Vec<WorkerShare>,
    /// The ports of all listeners.
    ports: Arc<[Option<u16>]>,
    decisions: Vec<Share>,
    /// The connections of the decision listener.
    of_decisions: Arc<Connections>,
    live: SharedLive,
    audit: Audit,
    metrics: Arc<Metrics>,
}

/// A listener with its index among the live ones, and its connections.
type CountedListener = (usize, ((FixedListener, Listening), Arc<Connections>));

/// A worker's share of a listener.
struct WorkerShare {
    index: usize,
    redirects: bool,
    share: Share,
    /// The connections of the listener.
    connections: Arc<Connections>,
}

impl WorkerShare {
    /// The shares of a listener for the next worker, with `left` workers to go.
    fn take(listener: &mut CountedListener, left: usize) -> Vec<Self> {
        let (index, ((fixed, listening), connections)) = listener;
        let shares = of_worker(&mut listening.shares, left).into_iter();
        let share = |share| Self {
            index: *index,
            redirects: fixed.redirects,
            share,
            connections: Arc::clone(connections),
        };
        shares.map(share).collect()
    }
}

impl Worker {
    /// Creates its connection handlers, on its own thread.
    fn handlers(self, tasks: &Tasks) -> Handlers<ProxyListener, Redirect, DecisionServer> {
        let Self { live, .. } = self;
        let decisions = self.decisions.into_iter().map(|share| {
            let decisions = DecisionServer {
                live: View::of(Arc::clone(&live)),
                audit: self.audit.clone(),
                metrics: Arc::clone(&self.metrics),
                tasks: tasks.exchanges.clone(),
                warnings: WarningLimiter::default(),
                connections: Arc::clone(&self.of_decisions),
            };
            (share, decisions)
        });
        let (redirects, proxies): (Vec<_>, Vec<_>) = self
            .listeners
            .into_iter()
            .partition(|listener| listener.redirects);
        let redirect = |listener: WorkerShare| {
            let redirect = Redirect {
                live: View::of(Arc::clone(&live)),
                audit: self.audit.clone(),
                metrics: Arc::clone(&self.metrics),
                ports: Arc::clone(&self.ports),
                connections: listener.connections,
                listener: listener.index,
                warnings: WarningLimiter::default(),
            };
            (listener.share, redirect)
        };
        let redirects = redirects.into_iter().map(redirect).collect();
        let proxy = Rc::new(Proxy {
            live: View::of(Arc::clone(&live)),
            audit: self.audit.clone(),
            metrics: Arc::clone(&self.metrics),
            upstream_warnings: WarningLimiter::default(),
            connections: tasks.connections.clone(),
        });
        let secured = |listener: WorkerShare| {
            let secured = ProxyListener {
                proxy: Rc::clone(&proxy),
                listener: listener.index,
                connections: listener.connections,
                live: Arc::clone(&live),
                metrics: Arc::clone(&self.metrics),
                warnings: WarningLimiter::default(),
            };
            (listener.share, secured)
        };
        Handlers {
            proxies: proxies.into_iter().map(secured).collect(),
            redirects,
            decisions: decisions.collect(),
        }
    }
}

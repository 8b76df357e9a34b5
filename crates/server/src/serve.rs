//! Start-up and shut-down, in order: build, listen, serve, shut down.

#![warn(clippy::too_many_lines)]

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result, anyhow};
use tokio::runtime::Runtime;
use tokio_util::task::TaskTracker;

use crate::admin::{self, Admin};
use crate::audit::{self, Audit};
use crate::config::{Config, ConfigSource, ListenerSettings, LogFormat};
use crate::front::Sparingly;
use crate::front::decisions::Decisions;
use crate::front::proxy::Proxy;
use crate::front::redirect::Redirect;
use crate::front::secured::Secured;
use crate::limits::{Connections, Table};
use crate::listener::{self, Listening, Share};
use crate::live::{Reload, Shared, Surroundings, View};
use crate::metrics::Metrics;
use crate::output::Output;
use crate::refusals::Refusals;
use crate::runtime::{self, Fronts};
use crate::signals::{Signals, Stop};
use crate::socket::Address;
use crate::store::Pools;
use crate::vital::{self, Endings};

/// Where the listeners are bound.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// Where requests are taken, if there is a service to protect.
    pub(crate) listeners: Vec<BoundListener>,
    /// Decisions for hosts, if there are any.
    pub(crate) decisions: Option<Address>,
    /// Health and metrics.
    pub(crate) admin: SocketAddr,
}

/// Where a listener of the proxy is bound.
#[derive(Clone, Debug)]
pub(crate) struct BoundListener {
    pub(crate) address: Address,
    speaks_tls: bool,
    redirects: bool,
}

/// Serves until SIGTERM, SIGINT or SIGQUIT, then finishes what is in flight. `config` is what was read from `source`. `ready` is
/// told where the listeners are, once requests are served.
///
/// # Errors
/// When it cannot start, or a part of it that it cannot do without has failed; then it ends at once.
pub(crate) fn run(source: ConfigSource, config: Config, ready: impl FnOnce(&Bound)) -> Result<()> {
    let built = Built::of(source, config)?;
    let listeners = Listeners::bind(&built.fixed)?;
    let serving = built.serve(listeners)?;
    serving.bound.announce();
    ready(&serving.bound);
    serving.until_end()
}

/// Everything that serves, before anybody can reach it.
struct Built {
    shared: Runtime,
    endings: Endings,
    signals: Signals,
    stop: Stop,
    metrics: Arc<Metrics>,
    fixed: Fixed,
    reload: Reload,
}

/// The process at work.
struct Serving {
    shared: Runtime,
    endings: Endings,
    stop: Stop,
    workers: usize,
    live: Shared,
    bound: Bound,
    admin: admin::Running,
    output: Output,
}

/// What of the configuration stays as it is until the process ends.
#[derive(Clone)]
struct Fixed {
    listeners: Vec<FixedListener>,
    decisions: Option<Address>,
    admin: SocketAddr,
    workers: usize,
    audits: Option<LogFormat>,
    drain: Duration,
    drain_delay: Duration,
}

/// What of a listener stays as it is.
#[derive(Clone)]
struct FixedListener {
    name: &'static str,
    address: SocketAddr,
    redirects: bool,
    /// As it was at the start.
    speaks_tls: bool,
}

impl From<&ListenerSettings> for FixedListener {
    fn from(settings: &ListenerSettings) -> Self {
        Self {
            name: settings.name,
            address: settings.address,
            redirects: settings.redirects,
            speaks_tls: settings.tls.is_some(),
        }
    }
}

impl Fixed {
    fn of(config: &Config) -> Self {
        Self {
            listeners: config.listeners.iter().map(FixedListener::from).collect(),
            decisions: config.decisions.clone(),
            admin: config.admin.listen,
            workers: config.workers,
            audits: config.audits.then_some(config.log_format),
            drain: config.drain,
            drain_delay: config.drain_delay,
        }
    }
}

impl Built {
    fn of(source: ConfigSource, config: Config) -> Result<Self> {
        let warnings = config.warnings.iter();
        warnings.for_each(|warning| tracing::warn!("{warning}"));
        let shared = shared_runtime()?;
        let endings = vital::endings();
        let signals = listen_to_signals(&shared)?;
        let around = Surroundings {
            runtime: shared.handle().clone(),
            pools: Pools::new(shared.handle().clone()),
            metrics: Metrics::new()?,
            table: Arc::new(Table::new()),
        };
        let fixed = Fixed::of(&config);
        let reload = Reload::open(source, config, &around)?;
        shared.block_on(reload.live().load().prove_columns())?;
        Ok(Self {
            fixed,
            reload,
            shared,
            endings,
            signals,
            stop: Stop::default(),
            metrics: around.metrics,
        })
    }

    /// Starts everything that takes requests, asks for decisions and signals among them.
    fn serve(self, listeners: Listeners) -> Result<Serving> {
        let Self {
            shared,
            endings,
            signals,
            stop,
            metrics,
            fixed,
            reload,
        } = self;
        let live = reload.live();
        let reloads = reload.start(stop.begun.clone());
        let refusals: Arc<Refusals> = Arc::default();
        let admin = Admin {
            live: Arc::clone(&live),
            metrics: Arc::clone(&metrics),
            refusals: Arc::clone(&refusals),
            reloads: reloads.clone(),
            stop: stop.announced.clone(),
        };
        let admin = shared
            .block_on(admin::start(fixed.admin, admin))
            .map_err(|error| cannot_listen(&Address::Tcp(fixed.admin), "ADMIN_LISTEN", &error))?;
        let bound = listeners.bound(admin.address);
        let (output, audits) = audit::start(fixed.workers, fixed.audits, &metrics, &refusals)?;
        start_workers(&fixed, listeners, audits, &live, &metrics, &stop)?;
        shared.spawn(signals.obey(reloads, stop.clone(), fixed.drain_delay));
        Ok(Serving {
            shared,
            endings,
            stop,
            workers: fixed.workers,
            live,
            bound,
            admin,
            output,
        })
    }
}

impl Serving {
    /// Waits until the process has to end, and shuts down.
    fn until_end(self) -> Result<()> {
        let served = wait(&self.endings, self.workers, &self.stop);
        tracing::info!("stopping");
        if served.is_ok() {
            self.shared.block_on(async {
                self.admin.finish().await;
                self.live.load().close().await;
            });
        }
        self.output.finish(AUDIT_FAREWELL);
        self.shared.shutdown_background();
        served
    }
}

/// The runtime of stores and admin, which wait far more than they compute.
fn shared_runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("shared")
        .enable_all()
        .build()
}

fn listen_to_signals(shared: &Runtime) -> io::Result<Signals> {
    let _context = shared.enter();
    Signals::listen()
}

/// What to say of an address that cannot be had, and what to do.
fn cannot_listen(address: &Address, name: &str, error: &io::Error) -> Error {
    let advice = match (error.kind(), address) {
        (io::ErrorKind::AddrInUse, Address::Tcp(address)) => {
            let port = address.port().checked_add(1).unwrap_or(8080);
            let other = SocketAddr::new(address.ip(), port);
            format!(
                "; another program listens there: stop it, or set another address, such as {name}={other}"
            )
        }
        (io::ErrorKind::AddrInUse, Address::Unix { .. }) => {
            format!("; another program listens there: stop it, or set another path in {name}")
        }
        (_, _) => String::new(),
    };
    anyhow!("cannot listen on {address} ({name}): {error}{advice}")
}

/// Everything that is bound but the admin listener.
struct Listeners {
    /// In the order of the live ones.
    all: Vec<(FixedListener, Listening)>,
    decisions: Option<Listening>,
}

impl Listeners {
    fn bind(fixed: &Fixed) -> Result<Self> {
        let listen = |address: &Address, name| {
            listener::listen(address, fixed.workers)
                .map_err(|error| cannot_listen(address, name, &error))
        };
        let all = fixed.listeners.iter().map(|fixed| {
            let listening = listen(&Address::Tcp(fixed.address), fixed.name)?;
            anyhow::Ok((fixed.clone(), listening))
        });
        let decisions = fixed.decisions.as_ref();
        let decisions = decisions.map(|address| listen(address, "AUTH_LISTEN"));
        Ok(Self {
            all: all.collect::<Result<_>>()?,
            decisions: decisions.transpose()?,
        })
    }

    fn bound(&self, admin: SocketAddr) -> Bound {
        let bound = |(fixed, listening): &(FixedListener, Listening)| BoundListener {
            address: listening.address.clone(),
            speaks_tls: fixed.speaks_tls,
            redirects: fixed.redirects,
        };
        let decisions = self.decisions.as_ref();
        Bound {
            listeners: self.all.iter().map(bound).collect(),
            decisions: decisions.map(|listening| listening.address.clone()),
            admin,
        }
    }
}

impl Listeners {
    /// The port of each.
    fn ports(&self) -> Vec<Option<u16>> {
        let ports = self
            .all
            .iter()
            .map(|(_, listening)| match listening.address {
                Address::Tcp(address) => Some(address.port()),
                Address::Unix { .. } => None,
            });
        ports.collect()
    }
}

impl Bound {
    fn announce(&self) {
        for one in &self.listeners {
            let listener = if one.redirects { "redirect" } else { "proxy" };
            let (address, tls) = (&one.address, one.speaks_tls);
            tracing::info!(listener, %address, tls, "listening");
        }
        if let Some(address) = &self.decisions {
            tracing::info!(listener = "decisions", %address, "listening");
        }
        tracing::info!(listener = "admin", address = %self.admin, "listening");
    }
}

/// Starts a worker for each of `audits`, and gives each its share of the listeners.
fn start_workers(
    fixed: &Fixed,
    listeners: Listeners,
    audits: Vec<Audit>,
    live: &Shared,
    metrics: &Arc<Metrics>,
    stop: &Stop,
) -> io::Result<()> {
    let ports: Arc<[_]> = listeners.ports().into();
    let of_decisions = Arc::default();
    let all = listeners.all.into_iter();
    let all = all.map(|listener| (listener, Arc::default()));
    let mut all: Vec<CountedListener> = all.enumerate().collect();
    let decisions = listeners.decisions.into_iter();
    let mut decisions = decisions.flat_map(|listening| listening.shares);
    for (index, audit) in audits.into_iter().enumerate() {
        let worker = Worker {
            listeners: all.iter_mut().filter_map(WorkerShare::take).collect(),
            ports: Arc::clone(&ports),
            of_decisions: Arc::clone(&of_decisions),
            decisions: decisions.next(),
            live: Arc::clone(live),
            audit,
            metrics: Arc::clone(metrics),
        };
        let name = format!("worker-{index}");
        let fronts = move |tasks: &TaskTracker| worker.fronts(tasks);
        runtime::start(name, stop.clone(), fixed.drain, fronts)?;
    }
    Ok(())
}

/// What a worker is given to serve with.
struct Worker {
    listeners: Vec<WorkerShare>,
    /// Of all listeners.
    ports: Arc<[Option<u16>]>,
    decisions: Option<Share>,
    /// Those of the listener for decisions.
    of_decisions: Arc<Connections>,
    live: Shared,
    audit: Audit,
    metrics: Arc<Metrics>,
}

/// A listener with its place among the live ones, and its connections.
type CountedListener = (usize, ((FixedListener, Listening), Arc<Connections>));

/// A worker's share of a listener, and which it is.
struct WorkerShare {
    index: usize,
    redirects: bool,
    share: Share,
    /// Those of the listener.
    connections: Arc<Connections>,
}

impl WorkerShare {
    /// The next share of a listener.
    fn take(listener: &mut CountedListener) -> Option<Self> {
        let (index, ((fixed, listening), connections)) = listener;
        Some(Self {
            index: *index,
            redirects: fixed.redirects,
            share: listening.shares.pop()?,
            connections: Arc::clone(connections),
        })
    }
}

impl Worker {
    /// What it serves, made on its thread.
    fn fronts(self, tasks: &TaskTracker) -> Fronts<Secured, Redirect, Decisions> {
        let Self { live, .. } = self;
        let decisions = self.decisions.map(|share| {
            let decisions = Decisions {
                live: View::of(Arc::clone(&live)),
                audit: self.audit.clone(),
                metrics: Arc::clone(&self.metrics),
                tasks: tasks.clone(),
                warnings: Sparingly::default(),
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
                warnings: Sparingly::default(),
            };
            (listener.share, redirect)
        };
        let redirects = redirects.into_iter().map(redirect).collect();
        let front = Rc::new(Proxy {
            live: View::of(Arc::clone(&live)),
            audit: self.audit.clone(),
            metrics: Arc::clone(&self.metrics),
            upstream_warnings: Sparingly::default(),
        });
        let secured = |listener: WorkerShare| {
            let secured = Secured {
                front: Rc::clone(&front),
                listener: listener.index,
                connections: listener.connections,
                live: Arc::clone(&live),
                metrics: Arc::clone(&self.metrics),
                warnings: Sparingly::default(),
            };
            (listener.share, secured)
        };
        Fronts {
            proxies: proxies.into_iter().map(secured).collect(),
            redirects,
            decisions,
        }
    }
}

/// Waits until so many workers have ended. After a failure the others are cut off.
fn wait(endings: &Endings, workers: usize, stop: &Stop) -> Result<()> {
    for left in (1..=workers).rev() {
        // Workers tell how they end, whatever happens; so none is left when nobody can tell.
        let Ok(Err(failure)) = endings.recv() else {
            continue;
        };
        tracing::error!("{failure}: the process cannot go on");
        stop.announced.cancel();
        stop.begun.cancel();
        stop.cut.cancel();
        // When it is a worker that has failed, there is one ending less to come.
        let others = (0..left).map_while(|_| endings.recv_timeout(CUT_FAREWELL).ok());
        others.for_each(drop);
        return Err(failure.into());
    }
    Ok(())
}

/// How long the end waits for the last audit lines.
const AUDIT_FAREWELL: Duration = Duration::from_millis(700);

/// How long a worker may take to cut off its connections, after something has failed.
const CUT_FAREWELL: Duration = Duration::from_millis(200);

//! Start-up and shut-down, in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use gate::TrustedProxies;
use tokio::runtime::Runtime;
use tokio_util::task::TaskTracker;

use crate::admin::{self, Admin};
use crate::audit::{self, Audit};
use crate::config::{ClientSettings, Config, Variables};
use crate::front::Sparingly;
use crate::front::decisions::Decisions;
use crate::front::proxy::Proxy;
use crate::listener::{self, Listening, Share};
use crate::live::{Live, Reload, Shared, Surroundings, View};
use crate::metrics::Metrics;
use crate::runtime::{self, Fronts};
use crate::signals::{Signals, Stop};
use crate::socket::Address;
use crate::store::Pools;
use crate::vital::{self, Endings};

/// Where the listeners are bound.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// The proxy, if there is a service to protect.
    pub(crate) proxy: Option<Address>,
    /// Decisions for hosts, if there are any.
    pub(crate) decisions: Option<Address>,
    /// Health and metrics.
    pub(crate) admin: SocketAddr,
}

/// Serves until SIGTERM, SIGINT or SIGQUIT, then finishes what is in flight. `config` is what `variables` say. `ready` is told
/// where the listeners are, once requests are served.
///
/// # Errors
/// When it cannot start, or a part of it that it cannot do without has failed; then it ends at once.
pub(crate) fn run(variables: Variables, config: Config, ready: impl FnOnce(&Bound)) -> Result<()> {
    config
        .warnings
        .iter()
        .for_each(|warning| tracing::warn!("{warning}"));
    let shared = shared_runtime()?;
    let endings = vital::endings();
    let (signals, stop) = (listen_to_signals(&shared)?, Stop::default());
    let around = Surroundings {
        runtime: shared.handle().clone(),
        pools: Pools::new(shared.handle().clone()),
        metrics: Metrics::new()?,
    };
    let fixed = Fixed::of(&config);
    let format = config.audits.then_some(config.log_format);
    let (admin_listen, delay) = (config.admin.listen, config.drain_delay);
    let live: Shared = Arc::new(ArcSwap::from_pointee(Live::open(config, None, &around)?));
    shared.block_on(live.load().prove_columns())?;

    let listening = Listeners::bind(&fixed)?;
    let admin = Admin {
        live: Arc::clone(&live),
        metrics: Arc::clone(&around.metrics),
        stop: stop.announced.clone(),
    };
    let admin = shared
        .block_on(admin::start(admin_listen, admin))
        .with_context(|| format!("cannot listen on {admin_listen} (ADMIN_LISTEN)"))?;
    let bound = listening.bound(admin.address);
    let (output, audits) = audit::start(fixed.workers, format, &around.metrics)?;
    let workers = fixed.workers;
    start_workers(fixed, listening, audits, &live, &around.metrics, &stop)?;
    let reload = Reload::new(variables, Arc::clone(&live), around);
    shared.spawn(signals.obey(reload, stop.clone(), delay));
    bound.announce();
    ready(&bound);

    let served = wait(&endings, workers, &stop);
    tracing::info!("stopping");
    if served.is_ok() {
        shared.block_on(async {
            admin.finish().await;
            live.load().close().await;
        });
    }
    output.finish(AUDIT_FAREWELL);
    shared.shutdown_background();
    served
}

/// The runtime of stores and admin, which wait far more than they compute.
fn shared_runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("shared")
        .enable_all()
        .build()
}

fn listen_to_signals(shared: &Runtime) -> std::io::Result<Signals> {
    let _context = shared.enter();
    Signals::listen()
}

/// What of the configuration stays as it is until the process ends.
#[derive(Clone)]
struct Fixed {
    proxy: Option<SocketAddr>,
    decisions: Option<Address>,
    workers: usize,
    trusted_proxies: TrustedProxies,
    client: ClientSettings,
    drain: Duration,
}

impl Fixed {
    fn of(config: &Config) -> Self {
        Self {
            proxy: config.proxy,
            decisions: config.decisions.clone(),
            workers: config.workers,
            trusted_proxies: config.trusted_proxies.clone(),
            client: config.client,
            drain: config.drain,
        }
    }
}

/// Everything that is bound but the admin listener.
struct Listeners {
    proxy: Option<Listening>,
    decisions: Option<Listening>,
}

impl Listeners {
    fn bind(fixed: &Fixed) -> Result<Self> {
        let listen = |address: &Address, name| {
            listener::listen(address, fixed.workers)
                .with_context(|| format!("cannot listen on {address} ({name})"))
        };
        let proxy = fixed.proxy;
        let proxy = proxy.map(|address| listen(&Address::Tcp(address), "LISTEN"));
        let decisions = fixed.decisions.as_ref();
        let decisions = decisions.map(|address| listen(address, "AUTH_LISTEN"));
        Ok(Self {
            proxy: proxy.transpose()?,
            decisions: decisions.transpose()?,
        })
    }

    fn bound(&self, admin: SocketAddr) -> Bound {
        let address = |listening: &Option<Listening>| Some(listening.as_ref()?.address.clone());
        Bound {
            proxy: address(&self.proxy),
            decisions: address(&self.decisions),
            admin,
        }
    }
}

impl Bound {
    fn announce(&self) {
        for (listener, address) in [("proxy", &self.proxy), ("decisions", &self.decisions)] {
            if let Some(address) = address {
                tracing::info!(listener, %address, "listening");
            }
        }
        tracing::info!(listener = "admin", address = %self.admin, "listening");
    }
}

/// Starts a worker for each of `audits`, and gives each its share of the listeners.
fn start_workers(
    fixed: Fixed,
    listeners: Listeners,
    audits: Vec<Audit>,
    live: &Shared,
    metrics: &Arc<Metrics>,
    stop: &Stop,
) -> std::io::Result<()> {
    let shares = |listening: Option<Listening>| listening.into_iter().flat_map(|all| all.shares);
    let mut proxies = shares(listeners.proxy);
    let mut decisions = shares(listeners.decisions);
    for (index, audit) in audits.into_iter().enumerate() {
        let worker = Worker {
            proxy: proxies.next(),
            decisions: decisions.next(),
            fixed: fixed.clone(),
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
    proxy: Option<Share>,
    decisions: Option<Share>,
    fixed: Fixed,
    live: Shared,
    audit: Audit,
    metrics: Arc<Metrics>,
}

impl Worker {
    /// What it serves, made on its thread.
    fn fronts(self, tasks: &TaskTracker) -> Fronts<Proxy, Decisions> {
        let Self { fixed, live, .. } = self;
        let decisions = self.decisions.map(|share| {
            let decisions = Decisions {
                live: View::of(Arc::clone(&live)),
                audit: self.audit.clone(),
                metrics: Arc::clone(&self.metrics),
                trusted_proxies: fixed.trusted_proxies.clone().and_loopback(),
                client: fixed.client,
                tasks: tasks.clone(),
                warnings: Sparingly::default(),
            };
            (share, decisions)
        });
        let proxy = self.proxy.map(|share| {
            let proxy = Proxy {
                live: View::of(live),
                audit: self.audit,
                metrics: self.metrics,
                trusted_proxies: fixed.trusted_proxies,
                client: fixed.client,
                upstream_warnings: Sparingly::default(),
            };
            (share, proxy)
        });
        Fronts { proxy, decisions }
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

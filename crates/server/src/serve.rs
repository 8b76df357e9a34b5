//! Start-up and shut-down, in order.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use gate::{Gate, Issuer};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{self, Admin};
use crate::audit;
use crate::config::Config;
use crate::front::Sparingly;
use crate::front::cors::Cors;
use crate::front::decisions::Decisions;
use crate::front::proxy::Proxy;
use crate::jwks::Keychain;
use crate::listener::{self, Listening};
use crate::metrics::Metrics;
use crate::runtime::{self, Fronts};
use crate::socket::Address;
use crate::store::Stores;
use crate::upstream::Upstream;

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

/// Serves until SIGTERM or SIGINT, then finishes what is in flight. `ready` is told where the listeners are, once
/// requests are served.
pub(crate) fn run(config: Config, ready: impl FnOnce(&Bound)) -> Result<()> {
    config
        .warnings
        .iter()
        .for_each(|warning| tracing::warn!("{warning}"));
    let shared = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(SHARED_THREADS)
        .thread_name("shared")
        .enable_all()
        .build()?;
    let stop = stop_signal(&shared)?;
    let metrics = Metrics::new()?;
    let stores = config
        .stores
        .map(|settings| Stores::open(settings, shared.handle().clone(), Arc::clone(&metrics) as _))
        .transpose()?;
    let (issuer, keychain) = match config.issuer {
        None => (None, None),
        Some(settings) => {
            let keys = Keychain::open(settings.keys, shared.handle(), Arc::clone(&metrics));
            let issuer = Issuer {
                keys: Arc::clone(&keys) as _,
                demands: settings.demands,
                check_user: settings.check_user,
            };
            (Some(issuer), Some(keys))
        }
    };
    let gate = Arc::new(Gate {
        policy: config.policy,
        keys: config.keys,
        demands: config.demands,
        identity: config.identity,
        issuer,
        users: stores.as_ref().and_then(Stores::users),
        sessions: stores.as_ref().and_then(Stores::sessions),
        bypass: config.bypass,
        passes_preflight: config.passes_preflight,
        hygiene: config.hygiene,
    });

    let listen = |address: &Address, name| {
        listener::listen(address, config.workers)
            .with_context(|| format!("cannot listen on {address} ({name})"))
    };
    let proxy_address = config
        .proxy
        .as_ref()
        .map(|proxy| Address::Tcp(proxy.listen));
    let proxy = proxy_address
        .map(|address| listen(&address, "LISTEN"))
        .transpose()?;
    let decisions = config.decisions.as_ref();
    let decisions = decisions
        .map(|address| listen(address, "AUTH_LISTEN"))
        .transpose()?;
    let admin = Admin {
        token: config.admin.token,
        metrics: Arc::clone(&metrics),
        stores: stores.clone(),
        stop: stop.clone(),
    };
    let admin = shared
        .block_on(admin::start(config.admin.listen, admin))
        .with_context(|| format!("cannot listen on {} (ADMIN_LISTEN)", config.admin.listen))?;
    let bound = Bound {
        proxy: proxy.as_ref().map(|listening| listening.address.clone()),
        decisions: decisions
            .as_ref()
            .map(|listening| listening.address.clone()),
        admin: admin.address,
    };

    let format = config.audits.then_some(config.log_format);
    let (writer, audits) = audit::start(config.workers, format, &metrics)?;
    let shares = |listening: Option<Listening>| listening.into_iter().flat_map(|all| all.shares);
    let (mut proxies, mut decisions) = (shares(proxy), shares(decisions));
    let mut workers = Vec::new();
    for (index, audit) in audits.into_iter().enumerate() {
        let (proxy, decisions) = (proxies.next(), decisions.next());
        let (gate, metrics) = (Arc::clone(&gate), Arc::clone(&metrics));
        let (sign_in, trusted_proxies) = (config.sign_in.clone(), config.trusted_proxies.clone());
        let upstream = config.proxy.as_ref().map(|proxy| proxy.upstream.clone());
        let client = config.client;
        let cors = Cors::new(config.cors_origins.clone());
        let fronts = move |tasks: &TaskTracker| Fronts {
            decisions: decisions.map(|share| {
                let decisions = Decisions {
                    gate: Arc::clone(&gate),
                    audit: audit.clone(),
                    metrics: Arc::clone(&metrics),
                    sign_in: sign_in.clone(),
                    cors: cors.clone(),
                    trusted_proxies: trusted_proxies.clone().and_loopback(),
                    client,
                    tasks: tasks.clone(),
                    warnings: Sparingly::default(),
                };
                (share, decisions)
            }),
            proxy: proxy.zip(upstream).map(|(share, upstream)| {
                let proxy = Proxy {
                    gate,
                    upstream: Rc::new(Upstream::new(upstream)),
                    audit,
                    metrics,
                    sign_in,
                    cors,
                    trusted_proxies,
                    client,
                    upstream_warnings: Sparingly::default(),
                };
                (share, proxy)
            }),
        };
        let name = format!("worker-{index}");
        workers.push(runtime::start(name, stop.clone(), config.drain, fronts)?);
    }
    for (listener, address) in [("proxy", &bound.proxy), ("decisions", &bound.decisions)] {
        if let Some(address) = address {
            tracing::info!(listener, %address, "listening");
        }
    }
    tracing::info!(listener = "admin", address = %bound.admin, "listening");
    ready(&bound);

    let served = wait(workers);
    tracing::info!("stopping");
    shared.block_on(async {
        admin.finish().await;
        if let Some(keychain) = keychain {
            keychain.close().await;
        }
        if let Some(stores) = stores {
            stores.close().await;
        }
    });
    writer.finish(AUDIT_FAREWELL);
    shared.shutdown_background();
    served
}

/// A token that SIGTERM and SIGINT cancel.
fn stop_signal(shared: &Runtime) -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    let _context = shared.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let cancel = stop.clone();
    shared.handle().spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to stop: finishing what is in flight");
        cancel.cancel();
    });
    Ok(stop)
}

fn wait(workers: Vec<JoinHandle<std::io::Result<()>>>) -> Result<()> {
    let mut result = Ok(());
    for worker in workers {
        let ended = worker
            .join()
            .map_err(|_| anyhow!("a worker thread panicked"));
        result = result.and(ended.and_then(|served| served.context("a worker thread failed")));
    }
    result
}

/// Stores and admin wait far more than they compute.
const SHARED_THREADS: usize = 2;

/// How long the end waits for the last audit lines.
const AUDIT_FAREWELL: Duration = Duration::from_millis(700);

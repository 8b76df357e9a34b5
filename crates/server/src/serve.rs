//! Start-up and shut-down, in order.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use gate::{Gate, Issuer};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{self, Admin};
use crate::audit::AuditWriter;
use crate::config::Config;
use crate::front::proxy::Proxy;
use crate::jwks::Keychain;
use crate::metrics::Metrics;
use crate::runtime;
use crate::store::Stores;
use crate::upstream::Upstream;

/// Where the listeners are bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// The proxy.
    pub(crate) proxy: SocketAddr,
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
        issuer,
        users: stores.as_ref().and_then(Stores::users),
        sessions: stores.as_ref().and_then(Stores::sessions),
        bypass: config.bypass,
        passes_preflight: config.passes_preflight,
        hygiene: config.hygiene,
    });

    let listeners = runtime::listeners(config.listen, config.workers)
        .with_context(|| format!("cannot listen on {} (LISTEN)", config.listen))?;
    let admin = Admin {
        token: config.admin.token,
        metrics: Arc::clone(&metrics),
        stores: stores.clone(),
        stop: stop.clone(),
    };
    let admin = shared
        .block_on(admin::start(config.admin.listen, admin))
        .with_context(|| format!("cannot listen on {} (ADMIN_LISTEN)", config.admin.listen))?;
    let first = listeners.first().ok_or_else(|| anyhow!("WORKERS is 0"))?;
    let bound = Bound {
        proxy: first.local_addr()?,
        admin: admin.address,
    };

    let (writer, audits) =
        AuditWriter::start(config.workers, config.log_format, Arc::clone(&metrics))?;
    let workers =
        listeners
            .into_iter()
            .zip(audits)
            .enumerate()
            .map(|(index, (listener, audit))| {
                let (gate, metrics) = (Arc::clone(&gate), Arc::clone(&metrics));
                let (sign_in, trusted_proxies) =
                    (config.sign_in.clone(), config.trusted_proxies.clone());
                let (upstream, client) = (config.upstream.clone(), config.client);
                let proxy = move |tasks: TaskTracker| Proxy {
                    gate,
                    upstream: Rc::new(Upstream::new(upstream, tasks.clone())),
                    audit,
                    metrics,
                    sign_in,
                    trusted_proxies,
                    client,
                    tasks,
                };
                runtime::start(
                    format!("worker-{index}"),
                    listener,
                    stop.clone(),
                    config.drain,
                    proxy,
                )
            });
    let workers = workers.collect::<Result<Vec<_>, _>>()?;
    tracing::info!(listener = "proxy", address = %bound.proxy, "listening");
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
    writer.finish();
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

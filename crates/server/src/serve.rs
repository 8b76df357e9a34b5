//! Start-up and shut-down, in order: build, listen, serve, shut down.

#![warn(clippy::too_many_lines)]

mod listeners;
mod workers;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

pub(crate) use self::listeners::Bound;
use self::listeners::{FixedListener, Listeners, RequestedListeners};
use crate::admin::{self, Admin};
use crate::audit::{self, SharedAuditState};
use crate::config::{Config, ConfigSource, LogFormat};
use crate::handover::{Inherited, Successor};
use crate::listener::Address;
use crate::live::{HandedTickets, LiveContext, Reload, SharedLive};
use crate::metrics::Metrics;
use crate::output::Output;
use crate::pulse::pulses;
use crate::refusals::RecentRefusals;
use crate::signals::{Signals, Stop};
use crate::systemd;
use crate::vital::{self, PartReports};

/// Serves until SIGTERM, SIGINT or SIGQUIT, or until another process has taken over, then finishes what is in flight.
/// `config` was read from `source`; `inherited` are the sockets that were passed to the process. `ready` is called with the
/// listeners' addresses once requests are served.
///
/// # Errors
/// When the process cannot start, or when a vital part has failed, which ends it at once.
pub(crate) fn run(
    source: ConfigSource,
    config: Config,
    mut inherited: Inherited,
    ready: impl FnOnce(&Bound),
) -> Result<()> {
    let built = Prepared::of(source, config, inherited.tickets())?;
    let listeners = Listeners::bind(built.fixed.wanted(), &mut inherited)?;
    inherited.check_all_taken()?;
    if inherited.expects_answers() {
        built.wait_for_stores()?;
    }
    let serving = built.serve(listeners)?;
    serving.bound.announce();
    ready(&serving.bound);
    // After a handover the service manager learns of this process from the previous one.
    if !inherited.send_ready()? {
        systemd::ready();
    }
    drop(inherited);
    serving.wait_and_shut_down()
}

/// The parts of the process before it listens.
struct Prepared {
    shared: Runtime,
    part_reports: PartReports,
    signals: Signals,
    stop: Stop,
    metrics: Arc<Metrics>,
    audit: SharedAuditState,
    fixed: FixedSettings,
    reload: Reload,
}

/// The running process.
struct Serving {
    shared: Runtime,
    part_reports: PartReports,
    stop: Stop,
    workers: usize,
    live: SharedLive,
    bound: Bound,
    admin: admin::RunningAdmin,
    output: Output,
}

/// The part of the configuration that does not change until the process ends.
#[derive(Clone)]
struct FixedSettings {
    listeners: Vec<FixedListener>,
    decisions: Option<Address>,
    admin: SocketAddr,
    workers: usize,
    audits: Option<LogFormat>,
    drain: Duration,
    drain_delay: Duration,
}

impl FixedSettings {
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

    fn wanted(&self) -> RequestedListeners<'_> {
        RequestedListeners {
            listeners: &self.listeners,
            decisions: self.decisions.as_ref(),
            admin: self.admin,
            workers: self.workers,
        }
    }
}

impl Prepared {
    fn of(source: ConfigSource, config: Config, tickets: HandedTickets) -> Result<Self> {
        let warnings = config.warnings.iter();
        warnings.for_each(|warning| tracing::warn!("{warning}"));
        let shared = shared_runtime()?;
        let part_reports = vital::reports();
        let signals = listen_to_signals(&shared)?;
        let context = LiveContext::of(shared.handle().clone(), tickets)?;
        let fixed = FixedSettings::of(&config);
        let reload = Reload::open(source, config, &context)?;
        shared.block_on(reload.live().load().check_columns())?;
        shared.block_on(reload.live().load().wait_for_certificates());
        shared.block_on(reload.live().load().wait_for_revocations());
        Ok(Self {
            fixed,
            reload,
            shared,
            part_reports,
            signals,
            stop: Stop::default(),
            metrics: context.metrics,
            audit: context.audit,
        })
    }

    /// Waits until the stores and token issuers answer, as they do for the previous process.
    fn wait_for_stores(&self) -> Result<()> {
        let live = self.reload.live().load_full();
        let all_answer = async {
            let is_known = live.wait_for_issuer_keys().await;
            while !live.is_ready() {
                sleep(BETWEEN_CHECKS).await;
            }
            is_known
        };
        let waiting = async { timeout(LONGEST_UNTIL_ANSWERS, all_answer).await };
        if let Ok(true) = self.shared.block_on(waiting) {
            return Ok(());
        }
        let down = live.health().into_iter().find(|store| !store.up);
        let what = match (down, live.knows_revocations()) {
            (Some(store), _) => store.source.as_str(),
            (None, Some(false)) => "the store of revocations (REVOCATION_STORE)",
            (None, Some(true) | None) => "the issuer of tokens",
        };
        bail!(
            "{what} does not answer this process, although everything answers the previous one, so this process \
             does not take over"
        )
    }

    /// Starts the admin listener, the workers, and the handling of signals.
    fn serve(self, listeners: Listeners) -> Result<Serving> {
        let Self {
            shared,
            part_reports,
            signals,
            stop,
            metrics,
            audit,
            fixed,
            reload,
        } = self;
        let live = reload.live();
        let reloads = reload.start(stop.begun.clone());
        let refusals: Arc<RecentRefusals> = Arc::default();
        let admin = Admin {
            live: Arc::clone(&live),
            metrics: Arc::clone(&metrics),
            refusals: Arc::clone(&refusals),
            reloads: reloads.clone(),
            stop: stop.announced.clone(),
            handed_over: stop.handed_over.clone(),
        };
        let kept = listeners.kept();
        let kept = kept.context("cannot keep copies of the listening sockets")?;
        let successor = Successor::of(kept, Arc::clone(&live));
        let admin = shared.block_on(admin::start(listeners.admin.0.try_clone()?, admin))?;
        let bound = listeners.bound(admin.address);
        let (output, audits) =
            audit::start(fixed.workers, fixed.audits, &metrics, &refusals, &audit)?;
        let (pulses, workers) = pulses(fixed.workers);
        let audits = audits.into_iter().zip(workers);
        workers::start(&fixed, listeners, audits, &live, &metrics, &stop)?;
        let handed_over = stop.handed_over.clone();
        let keeping_quiet = systemd::notify_watchdog(pulses);
        shared.spawn(handed_over.run_until_cancelled_owned(keeping_quiet));
        shared.spawn(signals.handle(reloads, stop.clone(), fixed.drain_delay, successor));
        Ok(Serving {
            shared,
            part_reports,
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
    /// Waits for the end, and shuts down.
    fn wait_and_shut_down(self) -> Result<()> {
        let served = wait(&self.part_reports, self.workers, &self.stop);
        tracing::info!("stopping");
        if served.is_ok() {
            self.shared.block_on(async {
                self.admin.finish().await;
                self.live.load().close().await;
            });
        }
        self.output.finish(LONGEST_AUDIT_FLUSH);
        self.shared.shutdown_background();
        served
    }
}

/// The shared runtime of stores and admin, which mostly wait.
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

/// Waits until this many workers have ended. After a failure the others are cut off.
fn wait(part_reports: &PartReports, workers: usize, stop: &Stop) -> Result<()> {
    for left in (1..=workers).rev() {
        // Every worker reports its end, so a closed channel means that none is left.
        let Ok(Err(failure)) = part_reports.recv() else {
            continue;
        };
        tracing::error!("{failure}: the process cannot continue");
        stop.announced.cancel();
        stop.begun.cancel();
        stop.cut.cancel();
        // If the part that failed is a worker, one report fewer comes.
        let others = (0..left).map_while(|_| part_reports.recv_timeout(LONGEST_CUT_OFF).ok());
        others.for_each(drop);
        return Err(failure.into());
    }
    Ok(())
}

/// How long the stores may take to answer a process that takes over from another one.
const LONGEST_UNTIL_ANSWERS: Duration = Duration::from_secs(10);
const BETWEEN_CHECKS: Duration = Duration::from_millis(20);

/// How long the shutdown waits for the last audit lines.
const LONGEST_AUDIT_FLUSH: Duration = Duration::from_millis(700);

/// How long a worker may take to cut off its connections after a failure.
const LONGEST_CUT_OFF: Duration = Duration::from_millis(200);

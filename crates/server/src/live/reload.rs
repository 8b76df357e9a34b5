//! Replaces the live configuration.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Live;
use super::context::LiveContext;
use super::error::LiveError;
use super::view::SharedLive;
use super::watch::Watch;
use super::written_settings::{Changes, WrittenSettings};
use crate::config::{Config, ConfigErrors, ConfigSource, RestartSettings};
use crate::vital;
use stores::Trial;

/// Reads the configuration again on request, or when its files have changed.
pub(crate) struct Reload {
    source: ConfigSource,
    interval: Duration,
    shared: SharedLive,
    context: LiveContext,
    fixed: RestartSettings,
    /// The live settings as they were written.
    written: WrittenSettings,
    /// The changed settings that need a restart and have been logged.
    needs_restart: Vec<&'static str>,
    /// Why the last reload failed, if it did.
    failed: Option<FailedReload>,
    /// The tasks that close superseded parts when no request can be using them.
    closing: JoinSet<()>,
}

/// A handle to request reloads.
#[derive(Clone, Debug)]
pub(crate) struct Reloads(mpsc::Sender<oneshot::Sender<Reloaded>>);

/// How a reload ended: what has changed, or why nothing has.
pub(crate) type Reloaded = Result<Changes, String>;

/// The cause of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// A request, which waits for the result.
    Requested,
    /// Changed files, or the time to retry.
    Automatic,
}

/// A reload that failed.
#[derive(Debug)]
struct FailedReload {
    message: String,
    /// Whether a retry may succeed without changed files.
    is_transient: bool,
}

/// Why a reload failed.
#[derive(Debug, Error)]
enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Live(#[from] LiveError),
    #[error("reading the configuration panicked")]
    Panicked,
}

impl Reloads {
    /// Reloads, and returns the result.
    pub(crate) async fn reload(&self) -> Reloaded {
        let (answer, answered) = oneshot::channel();
        // The receiver is gone if the process is about to end.
        let _ = self.0.send(answer).await;
        let ends = |_| "the process is about to end".to_owned();
        answered.await.map_err(ends).flatten()
    }
}

impl Reload {
    /// Opens the first live configuration. `config` was read from `source`.
    ///
    /// # Errors
    /// When the stores cannot be opened, or the TLS of a listener cannot be set up.
    pub(crate) fn open(
        source: ConfigSource,
        config: Config,
        context: &LiveContext,
    ) -> Result<Self, LiveError> {
        let (interval, fixed) = (config.reload_interval, RestartSettings::of(&config));
        let written = WrittenSettings::of(&config, source.contents());
        let live = Live::open(config, None, context)?;
        live.activate(context);
        context.metrics.configured(true);
        Ok(Self {
            source,
            interval,
            shared: Arc::new(ArcSwap::from_pointee(live)),
            context: context.clone(),
            fixed,
            written,
            needs_restart: Vec::new(),
            failed: None,
            closing: JoinSet::new(),
        })
    }

    /// The cell that has the live configuration, now and after reloads.
    pub(crate) fn live(&self) -> SharedLive {
        Arc::clone(&self.shared)
    }

    /// Starts to reload on request and on changes, until `stop` is canceled, which also cancels a running reload.
    pub(crate) fn start(self, stop: CancellationToken) -> Reloads {
        let (sender, requests) = mpsc::channel(1);
        let runtime = self.context.runtime.clone();
        runtime.spawn(async move {
            let _part = vital::part("the reloading of the configuration");
            stop.run_until_cancelled_owned(self.keep_reloading(requests))
                .await;
        });
        Reloads(sender)
    }

    async fn keep_reloading(mut self, mut requests: mpsc::Receiver<oneshot::Sender<Reloaded>>) {
        let mut watch = Watch::default();
        loop {
            let is_transient = self
                .failed
                .as_ref()
                .is_some_and(|failed| failed.is_transient);
            let is_retried = is_transient && !self.interval.is_zero();
            let (files, contents) = (self.source.files(), self.source.contents());
            let answer = tokio::select! {
                Some(answer) = requests.recv() => Some(answer),
                () = watch.changed(files, contents, self.interval) => None,
                () = sleep(RETRY), if is_retried => None,
            };
            let cause = match answer {
                Some(_) => Cause::Requested,
                None => Cause::Automatic,
            };
            let reloaded = self.run(cause).await;
            if let Some(answer) = answer {
                let _ = answer.send(reloaded);
            }
        }
    }

    /// Reads and opens everything again. A configuration with a problem changes nothing.
    async fn run(&mut self, cause: Cause) -> Reloaded {
        if cause == Cause::Requested {
            stores::reload_soon();
        }
        let mut source = self.source.clone();
        let read = spawn_blocking(move || {
            let config = source.read();
            (source, config)
        });
        let result = match read.await {
            Ok((source, read)) => {
                self.source = source;
                match read {
                    Ok(config) => self.replace(config).await.map_err(ReloadError::from),
                    Err(problems) => Err(problems.into()),
                }
            }
            Err(_) => Err(ReloadError::Panicked),
        };
        self.context.metrics.reloaded(result.is_ok());
        match result {
            Ok(changes) => {
                let has_failed = self.failed.take().is_some();
                self.log_result(&changes, cause, has_failed);
                Ok(changes)
            }
            Err(error) => Err(self.log_failure(&error, cause)),
        }
    }

    async fn replace(&mut self, mut config: Config) -> Result<Changes, LiveError> {
        let before = self.shared.load_full();
        let written = WrittenSettings::of(&config, self.source.contents());
        let mut changes = written.changes_since(&self.written);
        changes.needs_restart = self.fixed.differing(&config);
        self.fixed
            .keep_admin_token(&mut config, before.admin_token.as_ref());
        let interval = config.reload_interval;
        // Until the new configuration has proved itself, its errors must not count against the live one.
        let trial = Trial::begin();
        let context = self.context.on_trial(&trial);
        let live = Live::open(config, Some(&before), &context)?;
        if let Err(error) = live.wait_for_answers(&before).await {
            live.close_all_but(Some(&before)).await;
            return Err(error);
        }
        let is_new = |warning: &&String| !before.warnings.contains(warning);
        for warning in live.warnings.iter().filter(is_new) {
            tracing::warn!("{warning}");
        }
        trial.end();
        let live = Arc::new(live);
        self.shared.store(Arc::clone(&live));
        live.activate(&self.context);
        (self.written, self.interval) = (written, interval);
        self.close_later(&before, &live);
        Ok(changes)
    }

    /// Closes the parts of `before` that are no longer in use, after a pause and without keeping the rest in memory.
    fn close_later(&mut self, before: &Live, live: &Live) {
        while self.closing.try_join_next().is_some() {}
        let superseded = before.superseded_by(live);
        if superseded.is_empty() {
            return;
        }
        let closing = async move {
            sleep(BEFORE_CLOSING).await;
            for one in superseded {
                one.close().await;
            }
        };
        self.closing.spawn_on(closing, &self.context.runtime);
    }

    /// Logs the result. `has_failed` says that the last result was a failure.
    fn log_result(&mut self, changes: &Changes, cause: Cause, has_failed: bool) {
        match (changes.is_empty(), cause) {
            (false, _) => tracing::info!("reloaded the configuration; {changes}"),
            (true, _) if has_failed => {
                tracing::info!("the configuration is valid again; nothing has changed");
            }
            (true, Cause::Requested) => tracing::info!("reload requested: nothing has changed"),
            (true, Cause::Automatic) => tracing::debug!("checked for changes: none"),
        }
        if self.needs_restart != changes.needs_restart {
            self.needs_restart.clone_from(&changes.needs_restart);
            if !self.needs_restart.is_empty() {
                let settings = self.needs_restart.join(", ");
                tracing::warn!(settings, "these settings need a restart to take effect");
            }
        }
    }

    fn log_failure(&mut self, error: &ReloadError, cause: Cause) -> String {
        let message = error.to_string();
        let known = self.failed.as_ref().map(|failed| failed.message.as_str());
        if cause == Cause::Requested || known != Some(message.as_str()) {
            tracing::error!(
                "the reload failed; the previous configuration stays in effect: {message}"
            );
        }
        self.failed = Some(FailedReload {
            message: message.clone(),
            is_transient: error.is_transient(),
        });
        message
    }
}

impl ReloadError {
    /// Whether the cause is a server that may answer later.
    fn is_transient(&self) -> bool {
        match self {
            Self::Config(_) | Self::Panicked => false,
            Self::Live(error) => match error {
                LiveError::Column(_)
                | LiveError::Issuer
                | LiveError::Revocations
                | LiveError::Store(_) => true,
                LiveError::Acme(_) | LiveError::Stores(_) | LiveError::Tls(_) => false,
            },
        }
    }
}

/// How long after a reload the old stores are closed. A request queries them soon after its head has arrived, and closing them
/// waits for the queries under way.
const BEFORE_CLOSING: Duration = Duration::from_secs(5);

/// The pause before a retry after a server did not answer: a password is often changed in the gate's configuration before it is
/// changed on the server.
const RETRY: Duration = Duration::from_secs(5);

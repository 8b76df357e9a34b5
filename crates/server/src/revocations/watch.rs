//! Keeps the lists in memory up to date with the store.
//!
//! The list is read at start, every [`interval`](RevocationSettings::interval), and at once when a channel reports a change.
//! If the channel says what has changed, only that is read in between. Until the first read, and while the list is older
//! than [`max_stale`](RevocationSettings::max_stale), sessions are refused: that is an outage.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gate::{Revocations, Revoked, StoreError};
use session::UnixTime;
use tokio::runtime::Handle;
use tokio::sync::{Mutex as Turns, watch};
use tokio::time::{Instant as Moment, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::known::{Known, Realms};
use super::line::RevocationChange;
use super::request::RevocationRequest;
use crate::audit::Audit;
use crate::leases::{self, Over};
use crate::metrics::Metrics;
use crate::{clock, vital};
use stores::{
    Fingerprints, Pools, RevocationEntry, RevocationKey, RevocationMark, RevocationNews,
    RevocationNewsReceiver, RevocationSettings, RevocationStore, RevocationStoreError, Trial,
};

/// Keeps the lists of all realms until it is closed or dropped.
pub(crate) struct RevocationWatch {
    shared: Arc<Shared>,
    files: Fingerprints,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Metrics and audit log, which record changes of the list.
#[derive(Clone)]
pub(crate) struct Witness {
    pub(crate) metrics: Arc<Metrics>,
    /// The audit log for them, once it is started.
    pub(crate) audit: Arc<OnceLock<Audit>>,
}

struct Shared {
    settings: RevocationSettings,
    store: RevocationStore,
    known: Mutex<Known>,
    /// Locked while the store is read, so that no older list replaces a newer one; holds the mark of what was read last.
    turn: Turns<RevocationMark>,
    /// The progress of reading.
    progress: watch::Sender<Progress>,
    witness: Witness,
    trial: Trial,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Whether the first attempt to read is over.
    has_tried: bool,
    /// When the current list was requested.
    read_at: Option<Instant>,
    is_failing: bool,
}

impl RevocationWatch {
    /// Starts to read the store. If it is down, only requests with a session are refused.
    pub(crate) fn open(
        settings: RevocationSettings,
        pools: &Pools,
        runtime: &Handle,
        witness: Witness,
    ) -> Arc<Self> {
        let why = StoreError::Failed {
            store: settings.place.source(),
            detail: "revocations were not read yet".to_owned(),
        };
        let files = settings.place.fingerprints();
        let shared = Arc::new(Shared {
            store: RevocationStore::open(&settings.place, pools),
            known: Mutex::new(Known::nothing(why)),
            turn: Turns::default(),
            progress: watch::Sender::default(),
            settings,
            witness,
            trial: pools.trial().clone(),
        });
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (reading, until) = (Arc::clone(&shared), stop.clone());
        let news = RevocationNewsReceiver::from_now_on();
        tasks.spawn_on(
            async move {
                let _part = vital::part("the reading of revocations");
                let both =
                    async { tokio::join!(reading.keep_reading(news), reading.mind_the_age()) };
                until.run_until_cancelled(both).await;
            },
            runtime,
        );
        tasks.close();
        Arc::new(Self {
            shared,
            files,
            tasks,
            stop,
        })
    }

    /// Whether it was opened with these settings, and the files that they name are unchanged.
    pub(crate) fn is_of(&self, settings: &RevocationSettings) -> bool {
        self.shared.settings == *settings && self.files == settings.place.fingerprints()
    }

    /// The list for the decisions of this realm.
    pub(crate) fn of(&self, realm: &str) -> Arc<Revocations> {
        self.shared.known().of(realm)
    }

    /// Waits for the end of the first attempt to read.
    pub(crate) async fn has_tried(&self) {
        let mut progress = self.shared.progress.subscribe();
        // The sender lives as long as this value.
        let _ = progress.wait_for(|progress| progress.has_tried).await;
    }

    /// Whether the list is known.
    pub(crate) fn is_ready(&self) -> bool {
        self.shared.known().count().is_some()
    }

    /// Stores a revocation, which takes effect on this node before this returns.
    ///
    /// # Errors
    /// When the request is invalid, or the store has failed.
    pub(crate) async fn add(
        &self,
        request: RevocationRequest,
    ) -> Result<RevocationEntry, RevokeError> {
        let now = clock::now();
        let entry = request.entry(now, self.shared.settings.keep);
        let entry = entry.map_err(RevokeError::Request)?;
        self.shared.store.add(&entry, now).await?;
        self.shared.obey(entry.key()).await?;
        Ok(entry)
    }

    /// Lifts a revocation. Returns whether there was one.
    ///
    /// # Errors
    /// When the store has failed.
    pub(crate) async fn remove(&self, realm: &str, what: &Revoked) -> Result<bool, RevokeError> {
        let was_there = self.shared.store.remove(realm, what).await?;
        let (realm, what) = (realm.to_owned(), what.clone());
        self.shared.obey(RevocationKey { realm, what }).await?;
        Ok(was_there)
    }

    /// All stored revocations.
    ///
    /// # Errors
    /// When the store has failed.
    pub(crate) async fn list(&self) -> Result<Vec<RevocationEntry>, RevokeError> {
        Ok(self.shared.store.load(clock::now()).await?)
    }

    /// Stops reading.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for RevocationWatch {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Why a revocation cannot be made or lifted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevokeError {
    /// The request is invalid.
    #[error("{0}")]
    Request(String),
    /// The store has failed.
    #[error(transparent)]
    Store(#[from] RevocationStoreError),
}

impl Shared {
    /// Reads the list again and again. Never returns.
    async fn keep_reading(&self, mut news: RevocationNewsReceiver) {
        loop {
            // The failure was logged.
            let pause = match self.read().await {
                Ok(()) => self.settings.interval,
                Err(_) => self.settings.interval.min(AFTER_FAILURE),
            };
            let next = Moment::now() + pause;
            // A client of the store may send many notifications.
            sleep(BETWEEN_READINGS).await;
            while let Ok(news) = timeout_at(next, news.changed()).await
                && self.look(&news).await
            {
                sleep(BETWEEN_LOOKS).await;
            }
        }
    }

    /// Applies a change that was made on this node.
    async fn obey(&self, key: RevocationKey) -> Result<(), RevocationStoreError> {
        match self.look(&RevocationNews::of(key)).await {
            true => Ok(()),
            false => self.read().await,
        }
    }

    /// Reads the changed entries. Returns false if the whole list has to be read instead.
    async fn look(&self, news: &RevocationNews) -> bool {
        let mut mark = self.turn.lock().await;
        let look = self.store.look(news, &mut mark, clock::now());
        // Any error shows again when the whole list is read.
        let Ok(Ok(Some(changed))) = timeout(LONGEST_READING, look).await else {
            return false;
        };
        let amended = {
            let mut known = self.known();
            let changes = known.amend(changed, clock::now());
            changes.map(|changes| (changes, known.count(), known.realms.clone()))
        };
        let Some((changes, count, realms)) = amended else {
            return false;
        };
        self.witness.metrics.revocations(count.unwrap_or(0));
        self.tell(&changes, realms);
        true
    }

    /// Reads the list.
    async fn read(&self) -> Result<(), RevocationStoreError> {
        let mut mark = self.turn.lock().await;
        let (asked, now) = (clock::monotonic(), clock::now());
        let read = timeout(LONGEST_READING, self.store.load_marked(now)).await;
        let read = read.unwrap_or(Err(RevocationStoreError::Slow(self.store.source())));
        match read {
            Ok((entries, read)) => {
                *mark = read;
                self.learn(entries, asked, now);
                Ok(())
            }
            Err(error) => {
                self.failed(&error);
                Err(error)
            }
        }
    }

    fn learn(&self, entries: Vec<RevocationEntry>, asked: Instant, now: UnixTime) {
        let (changes, count, realms) = {
            let mut known = self.known();
            let changes = known.learn(entries, clock::now());
            let end = now.saturating_add(self.settings.max_stale);
            known.counts_until(end, self.why(TOO_OLD));
            (changes, known.count(), known.realms.clone())
        };
        let was_failing = self.progress.borrow().is_failing;
        self.progress.send_replace(Progress {
            has_tried: true,
            read_at: Some(asked),
            is_failing: false,
        });
        let store = self.store.source();
        if was_failing {
            tracing::info!(%store, "revocations can be read again");
        }
        if !self.trial.is_on() {
            self.witness.metrics.revocations(count.unwrap_or(0));
        }
        self.tell(&changes.unwrap_or_default(), realms);
    }

    /// Records the changes in these realms, and ends the leases that they concern.
    fn tell(&self, changes: &[RevocationChange], realms: Realms) {
        if changes.is_empty() {
            return;
        }
        let metrics = &self.witness.metrics;
        // Leases that begin from now on see the new list.
        leases::end_everywhere(Over::SessionRevoked, move |holder| {
            holder.is_some_and(|holder| realms.revoke(holder, clock::now()))
        });
        for change in changes {
            if let RevocationChange::Added(entry) = change {
                metrics.revoked(&entry.source);
            }
            if let Some(audit) = self.witness.audit.get() {
                audit.revoked(change);
            }
        }
    }

    fn failed(&self, error: &RevocationStoreError) {
        let store = self.store.source();
        let before = *self.progress.borrow();
        if !before.is_failing {
            let limit = self.settings.max_stale.as_secs();
            match (before.read_at, self.trial.configuration()) {
                (Some(_), _) => tracing::warn!(
                    %store,
                    "revocations cannot be read: {error}; those that are known count, for at most {limit} s \
                     (REVOCATION_MAX_STALE)"
                ),
                (None, Some(configuration)) => tracing::warn!(
                    %store,
                    configuration,
                    "revocations cannot be read where a new configuration has them: {error}"
                ),
                (None, None) => tracing::error!(
                    %store,
                    "revocations cannot be read, and were not read yet, so every session is answered with 503: {error}"
                ),
            }
        }
        if before.read_at.is_none() {
            self.forget(&format!("revocations cannot be read: {error}"));
        }
        self.progress.send_replace(Progress {
            has_tried: true,
            is_failing: true,
            ..before
        });
    }

    /// Makes the list unknown whenever it is too old. Never returns.
    async fn mind_the_age(&self) {
        let mut progress = self.progress.subscribe();
        loop {
            let read_at = progress.borrow_and_update().read_at;
            let Some(read_at) = read_at else {
                let _ = progress.changed().await;
                continue;
            };
            let end = Moment::from_std(read_at) + self.settings.max_stale;
            let is_later = |progress: &Progress| progress.read_at.is_some_and(|at| at > read_at);
            if timeout_at(end, progress.wait_for(is_later)).await.is_ok() {
                continue;
            }
            let limit = self.settings.max_stale.as_secs();
            tracing::error!(
                "revocations could not be read for {limit} s (REVOCATION_MAX_STALE), so every session is answered with 503 \
                 until they can"
            );
            self.forget(TOO_OLD);
            let _ = progress.wait_for(is_later).await;
        }
    }

    fn forget(&self, why: &str) {
        let why = self.why(why);
        self.known().forget(why);
    }

    fn why(&self, detail: &str) -> StoreError {
        StoreError::Failed {
            store: self.store.source(),
            detail: detail.to_owned(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long reading may take, besides the store's own limit.
const LONGEST_READING: Duration = Duration::from_secs(10);

/// The shortest pause between two reads of the whole list.
const BETWEEN_READINGS: Duration = Duration::from_millis(10);

/// The shortest pause between two reads of single changes.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

const TOO_OLD: &str = "revocations could not be read for longer than REVOCATION_MAX_STALE";

/// The pause before a failed store is read again.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

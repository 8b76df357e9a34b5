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
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::{Instant as Moment, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::known::{KnownRevocations, RealmRevocations};
use super::line::RevocationChange;
use super::request::RevocationRequest;
use crate::audit::Audit;
use crate::leases::{self, LeaseEnd};
use crate::metrics::Metrics;
use crate::{clock, vital};
use stores::{
    Fingerprints, Pools, RevocationEntry, RevocationKey, RevocationMark, RevocationNews,
    RevocationNewsReceiver, RevocationSettings, RevocationStore, RevocationStoreError, Trial,
};

/// Keeps the lists of all realms until it is closed or dropped.
pub(crate) struct RevocationWatch {
    shared: Arc<WatchState>,
    files: Fingerprints,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Metrics and audit log, which record changes of the list.
#[derive(Clone)]
pub(crate) struct RevocationObservers {
    pub(crate) metrics: Arc<Metrics>,
    /// The audit log for them, once it is started.
    pub(crate) audit: Arc<OnceLock<Audit>>,
}

struct WatchState {
    settings: RevocationSettings,
    store: RevocationStore,
    known: Mutex<KnownRevocations>,
    /// Locked while the store is read, so that no older list replaces a newer one; holds the mark of what was read last.
    read_mark: AsyncMutex<RevocationMark>,
    /// The progress of reading.
    progress: watch::Sender<ReadProgress>,
    observers: RevocationObservers,
    trial: Trial,
}

#[derive(Clone, Copy, Debug, Default)]
struct ReadProgress {
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
        observers: RevocationObservers,
    ) -> Arc<Self> {
        let why = StoreError::Failed {
            store: settings.place.source(),
            detail: "revocations have not been read yet".to_owned(),
        };
        let files = settings.place.fingerprints();
        let shared = Arc::new(WatchState {
            store: RevocationStore::open(&settings.place, pools),
            known: Mutex::new(KnownRevocations::unread(why)),
            read_mark: AsyncMutex::default(),
            progress: watch::Sender::default(),
            settings,
            observers,
            trial: pools.trial().clone(),
        });
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (reading, until) = (Arc::clone(&shared), stop.clone());
        let news = RevocationNewsReceiver::from_now_on();
        tasks.spawn_on(
            async move {
                let _part = vital::part("the reading of revocations");
                let both =
                    async { tokio::join!(reading.keep_reading(news), reading.expire_when_stale()) };
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
    pub(crate) fn has_settings(&self, settings: &RevocationSettings) -> bool {
        self.shared.settings == *settings && self.files == settings.place.fingerprints()
    }

    /// The list for the decisions of this realm.
    pub(crate) fn of(&self, realm: &str) -> Arc<Revocations> {
        self.shared.known().of(realm)
    }

    /// Waits for the end of the first attempt to read.
    pub(crate) async fn wait_for_first_read(&self) {
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
        self.shared.apply_own_change(entry.key()).await?;
        Ok(entry)
    }

    /// Lifts a revocation. Returns whether there was one.
    ///
    /// # Errors
    /// When the store has failed.
    pub(crate) async fn remove(&self, realm: &str, what: &Revoked) -> Result<bool, RevokeError> {
        let was_there = self.shared.store.remove(realm, what).await?;
        let (realm, what) = (realm.to_owned(), what.clone());
        self.shared
            .apply_own_change(RevocationKey { realm, what })
            .await?;
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

impl WatchState {
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
                && self.read_news(&news).await
            {
                sleep(BETWEEN_NEWS).await;
            }
        }
    }

    /// Applies a change that was made on this node.
    async fn apply_own_change(&self, key: RevocationKey) -> Result<(), RevocationStoreError> {
        match self.read_news(&RevocationNews::of(key)).await {
            true => Ok(()),
            false => self.read().await,
        }
    }

    /// Reads the changed entries. Returns false if the whole list has to be read instead.
    async fn read_news(&self, news: &RevocationNews) -> bool {
        let mut mark = self.read_mark.lock().await;
        let reading = self.store.read_changes(news, &mut mark, clock::now());
        // Any error shows again when the whole list is read.
        let Ok(Ok(Some(changed))) = timeout(LONGEST_READING, reading).await else {
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
        self.observers.metrics.revocations(count.unwrap_or(0));
        self.publish_changes(&changes, realms);
        true
    }

    /// Reads the list.
    async fn read(&self) -> Result<(), RevocationStoreError> {
        let mut mark = self.read_mark.lock().await;
        let (asked, now) = (clock::monotonic(), clock::now());
        let read = timeout(LONGEST_READING, self.store.load_marked(now)).await;
        let read = read.unwrap_or(Err(RevocationStoreError::TimedOut(self.store.source())));
        match read {
            Ok((entries, read)) => {
                *mark = read;
                self.publish_list(entries, asked, now);
                Ok(())
            }
            Err(error) => {
                self.record_failure(&error);
                Err(error)
            }
        }
    }

    fn publish_list(&self, entries: Vec<RevocationEntry>, asked: Instant, now: UnixTime) {
        let (changes, count, realms) = {
            let mut known = self.known();
            let changes = known.replace(entries, clock::now());
            let end = now.saturating_add(self.settings.max_stale);
            known.set_valid_until(end, self.failure(STALE));
            (changes, known.count(), known.realms.clone())
        };
        let was_failing = self.progress.borrow().is_failing;
        self.progress.send_replace(ReadProgress {
            has_tried: true,
            read_at: Some(asked),
            is_failing: false,
        });
        let store = self.store.source();
        if was_failing {
            tracing::info!(%store, "revocations can be read again");
        }
        if !self.trial.is_on() {
            self.observers.metrics.revocations(count.unwrap_or(0));
        }
        self.publish_changes(&changes.unwrap_or_default(), realms);
    }

    /// Records the changes in these realms, and ends the leases that they concern.
    fn publish_changes(&self, changes: &[RevocationChange], realms: RealmRevocations) {
        if changes.is_empty() {
            return;
        }
        let metrics = &self.observers.metrics;
        // Leases that begin from now on see the new list.
        leases::end_everywhere(LeaseEnd::SessionRevoked, move |holder| {
            holder.is_some_and(|holder| realms.is_revoked(holder, clock::now()))
        });
        for change in changes {
            if let RevocationChange::Added(entry) = change {
                metrics.revoked(&entry.source);
            }
            if let Some(audit) = self.observers.audit.get() {
                audit.revoked(change);
            }
        }
    }

    fn record_failure(&self, error: &RevocationStoreError) {
        let store = self.store.source();
        let before = *self.progress.borrow();
        if !before.is_failing {
            let limit = self.settings.max_stale.as_secs();
            match (before.read_at, self.trial.configuration()) {
                (Some(_), _) => tracing::warn!(
                    %store,
                    "revocations cannot be read: {error}; the known ones stay in force, for at most {limit} s \
                     (REVOCATION_MAX_STALE)"
                ),
                (None, Some(configuration)) => tracing::warn!(
                    %store,
                    configuration,
                    "revocations cannot be read from the store of the new configuration: {error}"
                ),
                (None, None) => tracing::error!(
                    %store,
                    "revocations cannot be read, and have not been read yet, so every request with a session gets \
                     503: {error}"
                ),
            }
        }
        if before.read_at.is_none() {
            self.discard(&format!("revocations cannot be read: {error}"));
        }
        self.progress.send_replace(ReadProgress {
            has_tried: true,
            is_failing: true,
            ..before
        });
    }

    /// Makes the list unknown whenever it is too old. Never returns.
    async fn expire_when_stale(&self) {
        let mut progress = self.progress.subscribe();
        loop {
            let read_at = progress.borrow_and_update().read_at;
            let Some(read_at) = read_at else {
                let _ = progress.changed().await;
                continue;
            };
            let end = Moment::from_std(read_at) + self.settings.max_stale;
            let is_later =
                |progress: &ReadProgress| progress.read_at.is_some_and(|at| at > read_at);
            if timeout_at(end, progress.wait_for(is_later)).await.is_ok() {
                continue;
            }
            let limit = self.settings.max_stale.as_secs();
            tracing::error!(
                "revocations could not be read for {limit} s (REVOCATION_MAX_STALE), so every request with a session \
                 gets 503 until they can be read"
            );
            self.discard(STALE);
            let _ = progress.wait_for(is_later).await;
        }
    }

    fn discard(&self, why: &str) {
        let why = self.failure(why);
        self.known().discard(why);
    }

    fn failure(&self, detail: &str) -> StoreError {
        StoreError::Failed {
            store: self.store.source(),
            detail: detail.to_owned(),
        }
    }

    fn known(&self) -> MutexGuard<'_, KnownRevocations> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long reading may take, besides the store's own limit.
const LONGEST_READING: Duration = Duration::from_secs(10);

/// The shortest pause between two reads of the whole list.
const BETWEEN_READINGS: Duration = Duration::from_millis(10);

/// The shortest pause between two reads of single changes.
const BETWEEN_NEWS: Duration = Duration::from_millis(1);

const STALE: &str = "revocations could not be read for longer than REVOCATION_MAX_STALE";

/// The pause before a failed store is read again.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

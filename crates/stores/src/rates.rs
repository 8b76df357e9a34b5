//! Rate limits that all nodes count together, in Redis. Requests that wait at the same time are counted in one round
//! trip.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::pools::{Lease, Pools, RedisHandle, fingerprint};
use super::redis::{OverShared, Redis, RedisTarget, SharedCell, SharedCells};
use super::settings::RedisSettings;

/// Counts rate limits for all nodes.
pub struct SharedRates {
    pending: mpsc::Sender<PendingCount>,
    settings: RedisSettings,
    /// The fingerprint of the CA file.
    ca: Option<Vec<u8>>,
    redis: Arc<Redis>,
    /// Whether Redis answers, but refuses to count.
    is_refused: Arc<AtomicBool>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A request to count, and the sender that waits for its result.
struct PendingCount {
    cells: SharedCells,
    answer: oneshot::Sender<Option<OverShared>>,
}

impl SharedRates {
    /// Starts counting in this Redis, over shared connections. A Redis that is down does not delay this.
    pub fn open(settings: RedisSettings, pools: &Pools) -> Arc<Self> {
        let (pending, inbox) = mpsc::channel(MAX_WAITING);
        let lease = pools.redis(&settings);
        let is_refused = Arc::new(AtomicBool::new(false));
        let rates = Self {
            pending,
            redis: Arc::clone(&lease.resource.redis),
            is_refused: Arc::clone(&is_refused),
            ca: settings.ca_file.as_ref().and_then(fingerprint),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            settings,
        };
        let counter = Counter {
            lease,
            is_refused,
            prefix: rates.settings.key_prefix.clone(),
            is_failing: false,
        };
        let stop = rates.stop.clone();
        let vital = pools.process().vital;
        let counting = async move {
            let _part = vital("the counting of shared limits");
            stop.run_until_cancelled(counter.keep_counting(inbox)).await;
        };
        rates.tasks.spawn_on(counting, &pools.process().runtime);
        rates.tasks.close();
        Arc::new(rates)
    }

    /// Whether this was opened with these settings, and the CA file is unchanged.
    pub fn has_settings(&self, settings: &RedisSettings) -> bool {
        self.settings == *settings && self.ca == settings.ca_file.as_ref().and_then(fingerprint)
    }

    /// Counts these cells, up to the first that exceeds its limit. `None` if Redis cannot count them: it does not answer or
    /// refuses, or too many requests wait for it already.
    pub async fn count(&self, cells: SharedCells) -> Option<Result<(), OverShared>> {
        let (answer, answered) = oneshot::channel();
        // If the queue is full, Redis is too slow to wait for.
        self.pending.try_send(PendingCount { cells, answer }).ok()?;
        let over = answered.await.ok()?;
        Some(over.map_or(Ok(()), Err))
    }

    /// Takes back a count, without waiting.
    pub fn give_back(&self, cell: SharedCell) {
        let (answer, _) = oneshot::channel();
        let cells = vec![cell];
        let _ = self.pending.try_send(PendingCount { cells, answer });
    }

    /// Whether all nodes count together, as far as is known; otherwise each counts for itself.
    pub fn are_shared(&self) -> bool {
        self.redis.health().up && !self.is_refused.load(Ordering::Relaxed)
    }

    /// Stops the counting task, and waits for its end.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for SharedRates {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl std::fmt::Debug for SharedRates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedRates").finish_non_exhaustive()
    }
}

/// The task that counts in Redis.
struct Counter {
    lease: Lease<RedisTarget, RedisHandle>,
    prefix: String,
    is_refused: Arc<AtomicBool>,
    /// Whether Redis failed to count last time. The first failure and the first success after it are logged.
    is_failing: bool,
}

impl Counter {
    /// Counts all waiting requests as one batch, while the next batch gathers.
    async fn keep_counting(mut self, mut inbox: mpsc::Receiver<PendingCount>) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while inbox.recv_many(&mut batch, MAX_BATCH).await > 0 {
            let cells: Vec<_> = batch.iter().map(|pending| &pending.cells).collect();
            let counted = self.lease.resource.redis.count(&self.prefix, &cells).await;
            let error = counted.iter().find_map(|counted| counted.as_ref().err());
            let is_refused = error.is_some() && self.lease.resource.redis.health().up;
            self.is_refused.store(is_refused, Ordering::Relaxed);
            self.log(error);
            for (pending, counted) in batch.drain(..).zip(counted) {
                // Dropping the sender tells the caller that there is no result.
                if let Ok(over) = counted {
                    let _ = pending.answer.send(over);
                }
            }
        }
    }

    fn log(&mut self, error: Option<&String>) {
        match (error, self.is_failing) {
            (Some(detail), false) => {
                tracing::warn!(
                    detail,
                    "limits are not shared: Redis cannot count requests, so each node counts for itself until it can"
                );
            }
            (None, true) => tracing::info!("limits are shared again: Redis counts requests"),
            (Some(_), true) | (None, false) => {}
        }
        self.is_failing = error.is_some();
    }
}

/// The most requests that are counted in one round trip. For that time, a few hundred microseconds, Redis does nothing
/// else.
const MAX_BATCH: usize = 128;

/// The most requests that may wait for the next round trip.
const MAX_WAITING: usize = 4096;

//! The chain: memory, then the shared cache, then the truth; the same for every kind of fact.
//!
//! What is in memory is answered without waiting. Otherwise one flight per key, on the runtime that all stores share,
//! asks the cache and then the truth, and everyone who wants to know waits for it, on whichever core. A cache that fails
//! is skipped. A truth that fails is an outage, and never means "no such thing".

use std::sync::Arc;

use gate::{Lookup, Source, StoreError};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::Outcome;
use super::cache::{Cached, SharedCache};
use super::memory::Memory;
use super::process::Clock;
use super::record::Recorded;
use super::reporter::Reporter;
use super::single_flight::{Answer, Flight, Seat, SingleFlight};

/// Where it is decided what exists.
pub(super) trait Truth: Send + Sync + 'static {
    /// What it knows about.
    type Fact: Recorded;
    /// What it is asked. It travels in the flight; caches see its key only.
    type Question: Send + 'static;

    /// Answers, and reports what each store that it asked has said.
    fn find(
        &self,
        question: Self::Question,
        reporter: &Reporter,
    ) -> impl Future<Output = Answer<Self::Fact>> + Send;

    /// The store that an outage is blamed on.
    fn source(&self) -> Source;
}

/// Where flights fly.
#[derive(Clone, Debug)]
pub(super) struct Tasks {
    pub(super) runtime: Handle,
    pub(super) tracker: TaskTracker,
}

/// The chain for one kind of fact.
pub(super) struct Chain<T: Truth> {
    pub(super) memory: Memory<T::Fact>,
    pub(super) cache: Option<SharedCache<T::Fact>>,
    pub(super) truth: T,
    pub(super) flights: Arc<SingleFlight<T::Fact>>,
    pub(super) reporter: Reporter,
    pub(super) tasks: Tasks,
    pub(super) clock: Clock,
}

impl<T: Truth> Chain<T> {
    /// What is known under `key`; if not in memory, what the stores answer to `question`.
    pub(super) async fn find(
        self: &Arc<Self>,
        key: &str,
        question: impl FnOnce() -> T::Question,
    ) -> Answer<T::Fact> {
        match self.recall(key) {
            Some(lookup) => Ok(lookup),
            // In a box, so that those who need not wait do not carry the room for waiting with them.
            None => Box::pin(self.fetch(key, question)).await,
        }
    }

    /// What is known under `key` without asking anybody.
    pub(super) fn recall(&self, key: &str) -> Option<Lookup<T::Fact>> {
        let lookup = self.memory.recall(key, self.clock.monotonic())?;
        self.reporter.found(&lookup);
        Some(lookup)
    }

    /// What the stores beyond memory answer to `question`. Waits for the answer of a flight.
    pub(super) async fn fetch(
        self: &Arc<Self>,
        key: &str,
        question: impl FnOnce() -> T::Question,
    ) -> Answer<T::Fact> {
        let wait = match self.flights.join(key) {
            Seat::Full => return Err(self.failure("too many lookups are under way")),
            Seat::Passenger(wait) => wait,
            Seat::Pilot(flight, wait) => {
                self.tasks.spawn(Arc::clone(self).fly(flight, question()));
                wait
            }
        };
        wait.landed()
            .await
            .unwrap_or_else(|| Err(self.failure("the lookup was given up")))
    }

    /// Asks the cache, then the truth, and remembers what they say. The answer never waits for the writing.
    async fn fly(self: Arc<Self>, flight: Flight<T::Fact>, question: T::Question) {
        let key = Arc::clone(flight.key());
        let (asked, now) = (self.clock.monotonic(), self.clock.now());
        let cached = match &self.cache {
            Some(cache) => self.ask_cache(cache, &key).await,
            None => Cached::Skipped,
        };
        let write_to = self
            .cache
            .as_ref()
            .filter(|_| matches!(cached, Cached::Miss));
        let answer = match cached {
            Cached::Hit(lookup) => Ok(lookup),
            Cached::Miss | Cached::Skipped => self.truth.find(question, &self.reporter).await,
        };
        let Ok(lookup) = &answer else {
            return flight.land(answer);
        };
        let learnt = lookup.found.clone();
        self.memory.remember(&key, learnt.as_ref(), asked, now);
        flight.land(answer);
        if let Some(cache) = write_to
            && cache.remember(&key, learnt.as_ref()).await.is_err()
        {
            self.reporter.answered(Source::Redis, Outcome::Unwritten);
        }
    }

    async fn ask_cache(&self, cache: &SharedCache<T::Fact>, key: &str) -> Cached<T::Fact> {
        let cached = cache.find(key).await;
        match &cached {
            Cached::Hit(lookup) => self.reporter.found(lookup),
            Cached::Miss => self.reporter.answered(Source::Redis, Outcome::Missed),
            Cached::Skipped => self.reporter.answered(Source::Redis, Outcome::Failed),
        }
        cached
    }

    /// A failure on the way to the truth.
    fn failure(&self, detail: &str) -> StoreError {
        StoreError::Failed {
            store: self.truth.source(),
            detail: detail.to_owned(),
        }
    }
}

impl Tasks {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn_on(task, &self.runtime);
    }
}

//! The chain of stores for one kind of fact: memory, then the shared cache in Redis if there is one, then the truth.
//!
//! What is in memory is answered without waiting. Otherwise one flight per key, on the runtime that all stores share,
//! asks the cache and then the truth, and all requests for that key wait for it, on whichever core. A cache that fails
//! is skipped. A truth that fails is an outage, and never means "no such user".
//!
//! No answer that may be older than an announced change is kept, in memory or in Redis: each lookup has a
//! [ticket](super::changes), and each key of Redis a [lease](super::cache::KeyLease). When an invalidation is received
//! during a lookup, the stores are asked again.

mod invalidation;
mod stale;
mod truth;

use std::sync::Arc;
use std::time::Duration;

use gate::{Lookup, LookupSource, StoreError};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio_util::task::TaskTracker;

pub(super) use self::invalidation::outdated;
pub(super) use self::stale::Outage;
pub(super) use self::truth::{Affected, Truth};
use super::cache::{Cached, Hit, KeyLease, SharedCache, Written};
use super::changes::{Channels, Stripes, Ticket};
use super::channel::Channel;
use super::fact::Fact as _;
use super::memory::{LookupStart, Memory, Recalled};
use super::process::Clock;
use super::reporter::Reporter;
use super::single_flight::{Flight, Joined, LookupResult, Progress, SingleFlight, Trust, Wait};
use super::{ChangeListener, Outcome};

/// The runtime and the tracker of the tasks that run flights.
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
    /// Whether stale answers are used while the database is down.
    pub(super) outage: Outage,
    /// Receives keys that the database has announced, to be deleted from the cache.
    pub(super) outdated: Option<Sender<Box<str>>>,
    /// Is notified of changes, for long-lived exchanges that were decided earlier.
    pub(super) listener: Arc<dyn ChangeListener>,
}

impl<T: Truth> Chain<T> {
    /// Returns the answer about `key` from memory, or else from the stores, which are asked with `query`.
    pub(super) async fn find(
        self: &Arc<Self>,
        key: &str,
        query: impl Fn() -> T::Query,
    ) -> LookupResult<T::Fact> {
        match self.recall(key, &query) {
            Some(lookup) => Ok(lookup),
            // Boxed, so that callers that need not wait do not reserve the size of the waiting future.
            None => Box::pin(self.fetch(key, Trust::Genuine, query)).await,
        }
    }

    /// Returns the answer about `key` from memory, without waiting.
    pub(super) fn recall(
        self: &Arc<Self>,
        key: &str,
        query: impl FnOnce() -> T::Query,
    ) -> Option<Lookup<T::Fact>> {
        let Recalled { lookup, is_due } = self.memory.recall(key, self.clock.monotonic())?;
        self.reporter.found(&lookup);
        if is_due {
            self.refresh(key, query);
        }
        Some(lookup)
    }

    /// Starts the renewal of an entry that is due, unless another request has. No request waits for it, and memory
    /// keeps the entry in the meantime.
    #[cold]
    fn refresh(self: &Arc<Self>, key: &str, query: impl FnOnce() -> T::Query) {
        if self.memory.claim(key) {
            // If too many lookups are in flight, the entry is not renewed, and expires.
            let _ = self.join_flight(key, Trust::Genuine, query);
        }
    }

    /// Returns the answer of the stores beyond memory to `query`, by way of a flight.
    pub(super) async fn fetch(
        self: &Arc<Self>,
        key: &str,
        trust: Trust,
        query: impl FnOnce() -> T::Query,
    ) -> LookupResult<T::Fact> {
        let Some(wait) = self.join_flight(key, trust, query) else {
            return Err(self.failure("too many lookups are in flight"));
        };
        wait.result()
            .await
            .unwrap_or_else(|| Err(self.failure("the lookup was abandoned")))
    }

    /// Joins the flight for `key`, or starts one. `None` when too many are in flight.
    fn join_flight(
        self: &Arc<Self>,
        key: &str,
        trust: Trust,
        query: impl FnOnce() -> T::Query,
    ) -> Option<Wait<T::Fact>> {
        let changes = &self.memory.changes;
        let ticket = changes.ticket(self.clock.monotonic());
        // Which user an answer names is not known before the answer arrives.
        let stripes = changes.stripes(key, None);
        let is_current = |others: Progress| !self.has_changed(others, others.ticket(), stripes);
        match self.flights.join(key, trust, ticket, is_current) {
            Joined::Full => None,
            Joined::Follower(wait) => Some(wait),
            Joined::Leader(flight, wait) => {
                self.tasks
                    .spawn(Arc::clone(self).run_flight(flight, query()));
                Some(wait)
            }
        }
    }

    /// Runs a flight: asks the cache, then the truth, and remembers their answer.
    async fn run_flight(self: Arc<Self>, flight: Flight<T::Fact>, query: T::Query) {
        let key = Arc::clone(flight.key());
        let mut left = MAX_ATTEMPTS;
        loop {
            left -= 1;
            let at = self.clock.monotonic();
            let start = LookupStart {
                at,
                now: self.clock.now(),
                ticket: flight.progress().ticket(),
                was_up: !self.memory.changes.is_down(at),
            };
            let (answer, backing) = self.look_up(&key, &query, start).await;
            let lookup = match &answer {
                Ok(lookup) => {
                    if lookup.source != LookupSource::Redis {
                        self.outage.end(T::Fact::KIND);
                    }
                    lookup
                }
                Err(error) => {
                    let (unconfirmed, lease) = match backing {
                        Backing::Unconfirmed(ticket, found) => (Some((ticket, found)), None),
                        Backing::Lease(lease) => (None, Some(lease)),
                        Backing::Cache(_) | Backing::Nothing => (None, None),
                    };
                    let stale = self.stale(&key, error, unconfirmed);
                    flight.finish(stale.map_or(answer, Ok));
                    if let (Some(cache), Some(lease)) = (&self.cache, lease) {
                        // Another node may reach the truth, and could not write its answer while the lease lasts.
                        let _ = cache.give_back(&lease, &key).await;
                    }
                    return;
                }
            };
            let found = lookup.found.as_ref();
            let kept = self.keep(&flight, found, start, backing).await;
            if kept == Kept::Unsure && found.is_none() {
                self.memory.remove(&key);
            }
            if kept == Kept::Unsure && left > 0 {
                flight.restart(self.memory.changes.ticket(self.clock.monotonic()));
                continue;
            }
            return flight.finish(answer);
        }
    }

    /// Asks the cache, or else the truth. The second value says how the cache is involved in the answer.
    async fn look_up(
        &self,
        key: &str,
        query: &T::Query,
        start: LookupStart,
    ) -> (LookupResult<T::Fact>, Backing<T::Fact>) {
        let backing = match &self.cache {
            Some(cache) => match self.look_up_in_cache(cache, key, start).await {
                Ok(hit) => return (Ok(hit.lookup), Backing::Cache(hit.left)),
                Err(backing) => backing,
            },
            None => Backing::Nothing,
        };
        let answer = self.truth.find(query.clone(), &self.reporter).await;
        (answer, backing)
    }

    /// Whether the truth has announced a change since this ticket that concerns the answer of a flight with this progress.
    fn has_changed(&self, flight: Progress, since: Ticket, stripes: Stripes) -> bool {
        let channels = self.truth.channels();
        // An invalidation of a key in Redis is noted in the flight for that key, and not in a stripe.
        channels.redis && flight.was_invalidated(since)
            || (self.memory.changes).changed_since(channels, since, stripes)
    }

    /// Keeps an answer to the lookup that began with `start`. The lease is redeemed first: if it holds, no other node
    /// has written under the key, so the invalidation that our own write causes costs only one more lookup.
    async fn keep(
        &self,
        flight: &Flight<T::Fact>,
        found: Option<&T::Fact>,
        start: LookupStart,
        backing: Backing<T::Fact>,
    ) -> Kept {
        let (key, changes) = (flight.key(), &self.memory.changes);
        // Read the clock before checking anything, so that every invalidation received from now on is considered.
        let now = self.clock.monotonic();
        let stripes = changes.stripes(key, found.and_then(|fact| fact.subject()));
        // A process that was suspended in between may not know yet that it has missed something.
        let has_missed = start.was_up && changes.is_down(now);
        if has_missed || self.has_changed(flight.progress(), start.ticket, stripes) {
            return Kept::Unsure;
        }
        let (start, left) = match (backing, &self.cache) {
            (Backing::Cache(left), _) => (start, left),
            (Backing::Lease(lease), Some(cache)) => {
                let ticket = changes.ticket(now);
                let ago = now.saturating_duration_since(start.at);
                match cache.redeem(&lease, key, found, ago).await {
                    Ok(Written::Yes(left)) => (LookupStart { ticket, ..start }, Some(left)),
                    Ok(Written::LeaseLost) => return Kept::Unsure,
                    Err(_) => {
                        self.reporter
                            .answered(LookupSource::Redis, Outcome::Unwritten);
                        (start, None)
                    }
                }
            }
            (Backing::Unconfirmed(..) | Backing::Nothing | Backing::Lease(_), _) => (start, None),
        };
        // If only Redis announces changes, it does so for keys that it holds, and only as long as it holds them.
        let at_most = match changes.needed_only(Channel::Redis) && self.cache.is_some() {
            true => left.unwrap_or_default(),
            false => Duration::MAX,
        };
        flight.keep(start.ticket, |is_current| {
            let memory = &self.memory;
            memory.remember(key, found, start, now, at_most, is_current);
        });
        Kept::Yes
    }

    /// Asks the cache. On a miss, says how the cache is involved in the answer of the truth.
    async fn look_up_in_cache(
        &self,
        cache: &SharedCache<T::Fact>,
        key: &str,
        start: LookupStart,
    ) -> Result<Hit<T::Fact>, Backing<T::Fact>> {
        let changes = &self.memory.changes;
        let age_matters = changes.has(Channel::Postgres) || changes.has(Channel::Redis);
        let cached = cache.find(key, age_matters).await;
        match cached {
            Cached::Hit(hit) if self.is_current(key, &hit, start) => {
                self.reporter.found(&hit.lookup);
                Ok(hit)
            }
            Cached::Hit(hit) => {
                self.reporter.answered(LookupSource::Redis, Outcome::Missed);
                Err(match self.unchanged_since(key, &hit, start) {
                    Some(ticket) => Backing::Unconfirmed(ticket, hit.lookup.found),
                    None => Backing::Nothing,
                })
            }
            Cached::Miss(lease) => {
                self.reporter.answered(LookupSource::Redis, Outcome::Missed);
                Err(lease.map_or(Backing::Nothing, Backing::Lease))
            }
            Cached::Skipped => {
                self.reporter.answered(LookupSource::Redis, Outcome::Failed);
                Err(Backing::Nothing)
            }
            Cached::Unwritable => {
                self.reporter.answered(LookupSource::Redis, Outcome::Missed);
                self.reporter
                    .answered(LookupSource::Redis, Outcome::Unwritten);
                Err(Backing::Nothing)
            }
        }
    }

    /// Whether a hit in Redis is current: the database has announced no change of it since the lookup that filled it,
    /// and this node has listened to the database all that time.
    fn is_current(&self, key: &str, hit: &Hit<T::Fact>, start: LookupStart) -> bool {
        let changes = &self.memory.changes;
        if !changes.has(Channel::Postgres) {
            return true;
        }
        !changes.is_down(start.at) && self.unchanged_since(key, hit, start).is_some()
    }

    /// Creates the error for a lookup that did not reach the truth.
    fn failure(&self, detail: &str) -> StoreError {
        StoreError::Failed {
            store: self.truth.source(),
            detail: detail.to_owned(),
        }
    }
}

/// How the cache is involved in an answer.
#[derive(Debug)]
enum Backing<F> {
    /// The cache holds this answer, for which the truth was asked at this ticket or later. It is not known whether
    /// anything has changed since, so the answer is used only while the truth is down.
    Unconfirmed(Ticket, Option<F>),
    /// The answer comes from the cache, which keeps it for this long, if known.
    Cache(Option<Duration>),
    /// The answer may be written to the cache, with this lease.
    Lease(KeyLease),
    /// The cache is not involved.
    Nothing,
}

/// Whether an answer was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// The answer was not kept, because something may have changed since the lookup began.
    Unsure,
    /// The answer was kept wherever that is possible.
    Yes,
}

impl Tasks {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn_on(task, &self.runtime);
    }
}

const POSTGRES: Channels = Channels {
    postgres: true,
    redis: false,
};

/// How often one flight asks the stores when an invalidation is received each time. The last answer is returned, and
/// not kept.
const MAX_ATTEMPTS: u32 = 3;

//! The chain: memory, then the shared cache, then the truth; the same for every kind of fact.
//!
//! What is in memory is answered without waiting. Otherwise one flight per key, on the runtime that all stores share,
//! asks the cache and then the truth, and everyone who wants to know waits for it, on whichever core. A cache that fails
//! is skipped. A truth that fails is an outage, and never means "no such thing".
//!
//! No answer is kept, in memory or in Redis, that may be older than a change that was heard of: each question has a
//! [ticket](super::changes), and each key of Redis a [lease](super::cache::KeyLease). An answer during which something was heard is asked
//! for again.

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
use super::changes::{Channels, Ticket};
use super::fact::Fact as _;
use super::hearing::Channel;
use super::memory::{LookupStart, Memory, Recalled};
use super::process::Clock;
use super::reporter::Reporter;
use super::single_flight::{Flight, Joined, LookupResult, Progress, Rank, SingleFlight, Wait};
use super::{ChangeListener, Outcome};

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
    /// What counts while the database gives no answer.
    pub(super) outage: Outage,
    /// Takes keys that the database has said something about, so that they are deleted from the cache.
    pub(super) outdated: Option<Sender<Box<str>>>,
    /// Hears what was heard, for those who have been answered long ago.
    pub(super) listener: Arc<dyn ChangeListener>,
}

impl<T: Truth> Chain<T> {
    /// What is known under `key`; if not in memory, what the stores answer to `question`.
    pub(super) async fn find(
        self: &Arc<Self>,
        key: &str,
        query: impl Fn() -> T::Query,
    ) -> LookupResult<T::Fact> {
        match self.recall(key, &query) {
            Some(lookup) => Ok(lookup),
            // In a box, so that those who need not wait do not carry the room for waiting with them.
            None => Box::pin(self.fetch(key, Rank::Known, query)).await,
        }
    }

    /// What is known under `key` without waiting for anybody.
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

    /// Has the stores beyond memory asked for what memory says is due, unless somebody has done so. Nobody waits for that, and what
    /// memory has stays what it is.
    #[cold]
    fn refresh(self: &Arc<Self>, key: &str, query: impl FnOnce() -> T::Query) {
        if self.memory.claim(key) {
            // A flight that is full or under way is as good as one of our own.
            let _ = self.join_flight(key, Rank::Known, query);
        }
    }

    /// What the stores beyond memory answer to `question`. Waits for the answer of a flight.
    pub(super) async fn fetch(
        self: &Arc<Self>,
        key: &str,
        rank: Rank,
        query: impl FnOnce() -> T::Query,
    ) -> LookupResult<T::Fact> {
        let Some(wait) = self.join_flight(key, rank, query) else {
            return Err(self.failure("too many lookups are under way"));
        };
        wait.result()
            .await
            .unwrap_or_else(|| Err(self.failure("the lookup was given up")))
    }

    /// A place in the flight for `key`, which takes off if there is none to join. `None` when there are too many.
    fn join_flight(
        self: &Arc<Self>,
        key: &str,
        rank: Rank,
        query: impl FnOnce() -> T::Query,
    ) -> Option<Wait<T::Fact>> {
        let changes = &self.memory.changes;
        let ticket = changes.ticket(self.clock.monotonic());
        // Whom an answer names is not known before it is there.
        let stripes = changes.stripes(key, None);
        let channels = self.truth.channels();
        let is_current = |others: Progress| {
            let asked = others.asked();
            let was_invalidated = channels.redis && others.was_invalidated(asked);
            !was_invalidated && !changes.said(channels, asked, stripes)
        };
        match self.flights.join(key, rank, ticket, is_current) {
            Joined::Full => None,
            Joined::Follower(wait) => Some(wait),
            Joined::Leader(flight, wait) => {
                self.tasks
                    .spawn(Arc::clone(self).run_flight(flight, query()));
                Some(wait)
            }
        }
    }

    /// Asks the cache, then the truth, and remembers what they say.
    async fn run_flight(self: Arc<Self>, flight: Flight<T::Fact>, query: T::Query) {
        let key = Arc::clone(flight.key());
        let mut left = MOST_QUESTIONS;
        loop {
            left -= 1;
            let at = self.clock.monotonic();
            let asked = LookupStart {
                at,
                now: self.clock.now(),
                ticket: flight.progress().asked(),
                was_heard: !self.memory.changes.is_deaf(at),
            };
            let (answer, backing) = self.ask(&key, &query, asked).await;
            let lookup = match &answer {
                Ok(lookup) => {
                    if lookup.source != LookupSource::Redis {
                        self.outage.is_over(T::Fact::KIND);
                    }
                    lookup
                }
                Err(error) => {
                    let (doubted, lease) = match backing {
                        Backing::Doubted(ticket, found) => (Some((ticket, found)), None),
                        Backing::Lease(lease) => (None, Some(lease)),
                        Backing::Cache(_) | Backing::Nothing => (None, None),
                    };
                    let stale = self.stale(&key, error, doubted);
                    flight.finish(stale.map_or(answer, Ok));
                    if let (Some(cache), Some(lease)) = (&self.cache, lease) {
                        // Another node may reach the truth, and could write nothing there for as long as the lease lasts.
                        let _ = cache.give_back(&lease, &key).await;
                    }
                    return;
                }
            };
            let found = lookup.found.as_ref();
            let kept = self.keep(&flight, found, asked, backing).await;
            if kept == Kept::Unsure && found.is_none() {
                self.memory.remove(&key);
            }
            if kept == Kept::Unsure && left > 0 {
                flight.ask_again(self.memory.changes.ticket(self.clock.monotonic()));
                continue;
            }
            return flight.finish(answer);
        }
    }

    /// What the cache says, or else the truth; and what the cache has to do with it.
    async fn ask(
        &self,
        key: &str,
        query: &T::Query,
        asked: LookupStart,
    ) -> (LookupResult<T::Fact>, Backing<T::Fact>) {
        let backing = match &self.cache {
            Some(cache) => match self.ask_cache(cache, key, asked).await {
                Ok(hit) => return (Ok(hit.lookup), Backing::Cache(hit.left)),
                Err(backing) => backing,
            },
            None => Backing::Nothing,
        };
        let answer = self.truth.find(query.clone(), &self.reporter).await;
        (answer, backing)
    }

    /// Keeps an answer to the question that was `asked`. The lease goes first: where it holds, nobody else has written under the key,
    /// so that what Redis says of our own writing takes nothing from memory but the next question.
    async fn keep(
        &self,
        flight: &Flight<T::Fact>,
        found: Option<&T::Fact>,
        asked: LookupStart,
        backing: Backing<T::Fact>,
    ) -> Kept {
        let (key, changes) = (flight.key(), &self.memory.changes);
        // Before anything is looked at, so that whatever is heard from now on counts.
        let now = self.clock.monotonic();
        let stripes = changes.stripes(key, found.and_then(|fact| fact.subject()));
        // A process that was stopped in between may not know yet what it has missed.
        let has_missed = asked.was_heard && changes.is_deaf(now);
        let channels = self.truth.channels();
        let was_invalidated = channels.redis && flight.progress().was_invalidated(asked.ticket);
        if has_missed || was_invalidated || changes.said(channels, asked.ticket, stripes) {
            return Kept::Unsure;
        }
        let (asked, left) = match (backing, &self.cache) {
            (Backing::Cache(left), _) => (asked, left),
            (Backing::Lease(lease), Some(cache)) => {
                let ticket = changes.ticket(now);
                let ago = now.saturating_duration_since(asked.at);
                match cache.redeem(&lease, key, found, ago).await {
                    Ok(Written::Yes(left)) => (LookupStart { ticket, ..asked }, Some(left)),
                    Ok(Written::TakenAway) => return Kept::Unsure,
                    Err(_) => {
                        self.reporter
                            .answered(LookupSource::Redis, Outcome::Unwritten);
                        (asked, None)
                    }
                }
            }
            (Backing::Doubted(..) | Backing::Nothing | Backing::Lease(_), _) => (asked, None),
        };
        // Where only Redis would say that something has changed, it does so of what it has, and for as long.
        let at_most = match changes.needed_only(Channel::Redis) && self.cache.is_some() {
            true => left.unwrap_or_default(),
            false => Duration::MAX,
        };
        flight.keep(asked.ticket, |is_current| {
            let memory = &self.memory;
            memory.remember(key, found, asked, now, at_most, is_current);
        });
        Kept::Yes
    }

    /// What the cache says, or else what it has to do with what the truth will say.
    async fn ask_cache(
        &self,
        cache: &SharedCache<T::Fact>,
        key: &str,
        asked: LookupStart,
    ) -> Result<Hit<T::Fact>, Backing<T::Fact>> {
        let changes = &self.memory.changes;
        let age_matters = changes.has(Channel::Postgres) || changes.has(Channel::Redis);
        let cached = cache.find(key, age_matters).await;
        match cached {
            Cached::Hit(hit) if self.is_current(key, &hit, asked) => {
                self.reporter.found(&hit.lookup);
                Ok(hit)
            }
            Cached::Hit(hit) => {
                self.reporter.answered(LookupSource::Redis, Outcome::Missed);
                Err(match self.unchallenged_since(key, &hit, asked) {
                    Some(ticket) => Backing::Doubted(ticket, hit.lookup.found),
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

    /// Whether the database has said nothing about what Redis knows since it was asked for that, as far as this node has heard
    /// the database at all.
    fn is_current(&self, key: &str, hit: &Hit<T::Fact>, asked: LookupStart) -> bool {
        let changes = &self.memory.changes;
        if !changes.has(Channel::Postgres) {
            return true;
        }
        !changes.is_deaf(asked.at) && self.unchallenged_since(key, hit, asked).is_some()
    }

    /// A failure on the way to the truth.
    fn failure(&self, detail: &str) -> StoreError {
        StoreError::Failed {
            store: self.truth.source(),
            detail: detail.to_owned(),
        }
    }
}

/// What the cache has to do with an answer.
#[derive(Debug)]
enum Backing<F> {
    /// The cache has this, for which the truth was not asked before this ticket. It would count if nothing had changed; nobody
    /// knows whether something has.
    Doubted(Ticket, Option<F>),
    /// It comes from there, where it is kept for so long, if that is known.
    Cache(Option<Duration>),
    /// It may be written there.
    Lease(KeyLease),
    /// Nothing.
    Nothing,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// It is not kept, because something has changed since it was asked for.
    Unsure,
    /// It is kept wherever that is possible.
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

/// How often the truth is asked for one answer, when each time something is heard in between. The last answer is given, and
/// not kept.
const MOST_QUESTIONS: u32 = 3;

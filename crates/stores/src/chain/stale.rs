//! Stale answers while the database is down (`STALE_IF_DOWN`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gate::{Lookup, LookupSource, StoreError};

use super::super::FactKind;
use super::super::cache::Hit;
use super::super::changes::Ticket;
use super::super::fact::Fact as _;
use super::super::memory::LookupStart;
use super::{Chain, POSTGRES, Truth};

/// Whether stale answers may be used while the database is down, and whether one has been used.
#[derive(Debug)]
pub(in super::super) struct Outage {
    /// How long beyond its time to live an answer may be used. Zero turns this off.
    stale_if_down: Duration,
    realm: Option<String>,
    /// Whether a stale answer was given since the database last answered.
    has_begun: AtomicBool,
}

impl Outage {
    pub(in super::super) fn new(stale_if_down: Duration, realm: Option<String>) -> Self {
        Self {
            stale_if_down,
            realm,
            has_begun: AtomicBool::new(false),
        }
    }

    /// Notes that a stale answer is given, and logs the first one.
    fn begin(&self, of: FactKind, store: LookupSource) {
        if self.has_begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let (realm, seconds) = (self.realm.as_deref(), self.stale_if_down.as_secs());
        let store = store.as_str();
        match of {
            FactKind::Session => tracing::warn!(
                store,
                realm,
                "the database does not answer: known sessions are let in on stale answers, for up to {seconds} s beyond \
                 their time to live (STALE_IF_DOWN)"
            ),
            FactKind::User => tracing::warn!(
                store,
                realm,
                "the database does not answer: known users are let in on stale answers, for up to {seconds} s beyond \
                 their time to live (STALE_IF_DOWN)"
            ),
        }
    }

    /// Notes that the database has answered, and logs the end of an outage.
    pub(super) fn end(&self, of: FactKind) {
        // Read first, so that the usual case writes nothing to a cache line that other cores read.
        if !self.has_begun.load(Ordering::Relaxed) || !self.has_begun.swap(false, Ordering::Relaxed)
        {
            return;
        }
        let realm = self.realm.as_deref();
        match of {
            FactKind::Session => {
                tracing::info!(
                    realm,
                    "the database answers again for sessions; stale answers are no longer used"
                );
            }
            FactKind::User => {
                tracing::info!(
                    realm,
                    "the database answers again for users; stale answers are no longer used"
                );
            }
        }
    }
}

impl<T: Truth> Chain<T> {
    /// Returns a ticket that is no later than the lookup whose answer Redis holds, computed from the age of that answer.
    /// `None` if the age is not known, or if this node has received an announcement of a change since then. Announcements
    /// that it may have missed are not considered.
    pub(super) fn unchanged_since(
        &self,
        key: &str,
        hit: &Hit<T::Fact>,
        start: LookupStart,
    ) -> Option<Ticket> {
        let changes = &self.memory.changes;
        let found = hit.lookup.found.as_ref();
        let stripes = changes.stripes(key, found.and_then(|fact| fact.subject()));
        let ticket = changes.ticket_of(start.at, hit.age?);
        (!changes.changed_since(POSTGRES, ticket, stripes)).then_some(ticket)
    }

    /// Returns the stale answer to use while the database is down, if the operator allows it: the fact as it was at the
    /// last lookup. `None` if the fact did not exist then, or an invalidation was received since. The answer is not kept,
    /// so that the database is asked each time.
    ///
    /// `in_redis` is the answer that Redis holds, with a ticket from before the database was asked for it. It may be newer than
    /// the entry in memory, because another node may have reached the database later than this one. So it is used instead
    /// of an entry that is certainly older, which is removed. If it says that the fact does not exist, there is no stale
    /// answer, and the entry is removed in any case, so that it is not used once Redis has dropped its answer.
    pub(super) fn stale(
        &self,
        key: &str,
        error: &StoreError,
        in_redis: Option<(Ticket, Option<T::Fact>)>,
    ) -> Option<Lookup<T::Fact>> {
        let beyond = self.outage.stale_if_down;
        if beyond.is_zero() || error.store() == LookupSource::Redis {
            return None;
        }
        let now = self.clock.monotonic();
        if let Some(recalled) = self.memory.recall(key, now) {
            // This was an early renewal; the entry is still trusted.
            return Some(recalled.lookup);
        }
        match &in_redis {
            Some((_, None)) => self.memory.remove(key),
            Some((ticket, Some(_))) => self.memory.remove_older(key, *ticket),
            None => {}
        }
        let in_redis = in_redis.and_then(|(_, found)| found);
        let in_memory = self.memory.stale(key, now, beyond);
        let lookup = Lookup {
            found: Some(in_memory.or(in_redis)?),
            source: LookupSource::Stale,
        };
        self.reporter.found(&lookup);
        self.outage.begin(T::Fact::KIND, error.store());
        Some(lookup)
    }
}

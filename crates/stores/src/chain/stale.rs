//! What counts while the database gives no answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gate::{Lookup, LookupSource, StoreError};

use super::super::FactKind;
use super::super::cache::Hit;
use super::super::changes::Ticket;
use super::super::fact::Fact as _;
use super::super::memory::LookupStart;
use super::{Chain, POSTGRES, Truth};

/// What the operator wants while the database gives no answer, and whether it has come to that.
#[derive(Debug)]
pub(in super::super) struct Outage {
    /// How long beyond its time an answer counts. Zero: not at all.
    stale_if_down: Duration,
    realm: Option<String>,
    /// Whether something stale has counted since the database last answered.
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

    /// Something stale counts.
    fn begins(&self, of: FactKind, store: LookupSource) {
        if self.has_begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let (realm, seconds) = (self.realm.as_deref(), self.stale_if_down.as_secs());
        let store = store.as_str();
        match of {
            FactKind::Session => tracing::warn!(
                store,
                realm,
                "the database gives no answer: sessions that were known enter by what was known of them, for up to \
                 {seconds} s beyond its time (STALE_IF_DOWN)"
            ),
            FactKind::User => tracing::warn!(
                store,
                realm,
                "the database gives no answer: users who were known enter by what was known of them, for up to {seconds} s \
                 beyond its time (STALE_IF_DOWN)"
            ),
        }
    }

    /// The database has answered.
    pub(super) fn is_over(&self, of: FactKind) {
        // Most of the time nothing is written that other cores read.
        if !self.has_begun.load(Ordering::Relaxed) || !self.has_begun.swap(false, Ordering::Relaxed)
        {
            return;
        }
        let realm = self.realm.as_deref();
        match of {
            FactKind::Session => {
                tracing::info!(realm, "the database answers again for sessions, and counts");
            }
            FactKind::User => {
                tracing::info!(realm, "the database answers again for users, and counts");
            }
        }
    }
}

impl<T: Truth> Chain<T> {
    /// A time before which the database was surely not asked for what Redis knows. `None` where it has said something about that
    /// since, or nobody knows how old it is. What it may have said while it was not heard is not considered.
    pub(super) fn unchallenged_since(
        &self,
        key: &str,
        hit: &Hit<T::Fact>,
        asked: LookupStart,
    ) -> Option<Ticket> {
        let changes = &self.memory.changes;
        let found = hit.lookup.found.as_ref();
        let stripes = changes.stripes(key, found.and_then(|fact| fact.subject()));
        let ticket = changes.ticket_of(asked.at, hit.age?);
        (!changes.said(POSTGRES, ticket, stripes)).then_some(ticket)
    }

    /// What counts while the database gives no answer, if the operator wants that: what existed when it was last asked, unless
    /// something was heard of it since. It is not kept, so that the database is asked each time.
    ///
    /// `in_redis` is what Redis has, and a ticket before which the truth was not asked for it. It may be what another node was told
    /// that still reaches the database, or did so for longer. It takes the place of what memory has where it is surely newer; and
    /// nobody is let in where it is "no such thing". Memory forgets what it has then, so that this does not come back when Redis has
    /// forgotten.
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
            // It was asked for again before its time was over.
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
        self.outage.begins(T::Fact::KIND, error.store());
        Some(lookup)
    }
}

//! What counts while the database gives no answer.

use gate::{Lookup, Source, StoreError};

use super::super::cache::Hit;
use super::super::fact::Fact as _;
use super::super::memory::Asked;
use super::{Backing, Chain, POSTGRES, Truth};

impl<T: Truth> Chain<T> {
    /// Whether the database has said nothing about what Redis knows since it was asked for that, be it that it would not have been
    /// heard.
    pub(super) fn is_unchallenged(&self, key: &str, hit: &Hit<T::Fact>, asked: Asked) -> bool {
        let changes = &self.memory.changes;
        let found = hit.lookup.found.as_ref();
        let stripes = changes.stripes(key, found.and_then(|fact| fact.subject()));
        hit.age.is_some_and(|age| {
            let ticket = changes.ticket_of(asked.at, age);
            !changes.said(POSTGRES, ticket, stripes)
        })
    }

    /// What counts while the database gives no answer, if the operator wants that: what existed when it was last asked, unless
    /// something was heard of it since. It is not kept, so that the database is asked each time.
    pub(super) fn stale(
        &self,
        key: &str,
        error: &StoreError,
        backing: Backing<T::Fact>,
    ) -> Option<Lookup<T::Fact>> {
        if self.stale_if_down.is_zero() || error.store() == Source::Redis {
            return None;
        }
        let now = self.clock.monotonic();
        let in_redis = || match backing {
            Backing::Doubted(found) => found,
            Backing::Cache(_) | Backing::Lease(_) | Backing::Nothing => None,
        };
        let in_memory = self.memory.stale(key, now, self.stale_if_down);
        let lookup = Lookup {
            found: Some(in_memory.or_else(in_redis)?),
            source: Source::Stale,
        };
        self.reporter.found(&lookup);
        Some(lookup)
    }
}

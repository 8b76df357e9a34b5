//! The last store of a chain: the application's own, which decides what exists.

use std::borrow::Cow;

use gate::LookupSource;

use super::super::changes::Channels;
use super::super::record::Recorded;
use super::super::reporter::Reporter;
use super::super::single_flight::LookupResult;

/// The source of truth for one kind of fact: the application's own store.
pub(in super::super) trait Truth: Send + Sync + 'static {
    /// The kind of fact that the truth knows.
    type Fact: Recorded;
    /// The query that a lookup sends. It travels in the flight; caches only see its key.
    type Query: Clone + Send + Sync + 'static;

    /// Looks a fact up, and reports the outcome of each store that it asked.
    fn find(
        &self,
        query: Self::Query,
        reporter: &Reporter,
    ) -> impl Future<Output = LookupResult<Self::Fact>> + Send;

    /// The store that errors name when the truth does not answer.
    fn source(&self) -> LookupSource;

    /// All stores that may hold a fact of this kind.
    fn sources(&self) -> [Option<LookupSource>; 2] {
        [Some(self.source()), None]
    }

    /// The channels that could announce changes of this truth.
    fn channels(&self) -> Channels {
        let has = |source| self.sources().contains(&Some(source));
        Channels {
            postgres: has(LookupSource::Postgres),
            redis: has(LookupSource::Redis),
        }
    }

    /// Whether these channels announce every change of this truth. A SQLite file announces none.
    fn is_announced_on(&self, channels: Channels) -> bool {
        self.sources()
            .into_iter()
            .flatten()
            .all(|source| match source {
                LookupSource::Postgres => channels.postgres,
                LookupSource::Redis => channels.redis,
                LookupSource::Memory | LookupSource::Sqlite | LookupSource::Stale => false,
            })
    }

    /// The facts that a key of Redis is about, if Redis is the truth.
    fn affected_by(&self, _redis_key: &[u8]) -> Option<Affected<'static>> {
        None
    }
}

/// The facts that a change of a key in Redis affects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Affected<'a> {
    /// The fact under this key.
    Key(Cow<'a, str>),
    /// The facts about the user of this id.
    Subject(Cow<'a, str>),
}

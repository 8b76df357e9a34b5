//! Where the application keeps what it knows: the last store of a chain.

use std::borrow::Cow;

use gate::LookupSource;

use super::super::changes::Channels;
use super::super::record::Recorded;
use super::super::reporter::Reporter;
use super::super::single_flight::LookupResult;

/// Where it is decided what exists.
pub(in super::super) trait Truth: Send + Sync + 'static {
    /// What it knows about.
    type Fact: Recorded;
    /// What it is asked. It travels in the flight; caches see its key only.
    type Query: Clone + Send + Sync + 'static;

    /// Answers, and reports what each store that it asked has said.
    fn find(
        &self,
        query: Self::Query,
        reporter: &Reporter,
    ) -> impl Future<Output = LookupResult<Self::Fact>> + Send;

    /// The store that an outage is blamed on.
    fn source(&self) -> LookupSource;

    /// All stores of which one may know what the others do not.
    fn sources(&self) -> [Option<LookupSource>; 2] {
        [Some(self.source()), None]
    }

    /// The channels on which something is heard of what changes there.
    fn channels(&self) -> Channels {
        let is_there = |source| self.sources().contains(&Some(source));
        Channels {
            postgres: is_there(LookupSource::Postgres),
            redis: is_there(LookupSource::Redis),
        }
    }

    /// Whether everything that changes there is heard on these channels. A file of SQLite says nothing.
    fn is_heard_on(&self, channels: Channels) -> bool {
        self.sources()
            .into_iter()
            .flatten()
            .all(|source| match source {
                LookupSource::Postgres => channels.postgres,
                LookupSource::Redis => channels.redis,
                LookupSource::Memory | LookupSource::Sqlite | LookupSource::Stale => false,
            })
    }

    /// What this key of Redis is about, where that is the truth.
    fn kept_under(&self, _redis_key: &[u8]) -> Option<Affected<'static>> {
        None
    }
}

/// What is not known any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Affected<'a> {
    /// What is known under this key.
    Key(Cow<'a, str>),
    /// What is known of the user of this id.
    Subject(Cow<'a, str>),
}

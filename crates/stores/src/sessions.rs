//! The chain of sessions that the application keeps in its own store, by their tokens.
//!
//! A token is a credential: a client that has it is treated as the user. So caches, flights and messages identify a
//! session only by the id of its token, a hash; the token itself is in the query to the truth and nowhere else.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use gate::{Exceeded, FindError, KnownSession, Lookup, LookupSource, StoreError};
use session::SessionToken;

use super::Outcome;
use super::chain::{Affected, Chain, Truth};
use super::columns::UserColumns;
use super::database::Database;
use super::record::RecordScope;
use super::reporter::Reporter;
use super::secondary::SecondaryStorage;
use super::session_state::SessionState;
use super::settings::SessionTables;
use super::single_flight::{LookupResult, Trust};

/// Limits how often an address may send a token that no store knows.
pub trait UnknownTokens: Send + Sync + 'static {
    /// Counts a token that an address has sent. The returned function takes the count back; it is called when the token
    /// turns out to belong to a session.
    ///
    /// # Errors
    /// When this token exceeds the limit.
    fn count(&self, client: IpAddr) -> Counting<'_>;
}

/// The future that counts a token.
pub type Counting<'a> =
    Pin<Box<dyn Future<Output = Result<Box<dyn FnOnce() + 'a>, Exceeded>> + 'a>>;

/// A handle to the chain of stores that know sessions. Clones share everything; every runtime that decides has one.
#[derive(Clone)]
pub struct SessionChain {
    pub(super) chain: Arc<Chain<SessionTruth>>,
    /// The limit on how often an address may send a token that no store knows.
    unknown: Option<Arc<dyn UnknownTokens>>,
}

impl SessionChain {
    pub(super) fn new(chain: Arc<Chain<SessionTruth>>) -> Self {
        Self {
            chain,
            unknown: None,
        }
    }

    /// Sets the limit on how often an address may send a token that no store knows.
    pub fn limited(self, unknown: Option<Arc<dyn UnknownTokens>>) -> Self {
        Self { unknown, ..self }
    }

    /// Asks the stores for a session that is not in memory. Any client can make up a token, so each lookup counts against
    /// the limit of its address before it begins, and the count is taken back once the session turns out to exist.
    ///
    /// A token whose session this process has known is not a guess. It is not counted, so other clients at the same
    /// address that guess tokens never delay its lookup.
    async fn look_up(
        &self,
        token: &SessionToken,
        client: Option<IpAddr>,
    ) -> Result<Lookup<KnownSession>, FindError> {
        let id = token.id();
        let counting = self.unknown.as_ref().zip(client);
        let trust = self.trust(id);
        let counting = counting.filter(|_| trust == Trust::Unproven);
        let counted = match counting {
            Some((unknown, client)) => Some(unknown.count(client).await?),
            None => None,
        };
        let found = self.chain.fetch(id, trust, || (token.clone(), trust)).await;
        // A store that does not answer says nothing about the token.
        let is_unknown = matches!(&found, Ok(Lookup { found: None, .. }));
        if let Some(take_back) = counted.filter(|_| !is_unknown) {
            take_back();
        }
        Ok(found?)
    }

    /// Whether a token is known to be genuine: it is if its session existed at the last lookup that memory remembers.
    fn trust(&self, id: &str) -> Trust {
        match self.chain.memory.was_present(id) {
            true => Trust::Genuine,
            false => Trust::Unproven,
        }
    }
}

impl gate::SessionStore for SessionChain {
    async fn find(
        &self,
        token: &SessionToken,
        client: Option<IpAddr>,
    ) -> Result<Lookup<KnownSession>, FindError> {
        let query = || (token.clone(), Trust::Genuine);
        match self.chain.recall(token.id(), query) {
            Some(lookup) => Ok(lookup),
            // Boxed, so that callers that need not wait do not reserve the size of the waiting future.
            None => Box::pin(self.look_up(token, client)).await,
        }
    }

    /// Only the database answers for the session and its user at once. The user's data in Redis is a copy that outlives
    /// the user.
    fn includes_user_check(&self) -> bool {
        match self.chain.truth {
            SessionTruth::Database(_) => true,
            SessionTruth::Redis(_) | SessionTruth::RedisThenDatabase(..) => false,
        }
    }
}

impl fmt::Debug for SessionChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionChain({})", self.chain.truth.source())
    }
}

/// The application's own store of sessions.
pub(super) enum SessionTruth {
    Database(Arc<Database>),
    Redis(SecondaryStorage),
    /// Redis, then the database (Better Auth with `storeSessionInDatabase`): a session that Redis has lost is still in
    /// the database.
    RedisThenDatabase(SecondaryStorage, Arc<Database>),
}

impl Truth for SessionTruth {
    type Fact = KnownSession;
    type Query = (SessionToken, Trust);

    async fn find(
        &self,
        (token, trust): (SessionToken, Trust),
        reporter: &Reporter,
    ) -> LookupResult<KnownSession> {
        let (storage, database) = match self {
            Self::Database(database) => {
                return look_up_in_database(database, &token, trust, reporter).await;
            }
            Self::Redis(storage) => (storage, None),
            Self::RedisThenDatabase(storage, database) => (storage, Some(database)),
        };
        let state = storage.find(token.expose()).await;
        if let (Ok(SessionState::Absent), Some(database)) = (&state, database) {
            reporter.answered(LookupSource::Redis, Outcome::Missed);
            return look_up_in_database(database, &token, trust, reporter).await;
        }
        lookup(state, LookupSource::Redis, &token, reporter)
    }

    fn source(&self) -> LookupSource {
        match self {
            Self::Database(database) => database.source(),
            Self::Redis(_) | Self::RedisThenDatabase(..) => LookupSource::Redis,
        }
    }

    fn sources(&self) -> [Option<LookupSource>; 2] {
        match self {
            Self::Database(_) | Self::Redis(_) => [Some(self.source()), None],
            Self::RedisThenDatabase(_, database) => {
                [Some(LookupSource::Redis), Some(database.source())]
            }
        }
    }

    fn affected_by(&self, redis_key: &[u8]) -> Option<Affected<'static>> {
        match self {
            Self::Database(_) => None,
            Self::Redis(storage) | Self::RedisThenDatabase(storage, _) => {
                storage.affected_by(redis_key)
            }
        }
    }
}

async fn look_up_in_database(
    database: &Database,
    token: &SessionToken,
    trust: Trust,
    reporter: &Reporter,
) -> LookupResult<KnownSession> {
    let state = database.find_session(token.expose(), trust).await;
    lookup(state, database.source(), token, reporter)
}

fn lookup(
    state: Result<SessionState, StoreError>,
    source: LookupSource,
    token: &SessionToken,
    reporter: &Reporter,
) -> LookupResult<KnownSession> {
    if state.is_err() {
        reporter.answered(source, Outcome::Failed);
    }
    Ok(state?.lookup(source, token, reporter))
}

/// Describes what records of sessions are about: the same on every node that reads the same columns of the same tables.
pub(super) fn record_scope(
    database: &str,
    tables: &SessionTables,
    configured: &UserColumns,
) -> RecordScope {
    RecordScope {
        description: format!("{}{}", describe(database, tables), configured.description()),
        columns: configured.columns.len(),
        claims: configured.claims.len(),
    }
}

fn describe(database: &str, tables: &SessionTables) -> String {
    let SessionTables {
        table,
        token,
        user,
        expires,
        created,
        users,
        email,
        name,
        time_zone,
        standing,
    } = tables;
    let zone = time_zone.as_ref().map(ToString::to_string);
    let columns = [Some(token), Some(user), Some(expires), created.as_ref()]
        .into_iter()
        .chain([Some(&users.id), email.as_ref(), name.as_ref()])
        .chain(standing.names())
        .map(|column| column.map_or("-", |column| column.quoted()));
    let names: Vec<_> = [database, table.quoted(), users.table.quoted()]
        .into_iter()
        .chain(columns)
        .chain(zone.as_deref())
        .collect();
    names.join(" ")
}

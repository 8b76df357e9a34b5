//! Which sessions are alive: those that the application keeps in its own store, by their tokens.
//!
//! Whoever has a token is the user. So caches, flights and messages know a session by the id of its token only, a hash;
//! the token itself is in the question to the truth and nowhere else.

use std::fmt;
use std::sync::Arc;

use gate::{KnownSession, Lookup, Source, StoreError};
use session::SessionToken;

use super::Outcome;
use super::chain::{Chain, Truth};
use super::columns::UserColumns;
use super::database::Database;
use super::record::About;
use super::reporter::Reporter;
use super::secondary::SecondaryStorage;
use super::settings::SessionTables;
use super::single_flight::Answer;
use super::told::Told;

/// The chain of stores that know sessions. A handle: clones share everything, and belong on every runtime that decides.
#[derive(Clone)]
pub(crate) struct Sessions(pub(super) Arc<Chain<SessionTruth>>);

impl gate::Sessions for Sessions {
    async fn find(&self, token: &SessionToken) -> Result<Lookup<KnownSession>, StoreError> {
        self.0.find(token.id(), || token.clone()).await
    }

    /// Only the database is asked for the session and its user at once. What Redis holds of a user is a copy, which
    /// stays when the user goes.
    fn vouches_for_users(&self) -> bool {
        match self.0.truth {
            SessionTruth::Database(_) => true,
            SessionTruth::Redis(_) | SessionTruth::RedisThenDatabase(..) => false,
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({})", self.0.truth.source())
    }
}

/// Where the application keeps its sessions.
pub(super) enum SessionTruth {
    Database(Arc<Database>),
    Redis(SecondaryStorage),
    /// Better Auth with `storeSessionInDatabase`: what Redis has lost is still in the database.
    RedisThenDatabase(SecondaryStorage, Arc<Database>),
}

impl Truth for SessionTruth {
    type Fact = KnownSession;
    type Question = SessionToken;

    async fn find(&self, token: SessionToken, reporter: &Reporter) -> Answer<KnownSession> {
        let (storage, database) = match self {
            Self::Database(database) => return ask_database(database, &token, reporter).await,
            Self::Redis(storage) => (storage, None),
            Self::RedisThenDatabase(storage, database) => (storage, Some(database)),
        };
        let told = storage.find(token.expose()).await;
        if let (Ok(Told::Nothing), Some(database)) = (&told, database) {
            reporter.answered(Source::Redis, Outcome::Missed);
            return ask_database(database, &token, reporter).await;
        }
        lookup(told, Source::Redis, &token, reporter)
    }

    fn source(&self) -> Source {
        match self {
            Self::Database(database) => database.source(),
            Self::Redis(_) | Self::RedisThenDatabase(..) => Source::Redis,
        }
    }
}

async fn ask_database(
    database: &Database,
    token: &SessionToken,
    reporter: &Reporter,
) -> Answer<KnownSession> {
    let told = database.find_session(token.expose()).await;
    lookup(told, database.source(), token, reporter)
}

fn lookup(
    told: Result<Told, StoreError>,
    source: Source,
    token: &SessionToken,
    reporter: &Reporter,
) -> Answer<KnownSession> {
    if told.is_err() {
        reporter.answered(source, Outcome::Failed);
    }
    Ok(told?.lookup(source, token, reporter))
}

/// What the sessions are sessions of, the same on every node that asks the same tables for the same columns.
pub(super) fn about(database: &str, tables: &SessionTables, asked: &UserColumns) -> About {
    About {
        realm: format!("{}{}", realm(database, tables), asked.realm()),
        columns: asked.columns.len(),
        claims: asked.claims.len(),
    }
}

fn realm(database: &str, tables: &SessionTables) -> String {
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

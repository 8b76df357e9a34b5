//! The stores of users and sessions, as the decision sees them.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use session::{SessionToken, StoredSession};
use thiserror::Error;

use crate::FindError;

/// Where users are looked up.
///
/// The future must be ready at its first poll when the answer is in memory: that keeps the hot path free of wake-ups,
/// and lets a program that cannot block decide inline.
pub trait UserStore {
    /// Looks a user up by the session's subject.
    ///
    /// `Ok` with nothing found means that a store answered and has no such user. `Err` means that no store that could know has
    /// answered: that is an outage, never "not found" and never a permit.
    fn find(&self, subject: &str) -> impl Future<Output = Result<Lookup<User>, StoreError>>;
}

/// Where sessions are looked up that the application keeps in a store.
///
/// The future must be ready at its first poll when the answer is in memory, as for [`UserStore`].
pub trait SessionStore {
    /// Looks a session up by its token. `client` is the address of the client that sent it, if it is
    /// [known](crate::Arrival::known_client): some tokens are unsigned, so anybody can invent one, and a client that keeps doing so
    /// may be refused the lookup.
    ///
    /// The session found may have ended: [`SessionToken::open`] checks that. `Ok` with nothing found and
    /// [`FindError::Store`] mean what they mean for [`UserStore::find`].
    fn find(
        &self,
        token: &SessionToken,
        client: Option<IpAddr>,
    ) -> impl Future<Output = Result<Lookup<KnownSession>, FindError>>;

    /// Whether a session that is found proves that its user exists, because the store looks up both at once.
    fn includes_user_check(&self) -> bool;
}

/// What a store answered, and which store it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup<T> {
    /// The value, or `None` when the store does not have it.
    pub found: Option<T>,
    /// The store that answered.
    pub source: LookupSource,
}

/// A user in a store, with the values of the columns that were looked up. Cheap to clone: the values are shared.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct User {
    /// `None` if no columns are looked up, so that such a user costs nothing to make or to clone.
    columns: Option<Arc<[Value]>>,
}

impl User {
    /// Makes a user with these values, in the order in which the columns were asked for.
    #[must_use]
    pub fn with_columns(columns: Vec<Value>) -> Self {
        Self {
            columns: (!columns.is_empty()).then(|| columns.into()),
        }
    }

    /// Returns the values of the columns, in the order in which they were asked for. Empty if none were.
    #[must_use]
    pub fn columns(&self) -> &[Value] {
        self.columns.as_deref().unwrap_or_default()
    }
}

impl fmt::Debug for User {
    /// Shows the number of columns, but not their values, which are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({} columns)", self.columns().len())
    }
}

/// A session in a store, and its user if the store was asked for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSession {
    /// The session.
    pub stored: StoredSession,
    /// The session's user. It has no columns unless [`SessionStore::includes_user_check`].
    pub user: User,
}

/// The store that answered a lookup. The order is the order in which stores are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupSource {
    /// The cache in this process.
    Memory,
    /// The cache that all nodes share, or the store in which the application keeps its sessions.
    Redis,
    /// The application's database, PostgreSQL.
    Postgres,
    /// The application's database, SQLite.
    Sqlite,
    /// A cached value from before an outage of the database, if the operator allows its use for a while.
    Stale,
}

impl LookupSource {
    /// Every store, in the order in which they are asked.
    pub const ALL: [LookupSource; 5] = [
        LookupSource::Memory,
        LookupSource::Redis,
        LookupSource::Postgres,
        LookupSource::Sqlite,
        LookupSource::Stale,
    ];

    /// The store's name in logs, metrics and health reports.
    pub fn as_str(self) -> &'static str {
        match self {
            LookupSource::Memory => "memory",
            LookupSource::Redis => "redis",
            LookupSource::Postgres => "postgres",
            LookupSource::Sqlite => "sqlite",
            LookupSource::Stale => "stale",
        }
    }
}

impl fmt::Display for LookupSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a store gave no answer. `Clone`, because every request that waited for the same lookup gets it.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The store answered with an error, or the connection failed. The detail is the driver's own text.
    #[error("{store} failed: {detail}")]
    Failed {
        /// The store that was asked.
        store: LookupSource,
        /// What the driver said; it never holds a credential.
        detail: String,
    },
    /// The store did not answer in time.
    #[error("{store} did not answer within {} ms", limit.as_millis())]
    TimedOut {
        /// The store that was asked.
        store: LookupSource,
        /// How long we waited.
        limit: Duration,
    },
}

impl StoreError {
    /// The store that was asked.
    pub fn store(&self) -> LookupSource {
        match self {
            Self::Failed { store, .. } | Self::TimedOut { store, .. } => *store,
        }
    }
}

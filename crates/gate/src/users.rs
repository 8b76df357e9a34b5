//! Who the user is, as the decision sees it: a question to a chain of stores.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use thiserror::Error;

/// Knows whether a user exists.
///
/// The future must be ready at its first poll when the answer is in memory: that keeps the hot path free of wake-ups
/// and lets a host that cannot block decide inline.
pub trait Users {
    /// Looks a user up by the session's subject.
    ///
    /// `Ok` with no user means that a store answered and knows no such user. `Err` means that no store which could
    /// tell has answered; that is an outage, never "not found" and never a permit.
    fn find(&self, subject: &str) -> impl Future<Output = Result<Lookup, StoreError>>;
}

/// What a store answered, and which store it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The user, or `None` when the store knows no such user.
    pub user: Option<User>,
    /// The store that answered.
    pub source: Source,
}

/// A user that a store knows. For now it proves existence alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User;

/// A store in the chain. The order is the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This process's own cache.
    Memory,
    /// The cache that all nodes share.
    Redis,
    /// The user table in PostgreSQL.
    Postgres,
    /// The user table in SQLite.
    Sqlite,
}

impl Source {
    /// Every store, in the order in which they are asked.
    pub const ALL: [Source; 4] = [
        Source::Memory,
        Source::Redis,
        Source::Postgres,
        Source::Sqlite,
    ];

    /// The store's name in logs, metrics and health reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Memory => "memory",
            Source::Redis => "redis",
            Source::Postgres => "postgres",
            Source::Sqlite => "sqlite",
        }
    }
}

impl fmt::Display for Source {
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
        store: Source,
        /// What the driver said; it never holds a credential.
        detail: String,
    },
    /// The store did not answer in time.
    #[error("{store} did not answer within {} ms", limit.as_millis())]
    TimedOut {
        /// The store that was asked.
        store: Source,
        /// How long we waited.
        limit: Duration,
    },
}

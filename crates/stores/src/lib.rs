//! Looks up users and sessions in chains of stores: memory → Redis → the application's own store.
//!
//! There is one chain of users and one of sessions. They share the connections to Redis and to the database, and the
//! health of both. The application's own store, which decides what exists, is called the *truth*.
//!
//! How old an answer can be: a deleted user or session is refused after [`RedisSettings::cache_ttl`] plus
//! [`MemorySettings::ttl`] at the latest; a user who is created after a lookup has missed is let in after twice
//! [`Settings::absent_ttl`] at the latest. No cache keeps a session for longer than it lives. If a channel announces
//! changes, a change takes effect at once, and nothing is answered from memory while the channel is silent.

mod breaker;
mod builder;
mod cache;
mod chain;
mod change_listener;
mod changes;
mod channel;
mod claims;
mod columns;
mod connections;
mod database;
mod fact;
mod health;
mod identifier;
mod memory;
mod observer;
mod pools;
mod postgres;
mod process;
mod rates;
mod record;
mod redis;
mod reporter;
mod revocations;
mod secondary;
mod session_state;
mod sessions;
mod settings;
mod single_flight;
mod sqlite;
mod standing;
mod stores;
mod survey;
mod surveyor;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod users;
mod weight;

pub use self::change_listener::{Change, ChangeListener};
pub use self::claims::{ClaimOf, StoredClaim};
pub use self::columns::{ColumnError, Memberships, UserColumn};
use self::health::PROBE_EVERY;
pub use self::health::StoreHealth;
pub use self::identifier::{Column, Table};
pub use self::observer::{FactKind, Observer, Outcome};
pub use self::pools::{Fingerprints, Pools};
pub use self::postgres::{
    ChangeTriggers, OwnTableError, PostgresHost, PostgresServer, SharedRows, SharedRowsError,
    SharedRowsSurvey, TriggerFlaw, Verify, WatchedTable,
};
pub use self::process::{Clock, Process, Trial};
pub use self::rates::SharedRates;
pub use self::redis::{
    ClusterSeeds, OverShared, RedisAddress, RedisServer, Sentinels, SharedCell, SharedChange,
};
pub use self::revocations::{
    ChangedRevocations, RevocationEntry, RevocationEntryError, RevocationKey, RevocationMark,
    RevocationNews, RevocationNewsReceiver, RevocationPlace, RevocationSettings, RevocationStore,
    RevocationStoreError, reload_soon,
};
pub use self::sessions::{Counting, SessionChain, UnknownTokens};
pub use self::settings::{
    CacheFormat, DatabaseSettings, DatabaseUrl, MemorySettings, RedisSettings, SessionTables,
    Settings, UserTable,
};
pub use self::standing::{Need, StandingColumn, StandingColumns};
pub use self::stores::{StoreOpenError, Stores};
pub use self::survey::{
    ClockReading, ColumnState, ColumnSurvey, DatabaseSurvey, LookupSurvey, Plan, RedisSurvey,
    RedisUses, RoleSurvey, Rows, Visibility,
};
pub use self::surveyor::{survey_changes, survey_database, survey_redis};
use self::text::{hex, one_line};
pub use self::time::Zone;
pub use self::users::UserChain;

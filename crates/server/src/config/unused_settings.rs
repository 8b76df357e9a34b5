//! Warnings about settings that are set but cannot have an effect.
//!
//! Without these warnings, an operator could believe for a year that the gate checks users in a database. Each setting is
//! reported at start-up and by `check-config`. It is not an error, because platforms and other programs set variables with these
//! names in the same environment.

mod rules;

use std::time::Duration;

use session::SessionCookie;

use self::rules::{FOREIGN_POSTGRES_NAMES, FOREIGN_REDIS_NAMES, LIBPQ_NAMES, RULES};
use super::lookups::{self, SessionLookups};
use super::reader::Reader;
use super::realm::RealmReading;
use super::sessions::SessionFormat;
use stores::{self, MemorySettings};

/// The features that a configuration uses, on which the effect of settings depends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uses {
    /// There is a service to forward to.
    pub(super) upstream: bool,
    /// That service is a folder.
    pub(super) folder: bool,
    /// The gate uses TLS with that service.
    pub(super) upstream_tls: bool,
    /// Calling proxies ask for decisions at a Unix socket.
    pub(super) socket: bool,
    /// Browsers are redirected to a sign-in page.
    pub(super) sign_in: bool,
    /// The gate's own hostnames are needed for something other than sign-in.
    pub(super) own_names: bool,
    /// Certificates are ordered by ACME.
    pub(super) acme: bool,
    /// Rates are counted in Redis.
    pub(super) limits_in_redis: bool,
    /// ACME certificates are stored in the database.
    pub(super) acme_in_database: bool,
    /// There is a store of revocations.
    pub(super) revocations: bool,
    /// Revocations are stored in the database.
    pub(super) revocations_in_database: bool,
    /// Revocations are stored in Redis.
    pub(super) revocations_in_redis: bool,
    /// The bypass is on.
    pub(super) bypass: bool,
    /// The sessions that are recognized.
    pub(super) format: SessionFormat,
    /// Cookies of Auth.js or NextAuth are recognized, because there is a secret for them or none is needed.
    pub(super) authjs: bool,
    /// Cookies of Better Auth are recognized.
    pub(super) better_auth: bool,
    /// How sessions are looked up, if they are.
    pub(super) lookups: Option<SessionLookups>,
    /// Users are looked up.
    pub(super) users: bool,
    /// The kind of database that is queried, if one is.
    pub(super) database: Option<DatabaseKind>,
    /// Users or sessions are looked up in Redis.
    pub(super) redis: bool,
    /// The settings of the cache in memory.
    pub(super) memory: MemorySettings,
    /// The gate is notified of changes, at least in one store.
    pub(super) is_notified: bool,
    /// Bearer tokens are accepted.
    pub(super) bearer: bool,
}

impl Uses {
    /// The features that one realm uses.
    pub(super) fn of(realm: &RealmReading) -> Self {
        let has_cookies = |of_better_auth: bool| {
            let is_one =
                |cookie: &SessionCookie| (cookie.expects() == "better-auth") == of_better_auth;
            let keys = realm.keys.as_ref();
            keys.is_some_and(|keys| keys.cookies().any(is_one))
        };
        let stores = realm.stores.as_ref();
        Self {
            upstream: false,
            folder: false,
            upstream_tls: false,
            socket: false,
            sign_in: false,
            own_names: false,
            acme: false,
            acme_in_database: false,
            limits_in_redis: false,
            revocations: false,
            revocations_in_database: false,
            revocations_in_redis: false,
            bypass: false,
            format: realm.format,
            authjs: has_cookies(false),
            better_auth: has_cookies(true),
            lookups: realm.lookups,
            users: stores.is_some_and(stores::Settings::checks_users),
            database: stores.and_then(database_kind),
            redis: stores.is_some_and(|stores| stores.redis.is_some()),
            memory: stores.map_or(NO_MEMORY, |stores| stores.memory),
            is_notified: stores.is_some_and(is_notified),
            bearer: realm.issuer.is_some(),
        }
    }
}

fn is_notified(stores: &stores::Settings) -> bool {
    let (redis, database) = (stores.redis.as_ref(), stores.database.as_ref());
    redis.is_some_and(|redis| redis.tracking)
        || database.is_some_and(|database| database.listen.is_some())
}

fn database_kind(stores: &stores::Settings) -> Option<DatabaseKind> {
    Some(match stores.database.as_ref()?.url {
        stores::DatabaseUrl::Postgres(_) => DatabaseKind::Postgres,
        stores::DatabaseUrl::Sqlite(_) => DatabaseKind::Sqlite,
    })
}

const NO_MEMORY: MemorySettings = MemorySettings {
    ttl: Duration::ZERO,
    entries: 0,
    bytes: 0,
};

/// The kind of database that is queried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DatabaseKind {
    Postgres,
    Sqlite,
}

/// Warns about every setting that is set but has no effect.
pub(super) fn warn_about_unused(reader: &mut Reader<'_>, uses: &Uses) {
    for (names, has_no_effect, why) in RULES {
        if has_no_effect(uses) {
            for name in *names {
                reader.warn_about_unused(name, why);
            }
        }
    }
    if uses.database == Some(DatabaseKind::Postgres) {
        for (name, replacement) in LIBPQ_NAMES {
            let why = format!(
                "only programs that use libpq read it; set {replacement}, or add it to DATABASE_URL"
            );
            reader.warn_about_unused(name, &why);
        }
        for (name, replacement) in FOREIGN_POSTGRES_NAMES {
            reader.warn_about_unused(
                name,
                &format!("it is not a setting of sessiongate; {replacement}"),
            );
        }
    }
    if uses.redis {
        for (name, replacement) in FOREIGN_REDIS_NAMES {
            reader.warn_about_unused(
                name,
                &format!("it is not a setting of sessiongate; {replacement}"),
            );
        }
    }
}

/// The names of the settings that are read only in some configurations.
pub(super) fn names() -> Vec<&'static str> {
    RULES
        .iter()
        .flat_map(|(names, ..)| *names)
        .chain(&lookups::NAMES)
        .copied()
        .collect()
}

impl Uses {
    fn has_lookups(&self) -> bool {
        self.users || self.lookups.is_some()
    }

    /// Whether there is a cache in Redis, not counting sessions that Better Auth stores there.
    fn redis_cache(&self) -> bool {
        let sessions_in_database = self.lookups.is_some_and(SessionLookups::uses_only_database);
        self.redis && (self.users || sessions_in_database)
    }

    /// Whether anything is cached, in memory or in Redis.
    fn caches_anything(&self) -> bool {
        let has_room = self.memory.entries > 0 && self.memory.bytes > 0;
        let in_memory = has_room && (self.is_notified || !self.memory.ttl.is_zero());
        in_memory || self.redis_cache()
    }

    /// Whether sessions in cookies of Auth.js or NextAuth, which have claims of their own, are accepted.
    fn authjs_cookies(&self) -> bool {
        match self.format {
            SessionFormat::Auto
            | SessionFormat::AuthJs
            | SessionFormat::AuthJsSigned
            | SessionFormat::NextAuth => self.authjs,
            SessionFormat::AuthJsDatabase | SessionFormat::BetterAuth => false,
        }
    }
}

#[cfg(test)]
mod tests;

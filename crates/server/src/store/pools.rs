//! The connections to servers and files, which the stores of several realms share, and which a reload keeps.
//!
//! Stores that ask the same server with the same settings lease one set of connections. The last one that gives its lease
//! back closes them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::{Connections, Opener};
use super::postgres::{PostgresOpener, PostgresServer};
use super::redis::{Redis, RedisPlace};
use super::settings::{DatabaseSettings, RedisSettings};
use super::sqlite::SqliteOpener;
use crate::vital;

/// The connections that stores share. A handle: clones share everything.
#[derive(Clone)]
pub(crate) struct Pools {
    /// Where everything runs that waits for a server.
    runtime: Handle,
    postgres: Shelf<PostgresPlace, Connections<PostgresOpener>>,
    sqlite: Shelf<SqlitePlace, Connections<SqliteOpener>>,
    redis: Shelf<RedisPlace, RedisLine>,
}

/// What one set of connections to PostgreSQL depends on.
#[derive(PartialEq)]
pub(super) struct PostgresPlace {
    server: PostgresServer,
    limits: Limits,
    /// Fingerprints of the certificates and the key, so that new ones must prove themselves on new connections.
    files: [Option<Vec<u8>>; 3],
}

/// What one set of connections to a SQLite file depends on.
#[derive(PartialEq)]
pub(super) struct SqlitePlace {
    /// As they are printed: the driver compares them in no other way, and its URLs leave out names such as `file:people`.
    options: String,
    limits: Limits,
}

#[derive(PartialEq)]
struct Limits {
    timeout: Duration,
    connections: u32,
}

impl Limits {
    fn of(settings: &DatabaseSettings) -> Self {
        Self {
            timeout: settings.timeout,
            connections: settings.max_connections,
        }
    }
}

impl Pools {
    /// With no connections yet. Everything that waits for a server will run on `runtime`, which must outlive this.
    pub(crate) fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            postgres: Shelf::default(),
            sqlite: Shelf::default(),
            redis: Shelf::default(),
        }
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(super) fn postgres(
        &self,
        server: &PostgresServer,
        settings: &DatabaseSettings,
    ) -> Lease<PostgresPlace, Connections<PostgresOpener>> {
        let identity = server.identity.as_ref();
        let files = [
            server.ca_file.as_ref(),
            identity.map(|(certificate, _)| certificate),
            identity.map(|(_, key)| key),
        ];
        let place = PostgresPlace {
            server: server.clone(),
            limits: Limits::of(settings),
            files: files.map(|path| fingerprint(path?)),
        };
        self.postgres.lease(place, |place| {
            let opener = PostgresOpener {
                server: place.server.clone(),
                limit: settings.timeout,
            };
            Connections::new(opener, settings.max_connections, PostgresOpener::LIFETIME)
        })
    }

    pub(super) fn sqlite(
        &self,
        options: &SqliteConnectOptions,
        settings: &DatabaseSettings,
    ) -> Lease<SqlitePlace, Connections<SqliteOpener>> {
        let place = SqlitePlace {
            options: format!("{options:?}"),
            limits: Limits::of(settings),
        };
        self.sqlite.lease(place, |_| {
            let opener = SqliteOpener::new(options.clone(), settings.timeout);
            Connections::new(opener, settings.max_connections, SqliteOpener::LIFETIME)
        })
    }

    pub(super) fn redis(&self, settings: &RedisSettings) -> Lease<RedisPlace, RedisLine> {
        let ca = settings.ca_file.as_ref();
        let place = RedisPlace {
            server: settings.server.clone(),
            timeout: settings.timeout,
            ca_file: settings.ca_file.clone(),
            ca: ca.and_then(fingerprint),
            probe_key: settings.probe_key().into(),
        };
        self.redis
            .lease(place, |place| RedisLine::open(place.clone(), &self.runtime))
    }
}

/// The line to a Redis, and the task that keeps it open.
pub(super) struct RedisLine {
    pub(super) redis: Arc<Redis>,
    stop: CancellationToken,
    keeper: TaskTracker,
}

impl RedisLine {
    fn open(place: RedisPlace, runtime: &Handle) -> Self {
        let line = Self {
            redis: Arc::new(Redis::new(place)),
            stop: CancellationToken::new(),
            keeper: TaskTracker::new(),
        };
        let (redis, stop) = (Arc::clone(&line.redis), line.stop.clone());
        let keep = async move {
            let _part = vital::part("the line to Redis");
            stop.run_until_cancelled(redis.keep_line()).await;
        };
        line.keeper.spawn_on(keep, runtime);
        line.keeper.close();
        line
    }

    /// Gives the line up for good.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        // The task waits for nothing but the line, so it ends at once.
        let _ = timeout(CLOSE_WITHIN, self.keeper.wait()).await;
        self.redis.close();
    }
}

impl Drop for RedisLine {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The things of one kind that are leased, by what they depend on.
pub(super) struct Shelf<P, T>(Arc<Mutex<Vec<Shared<P, T>>>>);

struct Shared<P, T> {
    place: P,
    thing: Arc<T>,
    leases: usize,
}

impl<P, T> Clone for Shelf<P, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P, T> Default for Shelf<P, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<P: PartialEq, T> Shelf<P, T> {
    /// The thing for this place: the one that others have leased, or a new one.
    fn lease(&self, place: P, make: impl FnOnce(&P) -> T) -> Lease<P, T> {
        let mut shared = self.shared();
        let known = shared.iter_mut().find(|shared| shared.place == place);
        let thing = match known {
            Some(known) => {
                known.leases += 1;
                Arc::clone(&known.thing)
            }
            None => {
                let thing = Arc::new(make(&place));
                shared.push(Shared {
                    place,
                    thing: Arc::clone(&thing),
                    leases: 1,
                });
                thing
            }
        };
        Lease {
            shelf: self.clone(),
            thing,
            is_back: false,
        }
    }
}

impl<P, T> Shelf<P, T> {
    /// Counts a lease of this thing less. Whether it was the last one.
    fn take_back(&self, thing: &Arc<T>) -> bool {
        let mut shared = self.shared();
        let is_it = |shared: &Shared<P, T>| Arc::ptr_eq(&shared.thing, thing);
        let Some(index) = shared.iter().position(is_it) else {
            return false;
        };
        let Some(known) = shared.get_mut(index) else {
            return false;
        };
        known.leases -= 1;
        let was_last = known.leases == 0;
        if was_last {
            shared.swap_remove(index);
        }
        was_last
    }

    fn shared(&self) -> MutexGuard<'_, Vec<Shared<P, T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to use a thing that others may use as well.
pub(super) struct Lease<P, T> {
    shelf: Shelf<P, T>,
    pub(super) thing: Arc<T>,
    is_back: bool,
}

impl<P, T> Lease<P, T> {
    /// Gives the lease back. Whoever gets the thing was the last one to use it, and closes it.
    pub(super) fn give_back(mut self) -> Option<Arc<T>> {
        self.is_back = true;
        let was_last = self.shelf.take_back(&self.thing);
        was_last.then(|| Arc::clone(&self.thing))
    }
}

impl<P, T> Drop for Lease<P, T> {
    fn drop(&mut self) {
        if !self.is_back {
            self.shelf.take_back(&self.thing);
        }
    }
}

/// Gives the lease of connections back, and closes them when nobody else uses them.
pub(super) async fn give_back<P, O: Opener>(lease: Lease<P, Connections<O>>) {
    if let Some(connections) = lease.give_back() {
        connections.close().await;
    }
}

/// A digest of what is in the file; `None` when it cannot be read, which opening a connection will report.
fn fingerprint(path: &std::path::PathBuf) -> Option<Vec<u8>> {
    let content = std::fs::read(path).ok()?;
    Some(digest::digest(&digest::SHA256, &content).as_ref().to_vec())
}

const CLOSE_WITHIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_leased_twice_is_closed_by_the_last() {
        let shelf = Shelf::<u8, &str>::default();
        let first = shelf.lease(1, |_| "one");
        let second = shelf.lease(1, |_| unreachable!("it is there"));
        let other = shelf.lease(2, |_| "two");
        assert!(first.give_back().is_none());
        assert_eq!(second.give_back().as_deref(), Some(&"one"));
        drop(other);
        assert!(shelf.shared().is_empty());
        assert_eq!(*shelf.lease(1, |_| "again").thing, "again");
    }
}

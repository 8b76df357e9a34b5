//! Connections to servers and files that the stores of several realms share, and that a reload keeps.
//!
//! Stores that use the same server with the same settings lease one set of connections. Returning the last lease closes
//! them.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use session::Secret;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::{Connections, Opener};
use super::postgres::listener::{ChangesTarget, PostgresChannel};
use super::postgres::{ChangeTriggers, PostgresOpener, PostgresServer};
use super::process::{Jitter, Process, Trial};
use super::redis::{Redis, RedisAddress, RedisTarget, Tracking, TrackingTarget};
use super::settings::{DatabaseSettings, DatabaseUrl, RedisSettings, Settings};
use super::sqlite::SqliteOpener;
use client_tls::named_file;

/// A handle to the connections that stores share. Clones share everything.
#[derive(Clone)]
pub struct Pools {
    process: Process,
    postgres: Registry<DatabaseTarget, Connections<PostgresOpener>>,
    sqlite: Registry<DatabaseTarget, Connections<SqliteOpener>>,
    redis: Registry<RedisTarget, RedisHandle>,
    tracking: Registry<TrackingTarget, Tracking>,
    postgres_changes: Registry<ChangesTarget, PostgresChannel>,
}

/// The settings that one pool of connections to a database depends on.
#[derive(PartialEq)]
pub(super) struct DatabaseTarget {
    url: DatabaseUrl,
    timeout: Duration,
    connections: u32,
    files: Fingerprints,
}

impl DatabaseTarget {
    fn of(settings: &DatabaseSettings) -> Self {
        Self {
            url: settings.url.clone(),
            timeout: settings.timeout,
            connections: settings.max_connections,
            files: files_of(settings),
        }
    }
}

/// Digests of certificate and key files, so that changed files lead to new connections. `None` is a file that cannot be
/// read, which opening a connection reports.
pub type Fingerprints = Vec<Option<Vec<u8>>>;

/// The fingerprints of every file that these settings name.
pub(super) fn fingerprints(settings: &Settings) -> Fingerprints {
    let redis = settings.redis.as_ref();
    let redis = redis.and_then(|redis| redis.ca_file.as_ref());
    let database = settings.database.as_ref().map(files_of);
    let database = database.unwrap_or_default();
    database.into_iter().chain(redis.map(fingerprint)).collect()
}

pub(super) fn files_of(settings: &DatabaseSettings) -> Fingerprints {
    let DatabaseUrl::Postgres(server) = &settings.url else {
        return Vec::new();
    };
    let servers = [server].into_iter().chain(&settings.listen);
    let files = servers.flat_map(|server| server.files());
    files.map(fingerprint).collect()
}

/// The fingerprint of one file.
pub(super) fn fingerprint(path: impl AsRef<Path>) -> Option<Vec<u8>> {
    let content = Secret::new(named_file::read(path.as_ref(), client_tls::LONGEST_FILE).ok()?);
    Some(
        digest::digest(&digest::SHA256, content.expose())
            .as_ref()
            .to_vec(),
    )
}

impl Pools {
    /// Creates pools without connections. Everything that waits for a server runs on the runtime of `process`, which must
    /// outlive the pools.
    pub fn new(process: Process) -> Self {
        Self {
            process,
            postgres: Registry::default(),
            sqlite: Registry::default(),
            redis: Registry::default(),
            tracking: Registry::default(),
            postgres_changes: Registry::default(),
        }
    }

    /// Returns a handle to the same pools for stores on trial: connections that it opens, rather than shares, are logged
    /// as on trial until the trial ends.
    pub fn on_trial(&self, trial: Trial) -> Self {
        Self {
            process: Process {
                trial,
                ..self.process.clone()
            },
            ..self.clone()
        }
    }

    /// The trial of the connections that these pools open.
    pub fn trial(&self) -> &Trial {
        &self.process.trial
    }

    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    pub(super) fn postgres(
        &self,
        server: &PostgresServer,
        settings: &DatabaseSettings,
    ) -> Lease<DatabaseTarget, Connections<PostgresOpener>> {
        self.postgres.lease(DatabaseTarget::of(settings), |_| {
            let opener = PostgresOpener {
                server: server.clone(),
                limit: settings.timeout,
            };
            Connections::new(
                opener,
                settings.max_connections,
                PostgresOpener::LIFETIME,
                self.process.clock.clone(),
            )
        })
    }

    /// Leases the channel that announces changes in the database of `settings`, if there is one.
    pub(super) fn postgres_changes(
        &self,
        settings: &Settings,
    ) -> Option<Lease<ChangesTarget, PostgresChannel>> {
        let database = settings.database.as_ref()?;
        let (Some(listen), DatabaseUrl::Postgres(truth)) = (&database.listen, &database.url) else {
            return None;
        };
        let target = ChangesTarget {
            listen: (**listen).clone(),
            truth: (**truth).clone(),
            timeout: database.timeout,
            triggers: ChangeTriggers::of([settings]),
            files: files_of(database),
        };
        Some(self.postgres_changes.lease(target, |target| {
            PostgresChannel::open(target.clone(), &self.process)
        }))
    }

    pub(super) fn sqlite(
        &self,
        options: &SqliteConnectOptions,
        settings: &DatabaseSettings,
    ) -> Lease<DatabaseTarget, Connections<SqliteOpener>> {
        self.sqlite.lease(DatabaseTarget::of(settings), |_| {
            let opener = SqliteOpener::new(options.clone(), settings.timeout);
            Connections::new(
                opener,
                settings.max_connections,
                SqliteOpener::LIFETIME,
                self.process.clock.clone(),
            )
        })
    }

    pub(super) fn redis(&self, settings: &RedisSettings) -> Lease<RedisTarget, RedisHandle> {
        let ca = settings.ca_file.as_ref();
        let target = RedisTarget {
            server: settings.server.clone(),
            timeout: settings.timeout,
            ca_file: settings.ca_file.clone(),
            ca: ca.and_then(fingerprint),
            probe_key: settings.probe_key().into(),
        };
        self.redis.lease(target, |target| {
            RedisHandle::open(target.clone(), &self.process)
        })
    }

    /// Leases the channel on which Redis announces changes, if `settings` turn it on.
    pub(super) fn tracking(
        &self,
        settings: &RedisSettings,
    ) -> Option<Lease<TrackingTarget, Tracking>> {
        let ca = settings.ca_file.as_ref().and_then(fingerprint);
        let target = settings
            .tracking
            .then(|| TrackingTarget::of(settings, ca))?;
        let of_cluster = matches!(settings.server.address, RedisAddress::Cluster(_));
        let handle = of_cluster.then(|| self.redis(settings));
        Some(self.tracking.lease(target, |target| {
            Tracking::open(target.clone(), handle, &self.process)
        }))
    }
}

/// A Redis server or cluster, and the task that keeps it connected.
pub(super) struct RedisHandle {
    pub(super) redis: Arc<Redis>,
    stop: CancellationToken,
    keeper: TaskTracker,
}

impl RedisHandle {
    fn open(target: RedisTarget, process: &Process) -> Self {
        let handle = Self {
            redis: Arc::new(Redis::new(
                target,
                Jitter::new(process.random),
                process.trial.clone(),
            )),
            stop: CancellationToken::new(),
            keeper: TaskTracker::new(),
        };
        let (redis, stop) = (Arc::clone(&handle.redis), handle.stop.clone());
        let vital = process.vital;
        let keep = async move {
            let _part = vital("the connection to Redis");
            stop.run_until_cancelled(redis.keep_connected()).await;
        };
        handle.keeper.spawn_on(keep, &process.runtime);
        handle.keeper.close();
        handle
    }

    /// Closes the connections for good.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        // The task waits for its connections only, so it ends at once when stopped.
        let _ = timeout(CLOSE_TIMEOUT, self.keeper.wait()).await;
        self.redis.close();
    }
}

impl Drop for RedisHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The leased resources of one kind, by the settings that they depend on.
pub(super) struct Registry<P, T>(Arc<Mutex<Vec<Shared<P, T>>>>);

struct Shared<P, T> {
    target: P,
    resource: Arc<T>,
    leases: usize,
}

impl<P, T> Clone for Registry<P, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P, T> Default for Registry<P, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<P: PartialEq, T> Registry<P, T> {
    /// Leases the resource for this target: the existing one if other stores have leased it, or else a new one.
    fn lease(&self, target: P, make: impl FnOnce(&P) -> T) -> Lease<P, T> {
        let mut shared = self.shared();
        let known = shared.iter_mut().find(|shared| shared.target == target);
        let resource = match known {
            Some(known) => {
                known.leases += 1;
                Arc::clone(&known.resource)
            }
            None => {
                let resource = Arc::new(make(&target));
                shared.push(Shared {
                    target,
                    resource: Arc::clone(&resource),
                    leases: 1,
                });
                resource
            }
        };
        Lease {
            registry: self.clone(),
            resource,
            is_returned: false,
        }
    }
}

impl<P, T> Registry<P, T> {
    /// Reduces the number of leases of this resource by one, and returns whether that was the last lease.
    fn take_back(&self, resource: &Arc<T>) -> bool {
        let mut shared = self.shared();
        let is_same = |shared: &Shared<P, T>| Arc::ptr_eq(&shared.resource, resource);
        let Some(index) = shared.iter().position(is_same) else {
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

/// A counted right to use a shared resource.
pub(super) struct Lease<P, T> {
    registry: Registry<P, T>,
    pub(super) resource: Arc<T>,
    is_returned: bool,
}

impl<P, T> Lease<P, T> {
    /// Returns the lease. The last one yields the resource, which the caller then closes.
    pub(super) fn give_back(mut self) -> Option<Arc<T>> {
        self.is_returned = true;
        let was_last = self.registry.take_back(&self.resource);
        was_last.then(|| Arc::clone(&self.resource))
    }
}

impl<P, T> Drop for Lease<P, T> {
    fn drop(&mut self) {
        if !self.is_returned {
            self.registry.take_back(&self.resource);
        }
    }
}

/// Returns the lease of a connection pool, and closes the pool when no other stores use it.
pub(super) async fn give_back<P, O: Opener>(lease: Lease<P, Connections<O>>) {
    if let Some(connections) = lease.give_back() {
        connections.close().await;
    }
}

const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_the_same_only_with_the_same_credentials() {
        let redis = crate::tests::urls::redis_server;
        let url = "redis://user:secret@localhost:6380/1";
        assert!(redis(url) == redis(url));
        for (part, other) in [
            ("user", "other"),
            ("secret", "other"),
            ("localhost", "127.0.0.1"),
            ("6380", "6381"),
            ("/1", "/2"),
        ] {
            assert!(redis(url) != redis(&url.replace(part, other)), "{other}");
        }
    }

    #[test]
    fn returning_the_last_lease_yields_the_resource() {
        let registry = Registry::<u8, &str>::default();
        let first = registry.lease(1, |_| "one");
        let second = registry.lease(1, |_| unreachable!("it is there"));
        let other = registry.lease(2, |_| "two");
        assert!(first.give_back().is_none());
        assert_eq!(second.give_back().as_deref(), Some(&"one"));
        drop(other);
        assert!(registry.shared().is_empty());
        assert_eq!(*registry.lease(1, |_| "again").resource, "again");
    }
}

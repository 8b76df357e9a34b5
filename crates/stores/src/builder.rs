//! Builds the chains of a realm from its settings.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::cache::SharedCache;
use super::chain::{self, Chain, Outage, Tasks, Truth};
use super::change_listener::ChangeListener;
use super::changes::{Changes, Channels};
use super::channel::{Channel, ChannelSubscriber, Publisher};
use super::fact::Fact as _;
use super::memory::Memory;
use super::observer::Observer;
use super::process::{Clock, Jitter};
use super::record::{RecordScope, Recorded};
use super::redis::CacheBackend;
use super::reporter::Reporter;
use super::secondary::SecondaryStorage;
use super::sessions::{self, SessionChain, SessionTruth};
use super::settings::{DatabaseUrl, Settings};
use super::stores::Servers;
use super::users::{self, UserChain, UserTruth};

/// Builds the chains of users and sessions.
pub(super) struct Builder<'a> {
    pub(super) settings: &'a Settings,
    pub(super) servers: &'a Servers,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) tasks: &'a Tasks,
    pub(super) clock: &'a Clock,
    pub(super) jitter: Jitter,
    pub(super) stop: &'a CancellationToken,
    /// The publishers of the channels that announce changes.
    pub(super) publishers: &'a [Arc<Publisher>],
    pub(super) listener: Arc<dyn ChangeListener>,
}

impl Builder<'_> {
    pub(super) fn users(&self) -> Option<UserChain> {
        let table = self.settings.database.as_ref()?.users.as_ref()?;
        let database = self.servers.database.as_ref()?;
        let configured = self.settings.user_columns();
        let cache = self.cache(
            "",
            users::record_scope(&self.database_name()?, table, &configured),
        );
        Some(UserChain(
            self.chain(cache, UserTruth(Arc::clone(database))),
        ))
    }

    /// Builds the chain of sessions. Sessions that are in Redis have no second cache in Redis.
    pub(super) fn sessions(&self) -> Option<SessionChain> {
        let prefix = self
            .settings
            .redis
            .as_ref()
            .and_then(|redis| redis.sessions.clone());
        let storage = self.servers.redis.as_ref().zip(prefix);
        let storage = storage.map(|(redis, prefix)| {
            SecondaryStorage::new(Arc::clone(redis), prefix, self.settings.claims.clone())
        });
        let tables = self
            .settings
            .database
            .as_ref()
            .and_then(|database| database.sessions.as_ref());
        let database = self.servers.database.clone().zip(tables);
        let (cache, truth) = match (storage, database) {
            (None, None) => return None,
            (None, Some((database, tables))) => {
                let configured = self.settings.session_columns();
                let scope = sessions::record_scope(&self.database_name()?, tables, &configured);
                (
                    self.cache("session:", scope),
                    SessionTruth::Database(database),
                )
            }
            (Some(storage), None) => (None, SessionTruth::Redis(storage)),
            (Some(storage), Some((database, _))) => {
                (None, SessionTruth::RedisThenDatabase(storage, database))
            }
        };
        Some(SessionChain::new(self.chain(cache, truth)))
    }

    fn cache<F: Recorded>(&self, kind: &str, scope: RecordScope) -> Option<SharedCache<F>> {
        let redis: Arc<dyn CacheBackend> = self.servers.redis.clone()?;
        let kind = match &self.settings.realm {
            Some(realm) => format!("realm:{realm}:{kind}"),
            None => kind.to_owned(),
        };
        let database = self.settings.database.as_ref()?;
        Some(SharedCache::new(
            redis,
            self.settings.redis.as_ref()?,
            &kind,
            scope,
            self.settings.absent_ttl,
            database.timeout,
            self.clock.clone(),
            self.jitter,
        ))
    }

    fn chain<T: Truth>(&self, cache: Option<SharedCache<T::Fact>>, truth: T) -> Arc<Chain<T>> {
        let (there, of_truth) = (self.channels(), truth.channels());
        let channels = Channels {
            postgres: there.postgres && of_truth.postgres,
            // The cache in front of the database announces changes as well.
            redis: there.redis,
        };
        // If the source of truth announces its changes, the channel of the cache is not required.
        let needed = match channels.and(of_truth) {
            Channels::NONE => channels,
            needed => needed,
        };
        let memory = match truth.is_announced_on(channels) {
            true => self.settings.memory_with_channels(),
            false => self.settings.memory,
        };
        let changes =
            Changes::new(channels, needed, self.clock.monotonic()).proven_by(self.publishers);
        let outdated = cache.is_some() && channels.postgres;
        let (outdated, waiting) = outdated.then(chain::outdated).unzip();
        let chain = Arc::new(Chain {
            memory: Memory::new(memory, self.settings.absent_ttl, changes, self.jitter),
            cache,
            truth,
            flights: Arc::default(),
            reporter: Reporter {
                observer: Arc::clone(&self.observer),
                kind: T::Fact::KIND,
            },
            tasks: self.tasks.clone(),
            clock: self.clock.clone(),
            outage: Outage::new(self.settings.stale_if_down, self.settings.realm.clone()),
            outdated,
            listener: Arc::clone(&self.listener),
        });
        if let Some(waiting) = waiting {
            let (chain, stop) = (Arc::clone(&chain), self.stop.clone());
            self.tasks.spawn(async move {
                stop.run_until_cancelled(chain.delete_outdated(waiting))
                    .await;
            });
        }
        let subscriber: Arc<dyn ChannelSubscriber> = chain.clone();
        self.publishers
            .iter()
            .for_each(|publisher| publisher.subscribe(&subscriber));
        chain
    }

    /// The channels that announce changes to this realm.
    fn channels(&self) -> Channels {
        let has = |channel| {
            self.publishers
                .iter()
                .any(|publisher| publisher.channel() == channel)
        };
        Channels {
            postgres: has(Channel::Postgres),
            redis: has(Channel::Redis),
        }
    }

    /// The name of the database, which is the same on every node.
    fn database_name(&self) -> Option<String> {
        Some(match &self.settings.database.as_ref()?.url {
            DatabaseUrl::Postgres(server) => server.database().to_owned(),
            DatabaseUrl::Sqlite(options) => options.get_filename().display().to_string(),
        })
    }
}

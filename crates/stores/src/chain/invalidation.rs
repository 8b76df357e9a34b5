//! How a chain handles the invalidations that a channel announces.

use std::sync::Arc;
use std::time::Instant;

use gate::LookupSource;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::super::channel::{Channel, ChannelSubscriber, Invalidation};
use super::super::fact::Fact as _;
use super::super::{Change, FactKind, Outcome};
use super::{Affected, Chain, Truth};

impl<T: Truth> ChannelSubscriber for Chain<T> {
    fn receive(&self, channel: Channel, invalidation: &Invalidation) {
        let now = self.clock.monotonic();
        let (changes, of) = (&self.memory.changes, T::Fact::KIND);
        match invalidation {
            Invalidation::Everything => {
                changes.invalidate_all(channel, now);
                self.listener.changed(Change::Everything);
            }
            Invalidation::RedisKey(redis_key) => self.invalidate_redis_key(redis_key, now),
            Invalidation::Session(id) if of == FactKind::Session => {
                changes.invalidate(channel, id, now);
                self.delete_soon(id);
                self.listener.changed(Change::Session(id));
            }
            Invalidation::Session(_) => {}
            Invalidation::User(id) => {
                changes.invalidate(channel, id, now);
                if of == FactKind::User {
                    self.delete_soon(id);
                }
                self.listener.changed(Change::User(id));
            }
        }
    }

    fn channel_down(&self, channel: Channel) {
        self.memory.changes.channel_down(channel);
    }

    fn channel_up(&self, channel: Channel) {
        self.memory
            .changes
            .channel_up(channel, self.clock.monotonic());
        // Announcements in between were missed.
        self.listener.changed(Change::Everything);
    }
}

impl<T: Truth> Chain<T> {
    /// Handles a key that Redis has announced. Redis names every key that is written or expires, so most of its
    /// announcements are not changes. An invalidation of a key therefore removes only that key from memory. A
    /// [stripe](super::super::changes) would remove its neighbors too: with a million users, each written once in ten
    /// minutes, they would invalidate one another all the time.
    fn invalidate_redis_key(&self, redis_key: &[u8], now: Instant) {
        let changes = &self.memory.changes;
        let cached = self
            .cache
            .as_ref()
            .and_then(|cache| cache.key_of(redis_key));
        let affected = match cached {
            Some(key) => Some(Affected::Key(key.into())),
            None => self.truth.affected_by(redis_key),
        };
        match affected {
            None => {}
            // In this order: a flight that was not invalidated has left its answer in memory.
            Some(Affected::Key(key)) => {
                self.flights.invalidate(&key, changes.ticket(now));
                self.memory.invalidate(&key);
                self.listener.changed(match T::Fact::KIND {
                    FactKind::Session => Change::Session(&key),
                    FactKind::User => Change::User(&key),
                });
            }
            Some(Affected::Subject(subject)) => {
                changes.invalidate(Channel::Redis, &subject, now);
                self.listener.changed(Change::User(&subject));
            }
        }
    }

    /// Queues `key` for deletion from the cache. When too many keys wait, the value stays, and its age shows that it is
    /// outdated.
    fn delete_soon(&self, key: &str) {
        if let Some(outdated) = &self.outdated {
            let _ = outdated.try_send(key.into());
        }
    }

    /// Deletes the keys that [`ChannelSubscriber::receive`] queues, until canceled.
    pub(in super::super) async fn delete_outdated(
        self: Arc<Self>,
        mut outdated: Receiver<Box<str>>,
    ) {
        let mut keys = Vec::new();
        while outdated.recv_many(&mut keys, MAX_BATCH).await > 0 {
            let Some(cache) = &self.cache else { return };
            if cache.delete(&keys).await.is_err() {
                self.reporter
                    .answered(LookupSource::Redis, Outcome::Unwritten);
            }
            keys.clear();
        }
    }
}

/// Creates the queue of keys that wait for [`Chain::delete_outdated`].
pub(in super::super) fn outdated() -> (Sender<Box<str>>, Receiver<Box<str>>) {
    mpsc::channel(MAX_OUTDATED)
}

/// The most keys that wait to be deleted from the cache: a burst of this many changes. Each takes about 100 bytes.
const MAX_OUTDATED: usize = 16_384;

/// The most keys that one command deletes.
const MAX_BATCH: usize = 128;

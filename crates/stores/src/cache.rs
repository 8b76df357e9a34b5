//! The second store: the cache in Redis that all nodes share. It saves the database work, and is never needed.
//!
//! What is in Redis is data from outside. A value counts only when it is a [`record`] about our tables and the very key
//! that we look for; anything else is a miss, and stays as it is: we never write over what we did not write
//! (`SET … NX`). What does not exist is written too, for its own short time.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use gate::{Lookup, Source};

use super::fact::Trust;
use super::process::Clock;
use super::record::{self, About, Recorded};
use super::redis::{Redis, Unwritten};
use super::settings::RedisSettings;

/// What nodes tell one another about one kind of fact.
pub(super) struct SharedCache<F> {
    redis: Arc<Redis>,
    /// What stands before the key of a fact.
    prefix: String,
    about: About,
    trust: Trust,
    clock: Clock,
    facts: PhantomData<fn() -> F>,
}

/// What a question to the cache leads to.
#[derive(Debug)]
pub(super) enum Cached<F> {
    /// It knows.
    Hit(Lookup<F>),
    /// It does not know.
    Miss,
    /// It did not answer, or there is none.
    Skipped,
}

impl<F: Recorded> SharedCache<F> {
    /// `kind` stands in the keys, behind the prefix of `settings`.
    pub(super) fn new(
        redis: Arc<Redis>,
        settings: &RedisSettings,
        kind: &str,
        about: About,
        absent_ttl: Duration,
        clock: Clock,
    ) -> Self {
        Self {
            prefix: format!("{}{kind}", settings.key_prefix),
            about,
            trust: Trust {
                present: settings.cache_ttl,
                absent: absent_ttl,
            },
            redis,
            clock,
            facts: PhantomData,
        }
    }

    /// Looks `key` up.
    pub(super) async fn find(&self, key: &str) -> Cached<F> {
        let Ok(value) = self
            .redis
            .read(&self.key(key), F::max_len(self.about.columns))
            .await
        else {
            return Cached::Skipped;
        };
        match record::read(&value, &self.about, key) {
            None => Cached::Miss,
            Some(found) => Cached::Hit(Lookup {
                found,
                source: Source::Redis,
            }),
        }
    }

    /// Writes down what the truth said about `key`, unless there is a value already.
    ///
    /// # Errors
    /// When nothing could be written.
    pub(super) async fn remember(&self, key: &str, found: Option<&F>) -> Result<(), Unwritten> {
        let ttl = self.trust.of(found, self.clock.now());
        if ttl.is_zero() {
            return Ok(());
        }
        let value = record::write(found, &self.about, key);
        self.redis.write_new(&self.key(key), &value, ttl).await
    }

    /// The key is bytes to Redis: nothing in it means anything.
    fn key(&self, key: &str) -> Vec<u8> {
        [self.prefix.as_bytes(), key.as_bytes()].concat()
    }
}

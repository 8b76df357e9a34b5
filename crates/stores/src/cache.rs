//! The second store of a chain: the cache in Redis that all nodes share. It saves the database work, and is never
//! required.
//!
//! What is in Redis is untrusted input. A value is used only when it is a [`record`] about our tables and the very key
//! that is looked up. Anything else is a miss and stays as it is, because values that the gate did not write are never
//! overwritten. That a fact does not exist is cached too, for a short time of its own.
//!
//! After a miss, only the holder of the [lease](KeyLease) on the key may write the answer, and only while it holds the
//! lease: once the key is deleted, no older answer is written.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use gate::{Lookup, LookupSource};

use super::fact::AnswerTtls;
use super::hex;
use super::process::{Clock, Jitter};
use super::record::{self, Known, RecordScope, Recorded};
use super::redis::{AgedValue, CacheBackend, Unwritten};
use super::settings::{CacheFormat, RedisSettings};

/// The cache in Redis for one kind of fact.
pub(super) struct SharedCache<F> {
    backend: Arc<dyn CacheBackend>,
    /// The prefix of keys in Redis.
    prefix: String,
    scope: RecordScope,
    ttls: AnswerTtls,
    /// How long a lease lasts: longer than a lookup in the truth.
    lease_ttl: Duration,
    /// How much older an answer can be than its time to live suggests, because Redis may have been suspended while the
    /// answer was on its way there.
    max_transit: Duration,
    clock: Clock,
    jitter: Jitter,
    format: CacheFormat,
    facts: PhantomData<fn() -> F>,
}

/// The result of a lookup in the cache.
#[derive(Debug)]
pub(super) enum Cached<F> {
    /// The cache knows the answer.
    Hit(Hit<F>),
    /// The cache has no answer. The lease, if there is one, lets the caller write the answer of the truth.
    Miss(Option<KeyLease>),
    /// The cache did not answer.
    Skipped,
    /// The cache has no answer, and accepts no writes.
    Unwritable,
}

/// An answer from the cache.
#[derive(Debug)]
pub(super) struct Hit<F> {
    pub(super) lookup: Lookup<F>,
    /// The most time that can have passed since the truth was asked. `None` when it is not known, or was not requested.
    pub(super) age: Option<Duration>,
    /// How much longer Redis keeps the value. `None` when it is not known, or was not requested.
    pub(super) left: Option<Duration>,
}

/// A lease on a key: the right to write the truth's answer under it.
#[derive(Debug)]
pub(super) struct KeyLease(String);

/// The outcome of a write to the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The lease was gone: the key was deleted in the meantime, so the answer may be older than a change.
    LeaseLost,
    /// Redis keeps the answer for this long. Zero when the answer must not be cached.
    Yes(Duration),
}

impl<F: Recorded> SharedCache<F> {
    /// Creates the cache. `kind` follows the prefix of `settings` in every key. A lookup in the truth takes
    /// `longest_lookup` at the most.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parameters are unrelated, and there is one caller"
    )]
    pub(super) fn new(
        backend: Arc<dyn CacheBackend>,
        settings: &RedisSettings,
        kind: &str,
        scope: RecordScope,
        absent_ttl: Duration,
        longest_lookup: Duration,
        clock: Clock,
        jitter: Jitter,
    ) -> Self {
        let lease_ttl = longest_lookup + settings.timeout + LEASE_MARGIN;
        Self {
            prefix: format!("{}{kind}", settings.key_prefix),
            ttls: AnswerTtls {
                present: settings.cache_ttl,
                absent: absent_ttl,
            },
            lease_ttl,
            // The lease is placed at most two timeouts after the lookup began, and the answer replaces it before it
            // expires.
            max_transit: lease_ttl + 2 * settings.timeout,
            format: match F::of_true(&scope) {
                Some(_) => settings.format,
                None => CacheFormat::Record,
            },
            scope,
            backend,
            clock,
            jitter,
            facts: PhantomData,
        }
    }

    /// Looks up `key`. If `age_matters`, a hit also says how old the answer is and how long Redis keeps it.
    pub(super) async fn find(&self, key: &str, age_matters: bool) -> Cached<F> {
        let longest = F::max_len(self.scope.columns + self.scope.claims);
        let redis_key = self.key(key);
        let read = self.backend.read(&redis_key, longest, age_matters).await;
        let Ok(AgedValue { value, left }) = read else {
            return Cached::Skipped;
        };
        if value.is_empty() {
            return self.lease(&redis_key).await;
        }
        match self.known(&value, key) {
            None => Cached::Miss(None),
            Some(Known { found, lifetime }) => Cached::Hit(Hit {
                lookup: Lookup {
                    found,
                    source: LookupSource::Redis,
                },
                left,
                age: lifetime
                    .zip(left)
                    .map(|(lifetime, left)| lifetime.saturating_sub(left) + self.max_transit),
            }),
        }
    }

    /// Writes the truth's answer about `key`, from a lookup that began this long `ago`, unless the lease is gone.
    ///
    /// # Errors
    /// When nothing could be written.
    pub(super) async fn redeem(
        &self,
        lease: &KeyLease,
        key: &str,
        found: Option<&F>,
        ago: Duration,
    ) -> Result<Written, Unwritten> {
        let lifetime = self.jitter.shorten(self.ttls.of(found, self.clock.now()));
        let left = lifetime.saturating_sub(ago);
        let written = match self.format {
            CacheFormat::Record => Some(record::write(found, &self.scope, key, lifetime)),
            CacheFormat::True => found.map(|_| TRUE.to_vec()),
        };
        // Redis has no time to live below a millisecond.
        let written = written.as_deref().filter(|_| left >= MILLISECOND);
        let value = written.map(|written| (written, left));
        let redeemed = self
            .backend
            .redeem(&self.key(key), lease.0.as_bytes(), value)
            .await?;
        Ok(if redeemed {
            Written::Yes(value.map_or(Duration::ZERO, |(_, left)| left))
        } else {
            Written::LeaseLost
        })
    }

    /// Gives back a lease without writing an answer.
    ///
    /// # Errors
    /// When nothing could be written.
    pub(super) async fn give_back(&self, lease: &KeyLease, key: &str) -> Result<(), Unwritten> {
        let redis_key = self.key(key);
        let redeemed = self.backend.redeem(&redis_key, lease.0.as_bytes(), None);
        redeemed.await.map(drop)
    }

    /// Deletes `keys`, so that the next lookup of each asks the truth, on any node.
    ///
    /// # Errors
    /// When nothing could be written.
    pub(super) async fn delete(&self, keys: &[Box<str>]) -> Result<(), Unwritten> {
        let keys: Vec<_> = keys.iter().map(|key| self.key(key)).collect();
        self.backend.delete(&keys).await
    }

    /// The key of the fact that this key of Redis holds, if it holds one.
    pub(super) fn key_of<'a>(&self, redis_key: &'a [u8]) -> Option<&'a str> {
        let key = redis_key.strip_prefix(self.prefix.as_bytes())?;
        str::from_utf8(key).ok()
    }

    /// Reads what a value says about `key`. The age of a plain `true` is not known, so it does not count if the age
    /// matters.
    fn known(&self, value: &[u8], key: &str) -> Option<Known<F>> {
        if self.format == CacheFormat::True && value == TRUE {
            return Some(Known {
                found: F::of_true(&self.scope),
                lifetime: None,
            });
        }
        record::read(value, &self.scope, key)
    }

    async fn lease(&self, redis_key: &[u8]) -> Cached<F> {
        let Some(lease) = KeyLease::new() else {
            return Cached::Miss(None);
        };
        let placed = self
            .backend
            .lease(redis_key, lease.0.as_bytes(), self.lease_ttl)
            .await;
        match placed {
            Ok(placed) => Cached::Miss(placed.then_some(lease)),
            Err(Unwritten) => Cached::Unwritable,
        }
    }

    /// Builds the key in Redis. Keys are plain bytes there, so nothing needs escaping.
    fn key(&self, key: &str) -> Vec<u8> {
        [self.prefix.as_bytes(), key.as_bytes()].concat()
    }
}

impl KeyLease {
    /// Creates a unique lease. `None` when the system provides no random bytes.
    fn new() -> Option<Self> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        Some(Self(format!("lease:{}", hex(&bytes))))
    }
}

/// How long a lease lasts beyond the longest lookup.
const LEASE_MARGIN: Duration = Duration::from_secs(1);

/// The value that [`CacheFormat::True`] writes for a user who exists.
const TRUE: &[u8] = b"true";

const MILLISECOND: Duration = Duration::from_millis(1);

//! The second store: the cache in Redis that all nodes share. It saves the database work, and is never needed.
//!
//! What is in Redis is data from outside. A value counts only when it is a [`record`] about our tables and the very key
//! that we look for; anything else is a miss, and stays as it is: we never write over what we did not write. What does not exist
//! is written too, for its own short time.
//!
//! A miss is written down by the one who holds the [lease](KeyLease) on its key, and only while it holds it: whoever deletes the key
//! has no answer written that is older than that.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use gate::{Lookup, LookupSource};

use super::fact::Trust;
use super::hex;
use super::process::{Clock, Jitter};
use super::record::{self, About, Known, Recorded};
use super::redis::{Aged, Cells, Unwritten};
use super::settings::{CacheFormat, RedisSettings};

/// What nodes tell one another about one kind of fact.
pub(super) struct SharedCache<F> {
    cells: Arc<dyn Cells>,
    /// What stands before the key of a fact.
    prefix: String,
    about: About,
    trust: Trust,
    /// How long a lease lasts: longer than a question to the truth.
    lease_lasts: Duration,
    /// How much older an answer can be than it looks, because it was on its way to a Redis that stood still.
    longest_way: Duration,
    clock: Clock,
    jitter: Jitter,
    format: CacheFormat,
    facts: PhantomData<fn() -> F>,
}

/// What a question to the cache leads to.
#[derive(Debug)]
pub(super) enum Cached<F> {
    /// It knows.
    Hit(Hit<F>),
    /// It does not know; and whether the caller is the one who may write down what the truth says.
    Miss(Option<KeyLease>),
    /// It did not answer, or there is none.
    Skipped,
    /// It does not know, and takes nothing new.
    Unwritable,
}

/// What it knows.
#[derive(Debug)]
pub(super) struct Hit<F> {
    pub(super) lookup: Lookup<F>,
    /// How long ago the truth was asked, at the most. `None` where nobody knows, or it was not asked for.
    pub(super) age: Option<Duration>,
    /// How long Redis keeps it. `None` as for the age.
    pub(super) left: Option<Duration>,
}

/// The right to write down what the truth says about a key.
#[derive(Debug)]
pub(super) struct KeyLease(String);

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It was on loan no more: somebody has deleted the key since, so the answer may be older than a change.
    TakenAway,
    /// It is in Redis for so long, or is not to be.
    Yes(Duration),
}

impl<F: Recorded> SharedCache<F> {
    /// `kind` stands in the keys, behind the prefix of `settings`. A question to the truth takes `longest_question` at the most.
    #[expect(
        clippy::too_many_arguments,
        reason = "each says something else, and there is one caller"
    )]
    pub(super) fn new(
        cells: Arc<dyn Cells>,
        settings: &RedisSettings,
        kind: &str,
        about: About,
        absent_ttl: Duration,
        longest_question: Duration,
        clock: Clock,
        jitter: Jitter,
    ) -> Self {
        let lease_lasts = longest_question + settings.timeout + BEYOND;
        Self {
            prefix: format!("{}{kind}", settings.key_prefix),
            trust: Trust {
                present: settings.cache_ttl,
                absent: absent_ttl,
            },
            lease_lasts,
            // The lease is placed at most two time-outs after the question, and what takes its place comes before it ends.
            longest_way: lease_lasts + 2 * settings.timeout,
            format: match F::of_true(&about) {
                Some(_) => settings.format,
                None => CacheFormat::Record,
            },
            about,
            cells,
            clock,
            jitter,
            facts: PhantomData,
        }
    }

    /// Looks `key` up, and how old the answer is, and how long it is kept, if that matters.
    pub(super) async fn find(&self, key: &str, age_matters: bool) -> Cached<F> {
        let longest = F::max_len(self.about.columns + self.about.claims);
        let redis_key = self.key(key);
        let read = self.cells.read(&redis_key, longest, age_matters).await;
        let Ok(Aged { value, left }) = read else {
            return Cached::Skipped;
        };
        if value.is_empty() {
            return self.lease(&redis_key).await;
        }
        match self.known(&value, key) {
            None => Cached::Miss(None),
            Some(Known { found, lasts }) => Cached::Hit(Hit {
                lookup: Lookup {
                    found,
                    source: LookupSource::Redis,
                },
                left,
                age: lasts
                    .zip(left)
                    .map(|(lasts, left)| lasts.saturating_sub(left) + self.longest_way),
            }),
        }
    }

    /// Writes down what the truth said about `key` to a question that was asked so long ago, unless the lease was taken away.
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
        let lasts = self.jitter.shorten(self.trust.of(found, self.clock.now()));
        let left = lasts.saturating_sub(ago);
        let written = match self.format {
            CacheFormat::Record => Some(record::write(found, &self.about, key, lasts)),
            CacheFormat::True => found.map(|_| TRUE.to_vec()),
        };
        // Redis knows no shorter time than a millisecond.
        let written = written.as_deref().filter(|_| left >= MILLISECOND);
        let value = written.map(|written| (written, left));
        let redeemed = self
            .cells
            .redeem(&self.key(key), lease.0.as_bytes(), value)
            .await?;
        Ok(if redeemed {
            Written::Yes(value.map_or(Duration::ZERO, |(_, left)| left))
        } else {
            Written::TakenAway
        })
    }

    /// Gives a lease back for which there is no answer.
    ///
    /// # Errors
    /// When nothing could be written.
    pub(super) async fn give_back(&self, lease: &KeyLease, key: &str) -> Result<(), Unwritten> {
        let redis_key = self.key(key);
        let redeemed = self.cells.redeem(&redis_key, lease.0.as_bytes(), None);
        redeemed.await.map(drop)
    }

    /// Has the next question about each of `keys` asked of the truth, by whichever node.
    ///
    /// # Errors
    /// When nothing could be written.
    pub(super) async fn forget(&self, keys: &[Box<str>]) -> Result<(), Unwritten> {
        let keys: Vec<_> = keys.iter().map(|key| self.key(key)).collect();
        self.cells.delete(&keys).await
    }

    /// The key of a fact that is kept under this key of Redis, if it is one.
    pub(super) fn key_of<'a>(&self, redis_key: &'a [u8]) -> Option<&'a str> {
        let key = redis_key.strip_prefix(self.prefix.as_bytes())?;
        str::from_utf8(key).ok()
    }

    /// What a value says about `key`. How old a `true` is nobody knows, so it counts for nothing where that matters.
    fn known(&self, value: &[u8], key: &str) -> Option<Known<F>> {
        if self.format == CacheFormat::True && value == TRUE {
            return Some(Known {
                found: F::of_true(&self.about),
                lasts: None,
            });
        }
        record::read(value, &self.about, key)
    }

    async fn lease(&self, redis_key: &[u8]) -> Cached<F> {
        let Some(lease) = KeyLease::new() else {
            return Cached::Miss(None);
        };
        let placed = self
            .cells
            .lease(redis_key, lease.0.as_bytes(), self.lease_lasts)
            .await;
        match placed {
            Ok(placed) => Cached::Miss(placed.then_some(lease)),
            Err(Unwritten) => Cached::Unwritable,
        }
    }

    /// The key is bytes to Redis: nothing in it means anything.
    fn key(&self, key: &str) -> Vec<u8> {
        [self.prefix.as_bytes(), key.as_bytes()].concat()
    }
}

impl KeyLease {
    /// Unlike any other. `None` where the system has no random bytes.
    fn new() -> Option<Self> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        Some(Self(format!("lease:{}", hex(&bytes))))
    }
}

/// How long a lease lasts beyond the longest question.
const BEYOND: Duration = Duration::from_secs(1);

/// What gates write that know no more than that a user exists.
const TRUE: &[u8] = b"true";

const MILLISECOND: Duration = Duration::from_millis(1);

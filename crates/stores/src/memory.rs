//! The first store of a chain: this process's own cache, bounded in number, in bytes and in time.

use std::time::{Duration, Instant};

use gate::{Lookup, LookupSource};
use quick_cache::Weighter;
use quick_cache::sync::{Cache, EntryAction, EntryResult};
use session::UnixTime;

use super::changes::{Changes, Channels, Stripes, Ticket};
use super::fact::{AnswerTtls, Fact};
use super::process::Jitter;
use super::settings::MemorySettings;

/// The answers that this process has received lately.
///
/// The time to live of an answer begins when the next store was *asked*, so it includes the time that the store took.
/// It ends early when an [invalidation](Changes) of the answer is received. Entries that are no longer trusted are not
/// swept: they are evicted when other entries need the space.
#[derive(Debug)]
pub(super) struct Memory<F> {
    /// `None` when the cache is off.
    entries: Option<Cache<Box<str>, Entry<F>, Weights>>,
    ttls: AnswerTtls,
    jitter: Jitter,
    /// The changes that channels have announced.
    pub(super) changes: Changes,
}

/// One entry. Its size matters: there may be millions.
#[derive(Clone, Debug)]
struct Entry<F> {
    found: Option<F>,
    /// The time until which the entry is trusted, as [`Changes::nanos`]; or [`INVALIDATED`].
    trusted_until: u64,
    ticket: Ticket,
    /// How long before its end the entry is due for renewal, in units of [`EARLY_UNIT`]. Zero when it is never renewed
    /// early, or a renewal has begun.
    early: u32,
    stripes: Stripes,
}

/// An answer from memory.
#[derive(Debug)]
pub(super) struct Recalled<F> {
    pub(super) lookup: Lookup<F>,
    /// Whether the entry ends soon and should be renewed.
    pub(super) is_due: bool,
}

/// The circumstances under which a lookup in the next store began.
#[derive(Clone, Copy, Debug)]
pub(super) struct LookupStart {
    /// When the lookup began.
    pub(super) at: Instant,
    /// The time of day at which the lookup began.
    pub(super) now: UnixTime,
    /// The answer may be kept if no invalidation was received from this time on. It can be later than the lookup, for an
    /// answer that is known to be current.
    pub(super) ticket: Ticket,
    /// Whether the channels were up when the lookup began.
    pub(super) was_up: bool,
}

/// Computes how much of [`MemorySettings::bytes`] an entry takes.
#[derive(Clone, Debug)]
struct Weights {
    /// The weight of the smallest entry, chosen so that no more entries fit than are allowed.
    least: u64,
}

impl<F: Fact> Memory<F> {
    /// Creates an empty memory. `settings` say how large it may become, and how long a fact that exists is trusted;
    /// `absent_ttl` is the time for a fact that does not.
    pub(super) fn new(
        settings: MemorySettings,
        absent_ttl: Duration,
        changes: Changes,
        jitter: Jitter,
    ) -> Self {
        let entries = || {
            let weights = Weights {
                least: settings.bytes.div_ceil(settings.entries as u64),
            };
            Cache::with_weighter(settings.entries, settings.bytes, weights)
        };
        Self {
            entries: settings.is_on().then(entries),
            ttls: AnswerTtls {
                present: settings.ttl,
                absent: absent_ttl,
            },
            jitter,
            changes,
        }
    }

    /// Returns the answer under `key`, if it is still trusted at `now`. It neither waits nor allocates.
    pub(super) fn recall(&self, key: &str, now: Instant) -> Option<Recalled<F>> {
        let entry = self.entries.as_ref()?.get(key)?;
        let at = self.changes.nanos(now);
        let is_trusted =
            at < entry.trusted_until && self.changes.may_reuse(entry.ticket, entry.stripes, now);
        is_trusted.then_some(Recalled {
            is_due: entry.is_due(at),
            lookup: Lookup {
                found: entry.found,
                source: LookupSource::Memory,
            },
        })
    }

    /// Claims the renewal of an entry that is due. Only one of several callers gets `true`, and must renew it.
    pub(super) fn claim(&self, key: &str) -> bool {
        self.edit(key, |entry| std::mem::take(&mut entry.early) > 0) == Some(true)
    }

    /// Returns the fact that existed under `key`, for use when no store answers: until `beyond` after the time for which
    /// it was trusted, unless an invalidation was received since. Whether the channels are up does not matter here.
    pub(super) fn stale(&self, key: &str, now: Instant, beyond: Duration) -> Option<F> {
        let entry = self.entries.as_ref()?.get(key)?;
        let beyond = u64::try_from(beyond.as_nanos()).unwrap_or(u64::MAX);
        let is_late = self.changes.nanos(now) >= entry.trusted_until.saturating_add(beyond);
        let was_invalidated = || {
            entry.trusted_until == INVALIDATED
                || self
                    .changes
                    .changed_since(Channels::ALL, entry.ticket, entry.stripes)
        };
        entry.found.filter(|_| !is_late && !was_invalidated())
    }

    /// Whether the fact under `key` existed at the last lookup, however long ago. Entries that are too old to be
    /// trusted stay until others need their place.
    pub(super) fn was_present(&self, key: &str) -> bool {
        let entry = self.entries.as_ref().and_then(|entries| entries.get(key));
        entry.is_some_and(|entry| entry.found.is_some())
    }

    /// Stops trusting the answer under `key`. That the fact existed stays [known](Memory::was_present).
    pub(super) fn invalidate(&self, key: &str) {
        self.edit(key, |entry| entry.trusted_until = INVALIDATED);
    }

    /// Changes the entry under `key` in place, and returns the result of `edit`. `None` if there is no entry.
    fn edit<T>(&self, key: &str, edit: impl FnOnce(&mut Entry<F>) -> T) -> Option<T> {
        let entries = self.entries.as_ref()?;
        // Most keys that are announced are not in memory, and looking does not take the writers' lock.
        if !entries.contains_key(key) {
            return None;
        }
        let edited = entries.entry(&Box::from(key), Some(Duration::ZERO), |_, entry| {
            EntryAction::Retain(edit(entry))
        });
        let EntryResult::Retained(edited) = edited else {
            return None;
        };
        Some(edited)
    }

    /// Whether anything is kept under `key`, trusted or not.
    #[cfg(test)]
    fn has(&self, key: &str) -> bool {
        let entries = self.entries.as_ref();
        entries.is_some_and(|entries| entries.contains_key(key))
    }

    /// Keeps the answer of a store, for no longer than `at_most` from `now`. The entry is not trusted unless it
    /// `is_current`.
    pub(super) fn remember(
        &self,
        key: &str,
        found: Option<&F>,
        start: LookupStart,
        now: Instant,
        at_most: Duration,
        is_current: bool,
    ) {
        let trusted = self.jitter.shorten(self.ttls.of(found, start.now));
        // A time to live beyond the end of the clock is a mistake; such an entry is not kept.
        let (Some(entries), Some(trusted_until)) = (&self.entries, start.at.checked_add(trusted))
        else {
            return;
        };
        let trusted_until = now
            .checked_add(at_most)
            .map_or(trusted_until, |end| end.min(trusted_until));
        if trusted_until > start.at {
            let subject = found.and_then(Fact::subject);
            let [began, ends] = [start.at, trusted_until].map(|time| self.changes.nanos(time));
            // A fact that does not exist is never renewed early: many of these keys are made up by clients.
            let early = found.map_or(0, |_| (ends - began) / 10 / EARLY_UNIT);
            entries.insert(
                key.into(),
                Entry {
                    found: found.cloned(),
                    trusted_until: if is_current { ends } else { INVALIDATED },
                    ticket: start.ticket,
                    early: u32::try_from(early).unwrap_or(u32::MAX),
                    stripes: self.changes.stripes(key, subject),
                },
            );
        } else {
            self.remove(key);
        }
    }

    /// Removes the entry under `key` if it was looked up before this ticket: there is an answer of a later lookup.
    pub(super) fn remove_older(&self, key: &str, ticket: Ticket) {
        if let Some(entries) = &self.entries {
            entries.remove_if(key, |entry| entry.ticket < ticket);
        }
    }

    /// Removes the entry under `key`: the fact has changed since, and the entry must not be used as a
    /// [stale](Memory::stale) answer.
    pub(super) fn remove(&self, key: &str) {
        if let Some(entries) = &self.entries {
            entries.remove(key);
        }
    }
}

impl<F> Entry<F> {
    fn is_due(&self, at: u64) -> bool {
        at.saturating_add(u64::from(self.early) * EARLY_UNIT) >= self.trusted_until
    }
}

impl<F: Fact> Weighter<Box<str>, Entry<F>> for Weights {
    fn weight(&self, key: &Box<str>, entry: &Entry<F>) -> u64 {
        let text = key.len() + entry.found.as_ref().map_or(0, Fact::weight);
        let bytes = ENTRY_OVERHEAD + (size_of::<Entry<F>>() + text) as u64;
        bytes.max(self.least)
    }
}

/// Marks an entry whose key was invalidated, in place of the time until which it is trusted. Earlier than any time.
const INVALIDATED: u64 = 0;

/// The unit of [`Entry::early`]: about a millisecond, in nanoseconds.
const EARLY_UNIT: u64 = 1 << 20;

/// How many bytes an entry takes beside itself and its texts: the slot of its key, the allocation, and the cache's own
/// bookkeeping, as measured by a test.
const ENTRY_OVERHEAD: u64 = 64;

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
mod tests;

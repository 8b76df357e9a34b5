//! The first store: this process's own cache, bounded in number, in bytes and in time.

use std::time::{Duration, Instant};

use gate::{Lookup, LookupSource};
use quick_cache::Weighter;
use quick_cache::sync::{Cache, EntryAction, EntryResult};
use session::UnixTime;

use super::changes::{Changes, Channels, Stripes, Ticket};
use super::fact::{Fact, Trust};
use super::process::Jitter;
use super::settings::MemorySettings;

/// What this process has learnt lately.
///
/// An answer is trusted from the moment its question was *asked* of the next store, so the time that the store took
/// counts against it; and no longer than until something is heard of it that has [changed](Changes). Entries that are not trusted any
/// more are not swept: they make room when others need it.
#[derive(Debug)]
pub(super) struct Memory<F> {
    /// `None` when the cache is off.
    entries: Option<Cache<Box<str>, Entry<F>, Weights>>,
    trust: Trust,
    jitter: Jitter,
    /// What was heard.
    pub(super) changes: Changes,
}

/// As small as it can be: there may be millions.
#[derive(Clone, Debug)]
struct Entry<F> {
    found: Option<F>,
    /// Until when it is trusted, as [`Changes::nanos`]; or [`FORGOTTEN`].
    trusted_until: u64,
    ticket: Ticket,
    /// How long before its end it is due, in units of [`EARLY`]. Zero: it is not, or somebody has seen to it.
    early: u32,
    stripes: Stripes,
}

/// What memory knows.
#[derive(Debug)]
pub(super) struct Recalled<F> {
    pub(super) lookup: Lookup<F>,
    /// Whether it will end soon, so that it should be asked for again.
    pub(super) is_due: bool,
}

/// A question that was asked of the next store.
#[derive(Clone, Copy, Debug)]
pub(super) struct LookupStart {
    /// When.
    pub(super) at: Instant,
    /// What it was by the time of day.
    pub(super) now: UnixTime,
    /// From when on nothing must have been heard. It may be later than the question, for an answer that is known to be current.
    pub(super) ticket: Ticket,
    /// Whether anything would have been heard then.
    pub(super) was_heard: bool,
}

/// How much room an entry takes of [`MemorySettings::bytes`].
#[derive(Clone, Debug)]
struct Weights {
    /// What the smallest entry takes: so many of these fit as there may be entries.
    least: u64,
}

impl<F: Fact> Memory<F> {
    /// `settings` say for how long what exists is trusted to.
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
            trust: Trust {
                present: settings.ttl,
                absent: absent_ttl,
            },
            jitter,
            changes,
        }
    }

    /// What is known under `key` and still trusted at `now`. Does not wait, and allocates nothing.
    pub(super) fn recall(&self, key: &str, now: Instant) -> Option<Recalled<F>> {
        let entry = self.entries.as_ref()?.get(key)?;
        let at = self.changes.nanos(now);
        let is_trusted =
            at < entry.trusted_until && self.changes.leave(entry.ticket, entry.stripes, now);
        is_trusted.then_some(Recalled {
            is_due: entry.is_due(at),
            lookup: Lookup {
                found: entry.found,
                source: LookupSource::Memory,
            },
        })
    }

    /// Takes it upon the caller to ask again for what is known under `key` and due. Only one of those who try is given that.
    pub(super) fn claim(&self, key: &str) -> bool {
        let Some(entries) = &self.entries else {
            return false;
        };
        let claimed = entries.entry(&Box::from(key), Some(Duration::ZERO), |_, entry| {
            EntryAction::Retain(std::mem::take(&mut entry.early) > 0)
        });
        matches!(claimed, EntryResult::Retained(true))
    }

    /// What existed under `key`, for when nobody answers: until so long `beyond` the time for which it was trusted, unless
    /// something was heard of it since. Whether anything would have been heard does not matter here.
    pub(super) fn stale(&self, key: &str, now: Instant, beyond: Duration) -> Option<F> {
        let entry = self.entries.as_ref()?.get(key)?;
        let beyond = u64::try_from(beyond.as_nanos()).unwrap_or(u64::MAX);
        let is_late = self.changes.nanos(now) >= entry.trusted_until.saturating_add(beyond);
        let was_heard = || {
            entry.trusted_until == FORGOTTEN
                || self
                    .changes
                    .said(Channels::ALL, entry.ticket, entry.stripes)
        };
        entry.found.filter(|_| !is_late && !was_heard())
    }

    /// Whether there was something under `key` when somebody last asked, however long ago. Entries that are too old to be
    /// trusted stay until others need their place.
    pub(super) fn knew(&self, key: &str) -> bool {
        let entry = self.entries.as_ref().and_then(|entries| entries.get(key));
        entry.is_some_and(|entry| entry.found.is_some())
    }

    /// Does not trust what is known under `key` any more, and nothing else. That there was something stays
    /// [known](Memory::knew).
    pub(super) fn forget(&self, key: &str) {
        let Some(entries) = &self.entries else {
            return;
        };
        // Most keys that are heard of are nobody's here, and looking does not need the writers' lock.
        if entries.contains_key(key) {
            let _ = entries.entry(&Box::from(key), Some(Duration::ZERO), |_, entry| {
                entry.trusted_until = FORGOTTEN;
                EntryAction::Retain(())
            });
        }
    }

    /// Whether anything is kept under `key`, trusted or not.
    #[cfg(test)]
    fn has(&self, key: &str) -> bool {
        let entries = self.entries.as_ref();
        entries.is_some_and(|entries| entries.contains_key(key))
    }

    /// Keeps what a store answered, for no longer than `at_most` from `now`; not to be trusted unless it `is_current`.
    pub(super) fn remember(
        &self,
        key: &str,
        found: Option<&F>,
        asked: LookupStart,
        now: Instant,
        at_most: Duration,
        is_current: bool,
    ) {
        let trusted = self.jitter.shorten(self.trust.of(found, asked.now));
        // A time to live so long that it has no end is a mistake; such an entry is not kept.
        let (Some(entries), Some(trusted_until)) = (&self.entries, asked.at.checked_add(trusted))
        else {
            return;
        };
        let trusted_until = now
            .checked_add(at_most)
            .map_or(trusted_until, |end| end.min(trusted_until));
        if trusted_until > asked.at {
            let subject = found.and_then(Fact::subject);
            let [began, ends] = [asked.at, trusted_until].map(|time| self.changes.nanos(time));
            // What does not exist is asked for again when somebody wants to know: strangers make up much of it.
            let early = found.map_or(0, |_| (ends - began) / 10 / EARLY);
            entries.insert(
                key.into(),
                Entry {
                    found: found.cloned(),
                    trusted_until: if is_current { ends } else { FORGOTTEN },
                    ticket: asked.ticket,
                    early: u32::try_from(early).unwrap_or(u32::MAX),
                    stripes: self.changes.stripes(key, subject),
                },
            );
        } else {
            self.remove(key);
        }
    }

    /// Forgets what was known under `key`, if it was asked for before this ticket: somebody has asked again since.
    pub(super) fn remove_older(&self, key: &str, ticket: Ticket) {
        if let Some(entries) = &self.entries {
            entries.remove_if(key, |entry| entry.ticket < ticket);
        }
    }

    /// Forgets what was known under `key`: it is known to have been otherwise since, and must not come back as
    /// [stale](Memory::stale).
    pub(super) fn remove(&self, key: &str) {
        if let Some(entries) = &self.entries {
            entries.remove(key);
        }
    }
}

impl<F> Entry<F> {
    fn is_due(&self, at: u64) -> bool {
        at.saturating_add(u64::from(self.early) * EARLY) >= self.trusted_until
    }
}

impl<F: Fact> Weighter<Box<str>, Entry<F>> for Weights {
    fn weight(&self, key: &Box<str>, entry: &Entry<F>) -> u64 {
        let text = key.len() + entry.found.as_ref().map_or(0, Fact::weight);
        let bytes = OF_EACH + (size_of::<Entry<F>>() + text) as u64;
        bytes.max(self.least)
    }
}

/// In place of the time until which an entry is trusted: something was heard of its key. Earlier than any time.
const FORGOTTEN: u64 = 0;

/// About a millisecond, in nanoseconds.
const EARLY: u64 = 1 << 20;

/// What an entry takes beside itself and its texts: the place of its key, what allocating that costs, and the cache's own
/// notes, as measured by a test.
const OF_EACH: u64 = 64;

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
mod tests;

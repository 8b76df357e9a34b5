//! The first store: this process's own cache, bounded in number and in time.

use std::time::{Duration, Instant};

use gate::{Lookup, Source, User};
use quick_cache::sync::Cache;

use super::settings::MemorySettings;

/// What this process has learnt lately about who exists.
///
/// An answer is trusted from the moment its question was *asked* of the next store, so the time that the store took
/// counts against it. Expired entries are not swept: they make room when others need it.
#[derive(Debug)]
pub(super) struct Memory {
    /// `None` when the cache is off.
    entries: Option<Cache<Box<str>, Entry>>,
    present_ttl: Duration,
    absent_ttl: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    user: Option<User>,
    trusted_until: Instant,
}

impl Memory {
    pub(super) fn new(settings: MemorySettings, absent_ttl: Duration) -> Self {
        let on = settings.entries > 0 && !settings.ttl.is_zero();
        Self {
            entries: on.then(|| Cache::new(settings.entries)),
            present_ttl: settings.ttl,
            absent_ttl,
        }
    }

    /// What is known about `subject` and still trusted at `now`. Neither waits nor allocates.
    pub(super) fn recall(&self, subject: &str, now: Instant) -> Option<Lookup<User>> {
        let entry = self.entries.as_ref()?.get(subject)?;
        (now < entry.trusted_until).then_some(Lookup {
            found: entry.user,
            source: Source::Memory,
        })
    }

    /// Keeps what a store answered to a question that was asked at `asked`.
    pub(super) fn remember(&self, subject: &str, user: Option<User>, asked: Instant) {
        let ttl = match user {
            Some(_) => self.present_ttl,
            None => self.absent_ttl,
        };
        // A time to live so long that it has no end is a mistake; such an entry is not kept.
        let (Some(entries), Some(trusted_until)) = (&self.entries, asked.checked_add(ttl)) else {
            return;
        };
        entries.insert(
            subject.into(),
            Entry {
                user,
                trusted_until,
            },
        );
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn memory(ttl: Duration, entries: usize) -> Memory {
        Memory::new(MemorySettings { ttl, entries }, SECOND)
    }

    #[test]
    fn present_and_absent_users_expire_after_their_own_times() {
        let (memory, start) = (memory(3 * SECOND, 10), Instant::now());
        memory.remember("7", Some(User), start);
        memory.remember("8", None, start);
        let known = |subject, after| {
            memory
                .recall(subject, start + after)
                .map(|lookup| lookup.found)
        };

        assert_eq!(known("7", Duration::ZERO), Some(Some(User)));
        assert_eq!(known("8", Duration::ZERO), Some(None));
        assert_eq!(known("9", Duration::ZERO), None);
        assert_eq!(known("8", SECOND), None);
        assert_eq!(
            known("7", 3 * SECOND - Duration::from_nanos(1)),
            Some(Some(User))
        );
        assert_eq!(known("7", 3 * SECOND), None);
    }

    #[test]
    fn a_later_answer_replaces_an_earlier_one() {
        let (memory, start) = (memory(3 * SECOND, 10), Instant::now());
        memory.remember("7", Some(User), start);
        memory.remember("7", None, start);
        assert_eq!(
            memory.recall("7", start).map(|lookup| lookup.found),
            Some(None)
        );
    }

    #[test]
    fn memory_that_is_off_remembers_nothing() {
        let start = Instant::now();
        for memory in [memory(Duration::ZERO, 10), memory(SECOND, 0)] {
            memory.remember("7", Some(User), start);
            memory.remember("8", None, start);
            assert_eq!(memory.recall("7", start), None);
            assert_eq!(memory.recall("8", start), None);
        }
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let (memory, start) = (memory(SECOND, 100), Instant::now());
        for subject in 0..10_000 {
            memory.remember(&subject.to_string(), Some(User), start);
        }
        let known = (0..10_000)
            .filter(|subject| memory.recall(&subject.to_string(), start).is_some())
            .count();
        assert!((1..=100).contains(&known), "{known}");
    }
}

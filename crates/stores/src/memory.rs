//! The first store: this process's own cache, bounded in number and in time.

use std::time::{Duration, Instant};

use gate::{Lookup, Source};
use quick_cache::sync::Cache;
use session::UnixTime;

use super::changes::{Changes, Stripes, Ticket};
use super::fact::{Fact, Trust};
use super::settings::MemorySettings;

/// What this process has learnt lately.
///
/// An answer is trusted from the moment its question was *asked* of the next store, so the time that the store took
/// counts against it; and no longer than until something is heard of it that has [changed](Changes). Entries that are not trusted any
/// more are not swept: they make room when others need it.
#[derive(Debug)]
pub(super) struct Memory<F> {
    /// `None` when the cache is off.
    entries: Option<Cache<Box<str>, Entry<F>>>,
    trust: Trust,
    /// What was heard.
    pub(super) changes: Changes,
}

#[derive(Clone, Debug)]
struct Entry<F> {
    found: Option<F>,
    trusted_until: Instant,
    ticket: Ticket,
    stripes: Stripes,
}

/// A question that was asked of the next store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// When.
    pub(super) at: Instant,
    /// What it was by the time of day.
    pub(super) now: UnixTime,
    /// From when on nothing must have been heard. It may be later than the question, for an answer that is known to be current.
    pub(super) ticket: Ticket,
    /// Whether anything would have been heard then.
    pub(super) was_heard: bool,
}

impl<F: Fact> Memory<F> {
    /// `settings` say for how long what exists is trusted to.
    pub(super) fn new(settings: MemorySettings, absent_ttl: Duration, changes: Changes) -> Self {
        let on = settings.entries > 0 && !settings.ttl.is_zero();
        Self {
            entries: on.then(|| Cache::new(settings.entries)),
            trust: Trust {
                present: settings.ttl,
                absent: absent_ttl,
            },
            changes,
        }
    }

    /// What is known under `key` and still trusted at `now`. Does not wait, and allocates nothing.
    pub(super) fn recall(&self, key: &str, now: Instant) -> Option<Lookup<F>> {
        let entry = self.entries.as_ref()?.get(key)?;
        let is_trusted =
            now < entry.trusted_until && self.changes.leave(entry.ticket, entry.stripes, now);
        is_trusted.then_some(Lookup {
            found: entry.found,
            source: Source::Memory,
        })
    }

    /// Whether there was something under `key` when somebody last asked, however long ago. Entries that are too old to be
    /// trusted stay until others need their place.
    pub(super) fn knew(&self, key: &str) -> bool {
        let entry = self.entries.as_ref().and_then(|entries| entries.get(key));
        entry.is_some_and(|entry| entry.found.is_some())
    }

    /// Whether anything is kept under `key`, trusted or not.
    pub(super) fn has(&self, key: &str) -> bool {
        let entries = self.entries.as_ref();
        entries.is_some_and(|entries| entries.contains_key(key))
    }

    /// Keeps what a store answered, for no longer than `at_most` from `now`.
    pub(super) fn remember(
        &self,
        key: &str,
        found: Option<&F>,
        asked: Asked,
        now: Instant,
        at_most: Duration,
    ) {
        let trusted = self.trust.of(found, asked.now);
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
            entries.insert(
                key.into(),
                Entry {
                    found: found.cloned(),
                    trusted_until,
                    ticket: asked.ticket,
                    stripes: self.changes.stripes(key, subject),
                },
            );
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
mod tests {
    use gate::{KnownSession, User};
    use session::{Standing, StoredColumns, StoredSession};

    use super::super::changes::Channels;
    use super::super::hearing::Channel;
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn memory(ttl: Duration, entries: usize) -> Memory<User> {
        Memory::new(MemorySettings { ttl, entries }, SECOND, nothing_heard())
    }

    fn nothing_heard() -> Changes {
        Changes::new(Channels::NONE, Channels::NONE, Instant::now())
    }

    fn asked(memory: &Memory<impl Fact>, at: Instant) -> Asked {
        Asked {
            at,
            now: NOW,
            ticket: memory.changes.ticket(at),
            was_heard: true,
        }
    }

    #[test]
    fn present_and_absent_users_expire_after_their_own_times() {
        let (memory, start) = (memory(3 * SECOND, 10), Instant::now());
        memory.remember(
            "7",
            Some(&User::default()),
            asked(&memory, start),
            start,
            Duration::MAX,
        );
        memory.remember("8", None, asked(&memory, start), start, Duration::MAX);
        let known = |subject, after| {
            memory
                .recall(subject, start + after)
                .map(|lookup| lookup.found)
        };

        assert_eq!(known("7", Duration::ZERO), Some(Some(User::default())));
        assert_eq!(known("8", Duration::ZERO), Some(None));
        assert_eq!(known("9", Duration::ZERO), None);
        assert_eq!(known("8", SECOND), None);
        assert_eq!(
            known("7", 3 * SECOND - Duration::from_nanos(1)),
            Some(Some(User::default()))
        );
        assert_eq!(known("7", 3 * SECOND), None);
        let knew = |subject| memory.knew(subject);
        assert_eq!([knew("7"), knew("8"), knew("9")], [true, false, false]);
    }

    #[test]
    fn a_session_is_forgotten_when_it_ends() {
        let settings = MemorySettings {
            ttl: 60 * SECOND,
            entries: 10,
        };
        let (memory, start) = (
            Memory::new(settings, SECOND, nothing_heard()),
            Instant::now(),
        );
        let session = StoredSession::new(StoredColumns {
            subject: "7",
            email: None,
            name: None,
            standing: Standing::default(),
            issued_at: None,
            expires_at: NOW.saturating_add(2 * SECOND),
        });
        let known = KnownSession {
            stored: session.unwrap(),
            user: User::default(),
        };
        memory.remember(
            "id",
            Some(&known),
            asked(&memory, start),
            start,
            Duration::MAX,
        );
        let almost = 2 * SECOND - Duration::from_nanos(1);
        assert!(memory.recall("id", start + almost).is_some());
        assert!(memory.recall("id", start + 2 * SECOND).is_none());
    }

    #[test]
    fn a_later_answer_replaces_an_earlier_one() {
        let (memory, start) = (memory(3 * SECOND, 10), Instant::now());
        memory.remember(
            "7",
            Some(&User::default()),
            asked(&memory, start),
            start,
            Duration::MAX,
        );
        memory.remember("7", None, asked(&memory, start), start, Duration::MAX);
        assert_eq!(
            memory.recall("7", start).map(|lookup| lookup.found),
            Some(None)
        );
    }

    #[test]
    fn nothing_is_known_after_something_was_heard_of_it_or_while_nothing_is() {
        let start = Instant::now();
        let channels = Channels {
            postgres: true,
            redis: false,
        };
        let settings = MemorySettings {
            ttl: 60 * SECOND,
            entries: 10,
        };
        let memory = Memory::new(settings, SECOND, Changes::new(channels, channels, start));
        let known = |key| memory.recall(key, start + 2 * SECOND).is_some();
        let remember = |at| {
            memory.remember(
                "7",
                Some(&User::default()),
                asked(&memory, at),
                at,
                Duration::MAX,
            );
        };
        remember(start + SECOND);
        assert!(!known("7"), "deaf");
        memory.changes.listen(Channel::Postgres, start + SECOND);
        assert!(!known("7"), "from before");
        remember(start + 2 * SECOND);
        assert!(known("7"));
        memory
            .changes
            .forget(Channel::Postgres, "7", start + 3 * SECOND);
        assert!(!known("7"));
        // A slow answer from before comes in.
        remember(start + 2 * SECOND);
        assert!(!known("7"));
        remember(start + 4 * SECOND);
        assert!(known("7"));
    }

    #[test]
    fn memory_that_is_off_remembers_nothing() {
        let start = Instant::now();
        for memory in [memory(Duration::ZERO, 10), memory(SECOND, 0)] {
            memory.remember(
                "7",
                Some(&User::default()),
                asked(&memory, start),
                start,
                Duration::MAX,
            );
            memory.remember("8", None, asked(&memory, start), start, Duration::MAX);
            assert_eq!(memory.recall("7", start), None);
            assert_eq!(memory.recall("8", start), None);
        }
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let (memory, start) = (memory(SECOND, 100), Instant::now());
        for subject in 0..10_000 {
            memory.remember(
                &subject.to_string(),
                Some(&User::default()),
                asked(&memory, start),
                start,
                Duration::MAX,
            );
        }
        let known = (0..10_000)
            .filter(|subject| memory.recall(&subject.to_string(), start).is_some())
            .count();
        assert!((1..=100).contains(&known), "{known}");
    }
}

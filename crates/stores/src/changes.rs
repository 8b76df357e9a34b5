//! What a chain has heard of changes, and so whether an answer may still be repeated.
//!
//! Every question has a [`Ticket`], taken before it is asked. An answer may be repeated for as long as nothing was heard after its
//! ticket that concerns it: not only because the answer may be older than the change, but also because nobody can tell. So nothing
//! needs to be removed from memory when something changes, and a slow answer that comes in after the change does no harm, whoever
//! writes it where.
//!
//! Keys are folded into a fixed number of stripes. Two keys that share one are forgotten together, which costs a question.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::hearing::{Audience, Channel};
use foldhash::fast::RandomState;

/// What a chain has heard of changes.
#[derive(Debug)]
pub(super) struct Changes {
    /// Times are counted from here, in nanoseconds.
    start: Instant,
    hasher: RandomState,
    postgres: Option<LastChanges>,
    redis: Option<LastChanges>,
    /// The channels without which nothing may be repeated from memory.
    needed: Channels,
    /// Those of them that are silent, as [`Channels::bits`].
    silent: AtomicU8,
    /// Those of them, for their proofs.
    audiences: Vec<Arc<Audience>>,
}

/// When a question was asked, or will be in a moment: taken before it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// The stripes of what an answer is about: of its key, and of the user that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stripes {
    key: u16,
    subject: u16,
}

/// What one channel has said.
#[derive(Debug)]
struct LastChanges {
    /// When anything may have changed for the last time, or the channel began to be heard.
    everything: AtomicU64,
    /// When something in this stripe has changed for the last time.
    stripes: Box<[AtomicU64]>,
}

/// Some channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Channels {
    /// That of PostgreSQL.
    pub(super) postgres: bool,
    /// That of Redis.
    pub(super) redis: bool,
}

impl Channels {
    pub(super) const NONE: Self = Self {
        postgres: false,
        redis: false,
    };

    pub(super) const ALL: Self = Self {
        postgres: true,
        redis: true,
    };

    /// Those that are among both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            postgres: self.postgres && other.postgres,
            redis: self.redis && other.redis,
        }
    }

    /// Whether this is one of them.
    pub(super) fn has(self, channel: Channel) -> bool {
        match channel {
            Channel::Postgres => self.postgres,
            Channel::Redis => self.redis,
        }
    }

    fn bits(self) -> u8 {
        u8::from(self.postgres) | u8::from(self.redis) << 1
    }

    fn only(channel: Channel) -> Self {
        Self {
            postgres: channel == Channel::Postgres,
            redis: channel == Channel::Redis,
        }
    }
}

impl Changes {
    /// For a chain with these channels, of which some are `needed`: those are silent until they say that they are not. Times are
    /// counted from `start`.
    pub(super) fn new(channels: Channels, needed: Channels, start: Instant) -> Self {
        let heard = |is_there: bool| is_there.then(LastChanges::nothing);
        Self {
            start,
            hasher: RandomState::default(),
            postgres: heard(channels.postgres),
            redis: heard(channels.redis),
            needed,
            silent: AtomicU8::new(needed.bits()),
            audiences: Vec::new(),
        }
    }

    /// The same, which hears the channels that are needed only for as long as these have proved that they are heard.
    pub(super) fn proven_by(self, audiences: &[Arc<Audience>]) -> Self {
        let is_needed = |audience: &&Arc<Audience>| self.needed.has(audience.channel());
        let audiences = audiences.iter().filter(is_needed).cloned().collect();
        Self { audiences, ..self }
    }

    /// For a question that is asked from now on.
    pub(super) fn ticket(&self, now: Instant) -> Ticket {
        Ticket(self.nanos(now))
    }

    /// For an answer that was asked for so long ago.
    pub(super) fn ticket_of(&self, now: Instant, age: Duration) -> Ticket {
        let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        Ticket(self.nanos(now).saturating_sub(age))
    }

    /// The stripes of an answer to a question about `key`, which names the user `subject` if it does.
    pub(super) fn stripes(&self, key: &str, subject: Option<&str>) -> Stripes {
        if self.postgres.is_none() && self.redis.is_none() {
            return Stripes { key: 0, subject: 0 };
        }
        let key = self.stripe(key);
        Stripes {
            key,
            subject: subject.map_or(key, |subject| self.stripe(subject)),
        }
    }

    /// Whether an answer of this ticket may be repeated.
    pub(super) fn leave(&self, ticket: Ticket, of: Stripes, now: Instant) -> bool {
        !self.is_deaf(now)
            && ![&self.postgres, &self.redis]
                .into_iter()
                .flatten()
                .any(|heard| heard.after(ticket, of))
    }

    /// Whether one of these channels has said something since this ticket that concerns the answer. A channel that is not there
    /// says nothing.
    pub(super) fn said(&self, channels: Channels, ticket: Ticket, of: Stripes) -> bool {
        [Channel::Postgres, Channel::Redis]
            .into_iter()
            .filter(|channel| channels.has(*channel))
            .filter_map(|channel| self.heard(channel))
            .any(|heard| heard.after(ticket, of))
    }

    /// Whether a channel that is needed is silent, or has not proved for a while that it is not.
    pub(super) fn is_deaf(&self, now: Instant) -> bool {
        let is_unproven = |audience: &Arc<Audience>| !audience.is_proven(now);
        self.silent.load(Ordering::Acquire) != 0 || self.audiences.iter().any(is_unproven)
    }

    /// Whether this channel is needed, and no other.
    pub(super) fn needed_only(&self, channel: Channel) -> bool {
        self.needed == Channels::only(channel)
    }

    /// Whether there is this channel.
    pub(super) fn has(&self, channel: Channel) -> bool {
        self.heard(channel).is_some()
    }

    /// What is known under `key`, or of the user of this id, was true once.
    pub(super) fn forget(&self, channel: Channel, key: &str, now: Instant) {
        if let Some(heard) = self.heard(channel) {
            let stripe = usize::from(self.stripe(key));
            heard.stripes[stripe].fetch_max(self.nanos(now), Ordering::AcqRel);
        }
    }

    /// All that is known was true once.
    pub(super) fn forget_all(&self, channel: Channel, now: Instant) {
        if let Some(heard) = self.heard(channel) {
            heard
                .everything
                .fetch_max(self.nanos(now), Ordering::AcqRel);
        }
    }

    /// Nothing is heard on this channel any more.
    pub(super) fn deaf(&self, channel: Channel) {
        let silent = self.needed.and(Channels::only(channel)).bits();
        self.silent.fetch_or(silent, Ordering::AcqRel);
    }

    /// From now on everything is heard on this channel.
    pub(super) fn listen(&self, channel: Channel, now: Instant) {
        if self.needed.has(channel) {
            self.forget_all(channel, now);
            let silent = Channels::only(channel).bits();
            self.silent.fetch_and(!silent, Ordering::AcqRel);
        }
    }

    fn heard(&self, channel: Channel) -> Option<&LastChanges> {
        match channel {
            Channel::Postgres => self.postgres.as_ref(),
            Channel::Redis => self.redis.as_ref(),
        }
    }

    fn stripe(&self, key: &str) -> u16 {
        // The lowest bits, as many as there are stripes.
        (self.hasher.hash_one(key) & (STRIPES as u64 - 1)) as u16
    }

    /// This time as a number that fits into little room.
    pub(super) fn nanos(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.start);
        // 0 is when nothing was heard.
        u64::try_from(since.as_nanos()).map_or(u64::MAX, |nanos| nanos.saturating_add(1))
    }
}

impl LastChanges {
    fn nothing() -> Self {
        Self {
            everything: AtomicU64::new(0),
            stripes: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Whether something was said at the time of the ticket or later. What was said at the very same time may have been said
    /// before or after, so it counts.
    fn after(&self, ticket: Ticket, of: Stripes) -> bool {
        let is_later = |said: &AtomicU64| {
            let said = said.load(Ordering::Acquire);
            said != 0 && said >= ticket.0
        };
        is_later(&self.everything)
            || is_later(&self.stripes[usize::from(of.key)])
            || is_later(&self.stripes[usize::from(of.subject)])
    }
}

/// 128 KiB for each channel of each chain. A word costs one answer in so many another question.
const STRIPES: usize = 1 << 14;

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(1);
    const BOTH: Channels = Channels {
        postgres: true,
        redis: true,
    };

    /// Changes that hear, and the time at which they began to.
    fn listening(channels: Channels) -> (Changes, Instant) {
        let start = Instant::now();
        let changes = Changes::new(channels, channels, start);
        let now = start + TICK;
        changes.listen(Channel::Redis, now);
        changes.listen(Channel::Postgres, now);
        (changes, now)
    }

    #[test]
    fn an_answer_holds_until_something_is_heard_of_it_after_its_question() {
        let (changes, now) = listening(BOTH);
        let start = now;
        let of = changes.stripes("id", Some("7"));
        let (early, late) = (changes.ticket(now + TICK), changes.ticket(now + 3 * TICK));
        assert!(changes.leave(early, of, start));
        for (channel, key) in [
            (Channel::Postgres, "id"),
            (Channel::Postgres, "7"),
            (Channel::Redis, "id"),
        ] {
            let (changes, now) = listening(BOTH);
            let of = changes.stripes("id", Some("7"));
            let [before, at, after] = [1, 2, 3].map(|ticks| changes.ticket(now + ticks * TICK));
            changes.forget(channel, key, now + 2 * TICK);
            let leave = [before, at, after].map(|ticket| changes.leave(ticket, of, start));
            assert_eq!(leave, [false, false, true], "{channel:?} {key}");
            assert!(changes.said(Channels::only(channel), before, of));
            assert!(!changes.said(BOTH, after, of));
        }
        // A word that comes late about an earlier time takes nothing back.
        changes.forget(Channel::Redis, "id", now + 2 * TICK);
        changes.forget(Channel::Redis, "id", now + TICK);
        assert!(!changes.leave(early, of, start));
        assert!(changes.leave(late, of, start));
    }

    #[test]
    fn others_are_left_but_for_those_of_the_same_stripe() {
        let (changes, now) = listening(BOTH);
        let ticket = changes.ticket(now + TICK);
        changes.forget(Channel::Redis, "7", now + 2 * TICK);
        let forgotten = (100..1100).filter(|id| {
            let of = changes.stripes(&id.to_string(), None);
            !changes.leave(ticket, of, now)
        });
        assert!(forgotten.count() < 10);
    }

    #[test]
    fn nothing_is_left_while_a_needed_channel_is_silent_nor_from_before() {
        let start = Instant::now();
        let needed = Channels::only(Channel::Postgres);
        let changes = Changes::new(BOTH, needed, start);
        let of = changes.stripes("7", None);
        let at = |ticks: u32| changes.ticket(start + ticks * TICK);
        assert!(!changes.leave(at(1), of, start));
        // That of the cache is not enough.
        changes.listen(Channel::Redis, start + TICK);
        assert!(!changes.leave(at(2), of, start));
        changes.listen(Channel::Postgres, start + 3 * TICK);
        assert_eq!(
            [2, 3, 4].map(|ticks| changes.leave(at(ticks), of, start)),
            [false, false, true]
        );
        // And is not missed.
        changes.deaf(Channel::Redis);
        assert!(changes.leave(at(4), of, start));
        changes.deaf(Channel::Postgres);
        assert!(!changes.leave(at(4), of, start));
        changes.listen(Channel::Postgres, start + 5 * TICK);
        assert_eq!(
            [4, 6].map(|ticks| changes.leave(at(ticks), of, start)),
            [false, true]
        );
    }

    #[test]
    fn without_a_channel_nothing_is_heard_and_nothing_forgotten() {
        let (changes, now) = listening(Channels::NONE);
        let of = changes.stripes("7", Some("8"));
        let ticket = changes.ticket(now);
        changes.forget(Channel::Redis, "7", now + TICK);
        changes.forget_all(Channel::Postgres, now + TICK);
        changes.deaf(Channel::Redis);
        assert!(changes.leave(ticket, of, now));
    }
}

//! The changes that a chain was notified of, which decide whether an answer may still be repeated.
//!
//! Every lookup has a [`Ticket`], taken before the stores are asked. An answer may be repeated until a relevant
//! invalidation is received at or after its ticket: from then on the answer may be older than the change, and there is
//! no way to tell. So nothing needs to be removed from memory when something changes, and a slow answer that arrives
//! after the change does no harm, wherever it is written.
//!
//! Keys are hashed into a fixed number of stripes. All keys of one stripe are invalidated together, which costs each
//! of them a lookup.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::channel::{Channel, Publisher};
use foldhash::fast::RandomState;

/// The changes that a chain was notified of.
#[derive(Debug)]
pub(super) struct Changes {
    /// The origin of all times, which are counted in nanoseconds.
    start: Instant,
    hasher: RandomState,
    postgres: Option<LastChanges>,
    redis: Option<LastChanges>,
    /// The channels that must be up for memory to answer.
    needed: Channels,
    /// The needed channels that are down, as [`Channels::bits`].
    down: AtomicU8,
    /// The publishers of the needed channels, for their proofs.
    publishers: Vec<Arc<Publisher>>,
}

/// The time of a lookup, taken before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// The stripes of an answer: of its key, and of the user that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stripes {
    key: u16,
    subject: u16,
}

/// When one channel last announced changes.
#[derive(Debug)]
struct LastChanges {
    /// When the channel last announced that anything may have changed, or last came up.
    everything: AtomicU64,
    /// When the channel last announced a change in each stripe.
    stripes: Box<[AtomicU64]>,
}

/// A set of channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Channels {
    /// The channel of PostgreSQL.
    pub(super) postgres: bool,
    /// The channel of Redis.
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

    /// The channels in both sets.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            postgres: self.postgres && other.postgres,
            redis: self.redis && other.redis,
        }
    }

    /// Whether the set has this channel.
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
    /// Creates the changes of a chain with these channels. The `needed` ones are down until [`Self::channel_up`] is
    /// called for them. Times are counted from `start`.
    pub(super) fn new(channels: Channels, needed: Channels, start: Instant) -> Self {
        let last = |exists: bool| exists.then(LastChanges::nothing);
        Self {
            start,
            hasher: RandomState::default(),
            postgres: last(channels.postgres),
            redis: last(channels.redis),
            needed,
            down: AtomicU8::new(needed.bits()),
            publishers: Vec::new(),
        }
    }

    /// Adds the proofs of the needed channels: a channel without a current proof is treated as down.
    pub(super) fn proven_by(self, publishers: &[Arc<Publisher>]) -> Self {
        let is_needed = |publisher: &&Arc<Publisher>| self.needed.has(publisher.channel());
        let publishers = publishers.iter().filter(is_needed).cloned().collect();
        Self { publishers, ..self }
    }

    /// The ticket of a lookup that begins now.
    pub(super) fn ticket(&self, now: Instant) -> Ticket {
        Ticket(self.nanos(now))
    }

    /// The ticket of a lookup that began this long ago.
    pub(super) fn ticket_of(&self, now: Instant, age: Duration) -> Ticket {
        let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        Ticket(self.nanos(now).saturating_sub(age))
    }

    /// The stripes of an answer about `key`. `subject` is the user that the answer names, if it names one.
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

    /// Whether the answer of a lookup with this ticket may be repeated.
    pub(super) fn may_reuse(&self, ticket: Ticket, of: Stripes, now: Instant) -> bool {
        !self.is_down(now)
            && ![&self.postgres, &self.redis]
                .into_iter()
                .flatten()
                .any(|last| last.after(ticket, of))
    }

    /// Whether one of these channels has announced a change of the answer since this ticket. A channel that does not
    /// exist announces nothing.
    pub(super) fn changed_since(&self, channels: Channels, ticket: Ticket, of: Stripes) -> bool {
        [Channel::Postgres, Channel::Redis]
            .into_iter()
            .filter(|channel| channels.has(*channel))
            .filter_map(|channel| self.last_changes(channel))
            .any(|last| last.after(ticket, of))
    }

    /// Whether a needed channel is down, or its last proof has expired.
    pub(super) fn is_down(&self, now: Instant) -> bool {
        let is_unproven = |publisher: &Arc<Publisher>| !publisher.is_proven(now);
        self.down.load(Ordering::Acquire) != 0 || self.publishers.iter().any(is_unproven)
    }

    /// Whether this is the only needed channel.
    pub(super) fn needed_only(&self, channel: Channel) -> bool {
        self.needed == Channels::only(channel)
    }

    /// Whether this channel exists.
    pub(super) fn has(&self, channel: Channel) -> bool {
        self.last_changes(channel).is_some()
    }

    /// Invalidates the answers about `key`, or about the user whose id is `key`.
    pub(super) fn invalidate(&self, channel: Channel, key: &str, now: Instant) {
        if let Some(last) = self.last_changes(channel) {
            let stripe = usize::from(self.stripe(key));
            last.stripes[stripe].fetch_max(self.nanos(now), Ordering::AcqRel);
        }
    }

    /// Invalidates everything.
    pub(super) fn invalidate_all(&self, channel: Channel, now: Instant) {
        if let Some(last) = self.last_changes(channel) {
            last.everything.fetch_max(self.nanos(now), Ordering::AcqRel);
        }
    }

    /// Notes that this channel is down.
    pub(super) fn channel_down(&self, channel: Channel) {
        let down = self.needed.and(Channels::only(channel)).bits();
        self.down.fetch_or(down, Ordering::AcqRel);
    }

    /// Notes that this channel is up from now on, and invalidates everything from before.
    pub(super) fn channel_up(&self, channel: Channel, now: Instant) {
        if self.needed.has(channel) {
            self.invalidate_all(channel, now);
            let down = Channels::only(channel).bits();
            self.down.fetch_and(!down, Ordering::AcqRel);
        }
    }

    fn last_changes(&self, channel: Channel) -> Option<&LastChanges> {
        match channel {
            Channel::Postgres => self.postgres.as_ref(),
            Channel::Redis => self.redis.as_ref(),
        }
    }

    fn stripe(&self, key: &str) -> u16 {
        // Keep as many low bits as number the stripes.
        (self.hasher.hash_one(key) & (STRIPES as u64 - 1)) as u16
    }

    /// The time in nanoseconds since the start, as a compact number.
    pub(super) fn nanos(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.start);
        // 0 stands for "never".
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

    /// Whether a relevant change was announced at the time of the ticket or later. A change at exactly the same time may
    /// have come before or after, so it is included.
    fn after(&self, ticket: Ticket, of: Stripes) -> bool {
        let is_later = |changed: &AtomicU64| {
            let changed = changed.load(Ordering::Acquire);
            changed != 0 && changed >= ticket.0
        };
        is_later(&self.everything)
            || is_later(&self.stripes[usize::from(of.key)])
            || is_later(&self.stripes[usize::from(of.subject)])
    }
}

/// The number of stripes: 128 KiB for each channel of each chain. Each invalidation costs one in this many of the other
/// keys a lookup.
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

    /// Changes whose channels are up, and the time from which they are.
    fn listening(channels: Channels) -> (Changes, Instant) {
        let start = Instant::now();
        let changes = Changes::new(channels, channels, start);
        let now = start + TICK;
        changes.channel_up(Channel::Redis, now);
        changes.channel_up(Channel::Postgres, now);
        (changes, now)
    }

    #[test]
    fn an_answer_is_reused_until_a_change_is_announced_after_its_lookup() {
        let (changes, now) = listening(BOTH);
        let start = now;
        let of = changes.stripes("id", Some("7"));
        let (early, late) = (changes.ticket(now + TICK), changes.ticket(now + 3 * TICK));
        assert!(changes.may_reuse(early, of, start));
        for (channel, key) in [
            (Channel::Postgres, "id"),
            (Channel::Postgres, "7"),
            (Channel::Redis, "id"),
        ] {
            let (changes, now) = listening(BOTH);
            let of = changes.stripes("id", Some("7"));
            let [before, at, after] = [1, 2, 3].map(|ticks| changes.ticket(now + ticks * TICK));
            changes.invalidate(channel, key, now + 2 * TICK);
            let reusable = [before, at, after].map(|ticket| changes.may_reuse(ticket, of, start));
            assert_eq!(reusable, [false, false, true], "{channel:?} {key}");
            assert!(changes.changed_since(Channels::only(channel), before, of));
            assert!(!changes.changed_since(BOTH, after, of));
        }
        // A late invalidation about an earlier time changes nothing.
        changes.invalidate(Channel::Redis, "id", now + 2 * TICK);
        changes.invalidate(Channel::Redis, "id", now + TICK);
        assert!(!changes.may_reuse(early, of, start));
        assert!(changes.may_reuse(late, of, start));
    }

    #[test]
    fn an_invalidation_affects_only_keys_of_the_same_stripe() {
        let (changes, now) = listening(BOTH);
        let ticket = changes.ticket(now + TICK);
        changes.invalidate(Channel::Redis, "7", now + 2 * TICK);
        let invalidated = (100..1100).filter(|id| {
            let of = changes.stripes(&id.to_string(), None);
            !changes.may_reuse(ticket, of, now)
        });
        assert!(invalidated.count() < 10);
    }

    #[test]
    fn nothing_is_reused_while_a_needed_channel_is_down_or_from_before_it_came_up() {
        let start = Instant::now();
        let needed = Channels::only(Channel::Postgres);
        let changes = Changes::new(BOTH, needed, start);
        let of = changes.stripes("7", None);
        let at = |ticks: u32| changes.ticket(start + ticks * TICK);
        assert!(!changes.may_reuse(at(1), of, start));
        // The channel of the cache is not enough.
        changes.channel_up(Channel::Redis, start + TICK);
        assert!(!changes.may_reuse(at(2), of, start));
        changes.channel_up(Channel::Postgres, start + 3 * TICK);
        assert_eq!(
            [2, 3, 4].map(|ticks| changes.may_reuse(at(ticks), of, start)),
            [false, false, true]
        );
        // Without it the answer still holds.
        changes.channel_down(Channel::Redis);
        assert!(changes.may_reuse(at(4), of, start));
        changes.channel_down(Channel::Postgres);
        assert!(!changes.may_reuse(at(4), of, start));
        changes.channel_up(Channel::Postgres, start + 5 * TICK);
        assert_eq!(
            [4, 6].map(|ticks| changes.may_reuse(at(ticks), of, start)),
            [false, true]
        );
    }

    #[test]
    fn without_channels_nothing_is_invalidated() {
        let (changes, now) = listening(Channels::NONE);
        let of = changes.stripes("7", Some("8"));
        let ticket = changes.ticket(now);
        changes.invalidate(Channel::Redis, "7", now + TICK);
        changes.invalidate_all(Channel::Postgres, now + TICK);
        changes.channel_down(Channel::Redis);
        assert!(changes.may_reuse(ticket, of, now));
    }
}

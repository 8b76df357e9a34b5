//! Channels on which a server announces changes, and their subscribers.
//!
//! A channel is a connection on which a server announces what changes there: Redis sends the names of keys, PostgreSQL
//! the notifications of our triggers. Three verbs describe it everywhere in this crate. A channel is *heard* while it
//! has proved that every announcement reaches us; it then *listens*. Otherwise it is *deaf* (or silent), and chains that
//! need the channel answer nothing from memory, because a change could have been missed. To *hear* is to receive one
//! [`Invalidation`]. The channel's [`Audience`] passes each invalidation on to its *hearers*, the subscribers, and
//! notifies them when the channel becomes deaf or listens again. An invalidation only ever empties memory and never
//! fills it, so an attacker who can send one causes extra lookups and nothing else.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The kinds of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// `NOTIFY` of PostgreSQL, sent by triggers on the tables that lookups read.
    Postgres,
    /// Pushes of Redis to clients that track keys.
    Redis,
}

impl Channel {
    /// The channel's name in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }
}

/// One announcement of a channel: the answers that must no longer be repeated from memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Invalidation {
    /// Anything may have changed.
    Everything,
    /// The value of this key of Redis.
    RedisKey(Box<[u8]>),
    /// The session whose token has this id (`session::SessionToken::id`).
    Session(Box<str>),
    /// The user with this id: the user's row was changed, created or deleted, or the user's sessions were.
    User(Box<str>),
}

/// Receives what a channel announces. No method may block: each is called with the audience locked.
pub(super) trait Hears: Send + Sync + 'static {
    /// Handles an announcement of the channel.
    fn hear(&self, channel: Channel, invalidation: &Invalidation);

    /// Notes that the channel is deaf until the next [`Hears::listen`]: changes can be missed.
    fn deaf(&self, channel: Channel);

    /// Notes that the channel is heard from now on. Earlier answers must not be trusted.
    fn listen(&self, channel: Channel);
}

/// The subscribers of one channel, and whether the channel is heard.
pub(super) struct Audience {
    channel: Channel,
    state: Mutex<Hearers>,
    is_heard: watch::Sender<ChannelState>,
    proof: Proof,
}

/// The time until which the last proof that a channel is heard holds. Every lookup reads it, on every core, so it is
/// atomic.
#[derive(Default)]
struct Proof {
    /// When the first proof began.
    first: OnceLock<Instant>,
    /// When the last proof ends, in microseconds after `first`.
    until: AtomicU64,
}

/// Whether a channel is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ChannelState {
    /// The channel has proved that every announcement reaches us.
    Heard,
    /// The channel has not proved that, or not yet. The text says why, for operators.
    Silent(Arc<str>),
}

struct Hearers {
    hearers: Vec<Weak<dyn Hears>>,
}

impl Audience {
    /// Creates the audience, without subscribers, of a channel that is not heard yet.
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            state: Mutex::new(Hearers {
                hearers: Vec::new(),
            }),
            is_heard: watch::Sender::new(ChannelState::Silent("it was not opened yet".into())),
            proof: Proof::default(),
        }
    }

    /// Adds a subscriber, and notifies it at once whether the channel is heard.
    pub(super) fn join(&self, hearer: &Arc<dyn Hears>) {
        let mut state = self.state();
        state.hearers.push(Arc::downgrade(hearer));
        match *self.is_heard.borrow() {
            ChannelState::Heard => hearer.listen(self.channel),
            ChannelState::Silent(_) => hearer.deaf(self.channel),
        }
    }

    /// The channel that this audience is subscribed to.
    pub(super) fn channel(&self) -> Channel {
        self.channel
    }

    /// Passes an invalidation on to every subscriber. The channel calls this in the order of its announcements.
    pub(super) fn announce(&self, invalidation: &Invalidation) {
        self.each(|hearer| hearer.hear(self.channel, invalidation));
    }

    /// Marks the channel as deaf, and returns whether it was heard until now.
    pub(super) fn deaf(&self, why: &str) -> bool {
        let mut state = self.state();
        let was_heard = *self.is_heard.borrow() == ChannelState::Heard;
        if was_heard {
            state.tell(|hearer| hearer.deaf(self.channel));
        }
        self.is_heard.send_replace(ChannelState::Silent(why.into()));
        was_heard
    }

    /// Marks the channel as heard, after it has proved that it is.
    pub(super) fn listen(&self) {
        let mut state = self.state();
        if *self.is_heard.borrow() != ChannelState::Heard {
            state.tell(|hearer| hearer.listen(self.channel));
            self.is_heard.send_replace(ChannelState::Heard);
        }
    }

    /// Notes that the channel has received everything that was announced before `began`. The proof holds for `lasting`
    /// after `began`, unless another one renews it.
    pub(super) fn prove(&self, began: Instant, lasting: Duration) {
        self.proof.renew(began, lasting);
    }

    /// Whether the last proof still holds. A process that was suspended for a while has received nothing in the meantime,
    /// and it may answer requests before the channel's own task notices that.
    pub(super) fn is_proven(&self, now: Instant) -> bool {
        self.proof.holds(now)
    }

    /// Whether the channel is heard.
    pub(super) fn is_heard(&self) -> bool {
        *self.is_heard.borrow() == ChannelState::Heard
    }

    /// Watches whether the channel is heard, and why not.
    pub(super) fn subscribe(&self) -> watch::Receiver<ChannelState> {
        self.is_heard.subscribe()
    }

    fn each(&self, tell: impl Fn(&dyn Hears)) {
        self.state().tell(tell);
    }

    fn state(&self) -> MutexGuard<'_, Hearers> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Audience({:?})", self.channel)
    }
}

impl Proof {
    fn renew(&self, began: Instant, lasting: Duration) {
        let first = *self.first.get_or_init(|| began);
        let until = began.saturating_duration_since(first) + lasting;
        let until = u64::try_from(until.as_micros()).unwrap_or(u64::MAX);
        self.until.store(until, Ordering::Release);
    }

    fn holds(&self, now: Instant) -> bool {
        let until = u128::from(self.until.load(Ordering::Acquire));
        let first = self.first.get();
        first.is_some_and(|first| now.saturating_duration_since(*first).as_micros() < until)
    }
}

impl Hearers {
    /// Calls `tell` for every subscriber that still exists.
    fn tell(&mut self, tell: impl Fn(&dyn Hears)) {
        self.hearers.retain(|hearer| {
            let hearer = hearer.upgrade();
            hearer.iter().for_each(|hearer| tell(&**hearer));
            hearer.is_some()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_time_and_no_longer() {
        let (proof, seconds) = (Proof::default(), Duration::from_secs);
        #[expect(clippy::disallowed_methods, reason = "a test has no other clock")]
        let began = Instant::now();
        assert!(!proof.holds(began));
        proof.renew(began, seconds(2));
        for (after, holds) in [(0, true), (1, true), (2, false), (9, false)] {
            assert_eq!(proof.holds(began + seconds(after)), holds, "{after}");
        }
        proof.renew(began + seconds(9), seconds(2));
        assert!(proof.holds(began + seconds(10)));
        assert!(!proof.holds(began + seconds(11)));
    }
}

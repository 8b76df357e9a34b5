//! Channels: connections on which a server announces what has changed, and the subscribers that are notified.
//!
//! Redis announces the keys that it tracks for us, PostgreSQL sends what our triggers notify. A channel is *up* while it
//! has proved that every announcement reaches us. Otherwise it is *down*, and chains that need it answer nothing from
//! memory, because a change could have been missed. The channel's [`Publisher`] passes each [`Invalidation`] on to its
//! subscribers, and notifies them when the channel goes down or comes up. An invalidation only ever empties memory and
//! never fills it, so an attacker who can send one causes extra lookups and nothing else.

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

/// Receives what a channel announces. No method may block: each is called with the publisher locked.
pub(super) trait ChannelSubscriber: Send + Sync + 'static {
    /// Handles an announcement of the channel.
    fn receive(&self, channel: Channel, invalidation: &Invalidation);

    /// Notes that the channel is down until the next [`ChannelSubscriber::channel_up`]: changes can be missed.
    fn channel_down(&self, channel: Channel);

    /// Notes that the channel is up from now on. Earlier answers must not be trusted.
    fn channel_up(&self, channel: Channel);
}

/// The subscribers of one channel, and whether the channel is up.
pub(super) struct Publisher {
    channel: Channel,
    subscribers: Mutex<Subscribers>,
    channel_state: watch::Sender<ChannelState>,
    proof: Proof,
}

/// The time until which the last proof that a channel is up holds. Every lookup reads it, on every core, so it is
/// atomic.
#[derive(Default)]
struct Proof {
    /// When the first proof began.
    first: OnceLock<Instant>,
    /// When the last proof ends, in microseconds after `first`.
    until: AtomicU64,
}

/// Whether a channel is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ChannelState {
    /// The channel has proved that every announcement reaches us.
    Up,
    /// The channel has not proved that, or not yet. The text says why, for operators.
    Down(Arc<str>),
}

struct Subscribers {
    list: Vec<Weak<dyn ChannelSubscriber>>,
}

impl Publisher {
    /// Creates the publisher, without subscribers, of a channel that is not up yet.
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            subscribers: Mutex::new(Subscribers { list: Vec::new() }),
            channel_state: watch::Sender::new(ChannelState::Down("it was not opened yet".into())),
            proof: Proof::default(),
        }
    }

    /// Adds a subscriber, and notifies it at once whether the channel is up.
    pub(super) fn subscribe(&self, subscriber: &Arc<dyn ChannelSubscriber>) {
        let mut subscribers = self.subscribers();
        subscribers.list.push(Arc::downgrade(subscriber));
        match *self.channel_state.borrow() {
            ChannelState::Up => subscriber.channel_up(self.channel),
            ChannelState::Down(_) => subscriber.channel_down(self.channel),
        }
    }

    /// The channel whose announcements this publisher passes on.
    pub(super) fn channel(&self) -> Channel {
        self.channel
    }

    /// Passes an invalidation on to every subscriber. The channel calls this in the order of its announcements.
    pub(super) fn announce(&self, invalidation: &Invalidation) {
        self.notify(|subscriber| subscriber.receive(self.channel, invalidation));
    }

    /// Marks the channel as down, and returns whether it was up until now.
    pub(super) fn mark_down(&self, why: &str) -> bool {
        let mut subscribers = self.subscribers();
        let was_up = *self.channel_state.borrow() == ChannelState::Up;
        if was_up {
            subscribers.notify(|subscriber| subscriber.channel_down(self.channel));
        }
        self.channel_state
            .send_replace(ChannelState::Down(why.into()));
        was_up
    }

    /// Marks the channel as up, after it has proved that it is.
    pub(super) fn mark_up(&self) {
        let mut subscribers = self.subscribers();
        if *self.channel_state.borrow() != ChannelState::Up {
            subscribers.notify(|subscriber| subscriber.channel_up(self.channel));
            self.channel_state.send_replace(ChannelState::Up);
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

    /// Whether the channel is up.
    pub(super) fn is_up(&self) -> bool {
        *self.channel_state.borrow() == ChannelState::Up
    }

    /// Watches whether the channel is up, and why not.
    pub(super) fn watch(&self) -> watch::Receiver<ChannelState> {
        self.channel_state.subscribe()
    }

    fn notify(&self, call: impl Fn(&dyn ChannelSubscriber)) {
        self.subscribers().notify(call);
    }

    fn subscribers(&self) -> MutexGuard<'_, Subscribers> {
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Publisher({:?})", self.channel)
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

impl Subscribers {
    /// Runs `call` for every subscriber that still exists.
    fn notify(&mut self, call: impl Fn(&dyn ChannelSubscriber)) {
        self.list.retain(|subscriber| {
            let subscriber = subscriber.upgrade();
            subscriber.iter().for_each(|subscriber| call(&**subscriber));
            subscriber.is_some()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_until_it_expires() {
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

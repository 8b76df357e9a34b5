//! What a channel says has changed, and who hears it.
//!
//! A channel is a connection on which a server says what changes there: Redis names keys, PostgreSQL sends what our
//! triggers notify. Its [`Audience`] passes each word on, and tells everybody when the channel falls silent. A word only
//! ever empties memory and never fills it, so whoever can say one can cost questions, and no more.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// A kind of channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// `NOTIFY` of PostgreSQL, by triggers on the tables that are looked at.
    Postgres,
    /// What Redis pushes to clients that track keys.
    Redis,
}

impl Channel {
    /// Its name in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }
}

/// What a channel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Invalidation {
    /// Anything may have changed.
    Everything,
    /// What Redis keeps under this key.
    RedisKey(Box<[u8]>),
    /// The session whose token has this id (`session::SessionToken::id`).
    Session(Box<str>),
    /// The user with this id, or whether there is one, or this user's sessions.
    User(Box<str>),
}

/// Who hears what a channel says. None of this may wait: it is called with the audience locked.
pub(super) trait Hears: Send + Sync + 'static {
    /// The channel said this.
    fn hear(&self, channel: Channel, invalidation: &Invalidation);

    /// From now on nothing is heard of what changes, until [`Hears::listen`].
    fn deaf(&self, channel: Channel);

    /// From now on everything is heard. What was learnt before this is not to be trusted.
    fn listen(&self, channel: Channel);
}

/// Everybody who hears one channel, and whether there is anything to hear.
pub(super) struct Audience {
    channel: Channel,
    state: Mutex<Hearers>,
    is_heard: watch::Sender<ChannelState>,
    proof: Proof,
}

/// Until when the last proof holds that a channel is heard. Read with every question, on every core.
#[derive(Default)]
struct Proof {
    /// When the first one began.
    first: OnceLock<Instant>,
    /// In microseconds after that.
    until: AtomicU64,
}

/// Whether a channel is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ChannelState {
    /// It has proved that it is.
    Heard,
    /// Not, or not yet, for this reason: a sentence for people.
    Silent(Arc<str>),
}

struct Hearers {
    hearers: Vec<Weak<dyn Hears>>,
}

impl Audience {
    /// Nobody's yet, of a channel that is not heard yet.
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

    /// Lets `hearer` hear everything from now on, and tells it at once whether there is anything to hear.
    pub(super) fn join(&self, hearer: &Arc<dyn Hears>) {
        let mut state = self.state();
        state.hearers.push(Arc::downgrade(hearer));
        match *self.is_heard.borrow() {
            ChannelState::Heard => hearer.listen(self.channel),
            ChannelState::Silent(_) => hearer.deaf(self.channel),
        }
    }

    /// Whose it is.
    pub(super) fn channel(&self) -> Channel {
        self.channel
    }

    /// Tells everybody. To be called by the channel, in the order in which it hears.
    pub(super) fn announce(&self, invalidation: &Invalidation) {
        self.each(|hearer| hearer.hear(self.channel, invalidation));
    }

    /// From now on the channel is not heard. Says whether it was until now.
    pub(super) fn deaf(&self, why: &str) -> bool {
        let mut state = self.state();
        let was_heard = *self.is_heard.borrow() == ChannelState::Heard;
        if was_heard {
            state.tell(|hearer| hearer.deaf(self.channel));
        }
        self.is_heard.send_replace(ChannelState::Silent(why.into()));
        was_heard
    }

    /// From now on the channel is heard: it has just proved that.
    pub(super) fn listen(&self) {
        let mut state = self.state();
        if *self.is_heard.borrow() != ChannelState::Heard {
            state.tell(|hearer| hearer.listen(self.channel));
            self.is_heard.send_replace(ChannelState::Heard);
        }
    }

    /// The channel has proved that it has heard all that was said before `began`. That is trusted for `lasting`, unless there is
    /// another proof.
    pub(super) fn prove(&self, began: Instant, lasting: Duration) {
        self.proof.renew(began, lasting);
    }

    /// Whether the last proof still holds. A process that was stopped for a while and goes on has heard nothing in the meantime,
    /// and it may answer requests before the channel's own task comes to notice that.
    pub(super) fn is_proven(&self, now: Instant) -> bool {
        self.proof.holds(now)
    }

    /// Whether it is heard.
    pub(super) fn is_heard(&self) -> bool {
        *self.is_heard.borrow() == ChannelState::Heard
    }

    /// Whether it is heard and why not, now and whenever that changes.
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
    /// Tells everybody who is still there.
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

//! What is heard on the channels of PostgreSQL: which words there are, and what becomes of a flood of them.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_postgres::Notification;

use super::super::hearing::{Audience, Invalidation};
use super::super::revocations::heard_of;

/// The channel on which is said that there may be other revocations.
pub(super) const REVOCATIONS: &str = "sessiongate_revocations";

/// Hears everything that a connection is notified of, and passes it on.
pub(super) struct NotificationReceiver {
    audience: Arc<Audience>,
    flood: Mutex<Flood>,
    /// Words were held back.
    held_back: Notify,
    /// What another connection says, to see whether we hear it.
    proof: Mutex<Option<String>>,
    proved: Notify,
}

impl NotificationReceiver {
    /// Passes words on to this audience.
    pub(super) fn new(audience: Arc<Audience>) -> Self {
        Self {
            audience,
            flood: Mutex::new(Flood::since(Instant::now())),
            held_back: Notify::new(),
            proof: Mutex::default(),
            proved: Notify::new(),
        }
    }

    /// Something was notified.
    pub(super) fn hear(&self, notification: &Notification) {
        if notification.channel() == REVOCATIONS {
            heard_of(notification.payload());
            return;
        }
        let payload = notification.payload();
        if let Some(proof) = payload.strip_prefix(PROOF) {
            // Those of other gates are heard as well.
            let mut wanted = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
            if wanted.as_deref() == Some(proof) {
                *wanted = None;
                self.proved.notify_one();
            }
            return;
        }
        let invalidation = invalidation(payload);
        if self.flood().admits(&invalidation, Instant::now()) {
            self.audience.announce(&invalidation);
        } else {
            self.held_back.notify_one();
        }
    }

    /// From now on waits for a word with this proof, which it returns: another connection has to say it.
    pub(super) fn expect(&self, proof: String) -> String {
        let payload = format!("{PROOF}{proof}");
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner) = Some(proof);
        payload
    }

    /// Returns once the proof was heard.
    pub(super) async fn proved(&self) {
        self.proved.notified().await;
    }

    /// Says in place of words that were held back that everything may have changed, for ever.
    pub(super) async fn make_up(&self) -> Infallible {
        loop {
            self.held_back.notified().await;
            sleep(WINDOW).await;
            *self.flood() = Flood::since(Instant::now());
            self.audience.announce(&Invalidation::Everything);
        }
    }

    fn flood(&self) -> MutexGuard<'_, Flood> {
        self.flood.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a payload says. One that we do not know may say anything: a newer version's, or somebody else's.
fn invalidation(payload: &str) -> Invalidation {
    match payload.split_once(':') {
        Some(("session", id)) => Invalidation::Session(id.into()),
        Some(("user", id)) => Invalidation::User(id.into()),
        Some(_) | None => Invalidation::Everything,
    }
}

/// How much was said lately. Whoever may connect can say words, and each costs time and empties memory.
#[derive(Debug)]
struct Flood {
    since: Instant,
    cost: u32,
    /// A word was held back, so that all are until that is made up for.
    is_held_back: bool,
}

impl Flood {
    fn since(since: Instant) -> Self {
        Self {
            since,
            cost: 0,
            is_held_back: false,
        }
    }

    /// Whether the word is passed on; otherwise it has to be made up for.
    fn admits(&mut self, invalidation: &Invalidation, now: Instant) -> bool {
        if self.is_held_back {
            return false;
        }
        if now.saturating_duration_since(self.since) >= WINDOW {
            *self = Self::since(now);
        }
        self.cost += match invalidation {
            Invalidation::Everything => COST_OF_EVERYTHING,
            Invalidation::RedisKey(_) | Invalidation::Session(_) | Invalidation::User(_) => 1,
        };
        self.is_held_back = self.cost > MOST;
        !self.is_held_back
    }
}

/// What a proof begins with.
const PROOF: &str = "proof:";

/// Over what time words are counted. So much later is heard what is said in a flood.
const WINDOW: Duration = Duration::from_millis(100);

/// How much may be said in that time.
const MOST: u32 = 1000;

/// It empties the whole memory.
const COST_OF_EVERYTHING: u32 = 250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_is_not_known_may_say_anything() {
        assert_eq!(invalidation("user:7:8 "), Invalidation::User("7:8 ".into()));
        assert_eq!(invalidation("user:"), Invalidation::User("".into()));
        assert_eq!(
            invalidation("session:abc"),
            Invalidation::Session("abc".into())
        );
        for payload in ["everything", "", "user", "User:7", "users:7", "7"] {
            assert_eq!(invalidation(payload), Invalidation::Everything, "{payload}");
        }
    }

    #[test]
    fn a_flood_is_held_back_until_it_is_made_up_for() {
        let start = Instant::now();
        let mut flood = Flood::since(start);
        let user = Invalidation::User("7".into());
        let admitted = (0..2000).filter(|_| flood.admits(&user, start)).count();
        assert_eq!(admitted, 1000);
        assert!(!flood.admits(&user, start + WINDOW * 9));

        let mut flood = Flood::since(start);
        for beat in 0..10 {
            let now = start + WINDOW * beat;
            let admitted = (0..4).filter(|_| flood.admits(&Invalidation::Everything, now));
            assert_eq!(admitted.count(), 4);
        }
        assert!(!flood.admits(&user, start + WINDOW * 9));
    }
}

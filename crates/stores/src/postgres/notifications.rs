//! The notifications of PostgreSQL: their kinds, and the limit on floods of them.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_postgres::Notification;

use super::super::channel::{Invalidation, Publisher};
use super::super::revocations::handle_announcement;

/// The channel that announces changes of revocations.
pub(super) const REVOCATIONS: &str = "sessiongate_revocations";

/// Receives the notifications of a connection, and passes them on as invalidations.
pub(super) struct NotificationReceiver {
    publisher: Arc<Publisher>,
    flood: Mutex<Flood>,
    /// Notified when invalidations are held back.
    held_back: Notify,
    /// The proof that another connection sends, to see whether this one receives it.
    proof: Mutex<Option<String>>,
    proved: Notify,
}

impl NotificationReceiver {
    /// Creates a receiver that passes invalidations on to this publisher.
    pub(super) fn new(publisher: Arc<Publisher>) -> Self {
        Self {
            publisher,
            flood: Mutex::new(Flood::since(Instant::now())),
            held_back: Notify::new(),
            proof: Mutex::default(),
            proved: Notify::new(),
        }
    }

    /// Handles one notification.
    pub(super) fn receive(&self, notification: &Notification) {
        if notification.channel() == REVOCATIONS {
            handle_announcement(notification.payload());
            return;
        }
        let payload = notification.payload();
        if let Some(proof) = payload.strip_prefix(PROOF) {
            // Proofs of other gates arrive as well.
            let mut wanted = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
            if wanted.as_deref() == Some(proof) {
                *wanted = None;
                self.proved.notify_one();
            }
            return;
        }
        let invalidation = invalidation(payload);
        if self.flood().admits(&invalidation, Instant::now()) {
            self.publisher.announce(&invalidation);
        } else {
            self.held_back.notify_one();
        }
    }

    /// Expects this proof from now on. Returns the payload that the other connection has to send.
    pub(super) fn expect_proof(&self, proof: String) -> String {
        let payload = format!("{PROOF}{proof}");
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner) = Some(proof);
        payload
    }

    /// Returns once the proof was received.
    pub(super) async fn proved(&self) {
        self.proved.notified().await;
    }

    /// Announces that everything may have changed, each time invalidations were held back. Runs until canceled.
    pub(super) async fn announce_held_back(&self) -> Infallible {
        loop {
            self.held_back.notified().await;
            sleep(WINDOW).await;
            *self.flood() = Flood::since(Instant::now());
            self.publisher.announce(&Invalidation::Everything);
        }
    }

    fn flood(&self) -> MutexGuard<'_, Flood> {
        self.flood.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a payload. An unknown payload, of a newer version or another program, invalidates everything.
fn invalidation(payload: &str) -> Invalidation {
    match payload.split_once(':') {
        Some(("session", id)) => Invalidation::Session(id.into()),
        Some(("user", id)) => Invalidation::User(id.into()),
        Some(_) | None => Invalidation::Everything,
    }
}

/// Limits the notifications in a time window. Any client that may connect to the database can send them, and each costs
/// time and empties memory.
#[derive(Debug)]
struct Flood {
    since: Instant,
    cost: u32,
    /// Whether an invalidation was held back. Then all are, until
    /// [`NotificationReceiver::announce_held_back`] invalidates everything.
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

    /// Whether the invalidation may be passed on. Otherwise it is held back, and everything is invalidated later.
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
        self.is_held_back = self.cost > MAX_COST;
        !self.is_held_back
    }
}

/// The prefix of a payload that is a proof.
const PROOF: &str = "proof:";

/// The window in which notifications are counted. In a flood, invalidations are delayed by this.
const WINDOW: Duration = Duration::from_millis(100);

/// The total cost of notifications that one window admits; most notifications cost 1.
const MAX_COST: u32 = 1000;

/// The cost of a notification that empties the whole memory.
const COST_OF_EVERYTHING: u32 = 250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_payload_invalidates_everything() {
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
    fn a_flood_is_held_back_until_everything_is_invalidated() {
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

//! The facts that chains look up: users by subject, sessions by the id of their token.

use std::time::Duration;

use gate::{KnownSession, User};
use session::UnixTime;

use super::{FactKind, claims, columns};

/// Something that stores know, and that caches may repeat for a while.
pub(super) trait Fact: Clone + Send + Sync + 'static {
    /// The kind of fact, for metrics.
    const KIND: FactKind;

    /// How long after `now` the fact can still hold. Zero once it has ended for good.
    fn time_left(&self, now: UnixTime) -> Duration;

    /// The id of the user that the fact names, if that id is not its key.
    fn subject(&self) -> Option<&str>;

    /// Whether the fact is small enough for caches to keep.
    fn fits(&self) -> bool;

    /// Estimates how many bytes the fact takes on the heap.
    fn weight(&self) -> usize;
}

impl Fact for User {
    const KIND: FactKind = FactKind::User;

    fn time_left(&self, _: UnixTime) -> Duration {
        Duration::MAX
    }

    fn subject(&self) -> Option<&str> {
        None
    }

    fn fits(&self) -> bool {
        columns::fits(self, 0)
    }

    fn weight(&self) -> usize {
        columns::weight_of(self)
    }
}

impl Fact for KnownSession {
    const KIND: FactKind = FactKind::Session;

    /// The time until the session ends. A session that the application has extended is looked up again at that time.
    fn time_left(&self, now: UnixTime) -> Duration {
        self.stored.columns().expires_at.saturating_since(now)
    }

    fn subject(&self) -> Option<&str> {
        Some(self.stored.columns().subject)
    }

    fn fits(&self) -> bool {
        let columns = self.stored.columns();
        [
            columns.email,
            columns.name,
            columns.standing.impersonated_by,
        ]
        .into_iter()
        .flatten()
        .all(|text| text.len() <= MAX_TEXT)
            && columns::fits(&self.user, claims::weight_of(self.stored.more_claims()))
    }

    fn weight(&self) -> usize {
        let columns = self.stored.columns();
        let texts = [
            Some(columns.subject),
            columns.email,
            columns.name,
            columns.standing.impersonated_by,
        ];
        let texts: usize = texts.into_iter().flatten().map(str::len).sum();
        JSON_OVERHEAD
            + texts
            + columns::weight_of(&self.user)
            + claims::weight_of(self.stored.more_claims())
    }
}

/// How long caches may repeat an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerTtls {
    /// How long, for a fact that exists.
    pub(super) present: Duration,
    /// How long, for a fact that does not exist or has ended.
    pub(super) absent: Duration,
}

impl AnswerTtls {
    /// How long from `now` this answer may be repeated. Zero means not at all.
    pub(super) fn of<F: Fact>(&self, found: Option<&F>, now: UnixTime) -> Duration {
        match found {
            None => self.absent,
            Some(fact) if !fact.fits() => Duration::ZERO,
            Some(fact) => match fact.time_left(now) {
                Duration::ZERO => self.absent,
                left => self.present.min(left),
            },
        }
    }
}

/// How many bytes a session's claims take as JSON, beside their texts.
const JSON_OVERHEAD: usize = 128;

/// The longest address or name that caches keep, in bytes. A longer one is looked up each time.
const MAX_TEXT: usize = 1024;

#[cfg(test)]
mod tests {
    use session::{Standing, StoredColumns, StoredSession};

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);
    const TTLS: AnswerTtls = AnswerTtls {
        present: Duration::from_secs(60),
        absent: Duration::from_secs(5),
    };

    fn session(expires_at: UnixTime, name: &str) -> KnownSession {
        let stored = StoredSession::new(StoredColumns {
            subject: "7",
            email: None,
            name: Some(name),
            standing: Standing::default(),
            issued_at: None,
            expires_at,
        })
        .unwrap();
        KnownSession {
            stored,
            user: User::default(),
        }
    }

    #[test]
    fn no_answer_is_trusted_for_longer_than_its_fact_can_hold() {
        assert_eq!(TTLS.of(Some(&User::default()), NOW), TTLS.present);
        assert_eq!(TTLS.of(None::<&User>, NOW), TTLS.absent);
        for (millis_left, trusted) in [
            (3_600_000, TTLS.present),
            (60_001, TTLS.present),
            (59_999, Duration::from_millis(59_999)),
            (1, Duration::from_millis(1)),
            // The session has ended, which will not change.
            (0, TTLS.absent),
        ] {
            let expires_at = UnixTime::from_millis(NOW.millis() + millis_left);
            let found = session(expires_at, "Ada");
            assert_eq!(TTLS.of(Some(&found), NOW), trusted, "{millis_left}");
        }
        let ended = session(UnixTime::from_secs(0), "Ada");
        assert_eq!(TTLS.of(Some(&ended), NOW), TTLS.absent);
    }

    #[test]
    fn a_session_with_a_long_text_is_not_cached() {
        let later = UnixTime::LAST_EXPIRY;
        for (len, trusted) in [(MAX_TEXT, TTLS.present), (MAX_TEXT + 1, Duration::ZERO)] {
            let found = session(later, &"x".repeat(len));
            assert_eq!(TTLS.of(Some(&found), NOW), trusted);
        }
    }
}

//! What the chain knows about: users by their subjects, sessions by the ids of their tokens.

use std::time::Duration;

use gate::User;
use session::{StoredSession, UnixTime};

use super::Asked;

/// Something that stores know, and caches may repeat for a while.
pub(super) trait Fact: Clone + Send + Sync + 'static {
    /// What one asks for, in metrics.
    const ASKED: Asked;

    /// How long it can still hold at the time `now`; zero once it has ended for good.
    fn time_left(&self, now: UnixTime) -> Duration;

    /// Whether it is so small that caches keep it: their bounds count entries.
    fn fits(&self) -> bool;
}

impl Fact for User {
    const ASKED: Asked = Asked::User;

    fn time_left(&self, _: UnixTime) -> Duration {
        Duration::MAX
    }

    fn fits(&self) -> bool {
        true
    }
}

impl Fact for StoredSession {
    const ASKED: Asked = Asked::Session;

    /// A session that the application extends is asked about again once it would have ended.
    fn time_left(&self, now: UnixTime) -> Duration {
        self.columns().expires_at.saturating_since(now)
    }

    fn fits(&self) -> bool {
        let columns = self.columns();
        [columns.email, columns.name]
            .into_iter()
            .flatten()
            .all(|text| text.len() <= MAX_TEXT)
    }
}

/// How long a cache vouches for what it was told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trust {
    /// For what exists.
    pub(super) present: Duration,
    /// For what does not, or has ended.
    pub(super) absent: Duration,
}

impl Trust {
    /// How long from `now` this answer may be repeated. Zero: not at all.
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

/// In bytes: addresses and names that caches keep. Longer ones are some user's joke, and asked for each time.
const MAX_TEXT: usize = 1024;

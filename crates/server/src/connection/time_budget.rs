//! How long the other side of a connection may take to send something.

use std::num::NonZeroU64;
use std::time::Duration;

/// How long the other side may keep us waiting for what it sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeBudget {
    /// In all, until the next budget.
    pub(crate) total: Duration,
    /// At once, before anything comes.
    pub(crate) per_wait: Duration,
    /// For so many bytes that came, one second more in all.
    pub(crate) rate: Option<NonZeroU64>,
}

impl TimeBudget {
    /// So long at once, as often as it likes.
    pub(crate) fn per_wait(limit: Duration) -> Self {
        Self {
            total: Duration::MAX,
            per_wait: limit,
            rate: None,
        }
    }
}

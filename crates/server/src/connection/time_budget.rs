//! How long the other side of a connection may take to send something.

use std::num::NonZeroU64;
use std::time::Duration;

/// How long the gate waits for what the other side sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeBudget {
    /// The sum of all waits, until another budget is set.
    pub(crate) total: Duration,
    /// The longest single wait.
    pub(crate) per_wait: Duration,
    /// For this many bytes received, one second is added to `total`.
    pub(crate) rate: Option<NonZeroU64>,
}

impl TimeBudget {
    /// A budget that limits each wait, but not their sum.
    pub(crate) fn per_wait(limit: Duration) -> Self {
        Self {
            total: Duration::MAX,
            per_wait: limit,
            rate: None,
        }
    }
}

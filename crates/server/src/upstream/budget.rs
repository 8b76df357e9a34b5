//! The retry budget: how many requests may be sent a second time. When all servers of a service fail, unlimited retries
//! would double their load.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::clock;

/// The retries that one runtime may send to a service: a share of its requests, and one a second.
#[derive(Debug)]
pub(super) struct Budget {
    percent: u32,
    /// The saved retries, in hundredths of a request.
    saved: Cell<u32>,
    /// When a retry was last sent without savings.
    spent: Cell<Option<Instant>>,
}

impl Budget {
    pub(super) fn new(percent: u32) -> Self {
        Self {
            percent,
            saved: Cell::new(0),
            spent: Cell::new(None),
        }
    }

    /// Counts a request.
    pub(super) fn request(&self) {
        self.saved
            .set(MOST_SAVED.min(self.saved.get() + self.percent));
    }

    /// Whether a request may be sent again; if so, spends a retry.
    pub(super) fn may_repeat(&self) -> bool {
        self.may_repeat_at(clock::monotonic())
    }

    fn may_repeat_at(&self, now: Instant) -> bool {
        if self.percent == 0 {
            return false;
        }
        if let Some(left) = self.saved.get().checked_sub(100) {
            self.saved.set(left);
            return true;
        }
        let last = self.spent.get();
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= FLOOR);
        if is_due {
            self.spent.set(Some(now));
        }
        is_due
    }
}

/// The most savings, in hundredths of a request: a quiet hour must not allow a storm of retries.
const MOST_SAVED: u32 = 1_000;

/// One request in this time may always be sent again, because a service with few requests saves nothing.
const FLOOR: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_limited_to_a_share_and_one_a_second() {
        let (budget, start) = (Budget::new(20), clock::monotonic());
        assert!(budget.may_repeat_at(start));
        assert!(!budget.may_repeat_at(start));
        assert!(budget.may_repeat_at(start + FLOOR));
        (0..10).for_each(|_| budget.request());
        let again = (0..10).filter(|_| budget.may_repeat_at(start + FLOOR));
        assert_eq!(again.count(), 2);
        (0..10_000).for_each(|_| budget.request());
        let again = (0..100).filter(|_| budget.may_repeat_at(start + FLOOR));
        assert_eq!(again.count(), 10);
    }

    #[test]
    fn nothing_is_retried_with_a_share_of_zero() {
        let budget = Budget::new(0);
        budget.request();
        assert!(!budget.may_repeat_at(clock::monotonic()));
    }
}

//! How many requests may be sent a second time. When all servers of a service are in trouble, sending again what they could not
//! answer would double what they are asked.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::clock;

/// What one runtime may send again of the requests to a service: a share of them, and one a second.
#[derive(Debug)]
pub(super) struct Budget {
    percent: u32,
    /// In hundredths of a request.
    saved: Cell<u32>,
    /// When one was sent again that was not saved for.
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

    /// Notes a request.
    pub(super) fn request(&self) {
        self.saved
            .set(MOST_SAVED.min(self.saved.get() + self.percent));
    }

    /// Whether a request may be sent again, which counts.
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

/// In hundredths of a request: what a quiet hour saves does not pay for a storm.
const MOST_SAVED: u32 = 1_000;

/// A service that is seldom asked has saved nothing when it is needed; so one request in this time may always be sent again.
const FLOOR: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_requests_and_one_a_second_are_sent_again() {
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
    fn without_a_share_nothing_is_sent_again() {
        let budget = Budget::new(0);
        budget.request();
        assert!(!budget.may_repeat_at(clock::monotonic()));
    }
}

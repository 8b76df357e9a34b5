//! Limits the requests in flight, over all runtimes.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts a request in flight until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight<'c>(Option<&'c AtomicUsize>);

impl<'c> InFlight<'c> {
    /// Counts a request, unless `most` are in flight. Without a limit nothing is counted, so that cores share no counter.
    pub(crate) fn enter(count: &'c AtomicUsize, most: Option<NonZeroUsize>) -> Option<Self> {
        let Some(most) = most else {
            return Some(Self(None));
        };
        let next = |count: usize| (count < most.get()).then_some(count + 1);
        let entered = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        entered.is_ok().then(|| Self(Some(count)))
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_admits_another_request_when_one_has_ended() {
        let (count, most) = (AtomicUsize::new(0), NonZeroUsize::new(2));
        let first = InFlight::enter(&count, most);
        let _second = InFlight::enter(&count, most).unwrap();
        assert!(first.is_some() && InFlight::enter(&count, most).is_none());
        assert!(InFlight::enter(&count, None).is_some(), "no limit");
        drop(first);
        let _third = InFlight::enter(&count, most).unwrap();
        assert!(InFlight::enter(&count, most).is_none());
    }
}

//! How long we wait for the other side of a connection.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// As good as never: no timer can be set further ahead than this.
pub(crate) const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Adds up the time spent waiting, and only that: an upstream that is slow to take a body must not count against the
/// client that sends it.
///
/// The timer is made on the first wait and moved lazily, when it fires too early. A connection that never keeps us
/// waiting for long costs one timer in its life, not two timer operations a request.
#[derive(Debug, Default)]
pub(crate) struct WaitTimer {
    waited: Duration,
    /// Since when we wait, and whether that will be added up.
    since: Option<(Instant, bool)>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl WaitTimer {
    /// Notes that we wait. Ready once the waits since [`renew`](Self::renew) add up to `total`, or this one alone
    /// lasts for `per_wait`.
    pub(crate) fn poll_spent(
        &mut self,
        context: &mut Context<'_>,
        total: Duration,
        per_wait: Duration,
    ) -> Poll<()> {
        // Where each wait counts for itself, the clock need not be read when it ends.
        let adds_up = total < Duration::MAX;
        let (since, _) = *self.since.get_or_insert_with(|| (Instant::now(), adds_up));
        let deadline = since + total.saturating_sub(self.waited).min(per_wait);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            if timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// Notes that the other side moved: this wait is over.
    pub(crate) fn progressed(&mut self) {
        if let Some((since, true)) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Starts a new phase with nothing waited so far.
    pub(crate) fn renew(&mut self) {
        self.waited = Duration::ZERO;
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn one_long_wait_is_too_long() {
        let mut timer = WaitTimer::default();
        let start = Instant::now();
        poll_fn(|context| timer.poll_spent(context, 60 * SECOND, 5 * SECOND)).await;
        assert_eq!(start.elapsed(), 5 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn many_short_waits_add_up_and_time_between_them_does_not_count() {
        let mut timer = WaitTimer::default();
        for _ in 0..9 {
            let wait = poll_fn(|context| timer.poll_spent(context, 10 * SECOND, 5 * SECOND));
            assert!(tokio::time::timeout(SECOND, wait).await.is_err());
            timer.progressed();
            tokio::time::advance(100 * SECOND).await;
        }
        let start = Instant::now();
        poll_fn(|context| timer.poll_spent(context, 10 * SECOND, 5 * SECOND)).await;
        assert_eq!(start.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_phase_starts_from_nothing() {
        let mut timer = WaitTimer::default();
        let wait = poll_fn(|context| timer.poll_spent(context, 10 * SECOND, 10 * SECOND));
        assert!(tokio::time::timeout(9 * SECOND, wait).await.is_err());
        timer.progressed();
        timer.renew();
        let start = Instant::now();
        poll_fn(|context| timer.poll_spent(context, 3 * SECOND, 3 * SECOND)).await;
        assert_eq!(start.elapsed(), 3 * SECOND);
    }
}

//! A timer for the time that the gate waits for the other side of a connection.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A duration that means never: no timer can be set further ahead.
pub(crate) const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Adds up the time spent waiting for one side. The time of the other side does not count: a slow upstream must not be held
/// against the client that sends it a body.
///
/// The timer is created on the first wait, and moved only when it fires too early. A connection that never takes long costs
/// one timer in its life, not two timer operations for each request.
#[derive(Debug, Default)]
pub(crate) struct WaitTimer {
    waited: Duration,
    /// When the current wait began, and whether it will be added to the sum.
    since: Option<(Instant, bool)>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl WaitTimer {
    /// Begins or goes on with a wait. Ready when the waits since [`renew`](Self::renew) add up to `total`, or when this one
    /// has lasted for `per_wait`.
    pub(crate) fn poll_spent(
        &mut self,
        context: &mut Context<'_>,
        total: Duration,
        per_wait: Duration,
    ) -> Poll<()> {
        // Without a limit on the sum the clock need not be read when a wait ends.
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

    /// Ends the current wait, because the other side has made progress.
    pub(crate) fn progressed(&mut self) {
        if let Some((since, true)) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Starts again from zero.
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
    async fn short_waits_add_up_without_the_time_between_them() {
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
    async fn new_phase_starts_at_zero() {
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

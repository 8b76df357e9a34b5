//! How long a whole exchange may take.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// The deadline of an exchange, if its time is limited.
#[derive(Debug)]
pub(crate) struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    /// A deadline this far from now; no deadline without a limit.
    pub(crate) fn after(limit: Option<Duration>) -> Self {
        Self(limit.map(|limit| Box::pin(sleep(limit))))
    }

    /// Awaits a part of the exchange. `None` when the deadline comes first. The future is pinned by the caller, because
    /// moving a large one takes longer than most of them run.
    pub(crate) async fn unless_over<F>(&mut self, mut future: F) -> Option<F::Output>
    where
        F: Future + Unpin,
    {
        poll_fn(|context| {
            if let Poll::Ready(output) = Pin::new(&mut future).poll(context) {
                return Poll::Ready(Some(output));
            }
            match &mut self.0 {
                Some(end) => end.as_mut().poll(context).map(|()| None),
                None => Poll::Pending,
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn deadline_covers_all_parts_together() {
        let minute = Duration::from_secs(60);
        let mut deadline = Deadline::after(Some(minute));
        let start = tokio::time::Instant::now();
        let part = pin!(sleep(minute / 2));
        assert_eq!(deadline.unless_over(part).await, Some(()));
        assert_eq!(deadline.unless_over(pending::<()>()).await, None);
        assert_eq!(start.elapsed(), minute);
        assert_eq!(deadline.unless_over(ready(7)).await, Some(7), "it is ready");
        let part = pin!(sleep(minute));
        assert_eq!(Deadline::after(None).unless_over(part).await, Some(()));
    }
}

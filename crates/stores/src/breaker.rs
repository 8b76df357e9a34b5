//! Whether a server that hangs is asked all the same.
//!
//! A server that refuses a connection says so at once. One that hangs costs each question its whole time limit, and a gate that
//! waits with every request is as good as down. So once such a time has passed in which the server has answered nobody, the
//! breaker is open: questions fail at once, those that wait too, and only the watch asks until there is an answer. A server that
//! is merely slow answers somebody, and is asked on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::process::Jitter;

/// Whether questions are asked.
#[derive(Debug)]
pub(super) struct Breaker {
    /// How many answers there were.
    answers: AtomicU64,
    is_open: watch::Sender<bool>,
}

/// A question that is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// How many answers there were when it was.
    answers: u64,
}

impl Breaker {
    /// Closed: everything is asked.
    pub(super) fn new() -> Self {
        Self {
            answers: AtomicU64::new(0),
            is_open: watch::Sender::new(false),
        }
    }

    /// For a question that is asked from now on, whether or not the breaker is open.
    pub(super) fn attempt(&self) -> Attempt {
        Attempt {
            answers: self.answers.load(Ordering::Relaxed),
        }
    }

    /// Whether only the watch asks.
    pub(super) fn is_open(&self) -> bool {
        *self.is_open.borrow()
    }

    /// Returns when it is open.
    pub(super) async fn opened(&self) {
        let mut receiver = self.is_open.subscribe();
        if receiver.wait_for(|is_open| *is_open).await.is_err() {
            // It cannot be: the sender is ours.
            std::future::pending::<()>().await;
        }
    }

    /// The server has said something, be it that it is not there.
    pub(super) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.is_open.send_if_modified(std::mem::take);
    }

    /// This one has waited for its whole time. Opens the breaker, and says so, unless somebody was answered in that time.
    pub(super) fn timed_out(&self, attempt: Attempt) -> bool {
        let was_silent = self.answers.load(Ordering::Relaxed) == attempt.answers;
        if was_silent {
            self.is_open
                .send_if_modified(|is_open| !std::mem::replace(is_open, true));
        }
        was_silent
    }
}

/// How long to wait before the next attempt: longer each time, and for each node another time.
#[derive(Debug)]
pub(super) struct Backoff {
    jitter: Jitter,
    next: Duration,
}

impl Backoff {
    /// For the first attempt after one that has failed.
    pub(super) fn new(jitter: Jitter) -> Self {
        Self {
            jitter,
            next: SHORTEST,
        }
    }

    /// How long to wait, at most `longest`.
    pub(super) fn pause(&mut self, longest: Duration) -> Duration {
        let pause = self.next.min(longest);
        self.next = pause * 2;
        self.jitter.halve(pause)
    }

    /// An attempt has not failed.
    pub(super) fn reset(&mut self) {
        self.next = SHORTEST;
    }
}

const SHORTEST: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_for_a_whole_time_limit_opens_it_and_any_answer_closes_it() {
        let breaker = Breaker::new();
        let slow = breaker.attempt();
        breaker.answered();
        assert!(!breaker.timed_out(slow), "somebody else was answered");
        assert!(!breaker.is_open());
        let attempt = breaker.attempt();
        assert!(breaker.timed_out(attempt));
        assert!(breaker.is_open());
        breaker.answered();
        assert!(!breaker.is_open());
    }

    #[tokio::test]
    async fn those_who_wait_are_told_when_it_opens() {
        let breaker = Breaker::new();
        let attempt = breaker.attempt();
        tokio::join!(breaker.opened(), async { breaker.timed_out(attempt) });
    }

    #[test]
    fn pauses_grow_to_the_longest_and_are_spread() {
        let longest = Duration::from_secs(2);
        let pauses = |random| {
            let mut backoff = Backoff::new(Jitter::new(random));
            [(); 5].map(|()| backoff.pause(longest).as_millis())
        };
        assert_eq!(pauses(|| 0), [250, 500, 1000, 2000, 2000]);
        assert_eq!(pauses(|| u64::MAX), [125, 250, 500, 1000, 1000]);
    }
}

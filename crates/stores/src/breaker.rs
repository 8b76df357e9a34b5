//! A circuit breaker for a database that hangs, and the pauses between attempts to reach a server.
//!
//! A database that refuses a connection does so at once. A database that hangs costs each lookup its whole timeout, and
//! a gate that waits with every request is as good as down. So when a lookup times out and the database has answered no
//! other lookup in that time, the breaker opens: lookups fail at once, including those that already wait, and only the
//! health probe queries the database until it answers. A database that is merely slow answers some lookups, and the
//! breaker stays closed. (Redis needs no breaker: a [timeout](super::redis) closes its one connection, and lookups fail
//! at once until it is open again.)

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::process::Jitter;

/// The circuit breaker of one database.
#[derive(Debug)]
pub(super) struct Breaker {
    /// The number of answers so far.
    answers: AtomicU64,
    is_open: watch::Sender<bool>,
}

/// A lookup that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// The number of answers when the lookup began.
    answers: u64,
}

impl Breaker {
    /// Creates a closed breaker, which lets every lookup through.
    pub(super) fn new() -> Self {
        Self {
            answers: AtomicU64::new(0),
            is_open: watch::Sender::new(false),
        }
    }

    /// Notes the beginning of a lookup, whether or not the breaker is open.
    pub(super) fn attempt(&self) -> Attempt {
        Attempt {
            answers: self.answers.load(Ordering::Relaxed),
        }
    }

    /// Whether the breaker is open, so that only the health probe queries the database.
    pub(super) fn is_open(&self) -> bool {
        *self.is_open.borrow()
    }

    /// Returns once the breaker is open.
    pub(super) async fn opened(&self) {
        let mut receiver = self.is_open.subscribe();
        if receiver.wait_for(|is_open| *is_open).await.is_err() {
            // Unreachable: `self` owns the sender.
            std::future::pending::<()>().await;
        }
    }

    /// Notes that the database has answered or refused, which closes the breaker.
    pub(super) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.is_open.send_if_modified(std::mem::take);
    }

    /// Notes that a lookup has timed out. Opens the breaker and returns `true`, unless another lookup was answered in
    /// that time.
    pub(super) fn timed_out(&self, attempt: Attempt) -> bool {
        let was_silent = self.answers.load(Ordering::Relaxed) == attempt.answers;
        if was_silent {
            self.is_open
                .send_if_modified(|is_open| !std::mem::replace(is_open, true));
        }
        was_silent
    }
}

/// The pauses between attempts: longer each time, and different on each node.
#[derive(Debug)]
pub(super) struct Backoff {
    jitter: Jitter,
    next: Duration,
}

impl Backoff {
    /// Creates a backoff that begins with the shortest pause.
    pub(super) fn new(jitter: Jitter) -> Self {
        Self {
            jitter,
            next: SHORTEST,
        }
    }

    /// Returns how long to wait now, at most `longest`.
    pub(super) fn pause(&mut self, longest: Duration) -> Duration {
        let pause = self.next.min(longest);
        self.next = pause * 2;
        self.jitter.halve(pause)
    }

    /// Starts again with the shortest pause, after a success.
    pub(super) fn reset(&mut self) {
        self.next = SHORTEST;
    }
}

const SHORTEST: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_without_any_answer_opens_the_breaker_and_an_answer_closes_it() {
        let breaker = Breaker::new();
        let slow = breaker.attempt();
        breaker.answered();
        assert!(!breaker.timed_out(slow), "another lookup was answered");
        assert!(!breaker.is_open());
        let attempt = breaker.attempt();
        assert!(breaker.timed_out(attempt));
        assert!(breaker.is_open());
        breaker.answered();
        assert!(!breaker.is_open());
    }

    #[tokio::test]
    async fn waiting_lookups_are_notified_when_the_breaker_opens() {
        let breaker = Breaker::new();
        let attempt = breaker.attempt();
        tokio::join!(breaker.opened(), async { breaker.timed_out(attempt) });
    }

    #[test]
    fn pauses_grow_up_to_the_longest_and_have_jitter() {
        let longest = Duration::from_secs(2);
        let pauses = |random| {
            let mut backoff = Backoff::new(Jitter::new(random));
            [(); 5].map(|()| backoff.pause(longest).as_millis())
        };
        assert_eq!(pauses(|| 0), [250, 500, 1000, 2000, 2000]);
        assert_eq!(pauses(|| u64::MAX), [125, 250, 500, 1000, 1000]);
    }
}

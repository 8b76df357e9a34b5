//! What the process gives to the stores that it opens.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use session::UnixTime;
use tokio::runtime::Handle;

/// What the process gives to the stores that it opens.
#[derive(Clone, Debug)]
pub struct Process {
    /// Where everything runs that waits for a server.
    pub runtime: Handle,
    /// What time it is.
    pub clock: Clock,
    /// Marks the calling task as one that the process cannot do without, under this name, until what it returns is dropped.
    pub vital: fn(&'static str) -> Box<dyn Send>,
    /// Any number, each as likely as another. It spreads times, and keeps no secret.
    pub random: fn() -> u64,
    /// Whether what is opened is in use already.
    pub trial: Trial,
}

/// Whether something that is open is only tried: it belongs to a configuration that is not in effect, and may never be. What is
/// logged about it must not read as if what is in use had failed. A handle: clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Trial(Arc<AtomicBool>);

impl Trial {
    /// Of something that is tried from now on, until [`Trial::ends`].
    pub fn begin() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// What was tried is in use from now on.
    pub fn ends(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether it is tried.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// What log lines call the configuration, where it is not the one in effect.
    pub fn configuration(&self) -> Option<&'static str> {
        self.is_on().then_some("new, not in effect")
    }
}

/// Makes times shorter, each by a little and by another part of it, so that what was learnt at the same time is not asked for
/// again at the same time.
#[derive(Clone, Copy)]
pub(super) struct Jitter(fn() -> u64);

impl Jitter {
    /// With these numbers.
    pub(super) const fn new(random: fn() -> u64) -> Self {
        Self(random)
    }

    /// `time`, or up to a tenth less: who has said how long it may be stays right.
    pub(super) fn shorten(self, time: Duration) -> Duration {
        time.saturating_sub(self.part_of(time / 10))
    }

    /// `time`, or up to half of it less: for those who all wait for the same.
    pub(super) fn halve(self, time: Duration) -> Duration {
        time.saturating_sub(self.part_of(time / 2))
    }

    /// Anything from nothing to `time`.
    fn part_of(self, time: Duration) -> Duration {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let part = (u128::from(nanos) * u128::from((self.0)())) >> 64;
        Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
    }
}

impl fmt::Debug for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jitter")
    }
}

/// Reads the time, for those who may not read it themselves.
#[derive(Clone)]
pub struct Clock {
    monotonic: fn() -> Instant,
    now: fn() -> UnixTime,
}

impl Clock {
    /// One that reads the time with these functions: the first never jumps, the second is the time of day.
    pub fn new(monotonic: fn() -> Instant, now: fn() -> UnixTime) -> Self {
        Self { monotonic, now }
    }

    /// For durations, and for how long an answer is trusted. It never jumps.
    pub fn monotonic(&self) -> Instant {
        (self.monotonic)()
    }

    /// The time of day.
    pub fn now(&self) -> UnixTime {
        (self.now)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_becomes_shorter_by_up_to_a_tenth_and_never_longer() {
        let second = Duration::from_secs(1);
        assert_eq!(Jitter::new(|| 0).shorten(second), second);
        let half = Jitter::new(|| u64::MAX / 2).shorten(second);
        assert_eq!(half.as_millis(), 950);
        let shortest = Jitter::new(|| u64::MAX).shorten(second);
        assert_eq!(shortest.as_millis(), 900);
        assert_eq!(
            Jitter::new(|| u64::MAX).shorten(Duration::ZERO),
            Duration::ZERO
        );
        let endless = Jitter::new(|| u64::MAX).shorten(Duration::MAX);
        assert!(endless <= Duration::MAX);
    }
}

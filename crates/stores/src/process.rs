//! The runtime, clock and random numbers that the process provides to the stores.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use session::UnixTime;
use tokio::runtime::Handle;

/// The resources that the process provides to the stores that it opens.
#[derive(Clone, Debug)]
pub struct Process {
    /// The runtime on which everything runs that waits for a server.
    pub runtime: Handle,
    /// The clock.
    pub clock: Clock,
    /// Marks the calling task, under this name, as one that the process cannot run without, until the returned guard is
    /// dropped.
    pub vital: fn(&'static str) -> Box<dyn Send>,
    /// A source of uniformly distributed numbers, for jitter and not for secrets.
    pub random: fn() -> u64,
    /// Whether the stores that are opened are on trial.
    pub trial: Trial,
}

/// Whether opened stores are on trial: they belong to a configuration that is not in effect, and may never be. Log
/// lines about them must not read as if a store in use had failed. This is a handle: clones share its state.
#[derive(Clone, Debug, Default)]
pub struct Trial(Arc<AtomicBool>);

impl Trial {
    /// Begins a trial, which lasts until [`Trial::end`].
    pub fn begin() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Ends the trial: the configuration is in effect from now on.
    pub fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether the trial still lasts.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The description of the configuration for log lines, while it is on trial.
    pub fn configuration(&self) -> Option<&'static str> {
        self.is_on().then_some("new, not in effect")
    }
}

/// Shortens times by a random part, so that answers from the same time are not all looked up again at the same time.
#[derive(Clone, Copy)]
pub(super) struct Jitter(fn() -> u64);

impl Jitter {
    /// Creates a jitter from a source of random numbers.
    pub(super) const fn new(random: fn() -> u64) -> Self {
        Self(random)
    }

    /// Returns `time` or up to a tenth less. Never more, so configured limits hold.
    pub(super) fn shorten(self, time: Duration) -> Duration {
        time.saturating_sub(self.part_of(time / 10))
    }

    /// Returns `time` or up to half of it less, for nodes that would otherwise retry together.
    pub(super) fn halve(self, time: Duration) -> Duration {
        time.saturating_sub(self.part_of(time / 2))
    }

    /// Returns a random time from zero to `time`.
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

/// Reads the clock for crates that must not read it themselves.
#[derive(Clone)]
pub struct Clock {
    monotonic: fn() -> Instant,
    now: fn() -> UnixTime,
}

impl Clock {
    /// Creates a clock from two functions: the first is monotonic, the second returns the time of day.
    pub fn new(monotonic: fn() -> Instant, now: fn() -> UnixTime) -> Self {
        Self { monotonic, now }
    }

    /// The monotonic time, for durations.
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
    fn jitter_shortens_a_time_by_up_to_a_tenth_and_never_extends_it() {
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

//! What the process gives to the stores that it opens.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
}

/// Reads the time, for those who may not read it themselves.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    Given {
        monotonic: fn() -> Instant,
        now: fn() -> UnixTime,
    },
    Turned(Arc<TurnedClock>),
}

/// A clock that stands still until somebody turns it, for tests and simulations.
#[derive(Debug)]
pub struct TurnedClock {
    start: Instant,
    started_at: UnixTime,
    /// In nanoseconds.
    passed: AtomicU64,
}

impl Clock {
    /// One that reads the time with these functions: the first never jumps, the second is the time of day.
    pub fn new(monotonic: fn() -> Instant, now: fn() -> UnixTime) -> Self {
        Self(Source::Given { monotonic, now })
    }

    /// For durations, and for how long an answer is trusted. It never jumps.
    pub fn monotonic(&self) -> Instant {
        match &self.0 {
            Source::Given { monotonic, .. } => monotonic(),
            Source::Turned(clock) => clock.start + clock.passed(),
        }
    }

    /// The time of day.
    pub fn now(&self) -> UnixTime {
        match &self.0 {
            Source::Given { now, .. } => now(),
            Source::Turned(clock) => clock.started_at.saturating_add(clock.passed()),
        }
    }
}

impl From<Arc<TurnedClock>> for Clock {
    fn from(clock: Arc<TurnedClock>) -> Self {
        Self(Source::Turned(clock))
    }
}

impl TurnedClock {
    /// One that shows these times until it is turned.
    pub fn new(start: Instant, started_at: UnixTime) -> Arc<Self> {
        Arc::new(Self {
            start,
            started_at,
            passed: AtomicU64::new(0),
        })
    }

    /// Lets this time pass.
    pub fn turn(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.passed.fetch_add(nanos, Ordering::SeqCst);
    }

    fn passed(&self) -> Duration {
        Duration::from_nanos(self.passed.load(Ordering::SeqCst))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

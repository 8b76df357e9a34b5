//! What the process gives to the stores that it opens.

use std::fmt;
use std::time::Instant;

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

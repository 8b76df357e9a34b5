//! Deliberately slow clients.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::client::read;
use crate::clock::now;
use crate::judgment::{Judgment, broken};
use crate::latin;
use crate::probe::Probe;

/// A client that sends something, and then little or nothing.
#[derive(Debug)]
pub(crate) struct Slow {
    first: String,
    drip: String,
    /// Whether `first` is a whole request, which may arrive.
    is_request: bool,
}

impl Slow {
    pub(crate) fn new(first: impl Into<String>) -> Self {
        Self {
            first: first.into(),
            drip: String::new(),
            is_request: false,
        }
    }

    /// Makes the client send these bytes one by one afterwards, over and over again.
    pub(crate) fn dripping(mut self, drip: &str) -> Self {
        drip.clone_into(&mut self.drip);
        self
    }

    pub(crate) fn after_a_request(mut self) -> Self {
        self.is_request = true;
        self
    }

    /// Checks that the gateway ends the connection in time, and that nothing incomplete arrived as complete.
    pub(crate) fn judge(&self, probe: &Probe<'_>) -> Judgment {
        let limit = probe.target.slow_limit.unwrap_or_default();
        let Ok(ended) = self.wait(probe, limit) else {
            return broken("no connection");
        };
        if !self.is_request && !probe.arrived_with_token().is_empty() {
            return broken("it arrived as complete");
        }
        match ended {
            Some(after) => Ok(format!("ended after {:.1} s", after.as_secs_f32())),
            None => broken(format!("still open after {} s", limit.as_secs())),
        }
    }

    /// Returns how long the gateway took to end the connection; `None` if it is still open at the limit.
    fn wait(&self, probe: &Probe<'_>, limit: Duration) -> std::io::Result<Option<Duration>> {
        let start = now();
        let stream = TcpStream::connect_timeout(&probe.target.proxy, probe.target.timeout)?;
        let mut drips = self.drip.bytes().cycle();
        let mut next = EVERY;
        let mut open = (&stream).write_all(&latin::bytes(&self.first)).is_ok();
        while open {
            let passed = now().duration_since(start);
            if passed > limit {
                return Ok(None);
            }
            let listened = read(&mut &stream, (limit - passed).min(TICK));
            open = listened.is_none_or(|data| !data.is_empty());
            if passed >= next {
                next += EVERY;
                if let Some(byte) = drips.next() {
                    open &= (&stream).write_all(&[byte]).is_ok();
                }
            }
        }
        Ok(Some(now().duration_since(start)))
    }
}

/// The pause between two bytes.
const EVERY: Duration = Duration::from_millis(500);

/// How long it reads before it checks the clock again.
const TICK: Duration = Duration::from_millis(100);

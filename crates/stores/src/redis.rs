//! The Redis that all nodes share, and the one line to it.
//!
//! A lookup uses the connection that is open; it never opens one. A task of its own ([`Redis::keep_line`]) does that,
//! looks after the line, and opens the next one when it breaks, though not more often than every [`HOLD`]. So an outage
//! costs those few requests their [`timeout`](RedisTarget::timeout) that were waiting when it began,
//! and later ones nothing.

mod commands;
mod leases;
mod rates;
mod refusal;
mod script;
mod sentinel;
mod server;
mod survey;
mod tracking;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gate::{Source, StoreError};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult};
use tokio::sync::{Semaphore, watch};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout, timeout_at};

#[cfg(test)]
pub(super) use self::leases::Soon;
pub(super) use self::leases::{Aged, Cells};
pub(super) use self::rates::SharedCells;
pub use self::rates::{OverShared, SharedCell, SharedChange};
use self::refusal::{READ, code, describe, no_line, refusal};
use self::script::EVALSHA;
use self::sentinel::Council;
pub use self::sentinel::Sentinels;
use self::server::{ConnectError, Driver, prove_primary};
pub use self::server::{RedisAddress, RedisServer};
pub(super) use self::survey::survey;
pub(super) use self::tracking::{Tracking, TrackingTarget};
use super::health::Health;
use super::process::Jitter;
use super::{PROBE_EVERY, StoreHealth};

/// What the line to a Redis depends on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RedisTarget {
    pub(super) server: RedisServer,
    /// How long a request waits, connecting included.
    pub(super) timeout: Duration,
    /// PEM certificates to trust in place of the public authorities.
    pub(super) ca_file: Option<PathBuf>,
    /// A fingerprint of what is in that file.
    pub(super) ca: Option<Vec<u8>>,
    /// A key like those that are read, for servers that restrict their users to some.
    pub(super) probe_key: Box<str>,
}

/// A Redis, and what became of the line to it.
pub(super) struct Redis {
    target: RedisTarget,
    line: watch::Sender<Line>,
    writes: Semaphore,
    jitter: Jitter,
    /// The command that has written last, and the code with which the server has refused it (`OOM`, `READONLY`).
    refused_write: Mutex<Option<(&'static str, String)>>,
    health: Health,
}

/// The line to the server.
#[derive(Clone)]
enum Line {
    Broken,
    Open {
        connection: MultiplexedConnection,
        /// Ends with the last copy of this line.
        _driver: Arc<Driver>,
        /// Tells this line from those before and after it.
        number: u64,
    },
    /// It is being opened for the first time, or replaced: worth waiting for.
    Opening,
}

/// What the truth said could not be written down.
#[derive(Debug)]
pub(super) struct Unwritten;

impl Redis {
    /// One to which [`Redis::keep_line`] opens the line.
    pub(super) fn new(target: RedisTarget, jitter: Jitter) -> Self {
        Self {
            target,
            line: watch::Sender::new(Line::Opening),
            writes: Semaphore::new(MAX_WRITES),
            jitter,
            refused_write: Mutex::default(),
            health: Health::new(Source::Redis, None),
        }
    }

    /// The value under `key`, within the timeout; of a longer one, `longest` bytes and one more. A key that is not there,
    /// or holds no text, reads as empty.
    ///
    /// # Errors
    /// When Redis does not answer, or refuses to.
    pub(super) async fn read(&self, key: &[u8], longest: usize) -> Result<Vec<u8>, StoreError> {
        let deadline = Instant::now() + self.target.timeout;
        let (mut connection, number) = self.line_by(deadline).await?;
        let command = reading(key, longest);
        let answer = timeout_at(deadline, command.query_async(&mut connection)).await;
        self.text(number, READ, answer)
    }

    /// The open line, if there is one by then.
    async fn line_by(&self, deadline: Instant) -> Result<(MultiplexedConnection, u64), StoreError> {
        match timeout_at(deadline, self.open_line()).await {
            Ok(Some(line)) => Ok(line),
            Ok(None) => Err(failed("there is no connection".to_owned())),
            Err(_) => Err(self.timed_out()),
        }
    }

    /// What `command` has read on the line of this number, or why it could not; what holds no text reads as empty.
    fn text(
        &self,
        number: u64,
        command: &str,
        answer: Result<RedisResult<Vec<u8>>, Elapsed>,
    ) -> Result<Vec<u8>, StoreError> {
        let error = match answer {
            Ok(Ok(value)) => {
                self.health.answered();
                return Ok(value);
            }
            Ok(Err(error)) => error,
            Err(_) => {
                self.hang_up(number, &self.too_late());
                return Err(self.timed_out());
            }
        };
        let detail = describe(command, &error);
        match code(&error) {
            Some("WRONGTYPE") => return Ok(Vec::new()),
            // An answer, and a quick one; only of no use.
            Some(_) => self.health.failed(&detail),
            None => self.hang_up(number, &detail),
        }
        // The driver's own time limit, which is the same, may strike first.
        Err(if error.is_timeout() {
            self.timed_out()
        } else {
            failed(detail)
        })
    }

    /// Counts everything of `batch`, in its order, and says for each part of it which cell is over its limit, if one is. Keys
    /// begin with `prefix`.
    ///
    /// # Errors
    /// What is wrong, when Redis does not answer, or refuses to.
    pub(super) async fn count(
        &self,
        prefix: &str,
        batch: &[&SharedCells],
    ) -> Result<Vec<Option<OverShared>>, String> {
        let deadline = Instant::now() + self.target.timeout;
        let Ok(line) = timeout_at(deadline, self.open_line()).await else {
            return Err(self.too_late());
        };
        let (mut connection, number) = line.ok_or_else(|| "there is no connection".to_owned())?;
        let counting = rates::run(&mut connection, prefix, batch);
        let error = match timeout_at(deadline, counting).await {
            Ok(Ok(answers)) => {
                self.health.answered();
                return rates::read(&answers, batch.len());
            }
            Ok(Err(error)) => error,
            Err(_) => {
                let detail = self.too_late();
                self.hang_up(number, &detail);
                return Err(detail);
            }
        };
        let detail = describe(EVALSHA, &error);
        // An answer is one, if of no use.
        if code(&error).is_none() {
            self.hang_up(number, &detail);
        }
        Err(detail)
    }

    /// Opens the line and keeps it open, for ever.
    pub(super) async fn keep_line(&self) {
        let mut number = 0;
        loop {
            match self.open().await {
                Ok((connection, driver, here)) => {
                    number += 1;
                    let opened = Instant::now();
                    self.line.send_replace(Line::Open {
                        connection,
                        _driver: Arc::new(driver),
                        number,
                    });
                    self.watch_line(&here).await;
                    // It has worked: the next one may work at once.
                    if opened.elapsed() >= HOLD {
                        continue;
                    }
                }
                Err(detail) => {
                    self.line.send_replace(Line::Broken);
                    self.health.failed(&detail);
                }
            }
            if matches!(*self.line.borrow(), Line::Broken) {
                sleep(self.jitter.halve(HOLD)).await;
            }
        }
    }

    /// Gives the line up for good, once nobody keeps it.
    pub(super) fn close(&self) {
        self.line.send_replace(Line::Broken);
    }

    pub(super) fn health(&self) -> StoreHealth {
        let mut health = self.health.report();
        let refused = self
            .refused_write
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let (None, Some((command, code))) = (&health.detail, &*refused) {
            health.detail = Some(format!("answers, but has {}", refusal(command, code)));
        }
        health
    }

    /// The open line; waits while it is being opened. `None` when it is broken.
    async fn open_line(&self) -> Option<(MultiplexedConnection, u64)> {
        let mut receiver = self.line.subscribe();
        let line = receiver
            .wait_for(|line| !matches!(line, Line::Opening))
            .await
            .ok()?;
        match &*line {
            Line::Broken | Line::Opening => None,
            Line::Open {
                connection, number, ..
            } => Some((connection.clone(), *number)),
        }
    }

    /// A new line on which the server has answered, if only with a refusal.
    async fn open(&self) -> Result<(MultiplexedConnection, Driver, RedisServer), String> {
        let RedisTarget {
            server, ca_file, ..
        } = &self.target;
        let open = async {
            let here = server.located(ca_file.as_ref(), self.target.timeout);
            let here = here.await?;
            let (mut connection, driver) =
                here.connect(ca_file.as_ref(), self.target.timeout).await?;
            if server.sentinels().is_some() {
                // Sentinels name a former primary until they have heard of the new one.
                prove_primary(&mut connection).await?;
            }
            // Like a lookup: a user without the rights for one should not pass as healthy.
            let mut command = redis::cmd(READ);
            let answer = command
                .arg(self.probe_key())
                .arg(0)
                .arg(0)
                .exec_async(&mut connection)
                .await;
            match answer {
                Ok(()) => self.health.answered(),
                Err(error) if code(&error).is_some() => {
                    self.health.failed(&describe(READ, &error));
                }
                Err(error) => return Err(error.into()),
            }
            Ok((connection, driver, here))
        };
        match timeout(self.target.timeout, open).await {
            Ok(opened) => opened.map_err(|error: ConnectError| no_line(&error)),
            Err(_) => Err(self.too_late()),
        }
    }

    /// Returns when the line, which leads to `here`, is broken, or should be replaced.
    async fn watch_line(&self, here: &RedisServer) {
        let RedisTarget {
            server, ca_file, ..
        } = &self.target;
        let mut council = Council::of(server, here, ca_file.as_ref());
        let mut receiver = self.line.subscribe();
        let opened = Instant::now();
        loop {
            let broken = receiver.wait_for(|line| matches!(line, Line::Broken));
            if timeout(PROBE_EVERY, broken).await.is_ok() {
                return;
            }
            // The outcome is in `self.health`.
            let _ = self.read(self.probe_key(), 0).await;
            if let Some((council, here)) = &mut council
                && council.names_another_than(here, self.target.timeout).await
            {
                self.line.send_replace(Line::Opening);
                return;
            }
            // After a failover the address may lead to the new primary, while this line still leads to the old one.
            if self.write_refusal_is("READONLY") && opened.elapsed() > STAY_READ_ONLY {
                self.line.send_replace(Line::Opening);
                return;
            }
        }
    }

    /// Gives this line up, if it is still the one in use.
    fn hang_up(&self, broken: u64, detail: &str) {
        let hung_up = self.line.send_if_modified(|line| {
            let current = matches!(line, Line::Open { number, .. } if *number == broken);
            if current {
                *line = Line::Broken;
            }
            current
        });
        if hung_up {
            self.health.failed(detail);
        }
    }

    fn writes_work(&self) {
        let mut refused = self
            .refused_write
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if refused.take().is_some() {
            tracing::info!(store = "redis", "store takes writes again");
        }
    }

    fn write_was_refused(&self, command: &'static str, code: &str) {
        let mut refused = self
            .refused_write
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = refused.as_ref().map(|(_, code)| code.as_str());
        if before != Some(code) {
            let detail = refusal(command, code);
            tracing::warn!(store = "redis", code, detail, "store refuses writes");
            *refused = Some((command, code.to_owned()));
        }
    }

    fn write_refusal_is(&self, code: &str) -> bool {
        self.refused_write
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .is_some_and(|(_, refused)| refused == code)
    }

    fn too_late(&self) -> String {
        format!(
            "did not answer within {} ms",
            self.target.timeout.as_millis()
        )
    }

    fn timed_out(&self) -> StoreError {
        StoreError::TimedOut {
            store: Source::Redis,
            limit: self.target.timeout,
        }
    }

    fn probe_key(&self) -> &[u8] {
        self.target.probe_key.as_bytes()
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// In place of GET: whoever wrote the value, only one byte more than it may have comes over the wire.
fn reading(key: &[u8], longest: usize) -> Cmd {
    let mut command = redis::cmd(READ);
    command.arg(key).arg(0).arg(longest);
    command
}

fn failed(detail: String) -> StoreError {
    StoreError::Failed {
        store: Source::Redis,
        detail,
    }
}

/// How many answers are being written at once; more are not written. Each is held up by `timeout` at most.
const MAX_WRITES: usize = 64;

/// A year, in milliseconds: Redis refuses what would end after the end of its time.
const MAX_TTL: u64 = 365 * 24 * 60 * 60 * 1000;

/// How long a line that could not be opened, or broke at once, is left alone.
const HOLD: Duration = Duration::from_secs(1);

/// How long a line that takes no writes is kept.
const STAY_READ_ONLY: Duration = Duration::from_secs(30);

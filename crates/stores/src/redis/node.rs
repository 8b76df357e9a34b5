//! One Redis server, and the one line to it.
//!
//! A lookup uses the connection that is open; it never opens one. A task of its own ([`Node::keep_line`]) does that,
//! looks after the line, and opens the next one when it breaks, though not more often than every [`HOLD`]. So an outage
//! costs those few requests their [`timeout`](RedisTarget::timeout) that were waiting when it began,
//! and later ones nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gate::LookupSource;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::super::health::Health;
use super::super::process::{Jitter, Trial};
use super::super::{PROBE_EVERY, StoreHealth};
use super::RedisTarget;
use super::refusal::{READ, code, describe, late, no_line, refusal};
use super::sentinel::Council;
use super::server::{ConnectError, Driver, RedisAddress, RedisServer, prove_primary};

/// A server, and what became of the line to it.
pub(super) struct Node {
    target: RedisTarget,
    /// Whether it is one server of a cluster.
    is_of_cluster: bool,
    line: watch::Sender<Line>,
    jitter: Jitter,
    /// The command that has written last, and the code with which the server has refused it (`OOM`, `READONLY`).
    refused_write: Mutex<Option<(&'static str, String)>>,
    pub(super) health: Health,
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

/// What a server says to commands.
pub(super) struct Answered {
    /// Which server.
    pub(super) node: Arc<Node>,
    /// One answer for each command, a refusal among them.
    pub(super) answers: Vec<RedisResult<Value>>,
    line: u64,
}

/// Why a server says nothing.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The line has failed, or there is none: why.
    Failed(String),
    /// It had its time.
    TimedOut,
}

impl Node {
    /// One to which [`Node::keep_line`] opens the line.
    pub(super) fn new(target: RedisTarget, jitter: Jitter, trial: Trial) -> Self {
        Self {
            target,
            is_of_cluster: false,
            line: watch::Sender::new(Line::Opening),
            jitter,
            refused_write: Mutex::default(),
            health: Health::new(LookupSource::Redis, None, trial),
        }
    }

    /// The same for one server of a cluster.
    pub(super) fn of_cluster(target: RedisTarget, jitter: Jitter, trial: Trial) -> Self {
        let address = target.server.address.to_string();
        Self {
            is_of_cluster: true,
            health: Health::of_server(LookupSource::Redis, address, trial.clone()),
            ..Self::new(target, jitter, trial)
        }
    }

    /// What the server says to these commands by then. The answers come in their order; where it is `asking`, each command may be
    /// about a key that is on its way to this server of a cluster.
    ///
    /// # Errors
    /// When it says nothing. The line is given up then.
    pub(super) async fn send(
        self: &Arc<Self>,
        commands: &[Cmd],
        asking: bool,
        deadline: Instant,
    ) -> Result<Answered, Unanswered> {
        let (mut connection, line) = match timeout_at(deadline, self.open_line()).await {
            Ok(Some(line)) => line,
            Ok(None) => return Err(Unanswered::Failed("there is no connection".to_owned())),
            Err(_) => return Err(Unanswered::TimedOut),
        };
        let error = match timeout_at(deadline, send(&mut connection, commands, asking)).await {
            Ok(Ok(answers)) => {
                return Ok(Answered {
                    node: Arc::clone(self),
                    answers: answers.into_iter().map(Value::extract_error).collect(),
                    line,
                });
            }
            Ok(Err(error)) => error,
            Err(_) => {
                self.hang_up(line, &late(self.target.timeout));
                return Err(Unanswered::TimedOut);
            }
        };
        let detail = describe("", &error);
        self.hang_up(line, &detail);
        // The driver's own time limit, which is the same, may strike first.
        Err(match error.is_timeout() {
            true => Unanswered::TimedOut,
            false => Unanswered::Failed(detail),
        })
    }

    /// Opens the line and keeps it open, for ever.
    pub(super) async fn keep_line(self: &Arc<Self>) {
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

    /// The host of the server; empty where it has none.
    pub(super) fn host(&self) -> &str {
        match &self.target.server.address {
            RedisAddress::Tcp { host, .. } => host,
            RedisAddress::Cluster(_) | RedisAddress::Sentinels(_) | RedisAddress::Unix(_) => "",
        }
    }

    /// Where it is, as it may be shown.
    pub(super) fn shown(&self) -> &RedisAddress {
        &self.target.server.address
    }

    /// Whether there is a line, as far as is known.
    pub(super) fn has_line(&self) -> bool {
        matches!(*self.line.borrow(), Line::Open { .. })
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
            let answer = self.target.probe().exec_async(&mut connection).await;
            if let Err(error) = self.judge(answer) {
                return Err(error.into());
            }
            Ok((connection, driver, here))
        };
        match timeout(self.target.timeout, open).await {
            Ok(opened) => opened.map_err(|error: ConnectError| no_line(&error)),
            Err(_) => Err(late(self.target.timeout)),
        }
    }

    /// Notes what a probe says of the server.
    ///
    /// # Errors
    /// When it is not the server that says it.
    fn judge(&self, answer: RedisResult<()>) -> RedisResult<()> {
        match answer {
            Ok(()) => self.health.answered(),
            Err(error) => match code(&error) {
                // The key of a probe is one of another server in a cluster.
                Some("ASK" | "MOVED") if self.is_of_cluster => self.health.answered(),
                Some(_) => self.health.failed(&describe(READ, &error)),
                None => return Err(error),
            },
        }
        Ok(())
    }

    /// Returns when the line, which leads to `here`, is broken, or should be replaced.
    async fn watch_line(self: &Arc<Self>, here: &RedisServer) {
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
            self.probe().await;
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

    /// Asks whether it still answers. The outcome is in its health.
    async fn probe(self: &Arc<Self>) {
        let deadline = Instant::now() + self.target.timeout;
        let answered = self.send(&[self.target.probe()], false, deadline).await;
        for answer in answered.into_iter().flat_map(|answered| answered.answers) {
            let _ = self.judge(answer.map(|_| ()));
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

    pub(super) fn writes_work(&self) {
        let mut refused = self
            .refused_write
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if refused.take().is_some() {
            tracing::info!(store = "redis", "store takes writes again");
        }
    }

    pub(super) fn write_was_refused(&self, command: &'static str, code: &str) {
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
}

impl Answered {
    /// Gives the line up on which it was said, because no Redis says such a thing.
    pub(super) fn hang_up(&self, detail: &str) {
        self.node.hang_up(self.line, detail);
    }
}

async fn send(
    connection: &mut MultiplexedConnection,
    commands: &[Cmd],
    asking: bool,
) -> RedisResult<Vec<Value>> {
    if let ([command], false) = (commands, asking) {
        return Ok(vec![connection.send_packed_command(command).await?]);
    }
    let mut pipe = redis::pipe();
    for command in commands {
        if asking {
            // It counts for the next command alone.
            pipe.cmd(ASKING);
        }
        pipe.add_command(command.clone());
    }
    let answers = connection
        .send_packed_commands(&pipe, 0, pipe.len())
        .await?;
    let (skipped, of_each) = if asking { (1, 2) } else { (0, 1) };
    Ok(answers.into_iter().skip(skipped).step_by(of_each).collect())
}

const ASKING: &str = "ASKING";

/// How long a line that could not be opened, or broke at once, is left alone.
const HOLD: Duration = Duration::from_secs(1);

/// How long a line that takes no writes is kept.
const STAY_READ_ONLY: Duration = Duration::from_secs(30);

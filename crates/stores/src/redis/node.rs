//! One Redis server, and the one line to it.
//!
//! A lookup uses the connection that is open; it never opens one. A task of its own ([`Node::keep_connected`]) does that,
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
use super::refusal::{READ, code, describe, late, no_connection, refusal};
use super::sentinel::SentinelConnections;
use super::server::{ConnectError, Driver, RedisAddress, RedisServer, prove_primary};

/// A server, and what became of the line to it.
pub(super) struct Node {
    target: RedisTarget,
    /// Whether it is one server of a cluster.
    is_of_cluster: bool,
    state: watch::Sender<ConnectionState>,
    jitter: Jitter,
    /// The command that has written last, and the code with which the server has refused it (`OOM`, `READONLY`).
    refused_write: Mutex<Option<(&'static str, String)>>,
    pub(super) health: Health,
}

/// The line to the server.
#[derive(Clone)]
enum ConnectionState {
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
pub(super) struct Replies {
    /// Which server.
    pub(super) node: Arc<Node>,
    /// One answer for each command, a refusal among them.
    pub(super) answers: Vec<RedisResult<Value>>,
    /// The number of the connection on which it was said.
    number: u64,
}

/// Why a server says nothing.
#[derive(Debug)]
pub(super) enum NoReply {
    /// The line has failed, or there is none: why.
    Failed(String),
    /// It had its time.
    TimedOut,
}

impl Node {
    /// One to which [`Node::keep_connected`] opens the line.
    pub(super) fn new(target: RedisTarget, jitter: Jitter, trial: Trial) -> Self {
        Self {
            target,
            is_of_cluster: false,
            state: watch::Sender::new(ConnectionState::Opening),
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
    ) -> Result<Replies, NoReply> {
        let (mut connection, number) = match timeout_at(deadline, self.connection()).await {
            Ok(Some(number)) => number,
            Ok(None) => return Err(NoReply::Failed("there is no connection".to_owned())),
            Err(_) => return Err(NoReply::TimedOut),
        };
        let error = match timeout_at(deadline, send(&mut connection, commands, asking)).await {
            Ok(Ok(answers)) => {
                return Ok(Replies {
                    node: Arc::clone(self),
                    answers: answers.into_iter().map(Value::extract_error).collect(),
                    number,
                });
            }
            Ok(Err(error)) => error,
            Err(_) => {
                self.disconnect(number, &late(self.target.timeout));
                return Err(NoReply::TimedOut);
            }
        };
        let detail = describe("", &error);
        self.disconnect(number, &detail);
        // The driver's own time limit, which is the same, may strike first.
        Err(match error.is_timeout() {
            true => NoReply::TimedOut,
            false => NoReply::Failed(detail),
        })
    }

    /// Opens the line and keeps it open, for ever.
    pub(super) async fn keep_connected(self: &Arc<Self>) {
        let mut number = 0;
        loop {
            match self.open().await {
                Ok((connection, driver, here)) => {
                    number += 1;
                    let opened = Instant::now();
                    self.state.send_replace(ConnectionState::Open {
                        connection,
                        _driver: Arc::new(driver),
                        number,
                    });
                    self.watch_connection(&here).await;
                    // It has worked: the next one may work at once.
                    if opened.elapsed() >= HOLD {
                        continue;
                    }
                }
                Err(detail) => {
                    self.state.send_replace(ConnectionState::Broken);
                    self.health.failed(&detail);
                }
            }
            if matches!(*self.state.borrow(), ConnectionState::Broken) {
                sleep(self.jitter.halve(HOLD)).await;
            }
        }
    }

    /// Gives the line up for good, once nobody keeps it.
    pub(super) fn close(&self) {
        self.state.send_replace(ConnectionState::Broken);
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
    pub(super) fn is_connected(&self) -> bool {
        matches!(*self.state.borrow(), ConnectionState::Open { .. })
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
    async fn connection(&self) -> Option<(MultiplexedConnection, u64)> {
        let mut receiver = self.state.subscribe();
        let state = receiver
            .wait_for(|state| !matches!(state, ConnectionState::Opening))
            .await
            .ok()?;
        match &*state {
            ConnectionState::Broken | ConnectionState::Opening => None,
            ConnectionState::Open {
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
            Ok(opened) => opened.map_err(|error: ConnectError| no_connection(&error)),
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
    async fn watch_connection(self: &Arc<Self>, here: &RedisServer) {
        let RedisTarget {
            server, ca_file, ..
        } = &self.target;
        let mut sentinels = SentinelConnections::of(server, here, ca_file.as_ref());
        let mut receiver = self.state.subscribe();
        let opened = Instant::now();
        loop {
            let broken = receiver.wait_for(|state| matches!(state, ConnectionState::Broken));
            if timeout(PROBE_EVERY, broken).await.is_ok() {
                return;
            }
            self.probe().await;
            if let Some((sentinels, here)) = &mut sentinels
                && sentinels
                    .names_another_than(here, self.target.timeout)
                    .await
            {
                self.state.send_replace(ConnectionState::Opening);
                return;
            }
            // After a failover the address may lead to the new primary, while this line still leads to the old one.
            if self.write_refusal_is("READONLY") && opened.elapsed() > STAY_READ_ONLY {
                self.state.send_replace(ConnectionState::Opening);
                return;
            }
        }
    }

    /// Asks whether it still answers. The outcome is in its health.
    async fn probe(self: &Arc<Self>) {
        let deadline = Instant::now() + self.target.timeout;
        let replies = self.send(&[self.target.probe()], false, deadline).await;
        for answer in replies.into_iter().flat_map(|replies| replies.answers) {
            let _ = self.judge(answer.map(|_| ()));
        }
    }

    /// Gives this line up, if it is still the one in use.
    fn disconnect(&self, broken: u64, detail: &str) {
        let disconnected = self.state.send_if_modified(|state| {
            let current =
                matches!(state, ConnectionState::Open { number, .. } if *number == broken);
            if current {
                *state = ConnectionState::Broken;
            }
            current
        });
        if disconnected {
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

impl Replies {
    /// Gives the line up on which it was said, because no Redis says such a thing.
    pub(super) fn disconnect(&self, detail: &str) {
        self.node.disconnect(self.number, detail);
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

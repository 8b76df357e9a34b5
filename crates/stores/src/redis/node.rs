//! One Redis server, and the one connection to it.
//!
//! A lookup uses the open connection and never opens one. A separate task ([`Node::keep_connected`]) does that, watches
//! the connection, and opens a new one when it breaks. If that fails, or the connection breaks at once, the task first
//! waits for up to [`RECONNECT_PAUSE`]. When an outage begins, the few lookups that are under way wait for at most one
//! [`timeout`](RedisTarget::timeout); later lookups fail at once, until the connection is open again.

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
use super::refusal::{READ, code, describe, describe_connect_error, describe_timeout, refusal};
use super::sentinel::SentinelConnections;
use super::server::{ConnectError, RedisAddress, RedisDriver, RedisServer, prove_primary};

/// A server, and the state of the connection to it.
pub(super) struct Node {
    target: RedisTarget,
    /// Whether this is one server of a cluster.
    is_of_cluster: bool,
    state: watch::Sender<ConnectionState>,
    jitter: Jitter,
    /// The last write command that the server refused, and the code of the refusal (`OOM`, `READONLY`).
    refused_write: Mutex<Option<(&'static str, String)>>,
    pub(super) health: Health,
}

/// The state of the connection to a server.
#[derive(Clone)]
enum ConnectionState {
    /// The connection has failed, timed out, or could not be opened. Lookups fail at once, while a new one is opened.
    Broken,
    Open {
        connection: MultiplexedConnection,
        /// Ends with the last clone of this state.
        _driver: Arc<RedisDriver>,
        /// Distinguishes this connection from earlier and later ones.
        number: u64,
    },
    /// The connection is being opened for the first time, or replaced although it works, because it no longer leads to
    /// the primary. Lookups wait for the new one.
    Opening,
}

/// The replies of a server to commands.
pub(super) struct Replies {
    /// The server that replied.
    pub(super) node: Arc<Node>,
    /// One answer for each command. An answer can be a refusal.
    pub(super) answers: Vec<RedisResult<Value>>,
    /// The number of the connection that carried the replies.
    number: u64,
}

/// The reason why a server did not reply.
#[derive(Debug)]
pub(super) enum NoReply {
    /// The connection failed or does not exist, for this reason.
    Failed(String),
    /// The deadline has passed.
    TimedOut,
}

impl Node {
    /// Creates a server that is not connected yet; [`Node::keep_connected`] connects it.
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

    /// Creates one server of a cluster, which is not connected yet.
    pub(super) fn of_cluster(target: RedisTarget, jitter: Jitter, trial: Trial) -> Self {
        let address = target.server.address.to_string();
        Self {
            is_of_cluster: true,
            health: Health::of_server(LookupSource::Redis, address, trial.clone()),
            ..Self::new(target, jitter, trial)
        }
    }

    /// Sends commands and returns their replies in order. `asking` is for a slot that is migrating to this server of a
    /// cluster: each command is preceded by ASKING.
    ///
    /// # Errors
    /// When there is no connection, or it fails or brings no reply by the `deadline`. A connection that fails or brings no
    /// reply is closed.
    pub(super) async fn send(
        self: &Arc<Self>,
        commands: &[Cmd],
        asking: bool,
        deadline: Instant,
    ) -> Result<Replies, NoReply> {
        let (mut connection, number) = match timeout_at(deadline, self.connection()).await {
            Ok(Some(open)) => open,
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
                self.disconnect(number, &describe_timeout(self.target.timeout));
                return Err(NoReply::TimedOut);
            }
        };
        let detail = describe("", &error);
        self.disconnect(number, &detail);
        // The driver's own timeout, which is the same, may expire first.
        Err(match error.is_timeout() {
            true => NoReply::TimedOut,
            false => NoReply::Failed(detail),
        })
    }

    /// Opens the connection and keeps it open, until canceled.
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
                    // The connection has worked for a while, so reconnect at once.
                    if opened.elapsed() >= RECONNECT_PAUSE {
                        continue;
                    }
                }
                Err(detail) => {
                    self.state.send_replace(ConnectionState::Broken);
                    self.health.failed(&detail);
                }
            }
            if matches!(*self.state.borrow(), ConnectionState::Broken) {
                sleep(self.jitter.halve(RECONNECT_PAUSE)).await;
            }
        }
    }

    /// Closes the connection for good, once [`Node::keep_connected`] has ended.
    pub(super) fn close(&self) {
        self.state.send_replace(ConnectionState::Broken);
    }

    /// The host of the server; empty for a Unix socket.
    pub(super) fn host(&self) -> &str {
        match &self.target.server.address {
            RedisAddress::Tcp { host, .. } => host,
            RedisAddress::Cluster(_) | RedisAddress::Sentinels(_) | RedisAddress::Unix(_) => "",
        }
    }

    /// The address of the server, which shows no credentials.
    pub(super) fn address(&self) -> &RedisAddress {
        &self.target.server.address
    }

    /// Whether the server is connected, as far as is known.
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

    /// Returns the open connection and its number, after waiting while it is being opened. `None` when it is broken.
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

    /// Opens a connection, and returns it once the server has answered a probe on it, if only with a refusal.
    async fn open(&self) -> Result<(MultiplexedConnection, RedisDriver, RedisServer), String> {
        let RedisTarget {
            server, ca_file, ..
        } = &self.target;
        let open = async {
            let here = server.located(ca_file.as_ref(), self.target.timeout);
            let here = here.await?;
            let (mut connection, driver) =
                here.connect(ca_file.as_ref(), self.target.timeout).await?;
            if server.sentinels().is_some() {
                // Sentinels keep naming a former primary until they learn of the new one.
                prove_primary(&mut connection).await?;
            }
            // Probe with the command of a lookup: if our user may not run it, the server must not be reported as healthy.
            let answer = self.target.probe().exec_async(&mut connection).await;
            if let Err(error) = self.note_probe(answer) {
                return Err(error.into());
            }
            Ok((connection, driver, here))
        };
        match timeout(self.target.timeout, open).await {
            Ok(opened) => opened.map_err(|error: ConnectError| describe_connect_error(&error)),
            Err(_) => Err(describe_timeout(self.target.timeout)),
        }
    }

    /// Updates the health from the answer to a probe.
    ///
    /// # Errors
    /// When the error is not an answer of the server.
    fn note_probe(&self, answer: RedisResult<()>) -> RedisResult<()> {
        match answer {
            Ok(()) => self.health.answered(),
            Err(error) => match code(&error) {
                // In a cluster, another server may hold the key of the probe.
                Some("ASK" | "MOVED") if self.is_of_cluster => self.health.answered(),
                Some(_) => self.health.failed(&describe(READ, &error)),
                None => return Err(error),
            },
        }
        Ok(())
    }

    /// Watches the connection, which leads to `here`, until it breaks or should be replaced.
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
                && sentinels.name_another_than(here, self.target.timeout).await
            {
                self.state.send_replace(ConnectionState::Opening);
                return;
            }
            // After a failover the address may lead to the new primary, while this connection still leads to the old
            // one.
            if self.is_write_refused_with("READONLY") && opened.elapsed() > READ_ONLY_GRACE {
                self.state.send_replace(ConnectionState::Opening);
                return;
            }
        }
    }

    /// Probes the server, and notes the outcome in its health.
    async fn probe(self: &Arc<Self>) {
        let deadline = Instant::now() + self.target.timeout;
        let replies = self.send(&[self.target.probe()], false, deadline).await;
        for answer in replies.into_iter().flat_map(|replies| replies.answers) {
            let _ = self.note_probe(answer.map(|_| ()));
        }
    }

    /// Closes the connection of this number, if it is still the one in use.
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

    pub(super) fn write_succeeded(&self) {
        let mut refused = self
            .refused_write
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if refused.take().is_some() {
            tracing::info!(store = "redis", "store accepts writes again");
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

    fn is_write_refused_with(&self, code: &str) -> bool {
        self.refused_write
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .is_some_and(|(_, refused)| refused == code)
    }
}

impl Replies {
    /// Closes the connection that carried these replies, because no Redis server replies like that.
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
            // ASKING applies to the next command only.
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

/// The longest wait before reconnecting, after a connection that could not be opened or broke at once. Jitter shortens
/// it by up to half.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// How long a connection is kept to a server that refuses writes because it is read-only.
const READ_ONLY_GRACE: Duration = Duration::from_secs(30);

//! A server of a cluster whose changes are tracked.

use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::super::cluster::{Place, SlotMap, fixed_slot, slot_after, slots_command};
use super::super::refusal::{CLUSTER_NODES, CLUSTER_SLOTS, READ, WRITE, code, describe};
use super::super::server::RedisServer;
use super::connections::{CLOSED, HeartbeatConnection};
use super::inbox::Inbox;
use super::view::ClusterView;
use super::{
    HEARTBEAT_CONNECTION_AGE, MAX_PAUSE, MIN_PAUSE, TrackingTask, describe_missing_proof, fraction,
};

/// A server of a cluster, and the connections on which it proves that its changes are announced.
pub(super) struct TrackedServer {
    pub(super) source: Arc<PushSource>,
    place: Place,
    /// The connection for heartbeats, opened on demand.
    heartbeats: Option<HeartbeatConnection>,
    /// The number of the last heartbeat.
    number: u64,
    received: watch::Receiver<u64>,
}

/// A server, and the connection on which it pushes changes.
pub(super) struct PushSource {
    here: RedisServer,
    /// The prefix of the keys of this server's heartbeats.
    heartbeat_prefix: String,
    last_received: watch::Sender<u64>,
    pushes: watch::Sender<PushConnection>,
    /// Whether the channel is down without this server.
    is_needed: AtomicBool,
    /// Canceled when the server is no longer tracked.
    pub(super) stop: CancellationToken,
}

/// The state of the connection on which a server pushes changes.
#[derive(Clone)]
enum PushConnection {
    Closed(String),
    Open(MultiplexedConnection),
    Opening,
}

/// The result of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProofOutcome {
    Received,
    /// The server no longer holds the slot of the heartbeat.
    Moved,
}

impl TrackedServer {
    pub(super) fn new(task: &TrackingTask, here: RedisServer, place: Place) -> Self {
        let (last_received, received) = watch::channel(0);
        Self {
            source: Arc::new(PushSource {
                here,
                heartbeat_prefix: task.heartbeat_prefix(),
                last_received,
                pushes: watch::Sender::new(PushConnection::Opening),
                is_needed: AtomicBool::new(false),
                stop: CancellationToken::new(),
            }),
            place,
            heartbeats: None,
            number: 0,
            received,
        }
    }

    /// Asks the server for its view of the cluster.
    pub(super) async fn read_view(
        &mut self,
        task: &TrackingTask,
        deadline: Instant,
    ) -> Result<ClusterView, String> {
        let reading = async {
            let mut both = redis::pipe();
            both.add_command(slots_command())
                .cmd("CLUSTER")
                .arg("NODES");
            let heartbeats = self.heartbeats(task).await?;
            let both = both.ignore_errors().query_async(&mut heartbeats.connection);
            let both: (RedisResult<Value>, RedisResult<Value>) = both
                .await
                .map_err(|error| describe(CLUSTER_SLOTS, &error))?;
            let slots = both.0.map_err(|error| describe(CLUSTER_SLOTS, &error))?;
            let nodes = both.1.map_err(|error| describe(CLUSTER_NODES, &error))?;
            ClusterView::read(slots, nodes, &self.place.0)
        };
        let view = timeout_at(deadline, reading).await;
        let view = view.unwrap_or_else(|_| Err("did not answer in time".to_owned()));
        if view.is_err() {
            self.heartbeats = None;
        }
        view.map_err(|why| self.with_address(&why))
    }

    /// Writes a heartbeat under a key that the server holds, and waits until it is announced.
    pub(super) async fn prove(
        &mut self,
        task: &TrackingTask,
        slots: &SlotMap,
        deadline: Instant,
    ) -> Result<ProofOutcome, String> {
        let mut is_written = false;
        let proving = timeout_at(deadline, async {
            let mut migrating = BTreeSet::new();
            loop {
                let slot = self.next_heartbeat(slots, &migrating)?;
                let key = format!("{}{}", self.source.heartbeat_prefix, self.number);
                match self.heartbeats(task).await?.write(&key).await {
                    Ok(()) => break,
                    Err(error) => match code(&error) {
                        // The slot is migrating, so a key that does not exist yet belongs to the other server.
                        Some("ASK") => drop(migrating.insert(slot)),
                        Some("MOVED") => return Ok(ProofOutcome::Moved),
                        _ => return Err(describe(WRITE, &error)),
                    },
                }
            }
            is_written = true;
            self.source.opened().await?;
            // Cannot fail: `self` owns the sender.
            let _ = self.received.wait_for(|last| *last >= self.number).await;
            Ok(ProofOutcome::Received)
        });
        let proven = proving.await;
        let proven = proven.unwrap_or_else(|_| Err(describe_missing_proof(is_written)));
        proven.map_err(|why| self.with_address(&why))
    }

    /// Checks that the push connection is alive, for a server that holds no slot in which a heartbeat could be written.
    pub(super) async fn is_alive(
        &self,
        task: &TrackingTask,
        deadline: Instant,
    ) -> Result<(), String> {
        let checking = timeout_at(deadline, async {
            let mut pushes = self.source.opened().await?;
            let mut command = redis::cmd(READ);
            command.arg(&task.target.key_prefix).arg(0).arg(0);
            match command.exec_async(&mut pushes).await {
                // A redirection or a refusal is an answer, too.
                Err(error) if code(&error).is_none() => Err(describe(READ, &error)),
                Ok(()) | Err(_) => Ok(()),
            }
        });
        let checked = checking.await;
        let checked = checked.unwrap_or_else(|_| Err("did not answer in time".to_owned()));
        checked.map_err(|why| self.with_address(&why))
    }

    /// Sets whether the channel is down without this server.
    pub(super) fn set_needed(&self, is_needed: bool) {
        self.source.is_needed.store(is_needed, Ordering::Relaxed);
    }

    /// Chooses the number of the next heartbeat, so that its key belongs to a slot that the server holds and that is not
    /// among `except`. Returns the slot.
    fn next_heartbeat(&mut self, slots: &SlotMap, except: &BTreeSet<u16>) -> Result<u16, String> {
        let is_here = |slot| slots.holder(slot) == Some(&self.place) && !except.contains(&slot);
        let prefix = self.source.heartbeat_prefix.as_bytes();
        if let Some(slot) = fixed_slot(prefix) {
            self.number += 1;
            return match is_here(slot) {
                true => Ok(slot),
                false => Err(NO_KEY.to_owned()),
            };
        }
        let slot_after = slot_after(prefix);
        for _ in 0..MAX_NUMBERS {
            self.number += 1;
            let mut digits = Cursor::new([0; 20]);
            let _ = write!(digits, "{}", self.number);
            let length = usize::try_from(digits.position()).unwrap_or(0);
            let digits = digits.get_ref().get(..length).unwrap_or_default();
            let slot = slot_after(digits);
            if is_here(slot) {
                return Ok(slot);
            }
        }
        Err(ALL_MIGRATING.to_owned())
    }

    async fn heartbeats(
        &mut self,
        task: &TrackingTask,
    ) -> Result<&mut HeartbeatConnection, String> {
        let young = self.heartbeats.take();
        let young =
            young.filter(|heartbeats| heartbeats.opened.elapsed() <= HEARTBEAT_CONNECTION_AGE);
        let heartbeats = match young {
            Some(heartbeats) => heartbeats,
            None => task.open_heartbeat_connection(&self.source.here).await?,
        };
        Ok(self.heartbeats.insert(heartbeats))
    }

    fn with_address(&self, why: &str) -> String {
        format!("{}: {why}", self.source.here.address)
    }
}

impl PushSource {
    /// Returns the push connection, once it is open.
    async fn opened(&self) -> Result<MultiplexedConnection, String> {
        let mut pushes = self.pushes.subscribe();
        let pushes = pushes
            .wait_for(|pushes| !matches!(pushes, PushConnection::Opening))
            .await;
        match pushes.as_deref() {
            Ok(PushConnection::Open(connection)) => Ok(connection.clone()),
            Ok(PushConnection::Closed(why)) => Err(why.clone()),
            Ok(PushConnection::Opening) | Err(_) => Err(CLOSED.to_owned()),
        }
    }
}

impl TrackingTask {
    /// Keeps the push connection of a server open, and passes on everything that arrives, until the server is no longer
    /// tracked.
    ///
    /// # Errors
    /// When the connection cannot be opened, or ends, although the server is needed.
    pub(super) async fn keep_push_connection(&self, source: Arc<PushSource>) -> Result<(), String> {
        let keeping = async {
            let mut pause = MIN_PAUSE;
            loop {
                let inbox = Arc::new(Inbox::new(&source.heartbeat_prefix));
                let opened = self.open_push_connection(&source.here, &inbox).await;
                let why = match opened {
                    Ok((connection, _driver)) => {
                        // Changes there before this moment may have been missed.
                        self.invalidate_everything();
                        source.pushes.send_replace(PushConnection::Open(connection));
                        self.pass_on_from(&inbox, &source.last_received).await;
                        pause = MIN_PAUSE;
                        CLOSED.to_owned()
                    }
                    Err(why) => why,
                };
                source
                    .pushes
                    .send_replace(PushConnection::Closed(why.clone()));
                if source.is_needed.load(Ordering::Relaxed) {
                    return Err(format!("{}: {why}", source.here.address));
                }
                sleep(pause.mul_f64(1.0 + fraction())).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
        };
        match source.stop.run_until_cancelled(keeping).await {
            Some(failure) => failure,
            None => Ok(()),
        }
    }
}

/// How many numbers are tried for a heartbeat. Even for a server with a single slot, fewer are needed.
const MAX_NUMBERS: u32 = 20 * 16384;

const NO_KEY: &str = "it holds no key under REDIS_KEY_PREFIX, because all these keys belong to one slot: `{…}` in a prefix decides where keys are kept";

const ALL_MIGRATING: &str = "all slots that it holds are migrating to other servers";

//! The channel on which Redis announces changes (`CLIENT TRACKING`), and how it proves that it is up.
//!
//! After `CLIENT TRACKING … BCAST` on a connection, Redis pushes on it the name of every key under our prefixes as soon
//! as the key changes. Nothing there indicates when a server stops doing so: a connection can be dead and look open, a
//! server can forget that it tracks, a primary can be demoted. So the channel is treated as up only while it proves
//! that it is. Every [`HEARTBEAT`] another connection writes a heartbeat, a key under the prefix, and the server must
//! announce it on the tracking connection within [`PROOF_TIMEOUT`]; all earlier writes have been announced then too. The
//! other connection is reopened regularly, so that heartbeats go to the server to which the address leads now.
//!
//! `NOLOOP` is not used: for each turn of its event loop, Redis only considers the last writer of a key, so a change by
//! the app that one of ours follows would never be announced.

mod cluster;
mod connections;
mod inbox;
mod prefixes;
mod server;
mod tracked_server;
mod view;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::channel::{Channel, Publisher};
use super::super::pools::{Lease, RedisHandle};
use super::super::process::{Clock, Process, Trial};
use super::super::revocations::reload_soon;
use super::super::settings::RedisSettings;
use super::RedisTarget;
use super::server::RedisServer;

/// The settings that the channel of a Redis depends on.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct TrackingTarget {
    server: RedisServer,
    /// How long opening a connection may take.
    timeout: Duration,
    ca_file: Option<PathBuf>,
    /// A fingerprint of the contents of that file.
    ca: Option<Vec<u8>>,
    prefixes: Vec<String>,
    /// The prefix of the gate's own keys.
    key_prefix: String,
}

/// The channel of a Redis, and the task that keeps it open.
pub(in super::super) struct Tracking {
    task: Arc<TrackingTask>,
    stop: CancellationToken,
    keeper: TaskTracker,
}

/// The task that keeps the channel open, and the publisher that it notifies.
struct TrackingTask {
    target: TrackingTarget,
    publisher: Arc<Publisher>,
    clock: Clock,
    /// The connections to the cluster, if Redis is one.
    cluster: Option<Lease<RedisTarget, RedisHandle>>,
    trial: Trial,
    /// The last logged reason why the channel is not up.
    logged_reason: Mutex<Option<String>>,
}

/// Marks the channel as down when the task ends, however it ends.
struct DownOnDrop<'a>(&'a Publisher);

impl Drop for DownOnDrop<'_> {
    fn drop(&mut self) {
        self.0.mark_down("it was closed");
    }
}

impl TrackingTarget {
    pub(in super::super) fn of(settings: &RedisSettings, ca: Option<Vec<u8>>) -> Self {
        let prefixes: Vec<_> = [Some(&settings.key_prefix), settings.sessions.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        Self {
            server: settings.server.clone(),
            timeout: settings.timeout,
            ca_file: settings.ca_file.clone(),
            ca,
            prefixes: prefixes::covering(&prefixes),
            key_prefix: settings.key_prefix.clone(),
        }
    }
}

impl Tracking {
    /// Opens a channel. `cluster` is the lease of the connections to a cluster, if Redis is one.
    pub(in super::super) fn open(
        target: TrackingTarget,
        cluster: Option<Lease<RedisTarget, RedisHandle>>,
        process: &Process,
    ) -> Self {
        let tracking = Self {
            task: Arc::new(TrackingTask {
                target,
                publisher: Arc::new(Publisher::new(Channel::Redis)),
                clock: process.clock.clone(),
                cluster,
                trial: process.trial.clone(),
                logged_reason: Mutex::default(),
            }),
            stop: CancellationToken::new(),
            keeper: TaskTracker::new(),
        };
        let (task, stop) = (Arc::clone(&tracking.task), tracking.stop.clone());
        let vital = process.vital;
        let keep = async move {
            let _part = vital("the channel from Redis");
            let _down = DownOnDrop(&task.publisher);
            stop.run_until_cancelled(task.track_forever()).await;
        };
        tracking.keeper.spawn_on(keep, &process.runtime);
        tracking.keeper.close();
        tracking
    }

    /// The subscribers of the channel.
    pub(in super::super) fn publisher(&self) -> &Arc<Publisher> {
        &self.task.publisher
    }

    /// Closes the channel for good.
    pub(in super::super) async fn close(&self) {
        self.stop.cancel();
        // The task waits for its connections only, so it ends at once when stopped.
        let _ = timeout(CLOSE_TIMEOUT, self.keeper.wait()).await;
    }
}

impl Drop for Tracking {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TrackingTask {
    async fn track_forever(&self) {
        let mut pause = MIN_PAUSE;
        loop {
            let began = Instant::now();
            let ended = match self
                .cluster
                .as_ref()
                .and_then(|cluster| cluster.resource.redis.cluster())
            {
                Some(cluster) => self.track_cluster(cluster).await,
                None => self.track_server().await,
            };
            let Err(why) = ended;
            self.mark_down(&why);
            // The channel has worked for a while, so begin with the shortest wait again.
            if began.elapsed() > MAX_PAUSE {
                pause = MIN_PAUSE;
            }
            sleep(pause.mul_f64(1.0 + fraction())).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// Creates a random prefix for the keys of the heartbeats of one connection.
    fn heartbeat_prefix(&self) -> String {
        format!("{}{HEARTBEATS}{:016x}:", self.target.key_prefix, random())
    }

    /// Marks the channel as up, after its first proof.
    fn mark_up(&self) {
        self.publisher.mark_up();
        // Announcements of revocations may have been missed in the meantime.
        reload_soon();
        *self.logged_reason() = None;
        let configuration = self.trial.configuration();
        tracing::info!(
            channel = "redis",
            configuration,
            "change notifications from Redis are working"
        );
    }

    fn mark_down(&self, why: &str) {
        self.publisher.mark_down(why);
        let mut logged = self.logged_reason();
        if logged.as_deref() != Some(why) {
            tracing::warn!(
                channel = "redis",
                configuration = self.trial.configuration(),
                detail = why,
                "change notifications from Redis are not working, so answers in memory are not used"
            );
            *logged = Some(why.to_owned());
        }
    }

    fn logged_reason(&self) -> MutexGuard<'_, Option<String>> {
        self.logged_reason
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A random number from 0 to 1, so that nodes that lost the same server do not reconnect in the same moment.
fn fraction() -> f64 {
    f64::from(u16::try_from(random() & 0xffff).unwrap_or(0)) / 65536.0
}

/// Describes why a heartbeat that timed out proves nothing.
fn describe_missing_proof(is_written: bool) -> String {
    match is_written {
        true => NOT_ANNOUNCED.to_owned(),
        false => format!(
            "accepted no heartbeat within {} ms",
            PROOF_TIMEOUT.as_millis()
        ),
    }
}

/// A random number, to tell the heartbeats of connections apart.
fn random() -> u64 {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).expect("the system gives random bytes");
    u64::from_ne_bytes(bytes)
}

/// How often the channel proves that it is up. With this and [`PROOF_TIMEOUT`], a dead connection that looks open is
/// detected within two seconds.
const HEARTBEAT: Duration = Duration::from_millis(700);

/// How long writing and announcing a heartbeat may take.
const PROOF_TIMEOUT: Duration = Duration::from_millis(1100);

/// How long Redis keeps a heartbeat. Nothing reads it.
const HEARTBEAT_KEPT_MILLIS: u64 = 2000;

/// How long one proof holds: until the next one is overdue.
const PROOF_TTL: Duration = Duration::from_secs(2);

/// The part of a heartbeat's key between the prefix of the gate's keys and the numbers of connection and heartbeat.
const HEARTBEATS: &str = "sessiongate:heartbeat:";

/// How long heartbeats are written on the same connection.
const HEARTBEAT_CONNECTION_AGE: Duration = Duration::from_secs(5);

/// How long the sentinels may take to name the primary.
const SENTINEL_TIMEOUT: Duration = Duration::from_millis(500);

/// The wait before reopening a channel that could not be opened or broke at once. It is doubled each time, and a random
/// part of up to as much again is added.
const MIN_PAUSE: Duration = Duration::from_millis(100);

/// The longest wait before reopening a channel, without the random part.
const MAX_PAUSE: Duration = Duration::from_secs(3);

/// The shortest time between two announcements that everything may have changed.
const FLOOD_PAUSE: Duration = Duration::from_millis(20);

const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

const NOT_ANNOUNCED: &str = "accepted a heartbeat and did not announce it on the tracking connection, which is dead or leads to another server";

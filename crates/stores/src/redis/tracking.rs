//! What Redis says has changed, heard on a connection of its own.
//!
//! `CLIENT TRACKING … BCAST` makes a connection on which Redis names every key under our prefixes as soon as somebody changes
//! it. Nothing there says that a server has stopped doing so: a connection can be dead and open, a server can forget that it
//! tracks, a primary can be no primary any more. So the channel counts as heard only while it proves that it is. Every
//! [`HEARTBEAT`] another connection writes a word under the prefix, and this one has to hear of it within
//! [`ANSWER_WITHIN`]; everything that was written before that word has been heard then too. The other connection is opened anew
//! from time to time, so that the word is written wherever the address leads now.
//!
//! `NOLOOP` is left out: Redis tells each connection of the last writer of a turn alone, and with it a change by the app followed
//! by one of ours would never be heard of.

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

use super::super::hearing::{Audience, Channel};
use super::super::pools::{Lease, RedisHandle};
use super::super::process::{Clock, Process, Trial};
use super::super::revocations::reload_soon;
use super::super::settings::RedisSettings;
use super::RedisTarget;
use super::server::RedisServer;

/// What a channel from a Redis depends on.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct TrackingTarget {
    server: RedisServer,
    /// How long it may take until a connection is open.
    timeout: Duration,
    ca_file: Option<PathBuf>,
    /// A fingerprint of what is in that file.
    ca: Option<Vec<u8>>,
    prefixes: Vec<String>,
    /// What stands before the keys of the gate itself.
    key_prefix: String,
}

/// The channel from a Redis, and the task that keeps it open.
pub(in super::super) struct Tracking {
    task: Arc<TrackingTask>,
    stop: CancellationToken,
    keeper: TaskTracker,
}

/// The connections, and who hears through them.
struct TrackingTask {
    target: TrackingTarget,
    audience: Arc<Audience>,
    clock: Clock,
    /// That on which a cluster is asked.
    cluster: Option<Lease<RedisTarget, RedisHandle>>,
    trial: Trial,
    /// Why nothing is heard, as it was logged last.
    silence: Mutex<Option<String>>,
}

/// Makes sure that nothing counts as heard once nobody listens any more, however that came about.
struct DeafOnDrop<'a>(&'a Audience);

impl Drop for DeafOnDrop<'_> {
    fn drop(&mut self) {
        self.0.deaf("it was closed");
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
    /// One that is being opened. A cluster is asked on `line`.
    pub(in super::super) fn open(
        target: TrackingTarget,
        cluster: Option<Lease<RedisTarget, RedisHandle>>,
        process: &Process,
    ) -> Self {
        let tracking = Self {
            task: Arc::new(TrackingTask {
                target,
                audience: Arc::new(Audience::new(Channel::Redis)),
                clock: process.clock.clone(),
                cluster,
                trial: process.trial.clone(),
                silence: Mutex::default(),
            }),
            stop: CancellationToken::new(),
            keeper: TaskTracker::new(),
        };
        let (task, stop) = (Arc::clone(&tracking.task), tracking.stop.clone());
        let vital = process.vital;
        let keep = async move {
            let _part = vital("the channel from Redis");
            let _deaf = DeafOnDrop(&task.audience);
            stop.run_until_cancelled(task.hear_for_ever()).await;
        };
        tracking.keeper.spawn_on(keep, &process.runtime);
        tracking.keeper.close();
        tracking
    }

    /// Who hears it.
    pub(in super::super) fn audience(&self) -> &Arc<Audience> {
        &self.task.audience
    }

    /// Gives the channel up for good.
    pub(in super::super) async fn close(&self) {
        self.stop.cancel();
        // The task waits for nothing but its connections, so it ends at once.
        let _ = timeout(CLOSE_WITHIN, self.keeper.wait()).await;
    }
}

impl Drop for Tracking {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TrackingTask {
    async fn hear_for_ever(&self) {
        let mut hold = FIRST_HOLD;
        loop {
            let began = Instant::now();
            let heard = match self
                .cluster
                .as_ref()
                .and_then(|cluster| cluster.resource.redis.cluster())
            {
                Some(cluster) => self.hear_cluster(cluster).await,
                None => self.hear_server().await,
            };
            let Err(why) = heard;
            self.fell_silent(&why);
            // It has worked: the next one may work at once.
            if began.elapsed() > LONGEST_HOLD {
                hold = FIRST_HOLD;
            }
            sleep(hold.mul_f64(1.0 + fraction())).await;
            hold = (hold * 2).min(LONGEST_HOLD);
        }
    }

    /// What the words of one connection begin with.
    fn heartbeat_prefix(&self) -> String {
        format!("{}{HEARTBEATS}{:016x}:", self.target.key_prefix, random())
    }

    /// It has proved that it hears.
    fn listen(&self) {
        self.audience.listen();
        // While nothing was heard, there may have been revocations.
        reload_soon();
        *self.silence() = None;
        let configuration = self.trial.configuration();
        tracing::info!(channel = "redis", configuration, "Redis says what changes");
    }

    fn fell_silent(&self, why: &str) {
        self.audience.deaf(why);
        let mut silence = self.silence();
        if silence.as_deref() != Some(why) {
            tracing::warn!(
                channel = "redis",
                configuration = self.trial.configuration(),
                detail = why,
                "Redis does not say what changes, so memory is not trusted"
            );
            *silence = Some(why.to_owned());
        }
    }

    fn silence(&self) -> MutexGuard<'_, Option<String>> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between 0 and 1, so that nodes that lost the same server do not come back in the same moment.
fn fraction() -> f64 {
    f64::from(u16::try_from(random() & 0xffff).unwrap_or(0)) / 65536.0
}

/// Why a word that had its time is no proof.
fn unproven(is_written: bool) -> String {
    match is_written {
        true => NOT_HEARD.to_owned(),
        false => format!("took no word within {} ms", ANSWER_WITHIN.as_millis()),
    }
}

/// A number that nobody else has.
fn random() -> u64 {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).expect("the system gives random bytes");
    u64::from_ne_bytes(bytes)
}

/// How often the channel proves itself. With [`ANSWER_WITHIN`], a connection that is dead and open is noticed within two
/// seconds.
const HEARTBEAT: Duration = Duration::from_millis(700);

/// How long it may take until a word is written and heard.
const ANSWER_WITHIN: Duration = Duration::from_millis(1100);

/// How long a word is kept. Nobody reads it.
const HEARTBEAT_KEPT_MILLIS: u64 = 2000;

/// How long one proof holds. The next one comes in time for this, or is late.
const TRUST: Duration = Duration::from_secs(2);

/// Behind the prefix of the gate's keys, and before a number of the connection and one of the word.
const HEARTBEATS: &str = "sessiongate:heartbeat:";

/// How long words are written on the same connection.
const HEARTBEAT_CONNECTION_AGE: Duration = Duration::from_secs(5);

/// How long sentinels may take to say where the primary is.
const ASK_FOR: Duration = Duration::from_millis(500);

/// How long a channel that could not be opened, or broke at once, is left alone; twice as long each time.
const FIRST_HOLD: Duration = Duration::from_millis(100);

/// The longest of these times.
const LONGEST_HOLD: Duration = Duration::from_secs(3);

/// How long it takes at least from one word that says that everything may have changed to the next.
const BETWEEN_FLOODS: Duration = Duration::from_millis(20);

const CLOSE_WITHIN: Duration = Duration::from_secs(1);

const NOT_HEARD: &str = "took a word and did not say so on the other connection: it is dead, or leads to another server";

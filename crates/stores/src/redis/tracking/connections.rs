//! The connections of a channel: one on which a server pushes changes, and one that writes heartbeats.

use std::convert::Infallible;
use std::sync::Arc;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::super::super::channel::Invalidation;
use super::super::super::revocations::{self, changed_in_redis, reload_soon};
use super::super::refusal::{
    TRACKING, WRITE, describe, describe_connect_error, describe_push_connect_error,
    describe_timeout,
};
use super::super::server::{RedisDriver, RedisServer};
use super::inbox::{Inbox, Waiting};
use super::{FLOOD_PAUSE, HEARTBEAT_KEPT_MILLIS, PROOF_TIMEOUT, TrackingTask};

/// The connection that writes heartbeats.
pub(super) struct HeartbeatConnection {
    pub(super) connection: MultiplexedConnection,
    _driver: RedisDriver,
    pub(super) opened: Instant,
}

impl HeartbeatConnection {
    /// Writes a heartbeat under `key`, which expires soon.
    pub(super) async fn write(&mut self, key: &str) -> RedisResult<()> {
        let mut command = redis::cmd(WRITE);
        command
            .arg(key)
            .arg("")
            .arg("PX")
            .arg(HEARTBEAT_KEPT_MILLIS);
        command.exec_async(&mut self.connection).await
    }
}

impl TrackingTask {
    /// Opens a connection on which Redis pushes the keys that change.
    pub(super) async fn open_push_connection(
        &self,
        here: &RedisServer,
        inbox: &Arc<Inbox>,
    ) -> Result<(MultiplexedConnection, RedisDriver), String> {
        let ca_file = self.target.ca_file.as_ref();
        let pushes = Arc::clone(inbox);
        let pushes = move |push| {
            pushes.receive(push);
            Ok::<_, Infallible>(())
        };
        let connecting = here.connect_with_pushes(ca_file, self.target.timeout, pushes);
        let connected = self.within_timeout(connecting).await?;
        let (mut connection, driver) =
            connected.map_err(|error| describe_push_connect_error(&error))?;
        let mut command = redis::cmd("CLIENT");
        command.arg("TRACKING").arg("ON").arg("BCAST");
        for prefix in &self.target.prefixes {
            command.arg("PREFIX").arg(prefix);
        }
        let answer = self
            .within_timeout(command.exec_async(&mut connection))
            .await?;
        answer.map_err(|error| describe(TRACKING, &error))?;
        Ok((connection, driver))
    }

    pub(super) async fn open_heartbeat_connection(
        &self,
        here: &RedisServer,
    ) -> Result<HeartbeatConnection, String> {
        let ca_file = self.target.ca_file.as_ref();
        // Longer than a proof may take, so that the proof's timeout expires before the driver's.
        let connecting = here.connect(ca_file, 2 * PROOF_TIMEOUT);
        let connected = self.within_timeout(connecting).await?;
        let (connection, driver) = connected.map_err(|error| describe_connect_error(&error))?;
        Ok(HeartbeatConnection {
            connection,
            _driver: driver,
            opened: Instant::now(),
        })
    }

    pub(super) async fn within_timeout<T>(
        &self,
        opening: impl Future<Output = T>,
    ) -> Result<T, String> {
        let limit = self.target.timeout;
        let opened = timeout(limit, opening).await;
        opened.map_err(|_| describe_timeout(limit))
    }

    /// Passes on everything that arrives in `inbox` until its connection ends, and reports the number of the last
    /// heartbeat in `last_received`.
    pub(super) async fn pass_on_from(&self, inbox: &Inbox, last_received: &watch::Sender<u64>) {
        loop {
            let waiting = inbox.take_all().await;
            self.pass_on(&waiting);
            // Report a heartbeat after passing on everything that came before it. It is announced once more when it expires,
            // hence the maximum.
            if let Some(number) = waiting.heartbeat {
                last_received.send_modify(|last| *last = number.max(*last));
            }
            if waiting.ended {
                return;
            }
            if waiting.everything {
                sleep(FLOOD_PAUSE).await;
            }
        }
    }

    fn pass_on(&self, waiting: &Waiting) {
        if waiting.everything {
            self.invalidate_everything();
        }
        for key in &waiting.keys {
            if revocations::is_key(&self.target.key_prefix, key) {
                changed_in_redis();
            }
            self.publisher
                .announce(&Invalidation::RedisKey(key.clone()));
        }
    }

    /// Announces that anything may have changed.
    pub(super) fn invalidate_everything(&self) {
        self.publisher.announce(&Invalidation::Everything);
        reload_soon();
    }
}

pub(super) const CLOSED: &str = "the connection was closed";

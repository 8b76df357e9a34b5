//! The channel of a single server, which may be the primary that sentinels name.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::super::refusal::{WRITE, describe, describe_connect_error};
use super::super::sentinel::SentinelConnections;
use super::super::server::RedisServer;
use super::connections::{CLOSED, HeartbeatConnection};
use super::inbox::Inbox;
use super::{
    HEARTBEAT, HEARTBEAT_CONNECTION_AGE, PROOF_TIMEOUT, PROOF_TTL, SENTINEL_TIMEOUT, TrackingTask,
    describe_missing_proof,
};

impl TrackingTask {
    /// Opens the connections and listens until something fails. Returns the reason of the failure.
    pub(super) async fn track_server(&self) -> Result<Infallible, String> {
        let prefix = self.heartbeat_prefix();
        let inbox = Arc::new(Inbox::new(&prefix));
        let (server, ca_file) = (&self.target.server, self.target.ca_file.as_ref());
        let located = self.within_timeout(server.located(ca_file, self.target.timeout));
        let here = located
            .await?
            .map_err(|error| describe_connect_error(&error))?;
        let mut sentinels = SentinelConnections::of(server, &here, ca_file);
        let _pushes = self.open_push_connection(&here, &inbox).await?;
        let mut heartbeats = self.open_heartbeat_connection(&here).await?;
        let (last_received, mut received) = watch::channel(0);
        let proving = async {
            let mut number = 0;
            loop {
                let (began, began_monotonic) = (Instant::now(), self.clock.monotonic());
                number += 1;
                let key = format!("{prefix}{number}");
                let agreeing = async {
                    match &mut sentinels {
                        Some((sentinels, here)) => {
                            sentinels.query_all(SENTINEL_TIMEOUT).await.confirm(here)
                        }
                        None => Ok(()),
                    }
                };
                let proof = self.prove(&here, &mut heartbeats, &key, number, &mut received);
                tokio::try_join!(agreeing, proof)?;
                self.publisher.prove(began_monotonic, PROOF_TTL);
                if number == 1 {
                    self.mark_up();
                }
                sleep_until(began + HEARTBEAT).await;
            }
        };
        let passing_on = async {
            self.pass_on_from(&inbox, &last_received).await;
            Err(CLOSED.to_owned())
        };
        // `biased`, so that everything that has arrived is passed on before a failure ends this.
        tokio::select! {
            biased;
            failure = passing_on => failure,
            failure = proving => failure,
        }
    }

    /// Writes a heartbeat and waits until it is announced.
    async fn prove(
        &self,
        here: &RedisServer,
        heartbeats: &mut HeartbeatConnection,
        key: &str,
        number: u64,
        received: &mut watch::Receiver<u64>,
    ) -> Result<(), String> {
        let mut is_written = false;
        let proof = async {
            if heartbeats.opened.elapsed() > HEARTBEAT_CONNECTION_AGE {
                *heartbeats = self.open_heartbeat_connection(here).await?;
            }
            heartbeats
                .write(key)
                .await
                .map_err(|error| describe(WRITE, &error))?;
            is_written = true;
            // Cannot fail: the sender outlives this future.
            let _ = received.wait_for(|last| *last >= number).await;
            Ok(())
        };
        let proven = timeout(PROOF_TIMEOUT, proof).await;
        proven.unwrap_or_else(|_| Err(describe_missing_proof(is_written)))
    }
}

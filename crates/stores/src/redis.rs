//! The Redis that all nodes share: one server, or a cluster of them.
//!
//! Every request is about one key, or is made of commands about one key each, so that a cluster can answer it too.

mod cluster;
mod commands;
mod leases;
mod node;
mod rates;
mod refusal;
mod script;
mod sentinel;
mod server;
mod survey;
mod tracking;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gate::{LookupSource, StoreError};
use redis::{Cmd, RedisResult, Value, from_redis_value};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::cluster::Cluster;
pub use self::cluster::ClusterSeeds;
#[cfg(test)]
pub(super) use self::leases::BoxFuture;
pub(super) use self::leases::{AgedValue, CacheBackend};
use self::node::{NoReply, Node, Replies};
pub(super) use self::rates::SharedCells;
pub use self::rates::{OverShared, SharedCell, SharedChange};
use self::refusal::{READ, code, describe, describe_timeout};
pub use self::sentinel::Sentinels;
pub use self::server::{RedisAddress, RedisServer};
pub(super) use self::survey::survey;
pub(super) use self::tracking::{Tracking, TrackingTarget};
use super::StoreHealth;
use super::process::{Jitter, Trial};

/// The settings that the connections to a Redis depend on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RedisTarget {
    pub(super) server: RedisServer,
    /// How long a lookup waits, including the time to connect.
    pub(super) timeout: Duration,
    /// PEM certificates to trust in place of the public authorities.
    pub(super) ca_file: Option<PathBuf>,
    /// A fingerprint of the contents of that file.
    pub(super) ca: Option<Vec<u8>>,
    /// A key like those that are looked up, for probes of servers that restrict their users to some keys.
    pub(super) probe_key: Box<str>,
}

/// A Redis server or cluster, and the connections to it.
pub(super) struct Redis {
    target: RedisTarget,
    topology: Topology,
    writes: Semaphore,
}

/// The connections of a Redis: to a cluster, or to a single server.
enum Topology {
    Cluster(Box<Cluster>),
    Single(Arc<Node>),
}

/// The error when an answer could not be written to Redis.
#[derive(Debug)]
pub(super) struct Unwritten;

impl Redis {
    /// Creates the connections, none of which is open yet; [`Redis::keep_connected`] opens them.
    pub(super) fn new(target: RedisTarget, jitter: Jitter, trial: Trial) -> Self {
        let topology = match &target.server.address {
            RedisAddress::Cluster(seeds) => {
                Topology::Cluster(Box::new(Cluster::new(seeds, target.clone(), jitter, trial)))
            }
            RedisAddress::Sentinels(_) | RedisAddress::Tcp { .. } | RedisAddress::Unix(_) => {
                Topology::Single(Arc::new(Node::new(target.clone(), jitter, trial)))
            }
        };
        Self {
            target,
            topology,
            writes: Semaphore::new(MAX_WRITES),
        }
    }

    /// Reads the value under `key`, within the timeout. Of a value longer than `longest` bytes, it reads one byte more
    /// than that. A missing key, and a key that holds no string, reads as empty.
    ///
    /// # Errors
    /// When Redis does not answer, or refuses to.
    pub(super) async fn read(&self, key: &[u8], longest: usize) -> Result<Vec<u8>, StoreError> {
        let mut replies = self.look_up(key, &[read_command(key, longest)]).await?;
        let answer = replies.answers.pop();
        replies.text(READ, answer)
    }

    async fn look_up(&self, key: &[u8], commands: &[Cmd]) -> Result<Replies, StoreError> {
        let deadline = self.deadline();
        let replies = self.send_to_holder(key, commands, deadline).await;
        replies.map_err(|why| match why {
            NoReply::Failed(detail) => failed(detail),
            NoReply::TimedOut => StoreError::TimedOut {
                store: LookupSource::Redis,
                limit: self.target.timeout,
            },
        })
    }

    /// Sends commands about one key to the server that holds it.
    async fn send_to_holder(
        &self,
        key: &[u8],
        commands: &[Cmd],
        deadline: Instant,
    ) -> Result<Replies, NoReply> {
        match &self.topology {
            Topology::Cluster(cluster) => cluster.send_to_holder(key, commands, deadline).await,
            Topology::Single(node) => node.send(commands, false, deadline).await,
        }
    }

    /// Opens the connections and keeps them open, until canceled.
    pub(super) async fn keep_connected(&self) {
        match &self.topology {
            Topology::Cluster(cluster) => cluster.keep_connected().await,
            Topology::Single(node) => node.keep_connected().await,
        }
    }

    /// Closes the connections for good, once [`Redis::keep_connected`] has ended.
    pub(super) fn close(&self) {
        match &self.topology {
            Topology::Cluster(cluster) => cluster.close(),
            Topology::Single(node) => node.close(),
        }
    }

    pub(super) fn health(&self) -> StoreHealth {
        match &self.topology {
            Topology::Cluster(cluster) => cluster.health(),
            Topology::Single(node) => node.health(),
        }
    }

    /// Whether at least some keys can be read, as far as is known.
    pub(super) fn is_partly_up(&self) -> bool {
        match &self.topology {
            Topology::Cluster(cluster) => cluster.is_partly_up(),
            Topology::Single(node) => node.health().up,
        }
    }

    /// The cluster, if this is one.
    fn cluster(&self) -> Option<&Cluster> {
        match &self.topology {
            Topology::Cluster(cluster) => Some(cluster),
            Topology::Single(_) => None,
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.target.timeout
    }
}

impl Replies {
    /// Reads the answer to `command` as a string; a key that holds no string reads as empty.
    fn text(
        &self,
        command: &str,
        answer: Option<RedisResult<Value>>,
    ) -> Result<Vec<u8>, StoreError> {
        let text = answer.unwrap_or(Ok(Value::Nil));
        let error = match text.and_then(|text| Ok(from_redis_value(text)?)) {
            Ok(text) => {
                self.node.health.answered();
                return Ok(text);
            }
            Err(error) => error,
        };
        let detail = describe(command, &error);
        match code(&error) {
            Some("WRONGTYPE") => return Ok(Vec::new()),
            // The server answers, so the connection works.
            Some(_) => self.node.health.failed(&detail),
            None => self.disconnect(&detail),
        }
        Err(failed(detail))
    }
}

impl RedisTarget {
    /// The command of a probe, which is like that of a lookup.
    fn probe(&self) -> Cmd {
        read_command(self.probe_key.as_bytes(), 0)
    }

    /// Describes why a server did not reply.
    fn describe(&self, why: NoReply) -> String {
        match why {
            NoReply::Failed(detail) => detail,
            NoReply::TimedOut => describe_timeout(self.timeout),
        }
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// The command that reads a value. It is not GET, so that at most one byte more than allowed is transferred, however long
/// the value is.
fn read_command(key: &[u8], longest: usize) -> Cmd {
    let mut command = redis::cmd(READ);
    command.arg(key).arg(0).arg(longest);
    command
}

fn failed(detail: String) -> StoreError {
    StoreError::Failed {
        store: LookupSource::Redis,
        detail,
    }
}

/// The most writes that run at once. Others wait, each for `timeout` at most.
const MAX_WRITES: usize = 64;

/// The longest time to live, a year in milliseconds: Redis refuses one that would overflow.
const MAX_TTL: u64 = 365 * 24 * 60 * 60 * 1000;

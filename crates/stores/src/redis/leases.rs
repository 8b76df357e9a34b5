//! Leases on keys: the right to write the truth's answer under a key.
//!
//! A node that finds nothing under a key writes a lease there, asks the truth, and replaces the lease, and nothing
//! else, with the answer. So when an application, or a node that is notified of a change, deletes the key in the
//! meantime, it also revokes the leases of lookups that began before, and no answer from before a change is written
//! after it.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::future::join_all;
use gate::StoreError;
use redis::{Cmd, FromRedisValue, Value, from_redis_value};
use tokio::time::timeout_at;

use super::node::Node;
use super::refusal::{READ, WRITE, code, describe};
use super::script::{self, EVAL, EVALSHA};
use super::{MAX_TTL, Redis, Topology, Unwritten, read_command};

/// A value in Redis, and its remaining time to live.
#[derive(Debug)]
pub(in super::super) struct AgedValue {
    /// The value; empty for a missing key.
    pub(in super::super) value: Vec<u8>,
    /// The remaining time to live. `None` if it was not requested, or the key does not expire.
    pub(in super::super) left: Option<Duration>,
}

/// The operations of the cache on Redis. It is a trait so that a test can run them in any order.
pub(in super::super) trait CacheBackend: Send + Sync {
    /// Reads the value under `key`, and its time to live if `age_matters`. Of a value longer than `longest` bytes, it
    /// reads one byte more than that.
    fn read<'a>(
        &'a self,
        key: &'a [u8],
        longest: usize,
        age_matters: bool,
    ) -> BoxFuture<'a, Result<AgedValue, StoreError>>;

    /// Puts `lease` under `key` for `ttl`. Returns `false` if the key exists.
    fn lease<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool, Unwritten>>;

    /// Replaces `lease` with `value` for its time to live. Without a value, removes the lease. Returns `false` if the
    /// lease is gone.
    fn redeem<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a [u8],
        value: Option<(&'a [u8], Duration)>,
    ) -> BoxFuture<'a, Result<bool, Unwritten>>;

    /// Deletes `keys`.
    fn delete<'a>(&'a self, keys: &'a [Vec<u8>]) -> BoxFuture<'a, Result<(), Unwritten>>;
}

/// The future that a method of [`CacheBackend`] returns.
pub(in super::super) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl CacheBackend for Redis {
    fn read<'a>(
        &'a self,
        key: &'a [u8],
        longest: usize,
        age_matters: bool,
    ) -> BoxFuture<'a, Result<AgedValue, StoreError>> {
        Box::pin(async move {
            if age_matters {
                return self.read_aged(key, longest).await;
            }
            let value = Self::read(self, key, longest).await?;
            Ok(AgedValue { value, left: None })
        })
    }

    fn lease<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool, Unwritten>> {
        Box::pin(self.place(key, lease, ttl))
    }

    fn redeem<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a [u8],
        value: Option<(&'a [u8], Duration)>,
    ) -> BoxFuture<'a, Result<bool, Unwritten>> {
        Box::pin(self.replace(key, lease, value))
    }

    fn delete<'a>(&'a self, keys: &'a [Vec<u8>]) -> BoxFuture<'a, Result<(), Unwritten>> {
        Box::pin(async move {
            if let (Topology::Single(_), Some(first)) = (&self.topology, keys.first()) {
                let mut command = redis::cmd(DELETE);
                let _: u64 = self.write(first, DELETE, command.arg(keys)).await?;
                return Ok(());
            }
            // One command for each key, because a cluster has them on several servers. All are sent together.
            let deleting = keys.iter().map(|key| async move {
                let mut command = redis::cmd(DELETE);
                let _: u64 = self.write(key, DELETE, command.arg(key)).await?;
                Ok(())
            });
            join_all(deleting).await.into_iter().collect()
        })
    }
}

impl Redis {
    /// Reads the value under `key`, as [`Redis::read`] does, and its time to live. The value may be younger than the
    /// time to live suggests, never older.
    async fn read_aged(&self, key: &[u8], longest: usize) -> Result<AgedValue, StoreError> {
        let mut left = redis::cmd(TIME_LEFT);
        left.arg(key);
        // In this order, because a value that replaces another in between is then younger than it seems, and not older.
        let mut replies = self
            .look_up(key, &[left, read_command(key, longest)])
            .await?;
        let mut answers = std::mem::take(&mut replies.answers).into_iter();
        let (left, value) = (answers.next(), answers.next());
        let left = left.unwrap_or(Ok(Value::Nil));
        match left.and_then(|left| Ok(from_redis_value::<i64>(left)?)) {
            Ok(left) => Ok(AgedValue {
                value: replies.text(READ, value)?,
                left: u64::try_from(left).ok().map(Duration::from_millis),
            }),
            Err(error) => Ok(AgedValue {
                value: replies.text(TIME_LEFT, Some(Err(error)))?,
                left: None,
            }),
        }
    }

    async fn place(&self, key: &[u8], lease: &[u8], ttl: Duration) -> Result<bool, Unwritten> {
        let mut command = redis::cmd(WRITE);
        command
            .arg(key)
            .arg(lease)
            .arg("PX")
            .arg(millis(ttl))
            .arg("NX");
        let placed: Option<String> = self.write(key, WRITE, &command).await?;
        Ok(placed.is_some())
    }

    async fn replace(
        &self,
        key: &[u8],
        lease: &[u8],
        value: Option<(&[u8], Duration)>,
    ) -> Result<bool, Unwritten> {
        let (value, ttl) = value.unwrap_or((&[], Duration::ZERO));
        let command = |name, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(1).arg(key);
            command.arg(lease).arg(value).arg(millis(ttl));
            command
        };
        let known: Result<(u8, _), _> = self.write_once(key, &command(EVALSHA, &SHA)).await;
        let redeemed = match known {
            // The server was restarted, or never saw the script: send the text, which it caches.
            Err(WriteFailure::Refused(code, _)) if code == "NOSCRIPT" => {
                self.write(key, EVAL, &command(EVAL, SCRIPT)).await?
            }
            known => note_outcome(EVALSHA, known)?,
        };
        Ok(redeemed == 1)
    }

    async fn write<T: FromRedisValue>(
        &self,
        key: &[u8],
        name: &'static str,
        command: &Cmd,
    ) -> Result<T, Unwritten> {
        note_outcome(name, self.write_once(key, command).await)
    }

    /// Runs a write command, after waiting for its turn so that a burst is written too.
    async fn write_once<T: FromRedisValue>(
        &self,
        key: &[u8],
        command: &Cmd,
    ) -> Result<(T, Arc<Node>), WriteFailure> {
        let deadline = self.deadline();
        let turn = timeout_at(deadline, self.writes.acquire()).await;
        let Ok(Ok(_permit)) = turn else {
            return Err(WriteFailure::NoAnswer);
        };
        let commands = std::slice::from_ref(command);
        let replies = self.send_to_holder(key, commands, deadline).await;
        let mut replies = replies.map_err(|_| WriteFailure::NoAnswer)?;
        let answer = replies.answers.pop().unwrap_or(Ok(Value::Nil));
        match answer.and_then(|answer| Ok(from_redis_value(answer)?)) {
            Ok(answer) => Ok((answer, replies.node)),
            Err(error) => match code(&error) {
                Some(code) => Err(WriteFailure::Refused(code.to_owned(), replies.node)),
                None => {
                    replies.disconnect(&describe(WRITE, &error));
                    Err(WriteFailure::NoAnswer)
                }
            },
        }
    }
}

fn note_outcome<T>(
    name: &'static str,
    answer: Result<(T, Arc<Node>), WriteFailure>,
) -> Result<T, Unwritten> {
    match answer {
        Ok((answer, node)) => {
            node.write_succeeded();
            Ok(answer)
        }
        Err(WriteFailure::Refused(code, node)) => {
            node.write_was_refused(name, &code);
            Err(Unwritten)
        }
        Err(WriteFailure::NoAnswer) => Err(Unwritten),
    }
}

/// The reason why a write did not succeed.
enum WriteFailure {
    /// This server refused the write, with this code.
    Refused(String, Arc<Node>),
    /// No server was asked, or none answered.
    NoAnswer,
}

/// Milliseconds for Redis, capped so that it accepts them.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis())
        .unwrap_or(u64::MAX)
        .min(MAX_TTL)
}

pub(super) const TIME_LEFT: &str = "PTTL";
pub(super) const DELETE: &str = "DEL";

static SHA: LazyLock<String> = LazyLock::new(|| script::sha(SCRIPT));

/// Replaces a lease with a value. `GETRANGE` needs no permission beyond those of lookups. It reads one byte more than a
/// lease has, so that no longer value is taken for the lease.
const SCRIPT: &str = r"
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
";

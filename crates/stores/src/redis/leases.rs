//! Leases on keys: the right to write down what the truth says.
//!
//! Who finds nothing under a key leaves a lease there, asks the truth, and replaces the lease by the answer: the lease, and
//! nothing else. So whoever deletes the key in the meantime, an application or a node that hears of a change, also takes the
//! right away from those who have asked before, and no answer from before a change is written after it.

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
use super::{MAX_TTL, Redis, Topology, Unwritten, reading};

/// A value, and how long Redis keeps it.
#[derive(Debug)]
pub(in super::super) struct Aged {
    /// Empty where there is none.
    pub(in super::super) value: Vec<u8>,
    /// `None` where it does not say, or where there is no end.
    pub(in super::super) left: Option<Duration>,
}

/// What the cache asks of Redis. A trait, so that a test can put these in any order.
pub(in super::super) trait Cells: Send + Sync {
    /// What is under `key`; of a longer text, `longest` bytes and one more. And how long it is kept, if that matters.
    fn read<'a>(
        &'a self,
        key: &'a [u8],
        longest: usize,
        age_matters: bool,
    ) -> Soon<'a, Result<Aged, StoreError>>;

    /// Leaves `lease` under `key` for as long as `ttl`. `false` where something stands there.
    fn lease<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a [u8],
        ttl: Duration,
    ) -> Soon<'a, Result<bool, Unwritten>>;

    /// Puts `value` in the place of `lease` for as long as its time; without a value, takes the lease back. `false` where the lease
    /// is not there any more.
    fn redeem<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a [u8],
        value: Option<(&'a [u8], Duration)>,
    ) -> Soon<'a, Result<bool, Unwritten>>;

    /// Deletes `keys`.
    fn delete<'a>(&'a self, keys: &'a [Vec<u8>]) -> Soon<'a, Result<(), Unwritten>>;
}

/// What a method of [`Cells`] returns.
pub(in super::super) type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Cells for Redis {
    fn read<'a>(
        &'a self,
        key: &'a [u8],
        longest: usize,
        age_matters: bool,
    ) -> Soon<'a, Result<Aged, StoreError>> {
        Box::pin(async move {
            if age_matters {
                return self.read_aged(key, longest).await;
            }
            let value = Self::read(self, key, longest).await?;
            Ok(Aged { value, left: None })
        })
    }

    fn lease<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a [u8],
        ttl: Duration,
    ) -> Soon<'a, Result<bool, Unwritten>> {
        Box::pin(self.place(key, lease, ttl))
    }

    fn redeem<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a [u8],
        value: Option<(&'a [u8], Duration)>,
    ) -> Soon<'a, Result<bool, Unwritten>> {
        Box::pin(self.replace(key, lease, value))
    }

    fn delete<'a>(&'a self, keys: &'a [Vec<u8>]) -> Soon<'a, Result<(), Unwritten>> {
        Box::pin(async move {
            if let (Topology::Single(_), Some(first)) = (&self.topology, keys.first()) {
                let mut command = redis::cmd(DELETE);
                let _: u64 = self.write(first, DELETE, command.arg(keys)).await?;
                return Ok(());
            }
            // Each by itself: a cluster has them on several servers. They go out together all the same.
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
    /// The text under `key`, as [`Redis::read`] gives it, and for how long it is kept. It may have been kept for longer than this,
    /// and never for less.
    async fn read_aged(&self, key: &[u8], longest: usize) -> Result<Aged, StoreError> {
        let mut left = redis::cmd(LEFT);
        left.arg(key);
        // In this order: a value that takes the place of another in between is younger than it looks.
        let mut replies = self.look_up(key, &[left, reading(key, longest)]).await?;
        let mut answers = std::mem::take(&mut replies.answers).into_iter();
        let (left, value) = (answers.next(), answers.next());
        let left = left.unwrap_or(Ok(Value::Nil));
        match left.and_then(|left| Ok(from_redis_value::<i64>(left)?)) {
            Ok(left) => Ok(Aged {
                value: replies.text(READ, value)?,
                left: u64::try_from(left).ok().map(Duration::from_millis),
            }),
            Err(error) => Ok(Aged {
                value: replies.text(LEFT, Some(Err(error)))?,
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
            // It was restarted, or never knew: with the whole script it does from now on.
            Err(Refused::Code(code, _)) if code == "NOSCRIPT" => {
                self.write(key, EVAL, &command(EVAL, SCRIPT)).await?
            }
            known => written(EVALSHA, known)?,
        };
        Ok(redeemed == 1)
    }

    async fn write<T: FromRedisValue>(
        &self,
        key: &[u8],
        name: &'static str,
        command: &Cmd,
    ) -> Result<T, Unwritten> {
        written(name, self.write_once(key, command).await)
    }

    /// Waits for its turn, so that a burst is written too.
    async fn write_once<T: FromRedisValue>(
        &self,
        key: &[u8],
        command: &Cmd,
    ) -> Result<(T, Arc<Node>), Refused> {
        let deadline = self.deadline();
        let turn = timeout_at(deadline, self.writes.acquire()).await;
        let Ok(Ok(_permit)) = turn else {
            return Err(Refused::Nothing);
        };
        let commands = std::slice::from_ref(command);
        let replies = self.ask_holder(key, commands, deadline).await;
        let mut replies = replies.map_err(|_| Refused::Nothing)?;
        let answer = replies.answers.pop().unwrap_or(Ok(Value::Nil));
        match answer.and_then(|answer| Ok(from_redis_value(answer)?)) {
            Ok(answer) => Ok((answer, replies.node)),
            Err(error) => match code(&error) {
                Some(code) => Err(Refused::Code(code.to_owned(), replies.node)),
                None => {
                    replies.disconnect(&describe(WRITE, &error));
                    Err(Refused::Nothing)
                }
            },
        }
    }
}

fn written<T>(name: &'static str, answer: Result<(T, Arc<Node>), Refused>) -> Result<T, Unwritten> {
    match answer {
        Ok((answer, node)) => {
            node.writes_work();
            Ok(answer)
        }
        Err(Refused::Code(code, node)) => {
            node.write_was_refused(name, &code);
            Err(Unwritten)
        }
        Err(Refused::Nothing) => Err(Unwritten),
    }
}

/// Why a command did not do what it should.
enum Refused {
    /// This server says so, with this code.
    Code(String, Arc<Node>),
    /// It was not asked, or did not answer.
    Nothing,
}

/// For Redis: not so long that it would be refused.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis())
        .unwrap_or(u64::MAX)
        .min(MAX_TTL)
}

pub(super) const LEFT: &str = "PTTL";
pub(super) const DELETE: &str = "DEL";

static SHA: LazyLock<String> = LazyLock::new(|| script::sha(SCRIPT));

/// `GETRANGE` reads what the gate's user may read anyway; a lease is as long as any other, so no longer value looks like it.
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

//! Leases on keys: the right to write down what the truth says.
//!
//! Who finds nothing under a key leaves a lease there, asks the truth, and replaces the lease by the answer: the lease, and
//! nothing else. So whoever deletes the key in the meantime, an application or a node that hears of a change, also takes the
//! right away from those who have asked before, and no answer from before a change is written after it.

use std::pin::Pin;
use std::sync::LazyLock;
use std::time::Duration;

use gate::StoreError;
use redis::{Cmd, FromRedisValue, RedisResult};
use tokio::time::{Instant, timeout_at};

use super::refusal::{READ, WRITE, code, describe};
use super::script::{self, EVAL, EVALSHA};
use super::{Line, MAX_TTL, Redis, Unwritten, reading};

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
            let mut command = redis::cmd(DELETE);
            let _: u64 = self.write(DELETE, command.arg(keys)).await?;
            Ok(())
        })
    }
}

impl Redis {
    /// The text under `key`, as [`Redis::read`] gives it, and for how long it is kept. It may have been kept for longer than this,
    /// and never for less.
    async fn read_aged(&self, key: &[u8], longest: usize) -> Result<Aged, StoreError> {
        let deadline = Instant::now() + self.target.timeout;
        let (mut connection, number) = self.line_by(deadline).await?;
        let mut both = redis::pipe();
        // In this order: a value that takes the place of another in between is younger than it looks.
        both.cmd(LEFT).arg(key);
        both.add_command(reading(key, longest));
        // Each answer by itself: of what is refused together, the driver does not say the code.
        let asked = both.ignore_errors().query_async(&mut connection);
        let answer = timeout_at(deadline, asked).await;
        let (mut refused, mut left) = (READ, None);
        let answer = answer.map(
            |both: RedisResult<(RedisResult<i64>, RedisResult<Vec<u8>>)>| {
                let (ends, value) = both?;
                let ends = ends.inspect_err(|_| refused = LEFT)?;
                left = u64::try_from(ends).ok().map(Duration::from_millis);
                value
            },
        );
        let value = self.text(number, refused, answer)?;
        Ok(Aged { value, left })
    }

    async fn place(&self, key: &[u8], lease: &[u8], ttl: Duration) -> Result<bool, Unwritten> {
        let mut command = redis::cmd(WRITE);
        command
            .arg(key)
            .arg(lease)
            .arg("PX")
            .arg(millis(ttl))
            .arg("NX");
        let placed: Option<String> = self.write(WRITE, &command).await?;
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
        let known: Result<u8, _> = self.write_once(&command(EVALSHA, &SHA)).await;
        let redeemed = match known {
            // It was restarted, or never knew: with the whole script it does from now on.
            Err(Refused::Code(code)) if code == "NOSCRIPT" => {
                self.write(EVAL, &command(EVAL, SCRIPT)).await?
            }
            known => self.written(EVALSHA, known)?,
        };
        Ok(redeemed == 1)
    }

    async fn write<T: FromRedisValue>(
        &self,
        name: &'static str,
        command: &Cmd,
    ) -> Result<T, Unwritten> {
        let answer = self.write_once(command).await;
        self.written(name, answer)
    }

    fn written<T>(&self, name: &'static str, answer: Result<T, Refused>) -> Result<T, Unwritten> {
        match answer {
            Ok(answer) => {
                self.writes_work();
                Ok(answer)
            }
            Err(Refused::Code(code)) => {
                self.write_was_refused(name, &code);
                Err(Unwritten)
            }
            Err(Refused::Nothing) => Err(Unwritten),
        }
    }

    /// Waits for its turn, so that a burst is written too.
    async fn write_once<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Refused> {
        let deadline = Instant::now() + self.target.timeout;
        let turn = timeout_at(deadline, self.writes.acquire()).await;
        let Ok(Ok(_permit)) = turn else {
            return Err(Refused::Nothing);
        };
        let Line::Open {
            mut connection,
            number,
            ..
        } = self.line.borrow().clone()
        else {
            return Err(Refused::Nothing);
        };
        let asked = command.query_async(&mut connection);
        match timeout_at(deadline, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => match code(&error) {
                Some(code) => return Err(Refused::Code(code.to_owned())),
                None => self.hang_up(number, &describe(WRITE, &error)),
            },
            Err(_) => self.hang_up(number, &self.too_late()),
        }
        Err(Refused::Nothing)
    }
}

/// Why a command did not do what it should.
enum Refused {
    /// The server says so, with this code.
    Code(String),
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

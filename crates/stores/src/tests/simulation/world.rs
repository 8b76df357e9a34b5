//! The simulated environment of a chain: a Redis, a truth, and a clock that the test sets. Operations wait until they are
//! executed, and replies wait until they are delivered, so anything can happen in between.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gate::{Lookup, LookupSource, StoreError, User};
use serde_json::json;
use session::UnixTime;
use tokio::sync::oneshot;

use super::super::super::chain::Truth;
use super::super::super::redis::{AgedValue, BoxFuture, CacheBackend, Unwritten};
use super::super::super::reporter::Reporter;
use super::super::super::single_flight::LookupResult;
use crate::Clock;

thread_local! {
    static START: Cell<Option<Instant>> = const { Cell::new(None) };
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// Seeds this thread's [`random`] numbers.
pub(super) fn seed(seed: u64) {
    RANDOM.set(seed);
}

/// Returns the next number of the sequence that follows from the seed (splitmix64).
pub(super) fn random() -> u64 {
    let state = RANDOM.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    RANDOM.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A node's timeout for Redis and for the truth.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);

/// The simulated clock of this thread.
pub(super) fn clock() -> Clock {
    Clock::new(monotonic, || UnixTime::from_secs(1_900_000_000))
}

#[expect(clippy::disallowed_methods, reason = "the clock needs some start")]
fn monotonic() -> Instant {
    let start = START.get().unwrap_or_else(|| {
        START.set(Some(Instant::now()));
        START.get().unwrap()
    });
    start + PASSED.get()
}

/// How much time has passed.
pub(super) fn passed() -> Duration {
    PASSED.get()
}

pub(super) fn advance(time: Duration) {
    PASSED.set(PASSED.get() + time);
}

/// A key. There are few keys, so that many events affect each.
pub(super) type Key = usize;

pub(super) fn name(key: Key) -> String {
    format!("user-{key}")
}

/// The prefix of keys of Redis.
pub(super) const PREFIX: &str = "auth:";

fn redis_key(key: Key) -> Vec<u8> {
    format!("{PREFIX}{}", name(key)).into_bytes()
}

/// The truth's answer after this many changes; every fourth is that there is no such user.
pub(super) fn state(version: u64) -> Option<User> {
    (version % 4 != 3).then(|| User::with_columns(vec![json!(version)]))
}

/// Whether this was the truth's answer after some number of changes from `floor` up to `next`, exclusive.
pub(super) fn is_since(found: Option<&User>, floor: u64, next: u64) -> bool {
    (floor..next).any(|version| state(version).as_ref() == found)
}

/// A message that a channel delivers to a node.
#[derive(Clone, Debug)]
pub(super) enum Message {
    /// Redis pushes a key.
    Pushed(Vec<u8>),
    /// A marker that delivers nothing: all earlier pushes have arrived, and the key had this many changes when it was
    /// deleted.
    Deleted(Key, u64),
    /// The truth announces a change of the key, and how many changes the key now has.
    Changed(Key, u64),
}

/// Everything outside the nodes.
#[derive(Default)]
pub(super) struct World {
    /// How often each key has changed.
    pub(super) versions: Vec<u64>,
    /// The time of each change of each key.
    since: Vec<Vec<Duration>>,
    /// The number of changes when the application last deleted each key from Redis.
    pub(super) deleted: Vec<u64>,
    values: BTreeMap<Vec<u8>, (Vec<u8>, Duration)>,
    /// The fewest changes that a value written under each key must include.
    floors: BTreeMap<Vec<u8>, u64>,
    /// The messages that each channel has yet to deliver to each node. `None` if the channel is broken.
    pub(super) from_redis: Vec<Option<VecDeque<Message>>>,
    pub(super) from_truth: Vec<Option<VecDeque<Message>>>,
    pub(super) operations: Vec<Operation>,
    pub(super) truth_lookups: u64,
    /// Violations that were found.
    pub(super) faults: Vec<String>,
}

/// An operation on Redis or the truth.
pub(super) struct Operation {
    what: Command,
    pub(super) since: Duration,
    /// The result, once the operation was executed.
    done: Option<Reply>,
    reply: Option<oneshot::Sender<Reply>>,
}

#[derive(Clone, Debug)]
enum Command {
    Read(Vec<u8>),
    Lease(Vec<u8>, Vec<u8>, Duration),
    Redeem(Vec<u8>, Vec<u8>, Option<(Vec<u8>, Duration)>),
    /// Deletes keys. The numbers are the fewest changes that later writes of each key must include, once executed.
    Delete(Vec<(Vec<u8>, u64)>),
    Find(Key),
}

#[derive(Clone, Debug)]
enum Reply {
    Value(Vec<u8>, Option<Duration>),
    Flag(bool),
    Found(Option<User>),
}

impl World {
    pub(super) fn new(keys: usize, nodes: usize) -> Self {
        Self {
            versions: vec![0; keys],
            since: vec![vec![passed()]; keys],
            deleted: vec![0; keys],
            from_redis: vec![None; nodes],
            from_truth: vec![None; nodes],
            ..Self::default()
        }
    }

    /// Changes a key in the truth, which announces it.
    pub(super) fn commit(&mut self, key: Key) {
        self.versions[key] += 1;
        self.since[key].push(passed());
        let message = Message::Changed(key, self.versions[key]);
        for queue in self.from_truth.iter_mut().flatten() {
            queue.push_back(message.clone());
        }
    }

    /// Whether this was the truth's answer about the key at some time in the last `age`.
    pub(super) fn was_true(&self, key: Key, found: Option<&User>, age: Duration) -> bool {
        let since = &self.since[key];
        (0..).zip(since).any(|(version, _)| {
            let ended = since.get(version + 1);
            let is_recent = ended.is_none_or(|ended| *ended + age >= passed());
            is_recent && state(version as u64).as_ref() == found
        })
    }

    /// Lets the application delete the key that it has just changed.
    pub(super) fn delete_by_app(&mut self, key: Key) {
        let version = self.versions[key];
        self.deleted[key] = version;
        self.remove(&redis_key(key), version);
        for queue in self.from_redis.iter_mut().flatten() {
            queue.push_back(Message::Deleted(key, version));
        }
    }

    /// Lets Redis remove and announce expired keys.
    pub(super) fn expire(&mut self) {
        let ended: Vec<_> = self
            .values
            .iter()
            .filter(|(_, (_, end))| *end <= passed())
            .map(|(key, _)| key.clone())
            .collect();
        for key in ended {
            self.values.remove(&key);
            self.push(&key);
        }
    }

    /// Executes an operation, unless it was executed already.
    pub(super) fn execute(&mut self, index: usize) {
        if self.operations[index].done.is_some() {
            return;
        }
        let done = match self.operations[index].what.clone() {
            Command::Read(key) => match self.get(&key) {
                Some((value, end)) => Reply::Value(value, Some(end - passed())),
                None => Reply::Value(Vec::new(), None),
            },
            Command::Lease(key, lease, ttl) => {
                let is_free = self.get(&key).is_none();
                if is_free {
                    self.put(&key, lease, ttl);
                }
                Reply::Flag(is_free)
            }
            Command::Redeem(key, lease, value) => {
                let is_ours = self.get(&key).is_some_and(|(value, _)| value == lease);
                match value {
                    Some((value, ttl)) if is_ours => {
                        self.check_write(&key, &value);
                        self.put(&key, value, ttl);
                    }
                    None if is_ours => self.remove(&key, 0),
                    Some(_) | None => {}
                }
                Reply::Flag(is_ours)
            }
            Command::Delete(keys) => {
                for (key, floor) in keys {
                    self.remove(&key, floor);
                }
                Reply::Flag(true)
            }
            Command::Find(key) => {
                self.truth_lookups += 1;
                Reply::Found(state(self.versions[key]))
            }
        };
        self.operations[index].done = Some(done);
    }

    /// Delivers the reply of an operation, if it was executed.
    pub(super) fn deliver(&mut self, index: usize) {
        if let Some(done) = self.operations[index].done.clone()
            && let Some(reply) = self.operations.swap_remove(index).reply
        {
            let _ = reply.send(done);
        }
    }

    /// Lets the caller of an operation time out. An operation that was not executed yet may still be.
    pub(super) fn give_up(&mut self, index: usize) {
        self.operations[index].reply = None;
        if self.operations[index].done.is_some() {
            self.operations.swap_remove(index);
        }
    }

    /// Lets callers that have waited too long time out.
    pub(super) fn time_out(&mut self) {
        for index in (0..self.operations.len()).rev() {
            let waits = self.operations[index].reply.is_some();
            if waits && self.operations[index].since + TIMEOUT <= passed() {
                self.give_up(index);
            }
        }
    }

    /// Drops operations whose callers no longer wait, without executing them.
    pub(super) fn drop_abandoned(&mut self) {
        self.operations
            .retain(|operation| operation.reply.is_some());
    }

    fn get(&self, key: &[u8]) -> Option<(Vec<u8>, Duration)> {
        let value = self.values.get(key);
        value.filter(|(_, end)| *end > passed()).cloned()
    }

    fn put(&mut self, key: &[u8], value: Vec<u8>, ttl: Duration) {
        self.values.insert(key.to_vec(), (value, passed() + ttl));
        self.push(key);
    }

    fn remove(&mut self, key: &[u8], floor: u64) {
        let lowest = self.floors.entry(key.to_vec()).or_default();
        *lowest = floor.max(*lowest);
        if self.values.remove(key).is_some() {
            self.push(key);
        }
    }

    fn push(&mut self, key: &[u8]) {
        for queue in self.from_redis.iter_mut().flatten() {
            queue.push_back(Message::Pushed(key.to_vec()));
        }
    }

    /// Checks that a written value is not older than the last deletion.
    fn check_write(&mut self, redis_key: &[u8], value: &[u8]) {
        let key = (0..self.versions.len()).find(|key| self::redis_key(*key) == redis_key);
        let floor = self.floors.get(redis_key).copied().unwrap_or(0);
        let next = self.versions[key.unwrap()] + 1;
        let text = str::from_utf8(value).unwrap();
        let is_state = |version: &u64| match state(*version) {
            Some(_) => text.contains(&format!(r#""columns":[{version}]"#)),
            None => text.contains(r#""user":false"#),
        };
        if !(floor..next).any(|version| is_state(&version)) {
            let fault = format!("{text} is written after it was deleted with {floor}");
            self.faults.push(fault);
        }
    }
}

/// The world, as one node sees it.
#[derive(Clone)]
pub(super) struct NodeView {
    pub(super) world: Arc<Mutex<World>>,
    /// The number of changes of each key that were announced to this node.
    pub(super) received: Arc<Mutex<Vec<u64>>>,
}

impl NodeView {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    async fn send(&self, what: Command) -> Option<Reply> {
        let (reply, answer) = oneshot::channel();
        self.world().operations.push(Operation {
            what,
            since: passed(),
            done: None,
            reply: Some(reply),
        });
        answer.await.ok()
    }

    async fn run(&self, what: Command) -> Result<bool, Unwritten> {
        match self.send(what).await {
            Some(Reply::Flag(flag)) => Ok(flag),
            _ => Err(Unwritten),
        }
    }
}

impl CacheBackend for NodeView {
    fn read<'a>(
        &'a self,
        key: &'a [u8],
        _: usize,
        _: bool,
    ) -> BoxFuture<'a, Result<AgedValue, StoreError>> {
        Box::pin(async move {
            match self.send(Command::Read(key.to_vec())).await {
                Some(Reply::Value(value, left)) => Ok(AgedValue { value, left }),
                _ => Err(failed(LookupSource::Redis)),
            }
        })
    }

    fn lease<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool, Unwritten>> {
        Box::pin(self.run(Command::Lease(key.to_vec(), lease.to_vec(), ttl)))
    }

    fn redeem<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a [u8],
        value: Option<(&'a [u8], Duration)>,
    ) -> BoxFuture<'a, Result<bool, Unwritten>> {
        let value = value.map(|(value, ttl)| (value.to_vec(), ttl));
        Box::pin(self.run(Command::Redeem(key.to_vec(), lease.to_vec(), value)))
    }

    fn delete<'a>(&'a self, keys: &'a [Vec<u8>]) -> BoxFuture<'a, Result<(), Unwritten>> {
        let received = self.received.lock().unwrap().clone();
        let floor = |redis_key: &Vec<u8>| {
            let key = (0..received.len()).find(|key| self::redis_key(*key) == *redis_key);
            (redis_key.clone(), received[key.unwrap()])
        };
        let keys = keys.iter().map(floor).collect();
        Box::pin(async move { self.run(Command::Delete(keys)).await.map(|_| ()) })
    }
}

impl Truth for NodeView {
    type Fact = User;
    type Query = Key;

    async fn find(&self, key: Key, _: &Reporter) -> LookupResult<User> {
        match self.send(Command::Find(key)).await {
            Some(Reply::Found(found)) => Ok(Lookup {
                found,
                source: LookupSource::Postgres,
            }),
            _ => Err(failed(LookupSource::Postgres)),
        }
    }

    fn source(&self) -> LookupSource {
        LookupSource::Postgres
    }
}

fn failed(store: LookupSource) -> StoreError {
    StoreError::Failed {
        store,
        detail: "no answer".to_owned(),
    }
}

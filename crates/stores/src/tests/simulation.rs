//! Simulates random orders of events, and checks that no node gives an answer from before a change that was announced to
//! it.
//!
//! Nodes with the real chain run in a [`world`] in which every lookup, every answer and every announcement waits for
//! its turn, and a generator of random numbers chooses the turns: each seed always produces the same schedule.
//! `SCHEDULES` and `SEED` in the environment set the number of schedules and the first seed.
//!
//! `xtask/src/mutations.rs` lists changes of the chain that this simulation must detect.

mod world;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use gate::{LookupSource, User};
use tokio::runtime::{Builder, Handle};
use tokio::task::{JoinHandle, yield_now};
use tokio_util::task::TaskTracker;

use self::world::{Key, Message, NodeView, PREFIX, World, is_since, name};
use super::super::cache::SharedCache;
use super::super::chain::{self, Chain, Outage, Tasks};
use super::super::changes::{Changes, Channels};
use super::super::channel::{Channel, ChannelSubscriber as _, Invalidation};
use super::super::memory::Memory;
use super::super::process::Jitter;
use super::super::record::RecordScope;
use super::super::reporter::Reporter;
use super::super::single_flight::LookupResult;
use super::*;

#[test]
fn no_schedule_yields_an_answer_from_before_an_announced_change() {
    #[expect(clippy::disallowed_methods, reason = "a test has no other settings")]
    let number = |name: &str, default| {
        let set = std::env::var_os(name);
        set.map_or(default, |value| value.to_str().unwrap().parse().unwrap())
    };
    let first = number("SEED", 0);
    let schedules = number("SCHEDULES", 3_000);
    let mut seen = Seen::default();
    for seed in first..first + schedules {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(seed, &mut seen));
    }
    // A simulation in which nothing happens proves nothing.
    let share = |part: u64| part * 1000 / seen.answers;
    assert!(share(seen.from_memory) > 30, "{seen:?}");
    assert!(share(seen.from_redis) > 20, "{seen:?}");
    assert!(share(seen.failed) > 1, "{seen:?}");
    let is_seen = |times: u64| times > schedules / 100;
    assert!(is_seen(seen.due) && is_seen(seen.stale), "{seen:?}");
    println!("{schedules} schedules from seed {first}: {seen:?}");
}

/// Counts the events of all schedules.
#[derive(Debug, Default)]
struct Seen {
    answers: u64,
    from_memory: u64,
    from_redis: u64,
    failed: u64,
    /// Answers from memory that were due for renewal.
    due: u64,
    /// Stale answers while the truth was down.
    stale: u64,
    truth_lookups: u64,
}

/// A node of the gate.
struct SimulatedNode {
    chain: Arc<Chain<NodeView>>,
    view: NodeView,
    /// The channels that the node has.
    has: Channels,
    is_up: Channels,
}

/// A request that waits for an answer about a key. The answer must include at least `floor` changes.
struct PendingRequest {
    key: Key,
    floor: u64,
    answer: JoinHandle<LookupResult<User>>,
}

async fn run(seed: u64, seen: &mut Seen) {
    let mut rng = Rng::with_seed(seed);
    world::seed(seed);
    let keys = rng.usize(1..=2);
    let has = Channels {
        postgres: rng.bool(),
        redis: true,
    };
    let world = Arc::new(Mutex::new(World::new(keys, NODES)));
    let stale = if rng.bool() { STALE } else { Duration::ZERO };
    let nodes: Vec<_> = (0..NODES)
        .map(|_| SimulatedNode::new(&world, has, keys, stale))
        .collect();
    let mut schedule = Schedule {
        rng,
        seed,
        world,
        nodes,
        pending: Vec::new(),
    };
    schedule.begin();
    for _ in 0..STEPS {
        schedule.step(seen).await;
        schedule.check(seen).await;
    }
    schedule.finish(seen).await;
}

struct Schedule {
    rng: Rng,
    seed: u64,
    world: Arc<Mutex<World>>,
    nodes: Vec<SimulatedNode>,
    pending: Vec<PendingRequest>,
}

impl Schedule {
    /// Opens the channels of all nodes, except that each stays closed with a probability of one in ten.
    fn begin(&mut self) {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            for channel in [Channel::Postgres, Channel::Redis] {
                let is_there = channel == Channel::Redis || node.has.postgres;
                if is_there && self.rng.u8(..10) > 0 {
                    node.cut_or_heal(index, channel);
                }
            }
        }
    }

    async fn step(&mut self, seen: &mut Seen) {
        world::advance(Duration::from_micros(self.rng.u64(1..500)));
        let node = self.rng.usize(..NODES);
        let key = self.rng.usize(..self.world.lock().unwrap().versions.len());
        match self.rng.u32(..100) {
            0..25 => self.ask(node, key, seen),
            25..50 => self.operate(|world, index| world.execute(index)),
            50..70 => self.operate(|world, index| world.deliver(index)),
            70..72 => self.operate(|world, index| world.give_up(index)),
            72..73 => self.world.lock().unwrap().drop_abandoned(),
            73..78 => self.change(key),
            78..90 => self.nodes[node].receive(node, &mut self.rng),
            90..92 => {
                let node_has = self.nodes[node].has;
                let channel = match node_has.postgres && self.rng.bool() {
                    true => Channel::Postgres,
                    false => Channel::Redis,
                };
                self.nodes[node].cut_or_heal(node, channel);
            }
            92..95 => self.world.lock().unwrap().expire(),
            95..97 => self.ask_when_due(node, key, seen),
            97..98 => self.expire_all(node, key, seen).await,
            _ => self.advance_time(),
        }
        settle().await;
    }

    /// Sends a request to a node.
    fn ask(&mut self, node: usize, key: Key, seen: &mut Seen) {
        let node = &self.nodes[node];
        let floor = node.floor(key);
        let known = node
            .chain
            .memory
            .recall(&name(key), node.chain.clock.monotonic());
        if let Some(lookup) = node.chain.recall(&name(key), || key) {
            seen.answers += 1;
            seen.from_memory += 1;
            seen.due += u64::from(known.is_some_and(|known| known.is_due));
            let world = self.world.lock().unwrap();
            let next = world.versions[key] + 1;
            let found = lookup.found.as_ref();
            // Memory may keep a hit in Redis that was current as far as the database had announced changes, while another
            // announcement was on its way.
            let oldest = match node.has.postgres {
                true => IN_MEMORY + IN_REDIS + MAX_TRANSIT,
                false => IN_MEMORY.max(IN_REDIS),
            };
            assert!(
                world.was_true(key, found, oldest),
                "seed {}: {found:?} of {key} from memory, which was last true longer ago than any cache may keep an answer",
                self.seed
            );
            assert!(
                is_since(found, node.received(key), next),
                "seed {}: {found:?} of {key} from memory, after {} was announced",
                self.seed,
                node.received(key),
            );
            let is_down = match node.has.postgres {
                true => !node.is_up.postgres,
                false => !node.is_up.redis,
            };
            assert!(
                !is_down,
                "seed {}: from memory while the channel is down",
                self.seed
            );
            return;
        }
        let chain = Arc::clone(&node.chain);
        let answer = async move { chain.find(&name(key), || key).await };
        self.pending.push(PendingRequest {
            key,
            floor,
            answer: Handle::current().spawn(answer),
        });
    }

    /// Sends a request to a node shortly before an entry expires, and perhaps more until it has expired.
    fn ask_when_due(&mut self, node: usize, key: Key, seen: &mut Seen) {
        let chain = Arc::clone(&self.nodes[node].chain);
        let recalled = || chain.memory.recall(&name(key), chain.clock.monotonic());
        while recalled().is_some_and(|recalled| !recalled.is_due) {
            world::advance(Duration::from_millis(500));
        }
        self.world.lock().unwrap().time_out();
        self.ask(node, key, seen);
        if self.rng.bool() {
            while recalled().is_some() {
                world::advance(Duration::from_millis(500));
                self.world.lock().unwrap().time_out();
                self.ask(node, key, seen);
            }
        }
    }

    /// Applies `what` to one of the operations in flight.
    fn operate(&mut self, what: impl Fn(&mut World, usize)) {
        let mut world = self.world.lock().unwrap();
        if !world.operations.is_empty() {
            let index = self.rng.usize(..world.operations.len());
            what(&mut world, index);
        }
    }

    /// Lets the application change something, and perhaps delete the key in Redis at once.
    fn change(&mut self, key: Key) {
        let mut world = self.world.lock().unwrap();
        world.commit(key);
        if self.rng.bool() {
            world.delete_by_app(key);
        }
    }

    /// Lets time pass: a little while requests wait, and otherwise perhaps a lot.
    fn advance_time(&mut self) {
        let mut world = self.world.lock().unwrap();
        let waits = !world.operations.is_empty();
        let longest = if waits { 300 } else { 60_000 };
        world::advance(Duration::from_millis(self.rng.u64(1..longest)));
        world.time_out();
    }

    /// Changes something, lets every entry of the nodes expire, even as a stale answer, and sends a request to a node while
    /// neither Redis nor the truth answers.
    async fn expire_all(&mut self, node: usize, key: Key, seen: &mut Seen) {
        if !self.world.lock().unwrap().operations.is_empty() {
            return;
        }
        self.change(key);
        world::advance(IN_MEMORY + STALE + 2 * MOMENT);
        self.world.lock().unwrap().time_out();
        self.ask(node, key, seen);
        // The node asks Redis, and then the truth.
        for _ in 0..2 {
            settle().await;
            self.operate(|world, index| world.give_up(index));
        }
    }

    /// Checks the answers that have arrived.
    async fn check(&mut self, seen: &mut Seen) {
        let (ready, waiting) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition::<Vec<_>, _>(|pending| pending.answer.is_finished());
        self.pending = waiting;
        for PendingRequest { key, floor, answer } in ready {
            seen.answers += 1;
            let Ok(lookup) = answer.await.unwrap() else {
                seen.failed += 1;
                continue;
            };
            seen.from_redis += u64::from(lookup.source == LookupSource::Redis);
            let world = self.world.lock().unwrap();
            let next = world.versions[key] + 1;
            let found = lookup.found.as_ref();
            if lookup.source == LookupSource::Stale {
                seen.stale += 1;
                let from_redis = IN_REDIS + MAX_TRANSIT + MAX_FLIGHT_TIME;
                let oldest = from_redis.max(IN_MEMORY + STALE) + MOMENT;
                assert!(
                    found.is_some() && world.was_true(key, found, oldest),
                    "seed {}: {found:?} of {key} while the truth is down, from too long ago",
                    self.seed
                );
            }
            drop(world);
            assert!(
                is_since(found, floor, next),
                "seed {}: {found:?} of {key} for a request that began after {floor} was announced",
                self.seed
            );
        }
        let faults = self.world.lock().unwrap().faults.clone();
        assert!(faults.is_empty(), "seed {}: {faults:?}", self.seed);
    }

    /// Lets everything in flight finish.
    async fn finish(&mut self, seen: &mut Seen) {
        while !self.pending.is_empty() {
            self.operate(|world, index| {
                world.execute(index);
                world.deliver(index);
            });
            settle().await;
            self.check(seen).await;
        }
        seen.truth_lookups += self.world.lock().unwrap().truth_lookups;
        for node in &self.nodes {
            node.chain.tasks.tracker.close();
        }
    }
}

impl SimulatedNode {
    fn new(world: &Arc<Mutex<World>>, has: Channels, keys: usize, stale: Duration) -> Self {
        let view = NodeView {
            world: Arc::clone(world),
            received: Arc::new(Mutex::new(vec![0; keys])),
        };
        let clock = world::clock();
        let redis = RedisSettings {
            timeout: world::TIMEOUT,
            cache_ttl: IN_REDIS,
            key_prefix: PREFIX.to_owned(),
            ..redis("redis://127.0.0.1:1")
        };
        let scope = RecordScope {
            description: "users".to_owned(),
            columns: 1,
            claims: 0,
        };
        let absent_ttl = Duration::from_secs(5);
        let settings = MemorySettings {
            ttl: IN_MEMORY,
            entries: 10,
            bytes: MANY_BYTES,
        };
        let jitter = Jitter::new(world::random);
        let needed = Channels {
            redis: !has.postgres,
            ..has
        };
        let changes = Changes::new(has, needed, clock.monotonic());
        let (outdated, waiting) = has.postgres.then(chain::outdated).unzip();
        let chain = Arc::new(Chain {
            memory: Memory::new(settings, absent_ttl, changes, jitter),
            cache: Some(SharedCache::new(
                Arc::new(view.clone()),
                &redis,
                "",
                scope,
                absent_ttl,
                world::TIMEOUT,
                clock.clone(),
                jitter,
            )),
            truth: view.clone(),
            flights: Arc::default(),
            reporter: Reporter {
                observer: Arc::new(RecordedOutcomes::default()),
                kind: FactKind::User,
            },
            tasks: Tasks {
                runtime: Handle::current(),
                tracker: TaskTracker::new(),
            },
            clock,
            outage: Outage::new(stale, None),
            outdated,
            listener: Arc::new(RecordedOutcomes::default()),
        });
        if let Some(waiting) = waiting {
            chain
                .tasks
                .spawn(Arc::clone(&chain).delete_outdated(waiting));
        }
        Self {
            chain,
            view,
            has,
            is_up: Channels::NONE,
        }
    }

    /// The number of changes of the key that were announced to the node.
    fn received(&self, key: Key) -> u64 {
        self.view.received.lock().unwrap()[key]
    }

    /// The number of changes that the answer to a request that begins now must include. A node that listens only to Redis
    /// learns of changes by deletions, and an answer that is on its way then may be older.
    fn floor(&self, key: Key) -> u64 {
        match self.has.postgres {
            true => self.received(key),
            false => 0,
        }
    }

    /// Delivers the next announcement on one of the node's channels.
    fn receive(&mut self, index: usize, rng: &mut Rng) {
        let mut world = self.view.world();
        let queue = match self.has.postgres && rng.bool() {
            true => &mut world.from_truth[index],
            false => &mut world.from_redis[index],
        };
        let message = queue.as_mut().and_then(VecDeque::pop_front);
        drop(world);
        match message {
            None => {}
            Some(Message::Pushed(key)) => self
                .chain
                .receive(Channel::Redis, &Invalidation::RedisKey(key.into())),
            Some(Message::Changed(key, version)) => {
                self.has_received(key, version);
                self.chain
                    .receive(Channel::Postgres, &Invalidation::User(name(key).into()));
            }
            Some(Message::Deleted(key, version)) if !self.has.postgres => {
                self.has_received(key, version);
            }
            Some(Message::Deleted(..)) => {}
        }
    }

    fn has_received(&self, key: Key, version: u64) {
        let received = &mut self.view.received.lock().unwrap()[key];
        *received = version.max(*received);
    }

    /// Breaks one of the node's channels, lets the node notice that it is broken, or opens it.
    fn cut_or_heal(&mut self, index: usize, channel: Channel) {
        let mut world = self.view.world();
        let queue = match channel {
            Channel::Postgres => &mut world.from_truth[index],
            Channel::Redis => &mut world.from_redis[index],
        };
        let is_up = match channel {
            Channel::Postgres => &mut self.is_up.postgres,
            Channel::Redis => &mut self.is_up.redis,
        };
        match (queue.is_some(), *is_up) {
            (true, _) => *queue = None,
            (false, true) => {
                *is_up = false;
                self.chain.channel_down(channel);
            }
            (false, false) => {
                *queue = Some(VecDeque::new());
                *is_up = true;
                // A needed channel is up from now on, and missed changes are treated as announced.
                let missed = match channel {
                    Channel::Postgres => world.versions.clone(),
                    Channel::Redis if self.has.postgres => Vec::new(),
                    Channel::Redis => world.deleted.clone(),
                };
                drop(world);
                for (key, version) in missed.into_iter().enumerate() {
                    self.has_received(key, version);
                }
                self.chain.channel_up(channel);
            }
        }
    }
}

/// Runs every task until it waits.
async fn settle() {
    for _ in 0..6 {
        yield_now().await;
    }
}

/// How long memory trusts a fact that exists.
const IN_MEMORY: Duration = Duration::from_secs(60);
const IN_REDIS: Duration = Duration::from_secs(20);

/// How long beyond [`IN_MEMORY`] an answer may be used while the truth is down (`STALE_IF_DOWN`).
const STALE: Duration = Duration::from_secs(30);

/// How much older a value in Redis may be than its time to live suggests.
const MAX_TRANSIT: Duration = Duration::from_secs(5);

/// The longest time that a flight takes: three lookups in Redis and the truth, and some time between readings of the
/// clock.
const MAX_FLIGHT_TIME: Duration = Duration::from_secs(20);

/// How much time passes until an answer is checked.
const MOMENT: Duration = Duration::from_secs(1);

const NODES: usize = 2;
const STEPS: usize = 120;

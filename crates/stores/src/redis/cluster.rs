//! A cluster of Redis servers, each of which holds some hash slots.
//!
//! A command goes to the server that is known to hold its key, and follows redirections. Every [`PROBE_EVERY`], and
//! whenever a server answers MOVED or does not reply, all connected servers are asked which server holds which slots. The
//! most common answer is used, because a server that is cut off from the others keeps its old view. Each server has its
//! own connection, which breaks and is reopened on its own: a server that hangs delays only commands about its own keys.
//!
//! The driver's own cluster client is not used: while it discovers servers it answers nothing and waits for a reply from
//! every server, and it opens TLS in its own way.

mod redirect;
mod seeds;
mod slot;
mod slot_map;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use gate::LookupSource;
use redis::{Cmd, Value};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use self::redirect::Redirect;
pub use self::seeds::ClusterSeeds;
pub(super) use self::seeds::Place;
use self::slot::SLOTS;
pub(super) use self::slot::{fixed_slot, slot_after, slot_of};
pub(super) use self::slot_map::SlotMap;
use super::super::health::Health;
use super::super::process::{Jitter, Trial};
use super::super::{PROBE_EVERY, StoreHealth};
use super::node::{NoReply, Node, Replies};
use super::refusal::{CLUSTER_SLOTS, describe};
use super::{RedisServer, RedisTarget};

/// The servers of a cluster, and the connections to them.
pub(super) struct Cluster {
    seeds: ClusterSeeds,
    target: RedisTarget,
    jitter: Jitter,
    state: watch::Sender<ClusterState>,
    discover_soon: Notify,
    trial: Trial,
    /// The health of slot discovery.
    health: Health,
}

/// The slots and servers of a cluster, as far as they are known.
#[derive(Default)]
struct ClusterState {
    slots: Option<Arc<SlotMap>>,
    /// Whether a discovery of slots has succeeded or failed at least once.
    has_tried_discovery: bool,
    nodes: BTreeMap<Place, KnownNode>,
}

/// A server that is kept connected.
#[derive(Clone)]
struct KnownNode {
    node: Arc<Node>,
    /// When a redirection last led to the server, or else when it was added.
    last_named: Instant,
}

impl Cluster {
    /// Creates a cluster whose slots and servers are not known yet.
    pub(super) fn new(
        seeds: &ClusterSeeds,
        target: RedisTarget,
        jitter: Jitter,
        trial: Trial,
    ) -> Self {
        Self {
            seeds: seeds.clone(),
            jitter,
            target,
            state: watch::Sender::new(ClusterState::default()),
            discover_soon: Notify::new(),
            health: Health::new(LookupSource::Redis, None, trial.clone()),
            trial,
        }
    }

    /// Sends commands about one key to the server that holds it.
    ///
    /// # Errors
    /// When that server does not reply in time, or is not known.
    pub(super) async fn send_to_holder(
        &self,
        key: &[u8],
        commands: &[Cmd],
        deadline: Instant,
    ) -> Result<Replies, NoReply> {
        let (mut node, mut asking) = (self.holder(slot_of(key), deadline).await?, false);
        for _ in 0..MAX_SENDS {
            let replies = node.send(commands, asking, deadline).await;
            let replies = replies.inspect_err(|_| self.discover_soon())?;
            let Some((redirect, to)) = Redirect::of(&replies) else {
                return Ok(replies);
            };
            asking = redirect == Redirect::Ask;
            if redirect == Redirect::Moved {
                self.discover_soon();
            }
            node = self.node_at(to)?;
        }
        Err(NoReply::Failed(
            "the servers of the cluster redirect the command to one another".to_owned(),
        ))
    }

    /// Discovers slots and keeps all servers connected, until canceled.
    pub(super) async fn keep_connected(&self) {
        tokio::join!(self.keep_discovering(), self.keep_each_connected());
    }

    /// Closes all connections for good, once [`Cluster::keep_connected`] has ended.
    pub(super) fn close(&self) {
        for kept in self.state.borrow().nodes.values() {
            kept.node.close();
        }
    }

    /// The slots of each server, as far as is known.
    pub(super) fn slots(&self) -> Option<Arc<SlotMap>> {
        self.state.borrow().slots.clone()
    }

    /// The slots of each server, after waiting for the first discovery.
    ///
    /// # Errors
    /// When no server has answered: a description.
    pub(super) async fn discovered(&self) -> Result<SlotMap, String> {
        self.discover_soon();
        let mut state = self.state.subscribe();
        let tried = state.wait_for(|state| state.has_tried_discovery).await;
        let slots = tried.ok().and_then(|state| state.slots.clone());
        let why = || self.health.report().detail.unwrap_or_default();
        slots.map(|slots| (*slots).clone()).ok_or_else(why)
    }

    /// The hosts and ports of all servers that should be connected.
    fn places(&self) -> Vec<Place> {
        self.state.borrow().nodes.keys().cloned().collect()
    }

    /// Requests a discovery of slots soon.
    pub(super) fn discover_soon(&self) {
        self.discover_soon.notify_one();
    }

    /// Whether at least one server that holds slots answers, as far as is known.
    pub(super) fn is_partly_up(&self) -> bool {
        let state = self.state.borrow();
        let mut holders = state.slots.iter().flat_map(|slots| slots.holders());
        holders.any(|place| {
            let kept = state.nodes.get(place);
            kept.is_some_and(|kept| kept.node.health().up)
        })
    }

    /// The health of the cluster: up when all slots are held and every server that holds some is up.
    pub(super) fn health(&self) -> StoreHealth {
        let state = self.state.borrow();
        let mut health = self.health.report();
        let Some(slots) = &state.slots else {
            return health;
        };
        health.up = true;
        health.detail = None;
        for place in slots.holders() {
            let Some(kept) = state.nodes.get(place) else {
                continue;
            };
            let of_node = kept.node.health();
            if let Some(detail) = of_node.detail
                && (health.detail.is_none() || (health.up && !of_node.up))
            {
                health.detail = Some(format!("{}: {detail}", kept.node.address()));
            }
            health.up &= of_node.up;
        }
        match slots.uncovered() {
            0 => {}
            uncovered => {
                health.up = false;
                health.detail = Some(format!(
                    "no server of the cluster holds {uncovered} of {SLOTS} slots"
                ));
            }
        }
        health
    }

    async fn holder(&self, slot: u16, deadline: Instant) -> Result<Arc<Node>, NoReply> {
        let mut state = self.state.subscribe();
        let tried = timeout_at(deadline, state.wait_for(|state| state.has_tried_discovery)).await;
        let Ok(Ok(state)) = tried else {
            return Err(NoReply::TimedOut);
        };
        let unknown = |why: &str| {
            self.discover_soon();
            NoReply::Failed(why.to_owned())
        };
        let slots = state.slots.as_ref();
        let slots = slots.ok_or_else(|| unknown("there is no connection"))?;
        let place = slots.holder(slot);
        let place = place.ok_or_else(|| unknown("no server of the cluster holds the slot"))?;
        let kept = state.nodes.get(place);
        kept.map(|kept| Arc::clone(&kept.node))
            .ok_or_else(|| unknown("there is no connection"))
    }

    /// The server at this place, to which another server has redirected a command.
    fn node_at(&self, place: Place) -> Result<Arc<Node>, NoReply> {
        if let Some(kept) = self.state.borrow().nodes.get(&place) {
            return Ok(Arc::clone(&kept.node));
        }
        let mut node = None;
        self.state.send_if_modified(|state| {
            if state.nodes.len() >= MAX_SERVERS {
                return false;
            }
            let kept = state.nodes.entry(place);
            let kept = kept.or_insert_with_key(|place| self.new_node(place));
            kept.last_named = Instant::now();
            node = Some(Arc::clone(&kept.node));
            true
        });
        node.ok_or_else(|| NoReply::Failed(TOO_MANY_SERVERS.to_owned()))
    }

    fn new_node(&self, (host, port): &Place) -> KnownNode {
        let target = RedisTarget {
            server: self.server(host, *port),
            ..self.target.clone()
        };
        KnownNode {
            node: Arc::new(Node::of_cluster(target, self.jitter, self.trial.clone())),
            last_named: Instant::now(),
        }
    }

    /// The address of the server at this place.
    pub(super) fn server(&self, host: &str, port: u16) -> RedisServer {
        self.seeds.server_at(host, port, &self.target.server.login)
    }

    async fn keep_discovering(&self) {
        loop {
            match self.discover().await {
                Ok(slots) => {
                    self.health.answered();
                    self.apply(slots);
                }
                Err(why) => {
                    self.health.failed(&why);
                    self.state
                        .send_modify(|state| state.has_tried_discovery = true);
                }
            }
            sleep(DISCOVERY_PAUSE).await;
            let _ = timeout(PROBE_EVERY, self.discover_soon.notified()).await;
        }
    }

    /// Discovers slots. Returns the answer that most of the connected servers give, or else that of the seeds.
    async fn discover(&self) -> Result<SlotMap, String> {
        let nodes: Vec<_> = {
            let state = self.state.borrow();
            let nodes = state.nodes.values().map(|kept| Arc::clone(&kept.node));
            nodes.filter(|node| node.is_connected()).collect()
        };
        let asking = nodes.iter().map(|node| self.slots_according_to(node));
        let maps = join_all(asking).await;
        match SlotMap::most_common(maps.into_iter().flatten().collect()) {
            Some(slots) => Ok(slots),
            None => {
                let (login, ca_file) = (&self.target.server.login, self.target.ca_file.as_ref());
                let known = self.places();
                let limit = self.target.timeout;
                self.seeds.slots(&known, login, ca_file, limit).await
            }
        }
    }

    async fn slots_according_to(&self, node: &Arc<Node>) -> Result<SlotMap, String> {
        let deadline = Instant::now() + self.target.timeout;
        let replies = node.send(&[slots_command()], false, deadline).await;
        let mut replies = replies.map_err(|why| self.target.describe(why))?;
        let slots = replies.answers.pop().unwrap_or(Ok(Value::Nil));
        let slots = slots.map_err(|error| describe(CLUSTER_SLOTS, &error))?;
        SlotMap::read(slots, node.host())
    }

    fn apply(&self, slots: SlotMap) {
        self.state.send_if_modified(|state| {
            let is_new = state.slots.as_deref() != Some(&slots);
            for place in slots.holders() {
                let kept = state.nodes.entry(place.clone());
                kept.or_insert_with_key(|place| self.new_node(place));
            }
            let before = state.nodes.len();
            state.nodes.retain(|place, kept| {
                kept.last_named.elapsed() < KEEP_NAMED
                    || slots.holders().any(|holder| holder == place)
            });
            let is_first = !std::mem::replace(&mut state.has_tried_discovery, true);
            let are_fewer = state.nodes.len() != before;
            state.slots = Some(Arc::new(slots));
            is_first || is_new || are_fewer
        });
    }

    async fn keep_each_connected(&self) {
        let mut state = self.state.subscribe();
        let mut connecting = FuturesUnordered::new();
        let mut kept: BTreeMap<Place, CancellationToken> = BTreeMap::new();
        loop {
            let nodes = state.borrow_and_update().nodes.clone();
            kept.retain(|place, stop| {
                let is_wanted = nodes.contains_key(place);
                if !is_wanted {
                    stop.cancel();
                }
                is_wanted
            });
            for (place, KnownNode { node, .. }) in nodes {
                if kept.contains_key(&place) {
                    continue;
                }
                let stop = CancellationToken::new();
                kept.insert(place, stop.clone());
                connecting.push(async move {
                    stop.run_until_cancelled(node.keep_connected()).await;
                    node.close();
                });
            }
            loop {
                tokio::select! {
                    changed = state.changed() => match changed {
                        Ok(()) => break,
                        // Unreachable: `self` owns the sender.
                        Err(_) => return,
                    },
                    Some(()) = connecting.next() => {}
                }
            }
        }
    }
}

pub(super) fn slots_command() -> Cmd {
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    command
}

/// The most servers of a cluster, by the specification.
pub(super) const MAX_SERVERS: usize = 1000;

pub(super) const TOO_MANY_SERVERS: &str = "the cluster names more than 1,000 servers";

/// The most times that a command is sent, redirections included. A key is on one server, or on two while its slot
/// migrates.
const MAX_SENDS: usize = 4;

/// The shortest time between two discoveries of slots.
const DISCOVERY_PAUSE: Duration = Duration::from_millis(100);

/// How long a server without slots stays connected after a redirection to it.
const KEEP_NAMED: Duration = Duration::from_secs(60);

//! The channel of a cluster, which consists of connections to all of its servers.
//!
//! A change is announced by the server that holds the key, and by its replicas as soon as they receive it. No server
//! announces that another server now holds a key; a replica that is promoted does not announce the changes that it never
//! received, and a server that is forced to give up a slot drops its keys without announcing it. So all servers are
//! tracked, including those that hold nothing yet. Every [`HEARTBEAT`] all servers that hold slots of our keys must agree
//! with one another, and with the map by which lookups are routed, which server holds which slots, and each of them must
//! announce a heartbeat that is written to it. Whenever they agree on another map than before, anything may have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::cluster::{Cluster, MAX_SERVERS, Place, SlotMap, TOO_MANY_SERVERS, fixed_slot};
use super::tracked_server::{ProofOutcome, PushSource, TrackedServer};
use super::view::ClusterView;
use super::{HEARTBEAT, PROOF_TIMEOUT, PROOF_TTL, TrackingTask};

/// All tracked servers of a cluster.
struct TrackedServers<'a> {
    task: &'a TrackingTask,
    cluster: &'a Cluster,
    servers: BTreeMap<Place, TrackedServer>,
    /// The queue of servers whose push connections are to be opened.
    new: mpsc::Sender<Arc<PushSource>>,
    /// The slot map on which the servers last agreed.
    agreed: Option<SlotMap>,
}

impl TrackingTask {
    /// Opens the connections and listens until something fails. Returns the reason of the failure.
    pub(super) async fn track_cluster(&self, cluster: &Cluster) -> Result<Infallible, String> {
        let (new, mut to_open) = mpsc::channel(MAX_SERVERS);
        let proving = async {
            let mut servers = TrackedServers {
                task: self,
                cluster,
                servers: BTreeMap::new(),
                new,
                agreed: None,
            };
            let mut slots = self.within_timeout(cluster.discovered()).await??;
            loop {
                let (began, began_monotonic) = (Instant::now(), self.clock.monotonic());
                let is_first = servers.agreed.is_none();
                slots = servers.heartbeat(slots, began + PROOF_TIMEOUT).await?;
                self.publisher.prove(began_monotonic, PROOF_TTL);
                if is_first {
                    self.mark_up();
                }
                sleep_until(began + HEARTBEAT).await;
            }
        };
        let receiving = async {
            let mut open = FuturesUnordered::new();
            loop {
                tokio::select! {
                    biased;
                    Some(ended) = open.next() => ended?,
                    Some(source) = to_open.recv() => open.push(self.keep_push_connection(source)),
                }
            }
        };
        // `biased`, so that everything that has arrived is passed on before a failure ends this.
        tokio::select! {
            biased;
            failure = receiving => failure,
            failure = proving => failure,
        }
    }

    /// The servers that hold slots to which our keys can belong.
    fn holders(&self, slots: &SlotMap) -> BTreeSet<Place> {
        let prefixes = self.target.prefixes.iter();
        let fixed: Option<Vec<_>> = prefixes.map(|it| fixed_slot(it.as_bytes())).collect();
        match fixed {
            Some(fixed) => {
                let holders = fixed.iter().filter_map(|slot| slots.holder(*slot));
                holders.cloned().collect()
            }
            None => slots.holders().cloned().collect(),
        }
    }
}

impl TrackedServers<'_> {
    /// Runs one heartbeat: all servers agree on a slot map, which is returned, and each proves that it is up.
    /// `slots` is the previous map.
    async fn heartbeat(&mut self, slots: SlotMap, deadline: Instant) -> Result<SlotMap, String> {
        let mut slots = slots;
        loop {
            let views = self.agree(slots, deadline).await?;
            let importing: BTreeSet<_> = views
                .iter()
                .flat_map(|view| &view.importing)
                .cloned()
                .collect();
            let servers = views.iter().flat_map(|view| &view.servers).cloned();
            let servers: BTreeSet<_> = servers.collect();
            slots = views.into_iter().next().ok_or(NO_HOLDERS)?.slots;
            self.keep(&servers)?;
            if !self.prove(&slots, &importing, deadline).await? {
                self.cluster.discover_soon();
                sleep(VIEW_PAUSE).await;
                if Instant::now() >= deadline {
                    return Err(DISAGREE.to_owned());
                }
                continue;
            }
            let before = self.agreed.replace(slots.clone());
            if before.is_some_and(|before| before != slots) {
                self.task.invalidate_everything();
            }
            return Ok(slots);
        }
    }

    /// Asks the servers that hold slots for their views until all agree on the slot map. The most common map decides
    /// which servers are asked next.
    async fn agree(
        &mut self,
        mut slots: SlotMap,
        deadline: Instant,
    ) -> Result<Vec<ClusterView>, String> {
        // Leave time for the proofs.
        let until = deadline.checked_sub(TIME_FOR_PROOFS).unwrap_or(deadline);
        loop {
            let asked = self.task.holders(&slots);
            self.open(&asked)?;
            let task = self.task;
            let servers = self.servers.iter_mut();
            let servers = servers.filter(|(place, _)| asked.contains(*place));
            let reading = servers.map(|(_, server)| server.read_view(task, until));
            let (views, failures): (Vec<_>, Vec<_>) =
                join_all(reading).await.into_iter().partition(Result::is_ok);
            let views: Vec<_> = views.into_iter().flatten().collect();
            let most = SlotMap::most_common(views.iter().map(|view| view.slots.clone()).collect());
            let failure = failures.into_iter().find_map(Result::err);
            let most = match (most, &failure) {
                (Some(most), _) => most,
                (None, Some(why)) => return Err(why.clone()),
                (None, None) => return Err(NO_HOLDERS.to_owned()),
            };
            let are_all = failure.is_none()
                && views.iter().all(|view| view.slots == most)
                && self.task.holders(&most) == asked;
            // Lookups must be routed by the same map.
            if are_all && self.cluster.slots().as_deref() == Some(&most) {
                return Ok(views);
            }
            self.cluster.discover_soon();
            if Instant::now() + VIEW_PAUSE >= until {
                return Err(failure.unwrap_or_else(|| DISAGREE.to_owned()));
            }
            sleep(VIEW_PAUSE).await;
            slots = most;
        }
    }

    /// Makes each server that holds slots announce a heartbeat, and checks that servers that are `importing` slots are
    /// alive. Returns `false` when a server no longer holds the slot of its heartbeat.
    async fn prove(
        &mut self,
        slots: &SlotMap,
        importing: &BTreeSet<Place>,
        deadline: Instant,
    ) -> Result<bool, String> {
        let (task, holders) = (self.task, self.task.holders(slots));
        let proving = self.servers.iter_mut().map(|(place, server)| {
            let (holds, imports) = (holders.contains(place), importing.contains(place));
            server.set_needed(holds || imports);
            async move {
                match (holds, imports) {
                    (true, _) => server.prove(task, slots, deadline).await,
                    (false, true) => {
                        server.is_alive(task, deadline).await?;
                        Ok(ProofOutcome::Received)
                    }
                    (false, false) => Ok(ProofOutcome::Received),
                }
            }
        });
        let proofs = try_join_all(proving).await?;
        Ok(!proofs.contains(&ProofOutcome::Moved))
    }

    /// Tracks these servers and no others.
    fn keep(&mut self, places: &BTreeSet<Place>) -> Result<(), String> {
        self.servers.retain(|place, server| {
            let is_tracked = places.contains(place);
            if !is_tracked {
                server.source.stop.cancel();
            }
            is_tracked
        });
        self.open(places)
    }

    fn open(&mut self, places: &BTreeSet<Place>) -> Result<(), String> {
        for place in places {
            if self.servers.contains_key(place) {
                continue;
            }
            let here = self.cluster.server(&place.0, place.1);
            let server = TrackedServer::new(self.task, here, place.clone());
            let opening = self.new.try_send(Arc::clone(&server.source));
            if opening.is_err() || self.servers.len() >= MAX_SERVERS {
                return Err(TOO_MANY_SERVERS.to_owned());
            }
            self.servers.insert(place.clone(), server);
        }
        Ok(())
    }
}

/// The time between two rounds of asking for views.
const VIEW_PAUSE: Duration = Duration::from_millis(50);

/// The part of the time for a heartbeat that is reserved for its proofs.
const TIME_FOR_PROOFS: Duration = Duration::from_millis(400);

const NO_HOLDERS: &str = "no server of the cluster holds any slot";

const DISAGREE: &str = "the servers of the cluster do not agree on which server holds which slots";

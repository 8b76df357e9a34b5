//! A real Redis Cluster.

use anyhow::{Context, Result, ensure};

use crate::poll;
use crate::port::free_port;
use crate::redis::{Redis, RedisOptions, RedisVersion};

/// Three primaries on free loopback ports, each with a third of the slots, and optionally with replicas. Stopped on drop.
#[derive(Debug)]
pub struct RedisCluster {
    /// First the primaries, then their replicas in the same order, as they began, then those that [`RedisCluster::add`] adds.
    pub nodes: Vec<Redis>,
    options: RedisOptions,
}

impl RedisCluster {
    /// The number of primaries.
    pub const PRIMARIES: usize = 3;

    /// Starts a cluster without replicas.
    ///
    /// # Errors
    /// When the server is missing, or the servers do not form a cluster.
    pub async fn start(version: RedisVersion) -> Result<Self> {
        Self::of(Redis::options().version(version), 0).await
    }

    /// Starts a cluster whose primaries have one replica each.
    ///
    /// # Errors
    /// When the server is missing, or the servers do not form a cluster.
    pub async fn with_replicas(version: RedisVersion) -> Result<Self> {
        Self::of(Redis::options().version(version), 1).await
    }

    /// Starts a cluster of servers with these options, with `replicas` replicas of each primary. With TLS, the servers also use
    /// it among each other, and announce their TLS ports to clients that connect over TLS.
    ///
    /// # Errors
    /// When the server is missing, or the servers do not form a cluster.
    pub async fn of(options: RedisOptions, replicas: usize) -> Result<Self> {
        let options = options
            .set("cluster-enabled", "yes")
            .set("cluster-node-timeout", "1500")
            .set("repl-diskless-sync-delay", "0");
        let options = match options.has_tls() {
            true => options
                .set("tls-cluster", "yes")
                .set("tls-replication", "yes"),
            false => options,
        };
        let mut cluster = Self {
            nodes: Vec::new(),
            options,
        };
        for index in 0..Self::PRIMARIES {
            let node = cluster.spawn().await?;
            let epoch = (index + 1).to_string();
            node.cli(["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await?;
            let (first, last) = Self::slots(index);
            let (first, last) = (first.to_string(), last.to_string());
            let words = ["CLUSTER", "ADDSLOTSRANGE", &first, &last];
            node.cli(words).await?;
            cluster.nodes.push(node);
        }
        for _ in 0..Self::PRIMARIES * replicas {
            let node = cluster.spawn().await?;
            cluster.nodes.push(node);
        }
        cluster.meet(1).await?;
        for index in Self::PRIMARIES..cluster.nodes.len() {
            let primary = index % Self::PRIMARIES;
            cluster.replicate(index, primary).await?;
        }
        cluster.wait_until_ready().await?;
        Ok(cluster)
    }

    /// Returns the slots that a primary begins with: the first one and the last one.
    pub fn slots(primary: usize) -> (u16, u16) {
        [(0, 5460), (5461, 10922), (10923, 16383)][primary]
    }

    /// Starts one more server, which holds no slots, and waits until all servers know it. Returns its index.
    ///
    /// # Errors
    /// When it does not come up, or the others do not learn of it.
    pub async fn add(&mut self) -> Result<usize> {
        let node = self.spawn().await?;
        self.nodes.push(node);
        let index = self.nodes.len() - 1;
        self.meet(index).await?;
        self.wait_until_ready().await?;
        Ok(index)
    }

    /// Returns the URL `redis+cluster://…` of the primaries.
    pub fn url(&self) -> String {
        self.url_of("")
    }

    /// Returns the URL of the cluster with user information, such as `user:password@`.
    pub fn url_of(&self, user: &str) -> String {
        let primaries = self.nodes.iter().take(Self::PRIMARIES);
        let hosts: Vec<_> = primaries.map(Redis::address).collect();
        format!("redis+cluster://{user}{}", hosts.join(","))
    }

    /// Returns the URL `rediss+cluster://…` of the primaries, each at this host.
    ///
    /// # Panics
    /// When they were started without TLS.
    pub fn tls_url_at(&self, host: &str) -> String {
        let primaries = self.nodes.iter().take(Self::PRIMARIES);
        let ports = primaries.map(|node| node.tls_port().expect("started with TLS"));
        let hosts: Vec<_> = ports.map(|port| format!("{host}:{port}")).collect();
        format!("rediss+cluster://{}", hosts.join(","))
    }

    /// Runs a command on the server that holds its keys.
    ///
    /// # Errors
    /// When no server answers.
    pub async fn cli_words(&self, words: &[&str]) -> Result<String> {
        let mut error = None;
        for node in &self.nodes {
            let answer = node.cli_words(&[&["-c"], words].concat()).await;
            match answer {
                Ok(answer) => return Ok(answer),
                Err(why) => error = Some(why),
            }
        }
        Err(error.context("the cluster has no servers")?)
    }

    /// Returns the index of the server that holds `key`, according to the first server that answers.
    ///
    /// # Errors
    /// When no server holds it, or none answers.
    pub async fn holder(&self, key: &str) -> Result<usize> {
        let slot = self.cli_words(&["CLUSTER", "KEYSLOT", key]).await?;
        self.holder_of(slot.parse()?).await
    }

    /// Returns the index of the server that holds this slot, according to the first server that answers.
    ///
    /// # Errors
    /// When no server holds it, or none answers.
    pub async fn holder_of(&self, slot: u16) -> Result<usize> {
        for node in &self.nodes {
            let Ok(known) = node.cli(["CLUSTER", "NODES"]).await else {
                continue;
            };
            let holds = |range: &str| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let parse = |number: &str| number.parse::<u16>().ok();
                parse(first).is_some_and(|first| first <= slot)
                    && parse(last).is_some_and(|last| slot <= last)
            };
            let line = known
                .lines()
                .find(|line| line.split(' ').skip(8).any(holds));
            let address = line.and_then(|line| line.split(' ').nth(1));
            let address = address.and_then(|address| address.split('@').next());
            let index = self
                .nodes
                .iter()
                .position(|node| Some(&*node.address()) == address);
            return index.context("no server holds the slot");
        }
        anyhow::bail!("no server answers")
    }

    /// Moves a slot with its keys, as `redis-cli --cluster reshard` does.
    ///
    /// # Errors
    /// When a server refuses.
    pub async fn move_slot(&self, slot: u16, to: usize) -> Result<()> {
        let from = self.holder_of(slot).await?;
        self.begin_slot_move(slot, to).await?;
        let (number, port) = (slot.to_string(), port_among_servers(&self.nodes[to]));
        loop {
            let words = ["CLUSTER", "GETKEYSINSLOT", &number, "100"];
            let keys = self.nodes[from].cli(words).await?;
            if keys.is_empty() {
                break;
            }
            for key in keys.lines() {
                let words = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
                let answer = self.nodes[from].cli(words).await?;
                ensure!(["OK", "NOKEY"].contains(&&*answer), "{answer}");
            }
        }
        self.end_slot_move(slot, to).await
    }

    /// Tells both servers that the slot is being moved.
    ///
    /// # Errors
    /// When one refuses.
    pub async fn begin_slot_move(&self, slot: u16, to: usize) -> Result<()> {
        let from = self.holder_of(slot).await?;
        let slot = slot.to_string();
        for (node, state, other) in [(to, "IMPORTING", from), (from, "MIGRATING", to)] {
            let other = self.id(other).await?;
            let words = ["CLUSTER", "SETSLOT", &slot, state, &other];
            let answer = self.nodes[node].cli(words).await?;
            ensure!(answer == "OK", "{answer}");
        }
        Ok(())
    }

    /// Tells all servers that the slot has moved, the new holder first.
    ///
    /// # Errors
    /// When one refuses.
    pub async fn end_slot_move(&self, slot: u16, to: usize) -> Result<()> {
        let (slot, id) = (slot.to_string(), self.id(to).await?);
        let others = (0..self.nodes.len()).filter(|node| *node != to);
        for node in [to].into_iter().chain(others) {
            let words = ["CLUSTER", "SETSLOT", &slot, "NODE", &id];
            let answer = self.nodes[node].cli(words).await?;
            ensure!(
                answer == "OK" || answer.contains("only with masters"),
                "{answer}"
            );
        }
        Ok(())
    }

    /// Makes the replica at this index take over from its primary, and waits until all servers know it.
    ///
    /// # Errors
    /// When it does not take over.
    pub async fn fail_over_to(&self, replica: usize) -> Result<()> {
        let answer = self.nodes[replica].cli(["CLUSTER", "FAILOVER"]).await?;
        ensure!(answer == "OK", "{answer}");
        self.wait_for_takeover(replica).await
    }

    /// Waits until this server is a primary with slots, and all servers that answer know it.
    ///
    /// # Errors
    /// When it does not become one.
    pub async fn wait_for_takeover(&self, replica: usize) -> Result<()> {
        self.wait_for_takeover_without(replica, None).await
    }

    /// Waits as [`RedisCluster::wait_for_takeover`] does, while the server `suspended` does not answer.
    ///
    /// # Errors
    /// When it does not become one.
    pub async fn wait_for_takeover_without(
        &self,
        replica: usize,
        suspended: Option<usize>,
    ) -> Result<()> {
        let (slot, _) = Self::slots(replica % Self::PRIMARIES);
        let port = self.nodes[replica].port();
        poll("every server to know the new primary", async || {
            for (index, node) in self.nodes.iter().enumerate() {
                if suspended == Some(index) {
                    continue;
                }
                let Ok(known) = node.cli(["CLUSTER", "NODES"]).await else {
                    continue;
                };
                let is_it = |line: &str| {
                    let place = format!("127.0.0.1:{port}@");
                    let range = format!(" {slot}-");
                    line.contains(&place) && line.contains("master") && line.contains(&range)
                };
                if !known.lines().any(is_it) {
                    return None;
                }
            }
            Some(())
        })
        .await
    }

    /// Waits until every server reports the cluster as complete.
    ///
    /// # Errors
    /// When a server does not.
    pub async fn wait_until_ready(&self) -> Result<()> {
        for node in &self.nodes {
            poll("the cluster to be complete", async || {
                let info = node.cli(["CLUSTER", "INFO"]).await.ok()?;
                info.contains("cluster_state:ok").then_some(())
            })
            .await?;
        }
        Ok(())
    }

    /// Returns the id by which the other servers know this one.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn id(&self, node: usize) -> Result<String> {
        self.nodes[node].cli(["CLUSTER", "MYID"]).await
    }

    async fn spawn(&self) -> Result<Redis> {
        let bus = free_port().to_string();
        let options = self.options.clone().set("cluster-port", &bus);
        options.start().await
    }

    /// Makes the servers from this index on meet the first one, and waits until every server knows all others.
    async fn meet(&self, from: usize) -> Result<()> {
        let first = &self.nodes[0];
        for other in &self.nodes[from..] {
            let bus = other.cli(["CONFIG", "GET", "cluster-port"]).await?;
            let bus = bus
                .lines()
                .last()
                .context("the server has no cluster bus port")?
                .to_owned();
            let port = port_among_servers(other);
            let words = ["CLUSTER", "MEET", "127.0.0.1", &port, &bus];
            first.cli(words).await?;
        }
        for node in &self.nodes {
            poll("the servers to know each other", async || {
                let known = node.cli(["CLUSTER", "NODES"]).await.ok()?;
                let are_all = known.lines().count() == self.nodes.len();
                (are_all && !known.contains("handshake")).then_some(())
            })
            .await?;
        }
        Ok(())
    }

    async fn replicate(&self, replica: usize, primary: usize) -> Result<()> {
        let (node, id) = (&self.nodes[replica], self.id(primary).await?);
        poll("the replica to become a replica", async || {
            let answer = node.cli(["CLUSTER", "REPLICATE", &id]).await.ok()?;
            (answer == "OK").then_some(())
        })
        .await?;
        poll("the replica to have a copy", async || {
            let info = node.cli(["INFO", "replication"]).await.ok()?;
            info.contains("master_link_status:up").then_some(())
        })
        .await
    }
}

/// Returns the port on which the other servers reach this one.
fn port_among_servers(node: &Redis) -> String {
    node.tls_port().unwrap_or(node.port()).to_string()
}

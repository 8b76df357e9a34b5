//! Sentinels of a real Redis.

use std::fs;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::poll;
use crate::port::free_port;
use crate::process::{Process, command_with_death_signal};
use crate::redis::{Redis, redis_cli};

/// Three sentinels on free loopback ports, with a quorum of two. They monitor a Redis that they call `main`. Stopped on drop.
#[derive(Debug)]
pub struct Sentinels {
    // Before the folder: fields drop in order.
    processes: Vec<Option<Process>>,
    ports: Vec<u16>,
    _folder: TempDir,
}

impl Sentinels {
    /// The name under which they monitor their Redis.
    pub const NAME: &'static str = "main";

    /// Starts three sentinels of `primary`, and waits until they know each other and `replicas` replicas.
    ///
    /// # Errors
    /// When `redis-server` is missing, or they do not come up.
    pub async fn start(primary: &Redis, replicas: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (mut processes, mut ports) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let port = free_port();
            let file = folder.path().join(format!("{port}.conf"));
            let (name, monitored) = (Self::NAME, primary.port());
            fs::write(
                &file,
                format!(
                    "port {port}\nbind 127.0.0.1\nsentinel monitor {name} 127.0.0.1 {monitored} 2\n\
                     sentinel down-after-milliseconds {name} 1000\nsentinel failover-timeout {name} 6000\n"
                ),
            )?;
            let mut command = command_with_death_signal("redis-server", "redis-server", None)?;
            command.arg(&file).arg("--sentinel");
            let process = Process::spawn(&mut command, "redis-server")?;
            process
                .stdout
                .wait_for(|line| line.contains("+monitor").then_some(()))
                .await
                .context("a sentinel did not start")?;
            processes.push(Some(process));
            ports.push(port);
        }
        let sentinels = Self {
            processes,
            ports,
            _folder: folder,
        };
        for index in 0..3 {
            poll("the sentinels to know each other", async || {
                let known = sentinels
                    .cli(index, &["SENTINEL", "MASTER", Self::NAME])
                    .await;
                let known = known.ok()?;
                let fields: Vec<_> = known.lines().collect();
                let field = |name: &str| {
                    let place = fields.iter().position(|field| *field == name)?;
                    fields.get(place + 1)?.parse::<usize>().ok()
                };
                let is_known = field("num-other-sentinels")? == 2;
                (is_known && field("num-slaves")? == replicas).then_some(())
            })
            .await?;
        }
        Ok(sentinels)
    }

    /// Returns the port of each.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Returns the URL `redis+sentinel://…`.
    pub fn url(&self) -> String {
        let hosts = self.ports.iter().map(|port| format!("127.0.0.1:{port}"));
        let hosts: Vec<_> = hosts.collect();
        format!("redis+sentinel://{}/{}", hosts.join(","), Self::NAME)
    }

    /// Makes them promote a replica to primary, and waits until all of them know it. Returns its port.
    ///
    /// # Errors
    /// When they do not promote one.
    pub async fn fail_over(&self) -> Result<u16> {
        let former = self.primary(0).await?;
        self.cli(0, &["SENTINEL", "FAILOVER", Self::NAME]).await?;
        self.follow(former).await
    }

    /// Waits until all of them know another primary than the one at the port `former`. Returns its port.
    ///
    /// # Errors
    /// When one of them does not learn of another primary.
    pub async fn follow(&self, former: u16) -> Result<u16> {
        let mut new = former;
        for index in 0..3 {
            new = poll("the sentinels to know another primary", async || {
                let primary = self.primary(index).await.ok()?;
                (primary != former).then_some(primary)
            })
            .await?;
        }
        Ok(new)
    }

    /// Ends one of them.
    pub fn stop(&mut self, index: usize) {
        self.processes[index] = None;
    }

    async fn primary(&self, index: usize) -> Result<u16> {
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::NAME];
        let answer = self.cli(index, &words).await?;
        let port = answer
            .lines()
            .last()
            .context("the sentinel does not know it")?;
        Ok(port.parse()?)
    }

    async fn cli(&self, index: usize, words: &[&str]) -> Result<String> {
        redis_cli(self.ports[index], None, words).await
    }
}

//! Stores that can be broken, and gates that use them.

use anyhow::Result;
use harness::{CutProxy, Postgres, Redis, Sentinels};
use tokio::runtime::{Builder, Runtime};

use super::change::{Places, Stores};
use super::fault::Fault;
use super::node::{Node, Person};
use super::{NODES, socket};
use crate::lab::{Lab, USERS};

/// The stores, and the proxies in front of them that can be cut.
pub(super) struct Servers {
    // Fields drop in order: what the others need comes last.
    pub(super) sentinels: Option<Sentinels>,
    /// The primary and its standby.
    pub(super) postgres: Vec<Postgres>,
    pub(super) redis: Vec<Redis>,
    /// The proxy of the connection on which PostgreSQL reports changes.
    pub(super) listen: CutProxy,
    /// The proxy of all connections to Redis, for lookups and for changes.
    pub(super) line: CutProxy,
    pub(super) runtime: Runtime,
}

impl Servers {
    /// Starts the stores that this fault needs.
    ///
    /// # Errors
    /// When a program is missing or does not start.
    pub(super) fn start(fault: Option<Fault>) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let starting = async {
            let mut postgres = vec![Postgres::start().await?];
            let users = format!(
                "CREATE TABLE users (id text PRIMARY KEY); \
                 INSERT INTO users SELECT 'user-' || lpad(n::text, 5, '0') FROM generate_series(0, {USERS} - 1) n"
            );
            postgres[0].execute(&users).await?;
            if fault == Some(Fault::PostgresFailover) {
                let standby = postgres[0].standby().await?;
                postgres.push(standby);
                // A change that only the primary has is lost with it.
                for sql in [
                    "ALTER SYSTEM SET synchronous_standby_names = '*'",
                    "SELECT pg_reload_conf()",
                ] {
                    postgres[0].execute(sql).await?;
                }
            }
            let mut redis = vec![Redis::start().await?];
            let mut sentinels = None;
            if fault == Some(Fault::RedisFailover) {
                let primary = format!("127.0.0.1 {}", redis[0].port());
                for _ in 0..2 {
                    let replica = Redis::options().set("replicaof", &primary);
                    redis.push(replica.start().await?);
                }
                sentinels = Some(Sentinels::start(&redis[0], 2).await?);
            }
            let listen = CutProxy::start(&postgres[0].address()).await?;
            let line = CutProxy::start(&redis[0].address()).await?;
            anyhow::Ok((sentinels, postgres, redis, listen, line))
        };
        let (sentinels, postgres, redis, listen, line) = runtime.block_on(starting)?;
        Ok(Self {
            sentinels,
            postgres,
            redis,
            listen,
            line,
            runtime,
        })
    }

    /// Returns the addresses of the stores, for the gates.
    fn places(&self) -> Result<Places> {
        let hosts = self.postgres.iter().map(Postgres::address);
        let hosts = hosts.collect::<Vec<_>>().join(",");
        let at = |hosts: &str| self.postgres[0].url_through(hosts, Postgres::DATABASE);
        let (database, listen) = match self.postgres.len() {
            1 => (at(&hosts), at(&self.listen.address())),
            _ => [(); 2]
                .map(|()| format!("{}?target_session_attrs=primary", at(&hosts)))
                .into(),
        };
        let redis = match &self.sentinels {
            Some(sentinels) => sentinels.url(),
            None => format!("redis://{}", self.line.address()),
        };
        Ok(Places {
            database,
            listen,
            redis,
            truth: format!("{}?target_session_attrs=read-write", at(&hosts)),
            redis_ports: self.redis.iter().map(Redis::port).collect(),
            sockets: socket::start()?,
        })
    }

    /// Prepares the stores and starts the gates.
    ///
    /// # Errors
    /// When a store cannot be prepared, or a gate does not start.
    pub(super) fn open_to(
        &self,
        stores: Stores,
        lab: &Lab,
        people: &[Person],
        fault: Option<Fault>,
    ) -> Result<(Vec<Node>, Places)> {
        let places = self.places()?;
        stores.prepare(lab, &places, people)?;
        let nodes = (0..NODES).map(|number| {
            let mut settings = stores.environment(lab, &places)?;
            if stores == Stores::Postgres {
                settings.extend(
                    [("REVOCATION_INTERVAL", "1"), ("REVOCATION_MAX_STALE", "3")]
                        .map(|(name, value)| (name, value.to_owned())),
                );
            }
            if fault == Some(Fault::Clocks) {
                let off = ["+60s", "-60s", "+0s"][number % 3].to_owned();
                settings.extend([
                    ("LD_PRELOAD", FAKETIME.to_owned()),
                    ("FAKETIME", off),
                    // The monotonic clock stays right, so that durations do.
                    ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
                ]);
            }
            Node::start(lab, settings)
        });
        Ok((nodes.collect::<Result<_>>()?, places))
    }
}

/// The library that changes a program's time of day. The loader replaces `$LIB`, so the path fits every architecture.
const FAKETIME: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

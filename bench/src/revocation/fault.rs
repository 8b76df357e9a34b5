//! The faults that the benchmark causes.

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use super::change::Stores;
use super::node::Node;
use super::world::Servers;

/// A fault, repaired afterwards or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// The connection that listens to PostgreSQL is cut, and no new one can be opened.
    ChannelCut,
    /// The connection that listens to PostgreSQL stays open but passes no more bytes.
    ChannelStalled,
    /// The clocks of two gates are a minute ahead and behind.
    Clocks,
    /// A gate is stopped (SIGSTOP) and continued.
    NodeStopped,
    /// The primary of PostgreSQL ends, and its standby takes over.
    PostgresFailover,
    /// PostgreSQL ends and starts again.
    PostgresRestarted,
    /// The primary of Redis ends, and the sentinels promote a replica.
    RedisFailover,
    /// Redis, used as a cache, ends and starts again empty.
    RedisRestarted,
    /// The connections to Redis, which holds the sessions, stay open but pass no more bytes.
    RedisStalled,
}

impl Fault {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::ChannelCut => "channel from PostgreSQL cut",
            Self::ChannelStalled => "channel from PostgreSQL silent",
            Self::Clocks => "clocks a minute ahead and behind",
            Self::NodeStopped => "a gate stopped for 10 s and continued",
            Self::PostgresFailover => "PostgreSQL failed over to its standby",
            Self::PostgresRestarted => "PostgreSQL restarted",
            Self::RedisFailover => "Redis failed over by Sentinel",
            Self::RedisRestarted => "Redis restarted, as a cache",
            Self::RedisStalled => "connections to the Redis with the sessions silent",
        }
    }

    /// The stores that the fault concerns.
    pub(super) fn stores(self) -> Stores {
        match self {
            Self::RedisFailover | Self::RedisStalled => Stores::Redis,
            Self::ChannelCut
            | Self::ChannelStalled
            | Self::Clocks
            | Self::NodeStopped
            | Self::PostgresFailover
            | Self::PostgresRestarted
            | Self::RedisRestarted => Stores::Postgres,
        }
    }

    /// How long the fault lasts when it is measured by itself.
    pub(super) fn lasts(self) -> Duration {
        Duration::from_secs(if self == Self::NodeStopped { 10 } else { 6 })
    }

    /// Causes the fault. `node` is the gate that [`Self::NodeStopped`] stops.
    ///
    /// # Errors
    /// When the fault cannot be caused.
    pub(super) fn begin(self, servers: &mut Servers, node: &Node) -> Result<()> {
        let Servers {
            runtime,
            listen,
            line,
            postgres,
            redis,
            ..
        } = servers;
        match self {
            Self::ChannelCut => runtime.block_on(listen.cut())?,
            Self::ChannelStalled => listen.stall(),
            Self::Clocks => {}
            Self::NodeStopped => node.signal("STOP")?,
            Self::PostgresFailover => {
                runtime.block_on(postgres[0].stop())?;
                runtime.block_on(postgres[1].execute("SELECT pg_promote()"))?;
            }
            Self::PostgresRestarted => runtime.block_on(postgres[0].stop())?,
            Self::RedisFailover | Self::RedisRestarted => redis[0].stop(),
            Self::RedisStalled => line.stall(),
        }
        Ok(())
    }

    /// Repairs the fault.
    ///
    /// # Errors
    /// When the fault cannot be repaired.
    pub(super) fn end(self, servers: &mut Servers, node: &Node) -> Result<()> {
        let Servers {
            runtime,
            listen,
            line,
            postgres,
            redis,
            sentinels,
        } = servers;
        match self {
            Self::ChannelCut | Self::ChannelStalled => runtime.block_on(listen.restore())?,
            Self::Clocks | Self::PostgresFailover => {}
            Self::NodeStopped => node.signal("CONT")?,
            Self::PostgresRestarted => runtime.block_on(postgres[0].start_again())?,
            Self::RedisFailover => {
                let former = redis[0].port();
                if let Some(sentinels) = sentinels {
                    runtime.block_on(sentinels.follow(former))?;
                }
            }
            Self::RedisRestarted => runtime.block_on(redis[0].start_again())?,
            Self::RedisStalled => runtime.block_on(line.restore())?,
        }
        Ok(())
    }
}

/// The faults to choose from at random: they can be repaired, and one set of stores serves for all.
pub(super) const AT_RANDOM: [Fault; 6] = [
    Fault::ChannelCut,
    Fault::ChannelStalled,
    Fault::NodeStopped,
    Fault::PostgresRestarted,
    Fault::RedisRestarted,
    Fault::RedisStalled,
];

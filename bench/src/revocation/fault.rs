//! What can go wrong.

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use super::change::Stores;
use super::node::Node;
use super::world::Servers;

/// Something that goes wrong, and is mended or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// The connection that listens to PostgreSQL is cut, and no other can be opened.
    ChannelCut,
    /// No byte passes on that connection any more.
    ChannelStalled,
    /// The clocks of two gates are a minute ahead and behind.
    Clocks,
    /// A gate is stopped (SIGSTOP), and goes on.
    NodeStopped,
    /// The primary ends, and its standby takes its place.
    PostgresFailover,
    /// PostgreSQL ends, and starts again.
    PostgresRestarted,
    /// The primary ends, and sentinels put a replica in its place.
    RedisFailover,
    /// Redis ends, and starts again, empty: a cache.
    RedisRestarted,
    /// No byte passes to or from Redis, where sessions are, any more.
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
            Self::RedisStalled => "line to Redis silent, with the sessions",
        }
    }

    /// Which stores it concerns.
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

    /// How long it lasts where it is the only one.
    pub(super) fn lasts(self) -> Duration {
        Duration::from_secs(if self == Self::NodeStopped { 10 } else { 6 })
    }

    /// Breaks something. `node` is the gate that is stopped.
    ///
    /// # Errors
    /// When it does not break.
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

    /// Mends it.
    ///
    /// # Errors
    /// When it stays broken.
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

/// Those that come again and again, for one kind of stores.
pub(super) const AT_RANDOM: [Fault; 6] = [
    Fault::ChannelCut,
    Fault::ChannelStalled,
    Fault::NodeStopped,
    Fault::PostgresRestarted,
    Fault::RedisRestarted,
    Fault::RedisStalled,
];

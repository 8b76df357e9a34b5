//! The servers by which a cluster is discovered.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use tokio::time::timeout;

use super::super::refusal::{CLUSTER_SLOTS, describe, describe_connect_error, describe_timeout};
use super::super::sentinel::display_host;
use super::super::server::{ConnectError, RedisAddress, RedisDriver, RedisServer, open_tcp};
use super::slot::fixed_slot;
use super::{SlotMap, slots_command};

/// The host of a server of a cluster, a name or an address without brackets, and its port.
pub(in super::super) type Place = (String, u16);

/// Some servers of a cluster, by which the others are discovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSeeds {
    /// The host of each seed, a name or an address without brackets, and its port.
    pub hosts: Vec<(String, u16)>,
    /// Whether all servers of the cluster use TLS.
    pub tls: bool,
}

impl ClusterSeeds {
    /// Whether every server of the cluster can prove that it announces changes of keys with these prefixes. For that,
    /// each server that holds keys must be able to hold a heartbeat key under `key_prefix`.
    pub fn can_be_tracked(key_prefix: &str, sessions: Option<&str>) -> bool {
        let Some(slot) = fixed_slot(key_prefix.as_bytes()) else {
            return true;
        };
        sessions.is_none_or(|sessions| fixed_slot(sessions.as_bytes()) == Some(slot))
    }

    /// The server of this cluster at this place.
    pub(in super::super) fn server_at(
        &self,
        host: &str,
        port: u16,
        login: &RedisConnectionInfo,
    ) -> RedisServer {
        RedisServer {
            address: RedisAddress::Tcp {
                host: host.to_owned(),
                port,
                tls: self.tls,
            },
            login: login.clone(),
        }
    }

    /// Asks which server holds which slots. It asks the first of the seeds, and of the servers that are `known`, to
    /// accept the sign-in. All of it takes no longer than `limit`.
    ///
    /// # Errors
    /// When no server accepts the sign-in, or the first that does gives no usable answer.
    pub(in super::super) async fn slots(
        &self,
        known: &[Place],
        login: &RedisConnectionInfo,
        ca_file: Option<&PathBuf>,
        limit: Duration,
    ) -> Result<SlotMap, String> {
        let discovery = async {
            let opened = self.first_to_answer(known, login, ca_file, limit).await;
            let (mut connection, _driver, host) =
                opened.map_err(|error| describe_connect_error(&error))?;
            let slots = slots_command().query_async(&mut connection).await;
            let slots = slots.map_err(|error| describe(CLUSTER_SLOTS, &error))?;
            SlotMap::read(slots, &host)
        };
        let discovered = timeout(limit, discovery).await;
        discovered.unwrap_or_else(|_| Err(describe_timeout(limit)))
    }

    /// Connects to all seeds and `known` servers at once, and returns the first connection on which the sign-in is
    /// accepted. The third value is the host.
    ///
    /// # Errors
    /// When no server accepts the sign-in: the error of the first that failed.
    pub(in super::super) async fn first_to_answer(
        &self,
        known: &[Place],
        login: &RedisConnectionInfo,
        ca_file: Option<&PathBuf>,
        limit: Duration,
    ) -> Result<(MultiplexedConnection, RedisDriver, String), ConnectError> {
        let known = known.iter().filter(|place| !self.hosts.contains(place));
        let opening = self.hosts.iter().chain(known).map(|(host, port)| async {
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(limit));
            let opened = open_tcp((host, *port), self.tls, ca_file, login.clone(), config);
            match opened.await {
                Ok((connection, driver)) => Ok((connection, driver, host.clone())),
                Err(error) => {
                    let server = self.server_at(host, *port, login);
                    let why = format!("{}: {}", server.address, describe_connect_error(&error));
                    Err(ConnectError::Unknown(why))
                }
            }
        });
        let mut opening: FuturesUnordered<_> = opening.collect();
        let mut failure = None;
        while let Some(opened) = opening.next().await {
            match opened {
                Ok(opened) => return Ok(opened),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| ConnectError::Unknown("no server is named".to_owned())))
    }
}

impl fmt::Display for ClusterSeeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let hosts: Vec<_> = self.hosts.iter().map(display_host).collect();
        write!(f, "{scheme}+cluster://{}", hosts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::ClusterSeeds;

    #[test]
    fn a_cluster_can_be_tracked_unless_two_prefixes_have_different_fixed_slots() {
        for (key_prefix, sessions, can) in [
            ("auth:", None, true),
            ("auth:", Some("{app}:"), true),
            ("{app}:auth:", None, true),
            ("{app}:auth:", Some("{app}:sessions:"), true),
            ("{app}:auth:", Some("better-auth:"), false),
            ("{app}:auth:", Some("{other}:"), false),
        ] {
            assert_eq!(ClusterSeeds::can_be_tracked(key_prefix, sessions), can);
        }
    }
}

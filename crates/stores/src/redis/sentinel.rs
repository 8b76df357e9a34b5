//! The sentinels of a Redis, which know the address of its primary.
//!
//! A single sentinel may be cut off together with a former primary, and keep naming it. So the majority decides: no new
//! primary can have been elected without a majority. The sentinels name the new primary only once they have learned of
//! the failover, which takes a moment.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use tokio::time::timeout;

use super::refusal::{describe, describe_connect_error, describe_timeout};
use super::server::{ConnectError, RedisAddress, RedisDriver, RedisServer, open_tcp};

/// The sentinels of a Redis.
#[derive(Clone)]
pub struct Sentinels {
    /// The host of each sentinel, a name or an address without brackets, and its port.
    pub hosts: Vec<(String, u16)>,
    /// The name of the Redis in the configuration of the sentinels.
    pub name: String,
    /// Whether the sentinels and the servers use TLS.
    pub tls: bool,
    /// The credentials for the sentinels themselves.
    pub login: RedisConnectionInfo,
}

/// The host and port of a primary.
pub(super) type Primary = (String, u16);

/// The connections to all sentinels of a Redis.
pub(super) struct SentinelConnections<'a> {
    sentinels: &'a Sentinels,
    ca_file: Option<&'a PathBuf>,
    connections: Vec<SentinelConnection>,
}

/// The connection to one sentinel, if it is open.
type SentinelConnection = Option<(MultiplexedConnection, RedisDriver)>;

/// The answers of the sentinels so far.
#[derive(Debug)]
pub(super) struct Votes {
    given: Vec<Result<Primary, String>>,
    total: usize,
}

impl<'a> SentinelConnections<'a> {
    /// Creates the connections, none of which is open yet, to the sentinels of `server`, whose primary is at `here`.
    /// `None` if there are no sentinels.
    pub(super) fn of(
        server: &'a RedisServer,
        here: &RedisServer,
        ca_file: Option<&'a PathBuf>,
    ) -> Option<(Self, Primary)> {
        let sentinels = server.sentinels()?;
        let RedisAddress::Tcp { host, port, .. } = &here.address else {
            return None;
        };
        Some((Self::new(sentinels, ca_file), (host.clone(), *port)))
    }

    fn new(sentinels: &'a Sentinels, ca_file: Option<&'a PathBuf>) -> Self {
        Self {
            sentinels,
            ca_file,
            connections: sentinels.hosts.iter().map(|_| None).collect(),
        }
    }

    /// Asks all sentinels for the primary, and waits until each has answered or timed out: any of them may be the first
    /// to know a new primary.
    pub(super) async fn query_all(&mut self, limit: Duration) -> Votes {
        self.query(limit, |_| false).await
    }

    /// Whether a majority of the sentinels names another primary than `known`.
    pub(super) async fn name_another_than(&mut self, known: &Primary, limit: Duration) -> bool {
        let votes = self.query_all(limit).await;
        votes.majority().is_some_and(|primary| primary != known)
    }

    async fn query(&mut self, limit: Duration, is_enough: impl Fn(&Votes) -> bool) -> Votes {
        let (sentinels, ca_file) = (self.sentinels, self.ca_file);
        let hosts = sentinels.hosts.iter().zip(&mut self.connections);
        let queries = hosts.map(|(host, connection)| async move {
            let answer = timeout(limit, sentinels.query(host, connection, ca_file, limit)).await;
            let vote = answer.unwrap_or_else(|_| Err(describe_timeout(limit)));
            vote.map_err(|why| format!("sentinel {}: {why}", display_host(host)))
        });
        let mut queries: FuturesUnordered<_> = queries.collect();
        let mut votes = Votes {
            given: Vec::new(),
            total: sentinels.hosts.len(),
        };
        while !is_enough(&votes) {
            let Some(vote) = queries.next().await else {
                break;
            };
            votes.given.push(vote);
        }
        votes
    }
}

impl Sentinels {
    /// Asks the sentinels for the primary. Returns the server that a majority of all sentinels names, or, if there is
    /// none within `limit`, the server that most of the answers name.
    ///
    /// # Errors
    /// When no sentinel names a primary.
    pub(super) async fn primary(
        &self,
        ca_file: Option<&PathBuf>,
        limit: Duration,
    ) -> Result<Primary, ConnectError> {
        let mut sentinels = SentinelConnections::new(self, ca_file);
        let votes = sentinels
            .query(limit, |votes| votes.majority().is_some())
            .await;
        Ok(votes.best()?.clone())
    }

    async fn query(
        &self,
        host: &(String, u16),
        kept: &mut SentinelConnection,
        ca_file: Option<&PathBuf>,
        limit: Duration,
    ) -> Result<Primary, String> {
        // Take the connection out until the sentinel has answered: after a timeout, an old answer may still arrive on it.
        let (mut connection, driver) = match kept.take() {
            Some(kept) => kept,
            None => {
                let config = AsyncConnectionConfig::new().set_response_timeout(Some(limit));
                let login = self.login.clone();
                let opening = open_tcp((&host.0, host.1), self.tls, ca_file, login, config);
                opening
                    .await
                    .map_err(|error| describe_connect_error(&error))?
            }
        };
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        let primary: Option<Primary> = command
            .query_async(&mut connection)
            .await
            .map_err(|error| describe("SENTINEL", &error))?;
        *kept = Some((connection, driver));
        primary.ok_or_else(|| format!("does not know a primary called {}", self.name))
    }
}

impl Votes {
    /// The primary that more than half of all sentinels name, if there is one.
    pub(super) fn majority(&self) -> Option<&Primary> {
        let (primary, votes) = self.most_named()?;
        (2 * votes > self.total).then_some(primary)
    }

    /// The primary that most of the answers name.
    ///
    /// # Errors
    /// When no sentinel has named a primary: the error of the first that failed.
    pub(super) fn best(&self) -> Result<&Primary, ConnectError> {
        if let Some((primary, _)) = self.most_named() {
            return Ok(primary);
        }
        let why = self.given.iter().find_map(|vote| vote.as_ref().err());
        let why = why.map_or("there are no sentinels", String::as_str);
        Err(ConnectError::Sentinels(why.to_owned()))
    }

    /// Checks that a majority names this primary, and no sentinel names another.
    ///
    /// # Errors
    /// When too few sentinels name it, or any names another: the reason.
    pub(super) fn confirm(&self, known: &Primary) -> Result<(), String> {
        let mut named = self.given.iter().flatten();
        if let Some((host, port)) = named.find(|primary| *primary != known) {
            return Err(format!(
                "a sentinel says that the primary is {host}:{port} now"
            ));
        }
        match self.majority() {
            Some(_) => Ok(()),
            None => {
                let why = self.given.iter().find_map(|vote| vote.as_ref().err());
                let why = why.map_or("", String::as_str);
                Err(format!("too few sentinels answer to trust them: {why}"))
            }
        }
    }

    fn most_named(&self) -> Option<(&Primary, usize)> {
        let count = |primary: &Primary| {
            let named = self.given.iter().flatten();
            named.filter(|other| *other == primary).count()
        };
        let named = self.given.iter().flatten();
        let counted = named.map(|primary| (primary, count(primary)));
        counted.max_by_key(|(_, votes)| *votes)
    }
}

/// Formats a host and port, with brackets around an IPv6 address.
pub(super) fn display_host((host, port): &(String, u16)) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

impl PartialEq for Sentinels {
    fn eq(&self, other: &Self) -> bool {
        let login = |sentinels: &Self| {
            let login = &sentinels.login;
            [login.username(), login.password()].map(|text| text.map(str::to_owned))
        };
        (&self.hosts, &self.name, self.tls) == (&other.hosts, &other.name, other.tls)
            && login(self) == login(other)
    }
}

impl Eq for Sentinels {}

/// Shows no credentials.
impl fmt::Debug for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sentinels({self})")
    }
}

impl fmt::Display for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let hosts: Vec<_> = self.hosts.iter().map(display_host).collect();
        write!(f, "{scheme}+sentinel://{}/{}", hosts.join(","), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes(given: &[Option<u16>]) -> Votes {
        let vote = |port: &Option<u16>| match port {
            Some(port) => Ok(("primary".to_owned(), *port)),
            None => Err("sentinel x:1: refused".to_owned()),
        };
        Votes {
            given: given.iter().map(vote).collect(),
            total: 3,
        }
    }

    #[test]
    fn a_majority_of_sentinels_must_agree_and_none_may_name_another_primary() {
        let known = ("primary".to_owned(), 1);
        for (given, majority, best, confirmed) in [
            (&[Some(1), Some(1)][..], Some(1), Some(1), Ok(())),
            (&[None, Some(1), Some(1)], Some(1), Some(1), Ok(())),
            (&[Some(1), None, None], None, Some(1), Err("too few")),
            (
                &[Some(2), Some(1), Some(1)],
                Some(1),
                Some(1),
                Err("primary:2"),
            ),
            (&[Some(2), Some(2)], Some(2), Some(2), Err("primary:2")),
            (&[None, None, None], None, None, Err("x:1: refused")),
        ] {
            let votes = votes(given);
            let port = |primary: &Primary| primary.1;
            assert_eq!(votes.majority().map(port), majority, "{given:?}");
            assert_eq!(votes.best().ok().map(port), best, "{given:?}");
            match (votes.confirm(&known), confirmed) {
                (Ok(()), Ok(())) => {}
                (Err(why), Err(words)) => assert!(why.contains(words), "{given:?}: {why}"),
                (got, _) => panic!("{given:?}: {got:?}"),
            }
        }
    }
}

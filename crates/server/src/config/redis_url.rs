//! Reads a `redis://` URL, with the parameters that clients in several languages use.

use std::path::PathBuf;

use redis::RedisConnectionInfo;

use super::cluster_url;
use super::connection_url::{ConnectionUrl, set};
use super::sentinel_url::SentinelUrl;
use super::words::unsupported_parameter;
use stores::{ClusterSeeds, RedisAddress, RedisServer};

/// The content of a Redis URL. Parts that the URL does not have are `None`, so that other settings can complete them.
#[derive(Clone)]
pub(super) struct RedisUrl {
    /// The host; `None` for a Unix socket, for sentinels, and for a cluster.
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) tls: bool,
    socket: Option<PathBuf>,
    sentinels: Option<SentinelUrl>,
    cluster: Option<Vec<(String, u16)>>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    database: Option<i64>,
    pub(super) ca_file: Option<PathBuf>,
    /// Parameters that need no effect here, with the reason.
    pub(super) harmless: Vec<(String, &'static str)>,
}

impl RedisUrl {
    /// A server with this host and port, and nothing else set.
    pub(super) fn at(host: String, port: Option<u16>) -> Self {
        Self {
            host: Some(host),
            port,
            tls: false,
            socket: None,
            sentinels: None,
            cluster: None,
            user: None,
            password: None,
            database: None,
            ca_file: None,
            harmless: Vec::new(),
        }
    }

    /// Reads a URL: `redis[s]://[user[:password]@]host[:port][/database]`, also with `valkey` for `redis`, or
    /// `unix:///path` (`redis+unix`, `redis-socket`) with `?db=`, `user` and `password`, or
    /// `redis[s]+sentinel://[user[:password]@]host[:port],…/name[/database]` (`redis-sentinel`), or
    /// `redis[s]+cluster://[user[:password]@]host[:port],…` (`redis-cluster`).
    ///
    /// # Errors
    /// Says what is wrong, unknown or unsupported. Never repeats a value that may be a secret.
    pub(super) fn read(url: &ConnectionUrl) -> Result<Self, String> {
        let mut read = match url.scheme.as_str() {
            "redis" | "valkey" => Self::on_host(url)?,
            "rediss" | "valkeys" => Self {
                tls: true,
                ..Self::on_host(url)?
            },
            "unix" | "redis+unix" | "valkey+unix" | "redis-socket" => Self::on_socket(url)?,
            "redis+sentinel" | "redis-sentinel" | "valkey+sentinel" => Self::by_sentinels(url)?,
            "rediss+sentinel" | "rediss-sentinel" | "valkeys+sentinel" => Self {
                tls: true,
                ..Self::by_sentinels(url)?
            },
            "redis+cluster" | "redis-cluster" | "valkey+cluster" => Self::in_cluster(url)?,
            "rediss+cluster" | "rediss-cluster" | "valkeys+cluster" => Self {
                tls: true,
                ..Self::in_cluster(url)?
            },
            _ => return Err(MALFORMED.to_owned()),
        };
        match url.fragment.as_deref() {
            None => {}
            Some(_) if read.sentinels.is_some() => {}
            Some("insecure") => {
                return Err(
                    "`#insecure` would trust any server; set REDIS_CA_FILE to its certificate authority instead".to_owned(),
                );
            }
            Some(_) => {
                return Err(
                    "a `#` ends a URL; if it is part of the password, write it as %23".to_owned(),
                );
            }
        }
        for (name, value) in &url.parameters {
            read.take(name, value)
                .map_err(|what| format!("parameter `{}`: {what}", name.escape_debug()))?;
        }
        if let Some(sentinels) = &read.sentinels {
            sentinels.check()?;
        }
        if read.cluster.is_some() {
            cluster_url::check(read.database)?;
        }
        if read.ca_file.is_some() && !read.tls {
            return Err(
                "it names a certificate authority but does not use TLS; write rediss://".to_owned(),
            );
        }
        Ok(read)
    }

    fn on_host(url: &ConnectionUrl) -> Result<Self, String> {
        let host = match url.hosts.as_slice() {
            [host] if !host.name.starts_with('/') => host.clone(),
            [] | [_] => return Err(MALFORMED.to_owned()),
            [_, _, ..] => {
                return Err(
                    "it names several hosts; give the address of the primary, or its sentinels as redis+sentinel://, or \
                     the servers of a cluster as redis+cluster://".to_owned(),
                );
            }
        };
        if ["0.0.0.0", "::"].contains(&&*host.name) {
            return Err(
                "this address means every interface; give the address of the server".to_owned(),
            );
        }
        let database = match url.path.as_str() {
            "" => None,
            path => Some(path.parse().map_err(|_| MALFORMED.to_owned())?),
        };
        Ok(Self {
            user: url.user.clone(),
            password: url.password.clone(),
            database,
            ..Self::at(host.name, host.port)
        })
    }

    fn on_socket(url: &ConnectionUrl) -> Result<Self, String> {
        if !url.hosts.is_empty() || url.path.is_empty() {
            return Err(
                "write a Unix socket with three slashes, as in unix:///run/redis.sock".to_owned(),
            );
        }
        Ok(Self {
            host: None,
            socket: Some(format!("/{}", url.path).into()),
            user: url.user.clone(),
            password: url.password.clone(),
            ..Self::at(String::new(), None)
        })
    }

    fn by_sentinels(url: &ConnectionUrl) -> Result<Self, String> {
        let (sentinels, database) = SentinelUrl::read(url)?;
        Ok(Self {
            host: None,
            sentinels: Some(sentinels),
            user: url.user.clone(),
            password: url.password.clone(),
            database,
            ..Self::at(String::new(), None)
        })
    }

    fn in_cluster(url: &ConnectionUrl) -> Result<Self, String> {
        Ok(Self {
            host: None,
            cluster: Some(cluster_url::read(url)?),
            user: url.user.clone(),
            password: url.password.clone(),
            ..Self::at(String::new(), None)
        })
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let text = || value.to_owned();
        let plain = name.to_ascii_lowercase().replace(['-', '_'], "");
        if let Some(sentinels) = &mut self.sentinels
            && sentinels.take(&plain, value)?
        {
            return Ok(());
        }
        match plain.as_str() {
            "user" | "username" => set(&mut self.user, text()),
            "pass" | "password" => set(&mut self.password, text()),
            "db" | "database" => {
                let number = value.parse().map_err(|_| "it must be a number".to_owned());
                set(&mut self.database, number?)
            }
            "ssl" | "tls" => self.take_tls(value),
            "sslcacerts" | "sslca" | "tlsca" | "cacert" => set(&mut self.ca_file, value.into()),
            "sslcertreqs"
                if ["required", "cert_required"].contains(&&*value.to_ascii_lowercase()) =>
            {
                self.harmless(name, "the server's certificate is always verified")
            }
            "sslcertreqs" | "skipverify" | "tlsskipverify" | "insecureskipverify" => Err(
                "it would trust any server; set REDIS_CA_FILE to its certificate authority instead"
                    .to_owned(),
            ),
            "protocol" if ["2", "3", "resp2", "resp3"].contains(&value) => self.harmless(
                name,
                "the gate's commands and their replies are the same in both protocols",
            ),
            plain if HARMLESS.contains(&plain) => self.harmless(
                name,
                "the gate uses a single connection, and REDIS_TIMEOUT bounds how long a request waits",
            ),
            plain => Err(unsupported_parameter(plain, NAMES.into_iter().chain(HARMLESS))),
        }
    }

    fn take_tls(&mut self, value: &str) -> Result<(), String> {
        match (value.to_ascii_lowercase().as_str(), self.tls) {
            ("true" | "1" | "yes" | "on" | "", _) if self.is_socket() => self.harmless(
                "ssl",
                "a Unix socket cannot be overheard, so nothing is encrypted on it",
            ),
            ("true" | "1" | "yes" | "on" | "", _) => {
                self.tls = true;
                Ok(())
            }
            ("false" | "0" | "no" | "off", false) => Ok(()),
            ("false" | "0" | "no" | "off", true) => {
                Err("it contradicts the scheme, which requires TLS".to_owned())
            }
            _ => Err("it is neither `true` nor `false`".to_owned()),
        }
    }

    fn is_socket(&self) -> bool {
        self.socket.is_some()
    }

    /// Whether it has no host and port of its own: a Unix socket, a Redis that only sentinels know, or a cluster.
    pub(super) fn has_no_host(&self) -> bool {
        self.is_socket() || self.sentinels.is_some() || self.cluster.is_some()
    }

    fn harmless(&mut self, name: &str, why: &'static str) -> Result<(), String> {
        self.harmless.push((name.to_owned(), why));
        Ok(())
    }

    /// The server, with Redis's own defaults for missing parts.
    pub(super) fn server(self) -> RedisServer {
        let address = match (self.socket, self.sentinels, self.cluster) {
            (Some(path), ..) => RedisAddress::Unix(path),
            (None, Some(sentinels), _) => {
                RedisAddress::Sentinels(Box::new(sentinels.sentinels(self.tls)))
            }
            (None, None, Some(hosts)) => RedisAddress::Cluster(Box::new(ClusterSeeds {
                hosts,
                tls: self.tls,
            })),
            (None, None, None) => RedisAddress::Tcp {
                host: self.host.unwrap_or_default(),
                port: self.port.unwrap_or(6379),
                tls: self.tls,
            },
        };
        let mut login = RedisConnectionInfo::default().set_db(self.database.unwrap_or(0));
        if let Some(user) = self.user {
            login = login.set_username(user);
        }
        if let Some(password) = self.password {
            login = login.set_password(password);
        }
        RedisServer { address, login }
    }
}

const MALFORMED: &str =
    "not a URL of the form redis://[user[:password]@]host[:port][/database number]";

/// The supported parameters that messages suggest, without `-` and `_`.
const NAMES: [&str; 9] = [
    "database",
    "db",
    "password",
    "protocol",
    "ssl",
    "sslcacerts",
    "tls",
    "user",
    "username",
];

/// Parameters of ioredis, go-redis, redis-py and others about pools, timeouts and names, which need no effect: in lower
/// case, without `-` and `_`.
const HARMLESS: [&str; 22] = [
    "allowusernameinuri",
    "clientname",
    "connecttimeout",
    "connecttimeoutms",
    "connmaxidletime",
    "connmaxlifetime",
    "decoderesponses",
    "dialtimeout",
    "enablereadycheck",
    "family",
    "healthcheckinterval",
    "maxconnections",
    "maxretries",
    "maxretriesperrequest",
    "minidleconns",
    "poolsize",
    "pooltimeout",
    "readtimeout",
    "retryontimeout",
    "socketconnecttimeout",
    "sockettimeout",
    "writetimeout",
];

#[cfg(test)]
mod tests;

//! What a `redis://` URL asks for, with the parameters that clients of several languages put into it.

use std::path::PathBuf;

use redis::RedisConnectionInfo;

use super::connection_url::{ConnectionUrl, set};
use super::sentinel_url::SentinelUrl;
use stores::{RedisAddress, RedisServer};

/// A Redis as a URL describes it. What the URL does not say is `None`, so that other settings can complete it.
#[derive(Clone)]
pub(super) struct RedisUrl {
    /// The host, or `None` for a Unix socket.
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) tls: bool,
    socket: Option<PathBuf>,
    sentinels: Option<SentinelUrl>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    database: Option<i64>,
    pub(super) ca_file: Option<PathBuf>,
    /// Parameters that have no effect here and need none, with the reason.
    pub(super) harmless: Vec<(String, &'static str)>,
}

impl RedisUrl {
    /// A server of which nothing but its host and port is known.
    pub(super) fn at(host: String, port: Option<u16>) -> Self {
        Self {
            host: Some(host),
            port,
            tls: false,
            socket: None,
            sentinels: None,
            user: None,
            password: None,
            database: None,
            ca_file: None,
            harmless: Vec::new(),
        }
    }

    /// Reads what a URL asks for: `redis[s]://[user[:password]@]host[:port][/database]`, also with `valkey` for `redis`, or
    /// `unix:///path` (`redis+unix`, `redis-socket`) with `?db=`, `user` and `password`, or
    /// `redis[s]+sentinel://[user[:password]@]host[:port],…/name[/database]` (`redis-sentinel`).
    ///
    /// # Errors
    /// Names what is wrong, not understood or not possible here. No value that may be a secret is repeated.
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
            _ => return Err(MALFORMED.to_owned()),
        };
        match url.fragment.as_deref() {
            None => {}
            Some(_) if read.sentinels.is_some() => {}
            Some("insecure") => {
                return Err(
                    "`#insecure` would trust any server; name its authority in REDIS_CA_FILE instead".to_owned(),
                );
            }
            Some(_) => {
                return Err(
                    "a `#` ends a URL; write one that belongs to the password as %23".to_owned(),
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
        if read.ca_file.is_some() && !read.tls {
            return Err(
                "it names an authority, and asks for no TLS in which that could vouch for anybody; write rediss://".to_owned(),
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
                    "it names several hosts, and one is asked; give the address that leads to the primary, or its sentinels as \
                     redis+sentinel://".to_owned(),
                );
            }
        };
        if ["0.0.0.0", "::"].contains(&&*host.name) {
            return Err(
                "nobody can be reached at an address that means every interface".to_owned(),
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
                "a Unix socket is written with three slashes, as in unix:///run/redis.sock"
                    .to_owned(),
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
                let number = value.parse().map_err(|_| "it has to be a number".to_owned());
                set(&mut self.database, number?)
            }
            "ssl" | "tls" => self.take_tls(value),
            "sslcacerts" | "sslca" | "tlsca" | "cacert" => set(&mut self.ca_file, value.into()),
            "sslcertreqs" if ["required", "cert_required"].contains(&&*value.to_ascii_lowercase()) => {
                self.harmless(name, "the server's certificate is always verified")
            }
            "sslcertreqs" | "skipverify" | "tlsskipverify" | "insecureskipverify" => Err(
                "it would trust any server; name its authority in REDIS_CA_FILE instead".to_owned(),
            ),
            "protocol" if ["2", "3", "resp2", "resp3"].contains(&value) => {
                self.harmless(name, "every question and answer is the same in both protocols")
            }
            plain if HARMLESS.contains(&plain) => self.harmless(
                name,
                "there is one connection, and REDIS_TIMEOUT bounds how long a request waits",
            ),
            _ => Err(
                "it is not understood, and what it asks for would be missing; remove it from the URL".to_owned(),
            ),
        }
    }

    fn take_tls(&mut self, value: &str) -> Result<(), String> {
        match (value.to_ascii_lowercase().as_str(), self.tls) {
            ("true" | "1" | "yes" | "on" | "", _) if self.is_socket() => self.harmless(
                "ssl",
                "nobody can listen to a Unix socket, so nothing is encrypted on it",
            ),
            ("true" | "1" | "yes" | "on" | "", _) => {
                self.tls = true;
                Ok(())
            }
            ("false" | "0" | "no" | "off", false) => Ok(()),
            ("false" | "0" | "no" | "off", true) => {
                Err("the scheme asks for TLS, and this for none".to_owned())
            }
            _ => Err("it is neither `true` nor `false`".to_owned()),
        }
    }

    fn is_socket(&self) -> bool {
        self.socket.is_some()
    }

    /// Whether it is a Unix socket, or known to sentinels alone, and has neither a host nor a port.
    pub(super) fn has_no_host(&self) -> bool {
        self.is_socket() || self.sentinels.is_some()
    }

    fn harmless(&mut self, name: &str, why: &'static str) -> Result<(), String> {
        self.harmless.push((name.to_owned(), why));
        Ok(())
    }

    /// The server, with Redis' own defaults for what nobody has said.
    pub(super) fn server(self) -> RedisServer {
        let address = match (self.socket, self.sentinels, self.host) {
            (Some(path), ..) => RedisAddress::Unix(path),
            (None, Some(sentinels), _) => {
                RedisAddress::Sentinels(Box::new(sentinels.sentinels(self.tls)))
            }
            (None, None, host) => RedisAddress::Tcp {
                host: host.unwrap_or_default(),
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

/// About pools, times and names, of ioredis, go-redis, redis-py and others: without capitals, `-` and `_`.
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
mod tests {
    use super::*;

    fn read(url: &str) -> Result<RedisServer, String> {
        RedisUrl::read(&ConnectionUrl::parse(url)?).map(RedisUrl::server)
    }

    #[test]
    fn what_clients_write_is_obeyed() {
        for (url, address, user, password, database) in [
            ("redis://cache", "redis://cache:6379", None, None, 0),
            (
                "redis://:p%40ss@cache:1/2",
                "redis://cache:1",
                None,
                Some("p@ss"),
                2,
            ),
            (
                "redis://gate:pw@[::1]:1",
                "redis://[::1]:1",
                Some("gate"),
                Some("pw"),
                0,
            ),
            ("rediss://cache", "rediss://cache:6379", None, None, 0),
            ("valkeys://cache", "rediss://cache:6379", None, None, 0),
            (
                "redis://cache?ssl=true",
                "rediss://cache:6379",
                None,
                None,
                0,
            ),
            (
                "redis://cache?username=gate&password=p+w&db=3&protocol=resp3&dial_timeout=5",
                "redis://cache:6379",
                Some("gate"),
                Some("p+w"),
                3,
            ),
            (
                "unix:///run/redis.sock?db=1&pass=pw",
                "unix:///run/redis.sock",
                None,
                Some("pw"),
                1,
            ),
            (
                "redis+sentinel://gate:pw@a,b:1,[::1]/main/2",
                "redis+sentinel://a:26379,b:1,[::1]:26379/main",
                Some("gate"),
                Some("pw"),
                2,
            ),
            (
                "rediss-sentinel://a/2?sentinelMasterId=main&sentinel_password=x",
                "rediss+sentinel://a:26379/main",
                None,
                None,
                2,
            ),
            (
                "redis-sentinel://a#main",
                "redis+sentinel://a:26379/main",
                None,
                None,
                0,
            ),
        ] {
            let server = read(url).unwrap();
            let login = &server.login;
            assert_eq!(
                (
                    server.address.to_string().as_str(),
                    login.username(),
                    login.password(),
                    login.db()
                ),
                (address, user, password, database),
                "{url}"
            );
        }
    }

    #[test]
    fn what_cannot_be_obeyed_is_refused_by_name() {
        for (url, words) in [
            ("rediss://:hidden@cache/#insecure", "#insecure"),
            (
                "redis://:hidden@cache?ssl_cert_reqs=none",
                "`ssl_cert_reqs`: it would trust",
            ),
            (
                "redis://:hidden@cache?skip_verify=true",
                "would trust any server",
            ),
            (
                "redis://:hidden@cache?sentinel=primary",
                "`sentinel`: it is not understood",
            ),
            ("rediss://:hidden@cache?tls=false", "asks for TLS"),
            ("redis://:hidden@cache?password=other", "given twice"),
            ("redis://:hidden@cache?ssl_ca_certs=/ca.pem", "rediss://"),
            (
                "rediss://:hidden@cache?ssl_certfile=/c.pem",
                "not understood",
            ),
            (
                "redis://:hidden@cache?ssl_cert_reqs=optional",
                "would trust",
            ),
            ("redis-sentinel://:hidden@cache", "what the sentinels call"),
            (
                "redis+sentinel://:hidden@/main",
                "of the form redis+sentinel",
            ),
            (
                "redis+sentinel://:hidden@a/main/x",
                "of the form redis+sentinel",
            ),
            ("redis+sentinel://:hidden@a/main#other", "given twice"),
            (
                "redis://:hidden@a?sentinel_password=hidden",
                "`sentinel_password`: it is not understood",
            ),
            ("redis://:hidden@cache?db=x", "has to be a number"),
            ("redis://:hidden@cache/1?db=2", "given twice"),
            ("redis://:hidden@cache/x", "not a URL of the form"),
            ("redis://:hidden@a,b", "several hosts"),
            ("redis://:hidden@0.0.0.0", "every interface"),
            ("redis://", "not a URL of the form"),
            ("http://cache", "not a URL of the form"),
            ("cache:6379", "not a URL"),
            ("unix://run/redis.sock", "three slashes"),
        ] {
            let error = read(url).unwrap_err();
            assert!(error.contains(words), "{url}: {error}");
            assert!(!error.contains("hidden"), "{error}");
        }
    }

    #[test]
    fn printing_a_server_shows_no_password() {
        let server = read("rediss://gate:hidden@cache:6380/3").unwrap();
        assert_eq!(
            format!("{server:?}"),
            "Redis(rediss://cache:6380, database 3)"
        );
    }
}

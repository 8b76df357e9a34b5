//! URLs that name Redis sentinels.

use redis::RedisConnectionInfo;

use super::connection_url::{ConnectionUrl, set};
use stores::Sentinels;

/// The sentinels in a URL. The credentials for the Redis server itself are elsewhere.
#[derive(Clone)]
pub(super) struct SentinelUrl {
    hosts: Vec<(String, u16)>,
    /// The sentinels' name for the Redis server.
    name: Option<String>,
    user: Option<String>,
    password: Option<String>,
}

impl SentinelUrl {
    /// Reads the hosts, the name and the number of the database of `redis+sentinel://host[:port],…/name[/database]`; the
    /// name may follow a `#`, too.
    ///
    /// # Errors
    /// If there is no host, or the path is something else.
    pub(super) fn read(url: &ConnectionUrl) -> Result<(Self, Option<i64>), String> {
        let mut hosts = url.hosts.iter();
        let is_none = |name: &str| name.starts_with('/') || ["0.0.0.0", "::"].contains(&name);
        if url.hosts.is_empty() || hosts.any(|host| is_none(&host.name)) {
            return Err(MALFORMED.to_owned());
        }
        let (name, database) = match url.path.split_once('/') {
            Some((name, database)) => (Some(name), Some(database)),
            // A path of digits is a database number, not a name.
            None if url.path.bytes().all(|byte| byte.is_ascii_digit()) => (None, Some(&*url.path)),
            None => (Some(&*url.path), None),
        };
        let database = database.filter(|database| !database.is_empty());
        let database = database.map(|database| database.parse().map_err(|_| MALFORMED.to_owned()));
        let hosts = url.hosts.iter();
        let mut read = Self {
            hosts: hosts
                .map(|host| (host.name.clone(), host.port.unwrap_or(PORT)))
                .collect(),
            name: name.map(str::to_owned),
            user: None,
            password: None,
        };
        if let Some(name) = &url.fragment {
            set(&mut read.name, name.clone())?;
        }
        Ok((read, database.transpose()?))
    }

    /// Applies a parameter, whose name is in lower case without `-` and `_`. Returns whether it is known.
    ///
    /// # Errors
    /// If it already has another value.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let place = match name {
            "mastername" | "sentinelmasterid" | "servicename" => &mut self.name,
            "sentinelusername" => &mut self.user,
            "sentinelpassword" => &mut self.password,
            _ => return Ok(false),
        };
        set(place, value.to_owned())?;
        Ok(true)
    }

    /// Checks that nothing is missing.
    ///
    /// # Errors
    /// If the sentinels' name for the Redis server is missing.
    pub(super) fn check(&self) -> Result<(), String> {
        match &self.name {
            Some(name) if !name.is_empty() => Ok(()),
            Some(_) | None => Err(format!(
                "the sentinels' name for the Redis server is missing; write {FORM}"
            )),
        }
    }

    /// The sentinels, with or without TLS.
    pub(super) fn sentinels(self, tls: bool) -> Sentinels {
        let mut login = RedisConnectionInfo::default();
        if let Some(user) = self.user {
            login = login.set_username(user);
        }
        if let Some(password) = self.password {
            login = login.set_password(password);
        }
        Sentinels {
            hosts: self.hosts,
            name: self.name.unwrap_or_default(),
            tls,
            login,
        }
    }
}

/// The default port of sentinels.
const PORT: u16 = 26379;

const FORM: &str =
    "redis+sentinel://[user[:password]@]host[:port],host[:port]/name[/database number]";

const MALFORMED: &str = "not a URL of the form redis+sentinel://[user[:password]@]host[:port],host[:port]/name[/database number]";

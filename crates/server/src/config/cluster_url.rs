//! URLs that name the servers of a Redis cluster.

use super::connection_url::ConnectionUrl;

/// Reads the hosts of `redis+cluster://host[:port],…`.
///
/// # Errors
/// If there is no host, or the path selects a database other than 0, the only one a cluster has.
pub(super) fn read(url: &ConnectionUrl) -> Result<Vec<(String, u16)>, String> {
    let is_none = |name: &str| name.starts_with('/') || ["0.0.0.0", "::"].contains(&name);
    if url.hosts.is_empty() || url.hosts.iter().any(|host| is_none(&host.name)) {
        return Err(MALFORMED.to_owned());
    }
    match &*url.path {
        "" | "0" => {}
        path if path.bytes().all(|byte| byte.is_ascii_digit()) => return Err(NO_NUMBER.to_owned()),
        _ => return Err(MALFORMED.to_owned()),
    }
    let hosts = url.hosts.iter();
    let hosts = hosts.map(|host| (host.name.clone(), host.port.unwrap_or(6379)));
    Ok(hosts.collect())
}

/// Checks that the URL selects no database other than 0.
///
/// # Errors
/// If it selects another one.
pub(super) fn check(database: Option<i64>) -> Result<(), String> {
    match database {
        None | Some(0) => Ok(()),
        Some(_) => Err(NO_NUMBER.to_owned()),
    }
}

const MALFORMED: &str =
    "not a URL of the form redis+cluster://[user[:password]@]host[:port],host[:port]";

const NO_NUMBER: &str = "it selects a database, but a cluster only has database 0";

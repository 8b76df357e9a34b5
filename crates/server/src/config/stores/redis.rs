//! Reads the settings of Redis.

use std::path::PathBuf;

use super::super::connection_url::ConnectionUrl;
use super::super::host::Host;
use super::super::reader::Reader;
use super::super::redis_url::RedisUrl;
use super::{contradiction, set_unless_different};
use stores::{CacheFormat, ClusterSeeds, RedisAddress, RedisSettings};

/// Reads the settings of Redis, if `REDIS_URL` or `REDIS_HOST` is set. `sessions` is the key prefix of sessions that the app
/// stores there.
pub(super) fn redis(reader: &mut Reader<'_>, sessions: Option<String>) -> Option<RedisSettings> {
    let timeout = reader.millis("REDIS_TIMEOUT", 1000);
    let cache_ttl = reader.seconds("REDIS_CACHE_TTL", 600);
    let key_prefix = reader.parsed("REDIS_KEY_PREFIX", "auth:".to_owned(), "a prefix");
    let formats = [("record", CacheFormat::Record), ("true", CacheFormat::True)];
    let format = reader.choice("REDIS_CACHE_FORMAT", CacheFormat::Record, &formats);
    let tracking = reader.switch("REDIS_TRACKING", false);
    let ca_file = reader.text(CA_FILE).map(PathBuf::from);
    let url = reader.url("REDIS_URL");
    let host = reader.read("REDIS_HOST", Host::parse);
    if url.is_none() && !reader.is_set("REDIS_HOST") {
        if sessions.is_some() {
            let what = "SESSION_STORE says that sessions are in Redis: set REDIS_URL to a redis:// URL, or set \
                 REDIS_HOST";
            reader.problem("REDIS_URL", what);
        }
        return None;
    }
    let port = reader.port("REDIS_PORT");
    let user = reader.text("REDIS_USERNAME");
    let password = reader
        .password("REDIS_PASSWORD")
        .filter(|password| !password.is_empty());
    let mut redis = match url {
        Some(url) => {
            let mut redis = ConnectionUrl::parse(&url)
                .and_then(|url| RedisUrl::read(&url))
                .map_err(|what| reader.problem("REDIS_URL", what))
                .ok()?;
            reader.record_harmless_parts("REDIS_URL", &redis.harmless);
            let place = "REDIS_URL";
            if redis.has_no_host() {
                for (name, is_given) in [
                    ("REDIS_HOST", host.is_some()),
                    ("REDIS_PORT", port.is_some()),
                ] {
                    if is_given {
                        reader.problem(name, contradiction(place));
                    }
                }
            } else if let Some(host) = host {
                set_unless_different(
                    reader,
                    "REDIS_HOST",
                    place,
                    &mut redis.host,
                    Some(host.name),
                );
                set_unless_different(reader, "REDIS_HOST", place, &mut redis.port, host.port);
            }
            set_unless_different(reader, "REDIS_PORT", place, &mut redis.port, port);
            redis
        }
        None => {
            let host = host?;
            let mut redis = RedisUrl::at(host.name, host.port);
            set_unless_different(reader, "REDIS_PORT", "REDIS_HOST", &mut redis.port, port);
            redis
        }
    };
    set_unless_different(reader, "REDIS_USERNAME", "REDIS_URL", &mut redis.user, user);
    let place = "REDIS_URL";
    set_unless_different(
        reader,
        "REDIS_PASSWORD",
        place,
        &mut redis.password,
        password,
    );
    set_unless_different(reader, CA_FILE, place, &mut redis.ca_file, ca_file);
    if redis.user.is_some() && redis.password.is_none() {
        let what = "the user has no password; add the password to the URL, or set REDIS_PASSWORD";
        let name = match reader.is_set("REDIS_USERNAME") {
            true => "REDIS_USERNAME",
            false => place,
        };
        reader.problem(name, what);
    }
    if redis.ca_file.is_some() && !redis.tls {
        reader.warn_about_unused(
            CA_FILE,
            "the connection to Redis does not use TLS; use rediss:// in REDIS_URL for TLS",
        );
    }
    let ca_file = redis.ca_file.clone();
    let server = redis.server();
    if let (RedisAddress::Cluster(_), true) = (&server.address, tracking)
        && !ClusterSeeds::can_be_tracked(&key_prefix, sessions.as_deref())
    {
        reader.problem("REDIS_TRACKING", UNTRACKED_SESSIONS);
    }
    if let Err(error) = server.check_files(ca_file.as_ref()) {
        let name = if reader.is_set(CA_FILE) {
            CA_FILE
        } else {
            place
        };
        reader.problem(name, error.to_string());
    }
    Some(RedisSettings {
        timeout,
        cache_ttl,
        key_prefix,
        sessions,
        ca_file,
        server,
        format,
        tracking,
    })
}

const CA_FILE: &str = "REDIS_CA_FILE";

const UNTRACKED_SESSIONS: &str = "the `{…}` in REDIS_KEY_PREFIX puts all of the gate's keys on one server of the cluster, while \
     the sessions are on others, so the gate cannot verify that it is notified of changes there; use the same `{…}` in \
     BETTER_AUTH_REDIS_PREFIX, or none in either";

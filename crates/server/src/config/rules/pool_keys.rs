//! Reads the keys of `[service.NAME]` for servers and the connections to them.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use rustls::pki_types::ServerName;

use super::conditions::parsed;
use super::pool::{Balance, HealthCheck, HealthSettings, PoolSettings, ServiceTls};
use super::{ServerAddress, ServerSettings};
use crate::config::files::ContentDigest;
use crate::config::problem::Problem;
use crate::config::raw_tables::{RawPool, Spanned};
use crate::config::reader::Reader;
use crate::tls::{Authorities, TlsOptions, Verification, client_config};
use wire::proxy_protocol::ProxyVersion;

/// The defaults of the top level for connections to services.
#[derive(Clone, Debug)]
pub(in crate::config) struct ConnectionDefaults {
    keep_alive: Option<u32>,
    max_age: Duration,
    /// The file with the certificate authorities to trust, and its content.
    authorities: Option<(PathBuf, Authorities)>,
}

impl ConnectionDefaults {
    pub(in crate::config) fn read(reader: &mut Reader<'_>) -> Self {
        let keep_alive = reader.read("UPSTREAM_KEEP_ALIVE", |text| {
            text.trim()
                .parse()
                .map_err(|_| "not a whole number of seconds")
        });
        let max_age = reader.seconds("UPSTREAM_MAX_AGE", 300);
        let authorities = reader.text("UPSTREAM_CA_FILE").and_then(|text| {
            let path = PathBuf::from(text);
            let read = Authorities::of_file(&path);
            let read = read.map_err(|error| reader.problem("UPSTREAM_CA_FILE", error.to_string()));
            Some((path, read.ok()?))
        });
        Self {
            keep_alive,
            max_age,
            authorities,
        }
    }
}

/// Reads the keys for these servers. A key that cannot have an effect is a problem.
pub(super) fn pool(
    raw: &RawPool,
    servers: &[ServerSettings],
    connections: &ConnectionDefaults,
    problems: &mut Vec<Problem>,
) -> PoolSettings {
    let defaults = PoolSettings::default();
    let mut count = |value: &Option<Spanned<i64>>, least, default| {
        let Some(value) = value else {
            return default;
        };
        let read = u32::try_from(value.value).ok();
        read.filter(|number| *number >= least).unwrap_or_else(|| {
            let what = format!("it must be a whole number, at least {least}");
            problems.push(Problem::at(value.place.clone(), what));
            default
        })
    };
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    let eject_after = count(&raw.eject_after, 0, 3);
    let eject_time = seconds(count(&raw.eject_time, 1, 10));
    let max_age = raw.max_age.is_some();
    let max_age = max_age.then(|| seconds(count(&raw.max_age, 0, 0)));
    let max_age = max_age.unwrap_or(connections.max_age);
    let interval = seconds(count(&raw.health_interval, 1, 5));
    let keep_alive = raw.keep_alive.is_some();
    let keep_alive = keep_alive.then(|| count(&raw.keep_alive, 0, 0));
    let max_connections = count(&raw.max_connections, 1, 0);
    let retry_percent = count(&raw.retry_budget, 0, defaults.retry_percent);
    if retry_percent > 100
        && let Some(budget) = &raw.retry_budget
    {
        let what = "it must be the number of requests in 100 that may be retried: 0 to 100";
        problems.push(Problem::at(budget.place.clone(), what));
    }
    report_shared_connections(raw, servers, problems);
    PoolSettings {
        balance: word(raw.balance.as_ref(), defaults.balance, &BALANCES, problems),
        retry_percent,
        eject_after: NonZeroU32::new(eject_after),
        eject_time,
        max_age: (!max_age.is_zero()).then_some(max_age),
        keep_alive: keep_alive.or(connections.keep_alive),
        max_connections: NonZeroU32::new(max_connections),
        health: health(raw, interval, problems),
        tls: tls(raw, servers, connections, problems),
        proxy_protocol: word(raw.proxy_protocol.as_ref(), None, &PROXY_VERSIONS, problems),
    }
}

/// Reports the PROXY protocol for servers whose connections several clients share, so that a connection has no single
/// client.
fn report_shared_connections(
    raw: &RawPool,
    servers: &[ServerSettings],
    problems: &mut Vec<Problem>,
) {
    let is_shared =
        |server: &&ServerSettings| matches!(server.address, ServerAddress::Http2 { .. });
    let version = raw.proxy_protocol.as_ref();
    let version = version.filter(|version| version.value != "off");
    if let (Some(version), Some(server)) = (version, servers.iter().find(is_shared)) {
        let what = format!("`proxy_protocol` is not possible with `{}`", server.address);
        let help = "over HTTP/2 the requests of many clients share a connection; use `http://` in `upstream`, or remove \
             `proxy_protocol` and let the service read `X-Forwarded-For`";
        problems.push(Problem::at(version.place.clone(), what).with_help(help));
    }
}

/// The settings of a service that has none of the keys for servers.
pub(super) fn default_pool(
    servers: &[ServerSettings],
    connections: &ConnectionDefaults,
) -> PoolSettings {
    // There are no problems, because there are no keys.
    pool(&RawPool::default(), servers, connections, &mut Vec::new())
}

/// Reports keys that need several servers, in a service that has one.
pub(super) fn report_keys_for_several_servers(raw: &RawPool, problems: &mut Vec<Problem>) {
    let places = [
        raw.balance.as_ref().map(|value| &value.place),
        raw.retry_budget.as_ref().map(|value| &value.place),
        raw.eject_after.as_ref().map(|value| &value.place),
        raw.eject_time.as_ref().map(|value| &value.place),
    ];
    for place in places.into_iter().flatten() {
        let problem = Problem::at(place.clone(), "this has no effect");
        let help = "the service has only one server; give several, such as `upstream = [\"http://app-1:3000\", \
             \"http://app-2:3000\"]`";
        problems.push(problem.with_help(help));
    }
}

/// Reports keys for servers, in a service that is a folder.
pub(super) fn report_keys_for_servers(raw: &RawPool, problems: &mut Vec<Problem>) {
    for place in raw.places() {
        let problem = Problem::at(place.clone(), "this has no effect");
        problems
            .push(problem.with_help("the service is a folder, which has no servers; remove it"));
    }
}

fn health(
    raw: &RawPool,
    interval: Duration,
    problems: &mut Vec<Problem>,
) -> Option<HealthSettings> {
    let Some(text) = &raw.health_check else {
        if let Some(unused) = &raw.health_interval {
            let problem = Problem::at(unused.place.clone(), "this has no effect");
            problems.push(problem.with_help("without `health_check` servers are not checked"));
        }
        return None;
    };
    let is_path = text.value.starts_with('/') && text.value.parse::<PathAndQuery>().is_ok();
    let check = match text.value.as_str() {
        "tcp" => HealthCheck::Tcp,
        path if is_path && !path.contains('#') => HealthCheck::Http(path.to_owned()),
        other => {
            let what = format!("`{other}` is neither a path such as `/healthz` nor `tcp`");
            problems.push(Problem::with(text, what));
            return None;
        }
    };
    Some(HealthSettings { check, interval })
}

fn tls(
    raw: &RawPool,
    servers: &[ServerSettings],
    connections: &ConnectionDefaults,
    problems: &mut Vec<Problem>,
) -> ServiceTls {
    let uses_tls = servers.iter().any(|server| server.address.speaks_tls());
    if !uses_tls {
        for place in raw.tls_places() {
            let problem = Problem::at(place.clone(), "this has no effect");
            let help = "no server of the service uses TLS; use `https://` in `upstream`";
            problems.push(problem.with_help(help));
        }
        return ServiceTls::default();
    }
    let name = raw.tls_server_name.as_ref();
    let name = name.and_then(|text| parsed(text, problems, server_name));
    let pair = identity(raw, problems);
    let mut files = Vec::new();
    let Some(authorities) = authorities(raw, connections, &mut files, problems) else {
        return ServiceTls::default();
    };
    let identity = pair.map(|(certificate, key)| {
        files.push(("tls_cert_file", PathBuf::from(&certificate.value)));
        files.push(("tls_key_file", PathBuf::from(&key.value)));
        (Path::new(&certificate.value), Path::new(&key.value))
    });
    let tls_options = TlsOptions {
        verification: Verification::AuthorityAndName(authorities),
        identity,
    };
    let contents = files.iter().map(|(_, path)| ContentDigest::of_file(path));
    let contents = contents.collect();
    let config = client_config(tls_options).map(|mut config| {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    });
    let config = config.map_err(|error| {
        let own = raw.tls_cert_file.as_ref().map(|file| &file.place);
        let place = own.or_else(|| raw.tls_ca_files.first().map(|file| &file.place));
        problems.extend(place.map(|place| Problem::at(place.clone(), error.to_string())));
    });
    ServiceTls {
        config: config.ok(),
        name,
        files,
        contents,
    }
}

fn server_name(text: &str) -> Result<ServerName<'static>, &'static str> {
    let name = ServerName::try_from(text.to_owned());
    name.map_err(|_| "this is neither a hostname nor an IP address")
}

/// The certificate authorities to trust. Records their files.
fn authorities(
    raw: &RawPool,
    connections: &ConnectionDefaults,
    files: &mut Vec<(&'static str, PathBuf)>,
    problems: &mut Vec<Problem>,
) -> Option<Authorities> {
    if raw.tls_ca_files.is_empty() {
        let Some((path, authorities)) = &connections.authorities else {
            return Some(Authorities::public());
        };
        files.push(("UPSTREAM_CA_FILE", path.clone()));
        return Some(authorities.clone());
    }
    let mut authorities = Authorities::none();
    for file in &raw.tls_ca_files {
        let path = PathBuf::from(&file.value);
        if let Err(error) = authorities.add_file(&path) {
            problems.push(Problem::with(file, error.to_string()));
            return None;
        }
        files.push(("tls_ca_file", path));
    }
    Some(authorities)
}

/// The gate's own certificate and its key. One without the other is a problem.
fn identity<'r>(
    raw: &'r RawPool,
    problems: &mut Vec<Problem>,
) -> Option<(&'r Spanned<String>, &'r Spanned<String>)> {
    let (alone, missing) = match (&raw.tls_cert_file, &raw.tls_key_file) {
        (Some(certificate), Some(key)) => return Some((certificate, key)),
        (None, None) => return None,
        (Some(certificate), None) => (certificate, "its key in `tls_key_file`"),
        (None, Some(key)) => (key, "its certificate in `tls_cert_file`"),
    };
    let problem = Problem::at(
        alone.place.clone(),
        "the certificate and its key must be given together",
    );
    problems.push(problem.with_help(format!("give {missing} too")));
    None
}

/// Reads one of a few words, or takes the default.
fn word<T: Copy>(
    text: Option<&Spanned<String>>,
    default: T,
    words: &[(&str, T)],
    problems: &mut Vec<Problem>,
) -> T {
    let Some(text) = text else {
        return default;
    };
    let found = words.iter().find(|(word, _)| *word == text.value);
    let Some((_, value)) = found else {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let what = format!("`{}` is not one of {}", text.value, words.join(", "));
        problems.push(Problem::with(text, what));
        return default;
    };
    *value
}

/// Splits the weight from one entry of `upstream`, such as `http://app-1:3000 weight 3`.
///
/// # Errors
/// If the weight is invalid; the message says why.
pub(in crate::config) fn weighted(text: &str) -> Result<(&str, u32), String> {
    let mut words = text.split_ascii_whitespace();
    let wrong =
        || format!("only a weight may follow the URL, such as `weight 3`, from 1 to {MOST_WEIGHT}");
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(url), Some("weight"), Some(number), None) => {
            let weight = number.parse().ok();
            let weight = weight.filter(|weight| (1..=MOST_WEIGHT).contains(weight));
            weight.map(|weight| (url, weight)).ok_or_else(wrong)
        }
        (Some(_), Some("weight"), _, _) => Err(wrong()),
        // The path of a socket may contain spaces.
        _ => Ok((text, 1)),
    }
}

impl ServerAddress {
    /// Whether the gate uses TLS with this server.
    pub(crate) fn speaks_tls(&self) -> bool {
        match self {
            Self::Tcp { secure, .. } => *secure,
            Self::Http2 { .. } | Self::Unix(_) => false,
        }
    }
}

const BALANCES: [(&str, Balance); 3] = [
    ("round-robin", Balance::RoundRobin),
    ("least-requests", Balance::LeastRequests),
    ("by-user", Balance::ByUser),
];

const PROXY_VERSIONS: [(&str, Option<ProxyVersion>); 3] = [
    ("off", None),
    ("v1", Some(ProxyVersion::V1)),
    ("v2", Some(ProxyVersion::V2)),
];

/// The largest weight, which bounds how many turns a server gets in a row.
const MOST_WEIGHT: u32 = 100;

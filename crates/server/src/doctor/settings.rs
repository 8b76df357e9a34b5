//! Examines settings that are valid but may not be intended.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::catalogue::settings as checks;
use super::finding::Finding;
use super::site::is_this_machine;
use crate::config::{
    self, Config, GivenSecret, IN_THE_CLEAR, Loaded, Problem, RealmSettings, Variables,
};

/// The findings about an invalid configuration.
pub(super) fn not_valid(problems: &[Problem]) -> Vec<Finding> {
    let findings = problems.iter().map(|problem| {
        let place = problem.place.as_ref().map(ToString::to_string);
        let subject = match (problem.name.as_str(), place) {
            ("", place) => place.unwrap_or_else(|| "the configuration".to_owned()),
            (name, _) => name.to_owned(),
        };
        let finding = Finding::new(&checks::CONFIG_NOT_VALID, subject, problem.what.clone());
        match &problem.help {
            Some(help) => finding.with_advice(format!("{help}.")),
            None => finding,
        }
    });
    findings.collect()
}

/// The findings about a valid configuration. `secrets` have findings of their own.
pub(super) fn assess(config: &Config, loaded: &Loaded, secrets: &[GivenSecret]) -> Vec<Finding> {
    let mut findings: Vec<_> = trusted_proxies(config).collect();
    findings.extend(bypass(config));
    findings.extend(listeners(config));
    findings.extend(admin(config));
    for (realm, variables) in config::realms(loaded) {
        findings.extend(plain_urls(realm, variables));
    }
    findings.extend(config.realms.iter().filter_map(revocation));
    findings.extend(warnings(config, secrets));
    findings
}

/// The findings about trusted networks that are too large to belong to one operator.
fn trusted_proxies(config: &Config) -> impl Iterator<Item = Finding> {
    let networks = config.trusted_proxies.networks().iter();
    let wide = networks.filter(|network| match network {
        IpNet::V4(network) => network.prefix_len() < 8,
        // `fc00::/7` are the private networks of IPv6 (RFC 4193).
        IpNet::V6(network) => network.prefix_len() < 7,
    });
    wide.map(|network| {
        Finding::new(
            &checks::TRUSTED_PROXIES_WIDE,
            "TRUSTED_PROXIES",
            format!("{network} is trusted"),
        )
    })
}

fn bypass(config: &Config) -> Option<Finding> {
    let bypass = config.bypass.as_ref()?;
    let whom = match bypass.is_loopback_only() {
        true => "to requests from this machine",
        false => "to anybody who knows its value",
    };
    let seen = format!("{} opens the gate {whom}", bypass.header());
    Some(Finding::new(&checks::BYPASS_ON, "ALLOW_BYPASS", seen))
}

fn listeners(config: &Config) -> impl Iterator<Item = Finding> {
    let is_trusting = !config.trusted_proxies.networks().is_empty();
    let open = config.listeners.iter();
    let open = open.filter(move |listener| listener.is_in_the_clear() && !is_trusting);
    open.map(|listener| {
        let address = listener.address;
        let seen = format!("it listens on {address} without TLS, and TRUSTED_PROXIES is empty");
        Finding::new(&checks::LISTENS_IN_THE_CLEAR, listener.name, seen)
    })
}

fn admin(config: &Config) -> Option<Finding> {
    let address = config.admin.listen;
    let is_exposed = !address.ip().is_loopback();
    let seen = format!("it listens on {address}");
    is_exposed.then(|| Finding::new(&checks::ADMIN_EXPOSED, "ADMIN_LISTEN", seen))
}

/// The findings about http:// URLs to which browsers are redirected.
fn plain_urls(realm: &str, variables: &Variables) -> impl Iterator<Item = Finding> {
    let names = ["PUBLIC_URL", "SIGN_IN_URL"].into_iter();
    let given = names.filter_map(|name| Some((name, variables.get(name)?)));
    let urls = given.flat_map(|(name, list)| list.split(',').map(move |url| (name, url.trim())));
    urls.filter_map(|(name, url)| {
        let rest = url.strip_prefix("http://")?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let host = host_of(authority);
        let seen = format!("http://{host}");
        let subject = of_realm(realm, name);
        (!is_this_machine(host)).then(|| Finding::new(&checks::URL_NOT_HTTPS, subject, seen))
    })
}

/// The name of something in a realm, with the realm's name unless it is the default realm.
pub(super) fn of_realm(realm: &str, name: &str) -> String {
    match realm {
        "default" => name.to_owned(),
        realm => format!("{name} of realm {realm}"),
    }
}

fn host_of(authority: &str) -> &str {
    let authority = authority.rsplit('@').next().unwrap_or_default();
    match authority
        .strip_prefix('[')
        .and_then(|it| it.split_once(']'))
    {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// The finding about how long caches keep deleted users and sessions valid.
fn revocation(realm: &RealmSettings) -> Option<Finding> {
    let stores = realm.stores.as_ref()?;
    // Notified changes take effect at once.
    let says_all = match &stores.database {
        Some(database) => database.listen.is_some(),
        None => stores.redis.as_ref().is_some_and(|redis| redis.tracking),
    };
    if says_all {
        return None;
    }
    let memory = match stores.memory.is_on() {
        true => stores.memory.ttl,
        false => Duration::ZERO,
    };
    let redis = stores.redis.as_ref().map(|redis| redis.cache_ttl);
    let total = memory + redis.unwrap_or_default();
    if total.is_zero() {
        return None;
    }
    let seen = format!(
        "access ends at most {} s after the row is deleted: {} s in memory, {} s in Redis",
        total.as_secs(),
        memory.as_secs(),
        redis.unwrap_or_default().as_secs()
    );
    let check = match total > SLOW {
        true => &checks::REVOCATION_SLOW,
        false => &checks::REVOCATION_TIME,
    };
    Some(Finding::new(check, of_realm(&realm.name, "caches"), seen))
}

/// The start-up warnings, except those that have findings of their own.
fn warnings<'a>(
    config: &'a Config,
    secrets: &'a [GivenSecret],
) -> impl Iterator<Item = Finding> + 'a {
    let is_told = move |warning: &&String| {
        let of_secret = secrets
            .iter()
            .any(|given| warning.starts_with(&format!("{}: the secret has only", given.setting)));
        of_secret || warning.starts_with("ALLOW_BYPASS is on") || warning.contains(IN_THE_CLEAR)
    };
    let warnings = config.warnings.iter();
    warnings
        .filter(move |warning| !is_told(warning))
        .map(|warning| start_up_warning(warning))
}

/// The findings about misspelled names, which may explain missing settings.
pub(super) fn misspelled_names(notes: &[String]) -> impl Iterator<Item = Finding> {
    notes.iter().map(|note| start_up_warning(note))
}

fn start_up_warning(warning: &str) -> Finding {
    Finding::new(&checks::START_UP_WARNING, subject(warning), warning)
}

/// The setting or realm at the beginning of a warning.
fn subject(warning: &str) -> &str {
    let is_setting = |word: &str| {
        let is_of_name =
            |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        word.bytes().all(is_of_name)
    };
    let word = warning
        .split([':', ' '])
        .next()
        .filter(|word| is_setting(word));
    let realm = || {
        let head = warning.split(':').next();
        head.filter(|head| head.starts_with("realm "))
    };
    word.or_else(realm).unwrap_or("the configuration")
}

/// Whether a host is on another machine, so that others may read the traffic.
pub(super) fn is_remote(host: &str) -> bool {
    let is_loopback = |ip: IpAddr| ip.is_loopback();
    host != "localhost" && !host.parse().is_ok_and(is_loopback)
}

/// The longest acceptable time until access ends: a quarter of an hour is longer than operators expect.
const SLOW: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use super::subject;

    #[test]
    fn warning_subject_is_what_it_begins_with() {
        for (warning, about) in [
            ("ENABLE_DB_CHECK is off: a deleted user", "ENABLE_DB_CHECK"),
            ("SIGN_IN_URL: it is not public", "SIGN_IN_URL"),
            ("realm shop: ENABLE_DB_CHECK is off", "realm shop"),
            ("the realms a and b both read", "the configuration"),
        ] {
            assert_eq!(subject(warning), about, "{warning}");
        }
    }
}

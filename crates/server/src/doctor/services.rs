//! Checks whether the services and issuers of a configuration can be reached.

use std::sync::Arc;
use std::time::Duration;

use session::JwtKeys;
use tokio::time::timeout;

use super::catalogue::settings as checks;
use super::finding::Finding;
use super::report::Probe;
use crate::config::{Config, ServiceSettings};
use crate::jwks;
use crate::upstream::{Member, Members};

/// Opens a connection to each server of each service, and requests the keys of each issuer.
pub(super) async fn examine(config: &Config) -> (Vec<Finding>, Vec<Probe>) {
    let (mut findings, mut probes) = (Vec::new(), Vec::new());
    // A folder exists, or the configuration would be invalid.
    let services = config.rules.services.iter();
    let upstreams = services.filter_map(|service| match service {
        ServiceSettings::Folder(_) => None,
        ServiceSettings::Upstream(upstream) => Some(upstream),
    });
    let members = upstreams.flat_map(|upstream| {
        let members = Members::new(upstream).all;
        let all = members.into_iter();
        all.map(|member| (member, upstream.connect_timeout))
    });
    let mut known: Vec<Arc<Member>> = Vec::new();
    for (member, limit) in members {
        if known.iter().any(|other| other.is_reached_like(&member)) {
            continue;
        }
        let what = format!("service {}", member.name);
        let failure = connect(&member, limit).await.err();
        known.push(member);
        if let Some(failure) = &failure {
            findings.push(Finding::new(
                &checks::SERVICE_UNREACHABLE,
                what.clone(),
                failure.clone(),
            ));
        }
        probes.push(Probe {
            what,
            failure,
            limit,
        });
    }
    for realm in &config.realms {
        let issuer = realm.issuer.as_ref();
        let Some(source) = issuer.and_then(|issuer| issuer.keys.source.as_ref()) else {
            continue;
        };
        let what = format!("keys at {source}");
        let failure = keys(source).await.err();
        if let Some(failure) = &failure {
            findings.push(Finding::new(
                &checks::JWKS_UNREACHABLE,
                what.clone(),
                failure.clone(),
            ));
        }
        probes.push(Probe {
            what,
            failure,
            limit: jwks::TIMEOUT,
        });
    }
    (findings, probes)
}

async fn connect(member: &Member, limit: Duration) -> Result<(), String> {
    match timeout(limit, member.reach()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {} s", limit.as_secs())),
    }
}

async fn keys(source: &jwks::KeySource) -> Result<(), String> {
    let text = source.read().await.map_err(|error| error.to_string())?;
    let keys = JwtKeys::new(None, Some(&text));
    keys.map(drop).map_err(|error| error.to_string())
}

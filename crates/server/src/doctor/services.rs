//! Whether the services and issuers of a configuration can be reached.

use std::time::Duration;

use session::JwtKeys;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::catalogue::settings as checks;
use super::finding::Finding;
use super::report::Asked;
use crate::config::{Config, ServerAddress, ServiceSettings};
use crate::jwks;

/// Opens a connection to each server of each service, and asks each issuer for its keys.
pub(super) async fn examine(config: &Config) -> (Vec<Finding>, Vec<Asked>) {
    let (mut findings, mut asked) = (Vec::new(), Vec::new());
    // A folder is there, or the configuration has been refused.
    let services = config.rules.services.iter();
    let upstreams = services.filter_map(|service| match service {
        ServiceSettings::Folder(_) => None,
        ServiceSettings::Upstream(upstream) => Some(upstream),
    });
    let servers = upstreams.flat_map(|upstream| {
        let servers = upstream.servers.iter();
        servers.map(|server| (&server.address, upstream.connect_timeout))
    });
    let mut known: Vec<&ServerAddress> = Vec::new();
    for (server, limit) in servers {
        if known.contains(&server) {
            continue;
        }
        known.push(server);
        let what = format!("service {server}");
        let failure = connect(server, limit).await.err();
        if let Some(failure) = &failure {
            findings.push(Finding::new(
                &checks::SERVICE_UNREACHABLE,
                what.clone(),
                failure.clone(),
            ));
        }
        asked.push(Asked {
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
        asked.push(Asked {
            what,
            failure,
            limit: jwks::TIMEOUT,
        });
    }
    (findings, asked)
}

async fn connect(server: &ServerAddress, limit: Duration) -> Result<(), String> {
    let connected = async {
        match server {
            ServerAddress::Tcp { host, port, .. } => {
                TcpStream::connect((host.as_str(), *port)).await.map(drop)
            }
            ServerAddress::Unix(path) => UnixStream::connect(path).await.map(drop),
        }
    };
    match timeout(limit, connected).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {} s", limit.as_secs())),
    }
}

async fn keys(source: &jwks::Source) -> Result<(), String> {
    let text = source.read().await.map_err(|error| error.to_string())?;
    let keys = JwtKeys::new(None, Some(&text));
    keys.map(drop).map_err(|error| error.to_string())
}

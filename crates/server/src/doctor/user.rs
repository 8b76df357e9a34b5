//! The user of a session that somebody has, as the stores know them.

use std::net::{IpAddr, Ipv4Addr};

use gate::{Admission, Facts, Refusal};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Method};
use session::UnixTime;
use tokio::runtime::Handle;

use super::catalogue::cookies::SESSION_REFUSED;
use super::finding::Finding;
use super::session::SUBJECT;
use crate::config::Config;
use crate::inbound::arrival::{self, Peer};
use crate::live::{HandedTickets, Live, Surroundings};

/// Why a gate with this configuration would refuse a session that opens, because of what its stores say; `None` when it would not,
/// or when they do not answer. `Err` with a reason when they are not asked.
pub(super) async fn examine(
    mut config: Config,
    cookies: &HeaderValue,
    now: UnixTime,
) -> Result<Option<Finding>, String> {
    for stores in config
        .realms
        .iter_mut()
        .filter_map(|realm| realm.stores.as_mut())
    {
        // As a cache it would be written to.
        if stores
            .redis
            .as_ref()
            .is_some_and(|redis| redis.sessions.is_none())
        {
            stores.redis = None;
        }
        if stores.redis.is_some() && stores.caches_in_redis() {
            return Err(
                "whether the session's user exists: the answer would be written to Redis, which holds sessions too; \
                 `sessiongate explain GET / --cookie-file …` asks and says so"
                    .to_owned(),
            );
        }
    }
    let around = Surroundings::of(Handle::current(), HandedTickets::default());
    let around = around.map_err(|error| error.to_string())?;
    let live = Live::open(config, None, &around).map_err(|error| format!("{error:#}"))?;
    live.has_asked_for_revocations().await;
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, cookies.clone());
    let peer = Peer::plain(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let facts = Facts {
        method: &Method::GET,
        host: None,
        path: None,
        headers: &headers,
        arrival: &arrival::direct(&peer, &headers, &live.trusted_proxies),
    };
    let mut finding = None;
    for realm in &live.gate.realms {
        let found = realm.identify(&facts, now).await;
        if found.is_ok() {
            finding = None;
            break;
        }
        finding = finding.or(refused(found));
    }
    live.close().await;
    Ok(finding)
}

/// What is to be said of the answer of one realm.
fn refused(found: Result<Admission, Refusal>) -> Option<Finding> {
    let refusal = found.err()?;
    let is_of_stores = matches!(
        refusal,
        Refusal::Guest(_)
            | Refusal::Inactive(_)
            | Refusal::NoSessionStore { .. }
            | Refusal::Revoked(_)
            | Refusal::UnknownSession(_)
            | Refusal::UnknownUser(_)
            | Refusal::UnverifiedAddress(_)
    );
    is_of_stores.then(|| {
        Finding::new(
            &SESSION_REFUSED,
            SUBJECT,
            format!("the gate says: {refusal}"),
        )
    })
}

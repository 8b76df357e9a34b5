//! Looks up the user of a given session in the stores.

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
use crate::live::{HandedTickets, Live, LiveContext};

/// Returns a finding if a gate with this configuration would refuse a session that opens, because of its stores. `None` if it
/// would not, or if they do not answer. `Err` says why they are not contacted.
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
        // A lookup would write to Redis as a cache.
        if stores
            .redis
            .as_ref()
            .is_some_and(|redis| redis.sessions.is_none())
        {
            stores.redis = None;
        }
        if stores.redis.is_some() && stores.caches_in_redis() {
            return Err(
                "whether the session's user exists: looking it up would write to Redis, which also stores sessions; \
                 `sessiongate explain GET / --cookie-file …` does look it up"
                    .to_owned(),
            );
        }
    }
    let context = LiveContext::of(Handle::current(), HandedTickets::default());
    let context = context.map_err(|error| error.to_string())?;
    let live = Live::open(config, None, &context).map_err(|error| format!("{error:#}"))?;
    live.wait_for_revocations().await;
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

/// The finding about the refusal of one realm, if its stores are the reason.
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

//! How a request reached us.

use std::net::IpAddr;

use gate::{Arrival, TrustedProxies};
use http::{HeaderMap, HeaderName};

/// The id of a request, in both directions.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The arrival of a request whose client talks to us. A listed proxy may name the request; everyone else gets a new name.
pub(crate) fn direct(peer: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> Arrival {
    let peer = peer.to_canonical();
    let trusted_peer = proxies.trusts(peer);
    let given = headers
        .get(X_REQUEST_ID)
        .filter(|_| trusted_peer)
        .and_then(|id| id.to_str().ok());
    let is_usable =
        |id: &&str| matches!(id.len(), 1..=128) && id.bytes().all(|byte| byte.is_ascii_graphic());
    let request_id = given
        .filter(is_usable)
        .map_or_else(new_request_id, str::to_owned);
    Arrival {
        peer,
        client: proxies.client(peer, headers),
        trusted_peer,
        relayed: false,
        request_id,
    }
}

/// The arrival of a request that a host asks about, and forwards itself.
pub(crate) fn relayed(peer: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> Arrival {
    Arrival {
        relayed: true,
        ..direct(peer, headers, proxies)
    }
}

/// The arrival of bytes that never became a request.
pub(crate) fn unreadable(peer: IpAddr) -> Arrival {
    let peer = peer.to_canonical();
    Arrival {
        peer,
        client: peer,
        trusted_peer: false,
        relayed: false,
        request_id: new_request_id(),
    }
}

/// 128 random bits. They need not be secret, only different everywhere, so a fast generator will do.
fn new_request_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

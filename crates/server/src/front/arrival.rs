//! How a request reached us.

use std::net::IpAddr;

use gate::{Arrival, TrustedProxies};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The id of a request, in both directions.
pub(crate) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The arrival of a request whose client talks to us, with TLS if it is `secure`. A listed proxy may name the request; everyone
/// else gets a new name.
pub(crate) fn direct(
    peer: IpAddr,
    secure: bool,
    headers: &HeaderMap,
    proxies: &TrustedProxies,
) -> Arrival {
    let peer = peer.to_canonical();
    let trusted_peer = proxies.trusts(peer);
    let given = headers.get(&X_REQUEST_ID).filter(|_| trusted_peer);
    let is_usable = |id: &&HeaderValue| {
        matches!(id.len(), 1..=128) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let request_id = given
        .filter(is_usable)
        .map_or_else(new_request_id, HeaderValue::clone);
    Arrival {
        peer,
        client: proxies.client(peer, headers),
        trusted_peer,
        relayed: false,
        secure,
        request_id,
    }
}

/// The arrival of a request that a host asks about, and forwards itself.
pub(crate) fn relayed(peer: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> Arrival {
    Arrival {
        relayed: true,
        ..direct(peer, false, headers, proxies)
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
        secure: false,
        request_id: new_request_id(),
    }
}

/// 128 random bits. They need not be secret, only different everywhere, so a fast generator will do.
fn new_request_id() -> HeaderValue {
    let bits = fastrand::u128(..).to_be_bytes();
    let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
    let mut id = [0; 32];
    for (pair, byte) in id.as_chunks_mut::<2>().0.iter_mut().zip(bits) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    HeaderValue::from_bytes(&id).expect("hexadecimal digits are visible ASCII")
}

//! How a request has reached the gate.

use std::net::IpAddr;
use std::sync::Arc;

use gate::{Arrival, ClientCertificate, TrustedProxies};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::socket::Stream;
use crate::tls::client_certificate;

/// The header of the request id, in requests and answers.
pub(crate) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The peer of a connection, which all requests on it share.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// Whether the connection is encrypted.
    pub(crate) secure: bool,
    /// The client certificate that the peer has presented.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
}

impl Peer {
    /// The peer of a connection without TLS.
    pub(crate) fn plain(address: IpAddr) -> Self {
        Self {
            address,
            secure: false,
            certificate: None,
        }
    }

    /// The peer of `stream`, which connects from `address`.
    pub(crate) fn of(stream: &Stream, address: IpAddr) -> Self {
        let Some(tls) = stream.tls() else {
            return Self::plain(address);
        };
        Self {
            address,
            secure: true,
            certificate: tls
                .peer_certificate()
                .and_then(client_certificate::of)
                .map(Arc::new),
        }
    }
}

/// The arrival of a request that the gate itself answers. Only a trusted proxy may choose the request id.
pub(crate) fn direct(peer: &Peer, headers: &HeaderMap, proxies: &TrustedProxies) -> Arrival {
    let Peer {
        address,
        secure,
        certificate,
    } = peer;
    let peer = address.to_canonical();
    let trusted_peer = proxies.trusts(peer);
    let given = trusted_peer.then(|| headers.get(&X_REQUEST_ID)).flatten();
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
        secure: *secure,
        certificate: certificate.clone(),
        request_id,
    }
}

/// The arrival of a request that a calling proxy asks about and forwards itself.
pub(crate) fn relayed(peer: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> Arrival {
    Arrival {
        relayed: true,
        ..direct(&Peer::plain(peer), headers, proxies)
    }
}

/// The arrival of bytes that are not a valid request.
pub(crate) fn unreadable(peer: IpAddr) -> Arrival {
    let peer = peer.to_canonical();
    Arrival {
        peer,
        client: peer,
        trusted_peer: false,
        relayed: false,
        secure: false,
        certificate: None,
        request_id: new_request_id(),
    }
}

/// A request id: 128 random bits. They need not be secret, only unique, so a fast generator suffices.
fn new_request_id() -> HeaderValue {
    let bits = fastrand::u128(..).to_be_bytes();
    let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
    let mut id = [0; 32];
    for (pair, byte) in id.as_chunks_mut::<2>().0.iter_mut().zip(bits) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    HeaderValue::from_bytes(&id).expect("hexadecimal digits are visible ASCII")
}

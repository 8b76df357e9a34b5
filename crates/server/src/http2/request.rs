//! What a stream asks for, as a request that the proxy decides on.

use h2::ext::Protocol;
use http::header::{SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Request};
use http1::{HeadLimits, Length, Violation};
use wire::stream_head;

use crate::upstream::websocket_accept;

/// Brings the head of a stream into the form in which a request comes over HTTP/1.1.
///
/// # Errors
/// As [`stream_head::read`] has them.
pub(super) fn read(
    mut head: Request<()>,
    has_ended: bool,
    limits: HeadLimits,
) -> Result<Request<Length>, Violation> {
    let protocol = head.extensions_mut().remove::<Protocol>();
    let is_websocket = protocol.is_some_and(|protocol| protocol.as_str() == "websocket");
    let key = is_websocket.then(|| fastrand::u128(..));
    stream_head::read(head, has_ended, key, limits)
}

/// What a service that has understood a request for a WebSocket says to the key in it; `None` for another request.
pub(super) fn wanted_accept(request: &Request<Length>) -> Option<HeaderValue> {
    let headers = request.headers();
    let key = headers.get(SEC_WEBSOCKET_KEY);
    let key = key.filter(|_| headers.contains_key(UPGRADE))?;
    Some(websocket_accept(key.as_bytes()))
}

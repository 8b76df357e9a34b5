//! Converts the head of a stream into a request.

use h2::ext::Protocol;
use http::header::{SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Request};
use http1::{HeadLimits, Length, Violation};
use wire::stream_head;

use crate::upstream::websocket_accept;

/// Converts the head of a stream into a request as it would come over HTTP/1.1.
///
/// # Errors
/// The errors of [`stream_head::read`].
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

/// The `Sec-WebSocket-Accept` that a service has to answer with; `None` if the request is not for a WebSocket.
pub(super) fn wanted_accept(request: &Request<Length>) -> Option<HeaderValue> {
    let headers = request.headers();
    let key = headers.get(SEC_WEBSOCKET_KEY);
    let key = key.filter(|_| headers.contains_key(UPGRADE))?;
    Some(websocket_accept(key.as_bytes()))
}

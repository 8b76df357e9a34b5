//! WebSockets: recognised on the way in, and two connections joined once both sides agreed.

use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use tokio::io::copy_bidirectional;

use crate::connection::Connection;

/// Whether a request asks for a WebSocket (RFC 6455 §4.1). No other protocol is ever upgraded to.
pub(crate) fn is_requested<B>(request: &Request<B>) -> bool {
    *request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && request.headers().contains_key(SEC_WEBSOCKET_KEY)
        && is_websocket(request.headers())
}

/// Whether an upstream agreed to a WebSocket.
pub(crate) fn is_granted<B>(response: &Response<B>) -> bool {
    response.status() == StatusCode::SWITCHING_PROTOCOLS && is_websocket(response.headers())
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let mut protocols = headers.get_all(UPGRADE).iter();
    let only_websocket = matches!((protocols.next(), protocols.next()),
        (Some(protocol), None) if protocol.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let mut options = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    only_websocket
        && options.any(|value| {
            value
                .split(',')
                .any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
        })
}

/// Joins both sides until one of them is done. `client` has the head of the answer in its output. Errors only mean that
/// somebody hung up.
pub(crate) async fn join(client: &mut Connection, mut upstream: Connection) {
    // What each side said before the other one could listen.
    client.output.extend_from_slice(&upstream.input);
    upstream.output.extend_from_slice(&client.input);
    if client.flush().await.is_ok() && upstream.flush().await.is_ok() {
        let _ = copy_bidirectional(client.stream(), upstream.stream()).await;
    }
}

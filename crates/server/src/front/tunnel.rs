//! WebSockets: recognised on the way in, and two connections joined once both sides agreed.

use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, Request, StatusCode, Version};
use http1::Answered;
use tokio::io::copy_bidirectional;

use crate::connection::Connection;

/// Whether a request asks for a WebSocket (RFC 6455 §4.1). No other protocol is ever upgraded to.
pub(crate) fn is_requested<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let values = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes);
    *request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && headers.contains_key(SEC_WEBSOCKET_KEY)
        && is_websocket(values(UPGRADE), values(CONNECTION))
}

/// Whether an upstream agreed to a WebSocket.
pub(crate) fn is_granted(answer: &Answered) -> bool {
    answer.status == StatusCode::SWITCHING_PROTOCOLS
        && is_websocket(answer.values("upgrade"), answer.values("connection"))
}

fn is_websocket<'m>(
    mut protocols: impl Iterator<Item = &'m [u8]>,
    options: impl Iterator<Item = &'m [u8]>,
) -> bool {
    let only_websocket = matches!((protocols.next(), protocols.next()),
        (Some(protocol), None) if protocol.eq_ignore_ascii_case(b"websocket"));
    let mut options = options.flat_map(http1::options);
    only_websocket && options.any(|option| option.eq_ignore_ascii_case(b"upgrade"))
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

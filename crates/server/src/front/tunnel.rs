//! WebSockets: recognised on the way in, and two connections joined once both sides agreed.

use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use super::ClientIo;
use crate::socket::Stream;

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

/// Joins both sides until one of them is done. Errors only mean that somebody hung up.
pub(crate) async fn join(client: OnUpgrade, upstream: OnUpgrade) {
    let (Ok(client), Ok(upstream)) = (client.await, upstream.await) else {
        return;
    };
    let (Some((mut client, early)), Some((mut upstream, answered))) =
        (client_stream(client), stream(upstream))
    else {
        return;
    };
    if upstream.write_all(&early).await.is_ok() && client.write_all(&answered).await.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut upstream).await;
    }
}

/// The bare connection below an upgraded one, and what was read of it beyond the head.
fn client_stream(upgraded: Upgraded) -> Option<(Stream, bytes::Bytes)> {
    let parts = upgraded.downcast::<TokioIo<ClientIo>>().ok()?;
    Some((parts.io.into_inner().into_stream(), parts.read_buf))
}

fn stream(upgraded: Upgraded) -> Option<(TcpStream, bytes::Bytes)> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

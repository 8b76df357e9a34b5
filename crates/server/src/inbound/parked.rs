//! Parked connections. A served connection has a task with room for a whole request. An idle one is moved to a small task,
//! and has no buffers: it keeps only that task, its socket, its TLS state, and a connection to a service if one is reserved for
//! it.
//!
//! ```text
//! serve ── a second without a request ──▶ park ── data arrives, or the gate stops ──▶ serve
//!                                           └──── nothing arrives for CLIENT_IDLE_TIMEOUT ──▶ closed
//! ```

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::proxy::{ConnectedClient, Proxy, Served};
use crate::boxed::boxed;
use crate::http2;

/// Serves a connection until it ends or is parked. A parked connection moves to a new task.
pub(super) async fn serve(proxy: Rc<Proxy>, connected: ConnectedClient, stop: CancellationToken) {
    let address = connected.peer.address;
    match Rc::clone(&proxy).serve(connected, stop.clone()).await {
        Served::Over => {}
        Served::OverHttp2(stream) => boxed(http2::serve(proxy, stream, address, stop)).await,
        Served::Parked(connected, limit) => {
            let connections = proxy.connections.clone();
            connections.spawn_local(park(proxy, connected, limit, stop));
        }
    }
}

/// Waits for the next request on a parked connection, for at most `limit`.
async fn park(
    proxy: Rc<Proxy>,
    connected: ConnectedClient,
    limit: Duration,
    stop: CancellationToken,
) {
    tokio::select! {
        comes = connected.client.readable() => if !comes {
            return;
        },
        () = stop.cancelled() => {}
        () = sleep(limit) => return,
    }
    let connections = proxy.connections.clone();
    // The two tasks follow each other; boxing keeps each future out of the other's type.
    connections.spawn_local(boxed(serve(proxy, connected, stop)));
}

//! Connections whose clients ask nothing for a while. Each is in a task of its own that has room for a whole request; one that
//! rests is in a small one, and holds no memory but for its socket.
//!
//! ```text
//! serve ── a second without a request ──▶ rest ── something comes, or we are to stop ──▶ serve
//!                                           └──── nothing comes for CLIENT_IDLE_TIMEOUT ──▶ over
//! ```

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::proxy::{Connected, Proxy, Served};
use crate::aside::aside;
use crate::http2;

/// Serves a connection until it ends or rests. What becomes of one that rests is another task's business.
pub(super) async fn serve(proxy: Rc<Proxy>, connected: Connected, stop: CancellationToken) {
    let address = connected.peer.address;
    match Rc::clone(&proxy).serve(connected, stop.clone()).await {
        Served::Over => {}
        Served::OverHttp2(stream) => aside(http2::serve(proxy, stream, address, stop)).await,
        Served::Parked(connected, limit) => {
            let connections = proxy.connections.clone();
            connections.spawn_local(park(proxy, connected, limit, stop));
        }
    }
}

/// Waits for whatever comes next on a connection, for so long at most.
async fn park(proxy: Rc<Proxy>, connected: Connected, limit: Duration, stop: CancellationToken) {
    tokio::select! {
        comes = connected.client.readable() => if !comes {
            return;
        },
        () = stop.cancelled() => {}
        () = sleep(limit) => return,
    }
    let connections = proxy.connections.clone();
    // The two tasks follow each other for as long as it lasts; in a box, neither is part of the other.
    connections.spawn_local(aside(serve(proxy, connected, stop)));
}

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

use super::arrival::Peer;
use super::proxy::{Connected, Proxy, Served};
use crate::aside::aside;
use crate::client::Rested;
use crate::http2;

/// A connection that rests.
pub(super) struct Resting {
    pub(super) client: Rested,
    pub(super) peer: Peer,
    /// Whether it may still begin with HTTP/2.
    pub(super) is_new: bool,
    /// How long it may.
    pub(super) limit: Duration,
}

/// Serves a connection until it ends or rests. What becomes of one that rests is another task's business.
pub(super) async fn serve(front: Rc<Proxy>, connected: Connected, stop: CancellationToken) {
    let address = connected.peer.address;
    match Rc::clone(&front).serve(connected, stop.clone()).await {
        Served::Over => {}
        Served::OverHttp2(stream) => aside(http2::serve(front, stream, address, stop)).await,
        Served::Rests(resting) => {
            let connections = front.connections.clone();
            connections.spawn_local(rest(front, resting, stop));
        }
    }
}

/// Waits for whatever comes next on a connection.
async fn rest(front: Rc<Proxy>, resting: Resting, stop: CancellationToken) {
    tokio::select! {
        comes = resting.client.readable() => if !comes {
            return;
        },
        () = stop.cancelled() => {}
        () = sleep(resting.limit) => return,
    }
    let connections = front.connections.clone();
    // The two tasks follow each other for as long as it lasts; in a box, neither is part of the other.
    connections.spawn_local(aside(serve(front, resting.into(), stop)));
}

impl From<Resting> for Connected {
    fn from(resting: Resting) -> Self {
        let Resting {
            client,
            peer,
            is_new,
            limit: _,
        } = resting;
        Self {
            client,
            peer,
            is_new,
        }
    }
}

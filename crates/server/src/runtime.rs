//! One single-threaded runtime per core, each with its own listeners, and no lock on the request path.
//!
//! Measured before this design was chosen: one multi-threaded runtime serves about half as many requests per core,
//! because tasks and their wake-ups move between cores.

use std::io;
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::LocalOptions;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::front::Front;
use crate::front::decisions::Decisions;
use crate::front::proxy::Proxy;
use crate::listener::{Listener, Share};

/// What one runtime serves.
pub(crate) struct Fronts {
    pub(crate) proxy: Option<(Share, Proxy)>,
    pub(crate) decisions: Option<(Share, Decisions)>,
}

/// Starts a thread that serves until `stop`, and then finishes what is in flight for at most `drain`.
///
/// `fronts` makes what the thread serves, and is given the owner of the tasks beside its connections. It is called on the
/// thread, because nothing of it leaves the thread.
pub(crate) fn start(
    name: String,
    stop: CancellationToken,
    drain: Duration,
    fronts: impl FnOnce(&TaskTracker) -> Fronts + Send + 'static,
) -> io::Result<JoinHandle<io::Result<()>>> {
    // A token of its own, because every connection asks it, and asking takes a lock.
    let stop = stop.child_token();
    thread::Builder::new().name(name).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())?;
        runtime.block_on(serve(stop, drain, fronts))
    })
}

async fn serve(
    stop: CancellationToken,
    drain: Duration,
    fronts: impl FnOnce(&TaskTracker) -> Fronts,
) -> io::Result<()> {
    let connections = TaskTracker::new();
    let exchanges = TaskTracker::new();
    let Fronts { proxy, decisions } = fronts(&exchanges);
    tokio::try_join!(
        accept(proxy, &connections, &stop),
        accept(decisions, &connections, &stop)
    )?;
    connections.close();
    exchanges.close();
    let finished = timeout(drain, async {
        connections.wait().await;
        exchanges.wait().await;
    });
    if finished.await.is_err() {
        let (connections, exchanges) = (connections.len(), exchanges.len());
        tracing::warn!(
            connections,
            exchanges,
            "connections were cut: DRAIN_TIMEOUT is over"
        );
    }
    Ok(())
}

/// Serves a listener, if there is one, until `stop`.
async fn accept<F: Front>(
    front: Option<(Share, F)>,
    connections: &TaskTracker,
    stop: &CancellationToken,
) -> io::Result<()> {
    let Some((share, front)) = front else {
        return Ok(());
    };
    let (mut listener, front) = (Listener::new(share)?, Rc::new(front));
    let serve = |(stream, peer)| {
        connections.spawn_local(Rc::clone(&front).serve(stream, peer, stop.clone()));
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok(connection) => serve(connection),
            Err(error) => {
                // Out of file descriptors, most likely: others must close before we can go on.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    while let Some(connection) = listener.accept_last().await {
        serve(connection);
    }
    Ok(())
}

//! One single-threaded runtime for each core, each with its own listeners, and no lock on the request path.
//!
//! Measured before this design was chosen: one multi-threaded runtime serves about half as many requests per core,
//! because tasks and their wake-ups move between cores.

use std::io;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use tokio::runtime::LocalOptions;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::inbound::{ConnectionHandler, record};
use crate::leases::{self, LeaseEnd};
use crate::listener::{Listener, Share};
use crate::pulse::Pulse;
use crate::signals::Stop;
use crate::{tls, vital};

/// The connection handlers of one runtime, each with its share of a listener.
pub(crate) struct Handlers<P, R, D> {
    pub(crate) proxies: Vec<(Share, P)>,
    /// The redirect listeners.
    pub(crate) redirects: Vec<(Share, R)>,
    pub(crate) decisions: Vec<(Share, D)>,
}

/// The tasks of one runtime, which are awaited at shutdown.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    pub(crate) connections: TaskTracker,
    /// The tasks of exchanges that run apart from the task of their connection.
    pub(crate) exchanges: TaskTracker,
}

/// Starts a thread that serves until `stop`, and then finishes what is in flight for at most `drain`. [`vital::reports`]
/// reports how it ends, and `pulse` whether it is responsive.
///
/// `handlers` creates the connection handlers, and gets the owner of their tasks. It runs on the new thread, because
/// handlers are not `Send`.
pub(crate) fn start<P: ConnectionHandler, R: ConnectionHandler, D: ConnectionHandler>(
    name: String,
    stop: Stop,
    drain: Duration,
    pulse: Pulse,
    handlers: impl FnOnce(&Tasks) -> Handlers<P, R, D> + Send + 'static,
) -> io::Result<()> {
    let stop = Stop {
        // Each worker has its own token, because every connection polls it, and that takes a lock.
        begun: stop.begun.child_token(),
        ..stop
    };
    thread::Builder::new().name(name.clone()).spawn(move || {
        let part = vital::part(name);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default());
        // The runtime and its tasks are dropped before the end is reported.
        let served = runtime.and_then(|runtime| {
            let served = runtime.block_on(async {
                let mut beating = JoinSet::new();
                beating.spawn_local(pulse.beat());
                beating.spawn_local(return_memory());
                beating.spawn_local(leases::run_mailbox());
                serve(stop, drain, handlers).await
            });
            // A blocking thread that waits for a dead disk is not awaited.
            runtime.shutdown_background();
            served
        });
        part.ended(served);
    })?;
    Ok(())
}

/// Returns free memory to the system, such as that of connections that have ended.
async fn return_memory() {
    loop {
        tokio::time::sleep(BEFORE_RETURNING_MEMORY).await;
        spare::release_free_memory();
    }
}

async fn serve<P: ConnectionHandler, R: ConnectionHandler, D: ConnectionHandler>(
    stop: Stop,
    drain: Duration,
    handlers: impl FnOnce(&Tasks) -> Handlers<P, R, D>,
) -> io::Result<()> {
    let tasks = Tasks::default();
    let Handlers {
        proxies,
        redirects,
        decisions,
    } = handlers(&tasks);
    let Tasks {
        connections,
        exchanges,
    } = tasks;
    let mut accepting = JoinSet::new();
    accept_all(&mut accepting, proxies, &connections, &stop.begun);
    accept_all(&mut accepting, redirects, &connections, &stop.begun);
    accept_all(&mut accepting, decisions, &connections, &stop.begun);
    while let Some(ended) = accepting.join_next().await {
        match ended {
            Ok(accepted) => accepted?,
            // Without this task the worker serves nothing, so its thread ends too.
            Err(error) => resume_unwind(error.into_panic()),
        }
    }
    connections.close();
    exchanges.close();
    let finished = async |limit| {
        let finished = timeout(limit, async {
            connections.wait().await;
            exchanges.wait().await;
        });
        tokio::select! {
            finished = finished => finished.is_ok(),
            () = stop.cut.cancelled() => false,
        }
    };
    let mut is_finished = finished(drain).await;
    if !is_finished && !stop.cut.is_cancelled() && leases::count() > 0 {
        let long = leases::count();
        tracing::info!(
            long,
            "DRAIN_TIMEOUT has passed: WebSockets and event streams are ended"
        );
        leases::end(LeaseEnd::GoingAway, |_| true);
        is_finished = finished(LONGEST_LEASE_END).await;
    }
    if !is_finished {
        let (connections, exchanges) = (connections.len(), exchanges.len());
        let why = match stop.cut.is_cancelled() {
            true => "another worker failed",
            false => "DRAIN_TIMEOUT has passed",
        };
        record::cut_off();
        tls::socket::cut_off();
        tracing::warn!(connections, exchanges, "connections were cut: {why}");
    }
    Ok(())
}

/// Starts to serve listeners, each until `stop`.
fn accept_all<F: ConnectionHandler>(
    accepting: &mut JoinSet<io::Result<()>>,
    handlers: impl IntoIterator<Item = (Share, F)>,
    connections: &TaskTracker,
    stop: &CancellationToken,
) {
    for (share, handler) in handlers {
        accepting.spawn_local(accept(share, handler, connections.clone(), stop.clone()));
    }
}

/// Serves a listener until `stop`.
async fn accept<F: ConnectionHandler>(
    share: Share,
    handler: F,
    connections: TaskTracker,
    stop: CancellationToken,
) -> io::Result<()> {
    let (mut listener, handler) = (Listener::new(share)?, Rc::new(handler));
    let serve = |(stream, peer)| {
        if let Some(stream) = handler.admit(stream, peer) {
            connections.spawn_local(Rc::clone(&handler).serve(stream, peer, stop.clone()));
        }
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok(connection) => serve(connection),
            Err(error) => {
                // Probably out of file descriptors: other connections have to close first.
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

/// The interval at which free memory is returned. After two intervals that of a traffic peak is returned, except partly used
/// pages.
const BEFORE_RETURNING_MEMORY: Duration = Duration::from_secs(5);

/// How long WebSockets and event streams may take to end after the gate has announced it. Each takes a second at most, unless its
/// client reads nothing.
const LONGEST_LEASE_END: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, TcpStream};

    use super::*;
    use crate::listener;
    use crate::listener::Address;
    use crate::pulse::pulses;
    use crate::socket::Stream;
    use crate::vital::VitalFailure;

    /// A handler that panics outside of any connection's task.
    struct Panics;

    impl ConnectionHandler for Panics {
        fn admit(&self, stream: Stream, _: IpAddr) -> Option<Stream> {
            Some(stream)
        }

        fn serve(
            self: Rc<Self>,
            _: Stream,
            _: IpAddr,
            _: CancellationToken,
        ) -> impl Future<Output = ()> + 'static {
            assert!(Rc::strong_count(&self) == 0, "the worker panics");
            async {}
        }
    }

    #[test]
    fn worker_panic_is_reported() {
        let reports = vital::reports();
        let any_port = Address::Tcp((Ipv4Addr::LOCALHOST, 0).into());
        let mut listening = listener::listen(&any_port, 1).unwrap();
        let share = listening.shares.remove(0);
        let handlers = move |_: &Tasks| Handlers::<Panics, Panics, Panics> {
            proxies: vec![(share, Panics)],
            redirects: Vec::new(),
            decisions: Vec::new(),
        };
        let pulse = pulses(1).1.remove(0);
        let stop = Stop::default();
        start("panics".to_owned(), stop, Duration::MAX, pulse, handlers).unwrap();
        let Address::Tcp(address) = listening.address else {
            panic!("asked for TCP");
        };
        let _client = TcpStream::connect(address).unwrap();
        let ending = reports.recv().unwrap();
        assert!(
            matches!(&ending, Err(VitalFailure::Panicked(name)) if name == "panics"),
            "{ending:?}"
        );
    }
}

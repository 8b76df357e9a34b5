//! Handles signals.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::handover::Successor;
use crate::live::Reloads;
use crate::systemd;

/// The signals that the process handles. None of them kills it from here on.
#[derive(Debug)]
pub(crate) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    user: [Signal; 2],
}

/// How the process is asked to stop, step by step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    /// The stop was announced: load balancers should send no new requests.
    pub(crate) announced: CancellationToken,
    /// Another process has taken over.
    pub(crate) handed_over: CancellationToken,
    /// The process accepts nothing new, and finishes what is in flight.
    pub(crate) begun: CancellationToken,
    /// What is in flight is cut off.
    pub(crate) cut: CancellationToken,
}

impl Signals {
    /// Starts to listen. Must be called within a runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            user: [
                signal(SignalKind::user_defined1())?,
                signal(SignalKind::user_defined2())?,
            ],
        })
    }

    /// Handles signals until the process is asked to stop, and then stops it: `delay` after the announcement, at a second
    /// signal, or at once if another process has taken over.
    pub(crate) async fn handle(
        mut self,
        reloads: Reloads,
        stop: Stop,
        delay: Duration,
        mut successor: Successor,
    ) {
        if let Some(process) = self.until_stop(&reloads, Some(&mut successor)).await {
            tracing::info!(
                process,
                "the new process serves: finishing the requests in flight"
            );
            systemd::succeeded_by(process);
            stop.handed_over.cancel();
            stop.announced.cancel();
            stop.begun.cancel();
            return;
        }
        systemd::stopping();
        stop.announced.cancel();
        if !delay.is_zero() {
            tracing::info!(
                seconds = delay.as_secs(),
                "stop requested: /readyz reports it from now on; connections are accepted until DRAIN_DELAY has passed"
            );
            tokio::select! {
                () = sleep(delay) => {}
                _ = self.until_stop(&reloads, None) => {}
            }
        }
        tracing::info!("stop requested: finishing the requests in flight");
        // Dropping it closes the copies of the listening sockets, so that no client connects to one from which nothing accepts.
        successor.abandon().await;
        stop.begun.cancel();
    }

    /// Ready when the process is asked to stop, or with the id of the process that has taken over. If `successor` is `None`, no
    /// new process is started.
    async fn until_stop(
        &mut self,
        reloads: &Reloads,
        mut successor: Option<&mut Successor>,
    ) -> Option<u32> {
        let Self {
            hangup,
            interrupt,
            quit,
            terminate,
            user: [user1, user2],
        } = self;
        let hangups = async {
            loop {
                hangup.recv().await;
                systemd::reloading();
                // The log has the result.
                drop(reloads.reload().await);
                systemd::ready();
            }
        };
        let ignores = async {
            loop {
                user1.recv().await;
                tracing::info!(
                    signal = "SIGUSR1",
                    "this signal is ignored; SIGHUP reloads the configuration"
                );
            }
        };
        let succeeded = async {
            loop {
                let Some(successor) = &mut successor else {
                    user2.recv().await;
                    tracing::info!("SIGUSR2: ignored, because this process is stopping");
                    continue;
                };
                tokio::select! {
                    process = successor.succeeded() => return process,
                    _ = user2.recv() => successor.begin(),
                }
            }
        };
        tokio::select! {
            _ = interrupt.recv() => None,
            _ = quit.recv() => None,
            _ = terminate.recv() => None,
            () = hangups => None,
            () = ignores => None,
            process = succeeded => Some(process),
        }
    }
}

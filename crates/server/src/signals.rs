//! What the process does on signals.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::live::Reloads;

/// The signals that this process hears. None of them ends it by itself from here on.
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
    /// We are going to stop: nobody should send us anything new.
    pub(crate) announced: CancellationToken,
    /// We accept nothing new, and finish what is in flight.
    pub(crate) begun: CancellationToken,
    /// What is in flight is cut off.
    pub(crate) cut: CancellationToken,
}

impl Signals {
    /// Listens from now on. Must be called within a runtime.
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

    /// Obeys them until the process is asked to stop, and then stops it: `delay` after the stop was announced, or as soon as it is
    /// asked again.
    pub(crate) async fn obey(mut self, reloads: Reloads, stop: Stop, delay: Duration) {
        self.until_stop(&reloads).await;
        stop.announced.cancel();
        if !delay.is_zero() {
            tracing::info!(
                seconds = delay.as_secs(),
                "asked to stop: /readyz says so from now on; connections are accepted until DRAIN_DELAY is over"
            );
            tokio::select! {
                () = sleep(delay) => {}
                () = self.until_stop(&reloads) => {}
            }
        }
        tracing::info!("asked to stop: finishing what is in flight");
        stop.begun.cancel();
    }

    /// Ready when the process is asked to stop.
    async fn until_stop(&mut self, reloads: &Reloads) {
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
                // What came of it is in the log.
                drop(reloads.reload().await);
            }
        };
        let ignores = async {
            loop {
                let signal = tokio::select! {
                    _ = user1.recv() => "SIGUSR1",
                    _ = user2.recv() => "SIGUSR2",
                };
                tracing::info!(
                    signal,
                    "a signal without a meaning here; SIGHUP reloads the configuration"
                );
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
            _ = terminate.recv() => {}
            () = hangups => {}
            () = ignores => {}
        }
    }
}

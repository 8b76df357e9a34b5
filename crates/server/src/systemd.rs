//! What the service manager hears of this process (`sd_notify(3)`, `Type=notify`). Nothing happens where there is none.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::pulse::Pulses;

/// The process serves.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The process reads its configuration again; [`ready`] says when it has.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// The process has been asked to stop.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Another process, which serves, is the one to watch from now on.
pub(crate) fn succeeded_by(process: u32) {
    notify(&[NotifyState::MainPid(process)]);
}

/// Says that the process is well for as long as every worker answers, if the service manager wants to hear it. It restarts the
/// process when it does not.
pub(crate) async fn keep_watchdog_quiet(pulses: Pulses) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    loop {
        pulses.all_answer().await;
        notify(&[NotifyState::Watchdog]);
        // At most half of it, says `sd_watchdog_enabled(3)`.
        tokio::time::sleep((limit / 3).max(Duration::from_millis(1))).await;
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told about this process (NOTIFY_SOCKET)");
    }
}

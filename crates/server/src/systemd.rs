//! Notifies the service manager (`sd_notify(3)`, `Type=notify`), if there is one.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::pulse::Pulses;

/// Notifies the service manager that the process serves.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Notifies the service manager that the process reloads its configuration. [`ready`] tells it when that is done.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// Notifies the service manager that the process has been asked to stop.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Notifies the service manager that another process has taken over and is the main process from now on.
pub(crate) fn succeeded_by(process: u32) {
    notify(&[NotifyState::MainPid(process)]);
}

/// Notifies the watchdog of the service manager, if there is one, for as long as every worker responds. Otherwise the service
/// manager restarts the process.
pub(crate) async fn notify_watchdog(pulses: Pulses) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    loop {
        pulses.all_answer().await;
        notify(&[NotifyState::Watchdog]);
        // A third of the interval; `sd_watchdog_enabled(3)` recommends half of it.
        tokio::time::sleep((limit / 3).max(Duration::from_millis(1))).await;
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be notified (NOTIFY_SOCKET)");
    }
}

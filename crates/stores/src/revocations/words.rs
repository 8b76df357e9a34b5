//! News that there may be other revocations.

use std::sync::LazyLock;

use tokio::sync::watch;

/// Says that there may be other revocations than those that were read last. To be called by whoever hears so, from any thread;
/// it does not wait.
pub fn reload_soon() {
    NEWS.send_modify(|count| *count = count.wrapping_add(1));
}

/// Waits for such news. What is said between two waits is not missed.
#[derive(Debug)]
pub struct NewsOfRevocations(watch::Receiver<u64>);

impl NewsOfRevocations {
    /// Of all that is said from now on.
    pub fn from_now_on() -> Self {
        Self(NEWS.subscribe())
    }

    /// Returns when something was said since the last time.
    pub async fn changed(&mut self) {
        // The sender is as old as the process.
        let _ = self.0.changed().await;
    }
}

static NEWS: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

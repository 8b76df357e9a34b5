//! Limits the frames without content that a client may send.

use std::time::Duration;

use tokio::time::Instant;
use wire::flood::FrameCounter;

/// Counts the frames of a connection in windows of a minute.
pub(super) struct Window {
    frames: FrameCounter,
    since: Instant,
}

impl Window {
    /// A window for a new connection.
    pub(super) fn new() -> Self {
        Self {
            frames: FrameCounter::default(),
            since: Instant::now(),
        }
    }

    /// Parses the next bytes from the client. Returns whether there were too many frames without content.
    pub(super) fn exceeds_limit(&mut self, bytes: &[u8]) -> bool {
        self.frames.exceeds_limit(bytes) && !self.restart_if_over()
    }

    /// Counts bytes sent to the client, which has to answer them with WINDOW_UPDATE frames.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.frames.sent(bytes);
    }

    /// Starts a new window if the current one is over. Returns whether it was over.
    fn restart_if_over(&mut self) -> bool {
        let now = Instant::now();
        let is_over = now.duration_since(self.since) >= WINDOW;
        if is_over {
            self.frames.begin_window();
            self.since = now;
        }
        is_over
    }
}

/// The length of a window. A gRPC client that pings every few seconds sends a few frames in it.
const WINDOW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn count_restarts_each_minute() {
        let mut window = Window::new();
        let ping = [0, 0, 8, 6, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut floods = window.exceeds_limit(&[0; 24]);
        for _ in 0..2000 {
            tokio::time::advance(Duration::from_secs(1)).await;
            floods |= window.exceeds_limit(&ping);
        }
        assert!(!floods, "one a second");
    }
}

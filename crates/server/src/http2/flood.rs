//! How many frames a client may send in a while that carry nothing for anybody.

use std::time::Duration;

use tokio::time::Instant;
use wire::flood::FrameCounter;

/// Counts the frames of a connection, minute by minute.
pub(super) struct Window {
    frames: FrameCounter,
    since: Instant,
}

impl Window {
    /// Of a connection that begins now.
    pub(super) fn new() -> Self {
        Self {
            frames: FrameCounter::default(),
            since: Instant::now(),
        }
    }

    /// Takes the bytes that come next. Says whether there are too many frames among them that carry nothing.
    pub(super) fn are_too_many(&mut self, bytes: &[u8]) -> bool {
        self.frames.are_too_many(bytes) && !self.begins_anew()
    }

    /// Notes bytes that have gone to the client, which has to make room for more.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.frames.sent(bytes);
    }

    /// Starts a new window if the current one has lasted for long enough.
    fn begins_anew(&mut self) -> bool {
        let now = Instant::now();
        let is_over = now.duration_since(self.since) >= WINDOW;
        if is_over {
            self.frames.begin_anew();
            self.since = now;
        }
        is_over
    }
}

/// What is allowed counts for so long. A client of gRPC that asks every few seconds whether the connection is alive sends a few
/// in it.
const WINDOW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_new_minute_begins_anew() {
        let mut window = Window::new();
        let ping = [0, 0, 8, 6, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut floods = window.are_too_many(&[0; 24]);
        for _ in 0..2000 {
            tokio::time::advance(Duration::from_secs(1)).await;
            floods |= window.are_too_many(&ping);
        }
        assert!(!floods, "one a second");
    }
}

//! How a client's connection is closed.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use http1::Piece;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::Client;

impl Client {
    /// Closes the connection so that the client still gets its answer: with bytes unread, the kernel would reset it, and the
    /// answer might be lost on the way (RFC 9112 §9.6).
    pub(super) async fn hang_up(&mut self) {
        if self.resets {
            // Unsent bytes are discarded and the client gets a reset. An error here means that the client has hung up.
            let _ = SockRef::from(&*self.connection.stream()).set_linger(Some(Duration::ZERO));
            return;
        }
        let body = self.http.body().next(&mut self.connection.input);
        let is_over = matches!(body, Ok(Piece::End));
        if is_over && self.connection.input.is_empty() && self.connection.is_idle_now() {
            return;
        }
        self.linger(LONGEST_LINGER).await;
    }

    /// Shuts down the sending side and discards what the client still sends, for at most this long. A close while bytes
    /// arrive would reset the connection, and some clients read no answer before they have sent all of a body (`http.client`
    /// of Python).
    pub(super) async fn linger(&mut self, limit: Duration) {
        let linger = async {
            self.connection.stream().shutdown().await?;
            loop {
                self.connection.input.clear();
                let read = poll_fn(|context| self.connection.poll_read(context));
                if timeout(LONGEST_PAUSE, read).await?? == 0 {
                    return io::Result::Ok(());
                }
            }
        };
        // Whatever happens here, the connection is over.
        let _ = timeout(limit, linger).await;
    }
}

/// How long the gate lingers in all, and how long it waits for each read. nginx lingers for 30 s too (`lingering_time`,
/// 1.22).
pub(crate) const LONGEST_LINGER: Duration = Duration::from_secs(30);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(2);

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
            // What is not sent yet is given up, and the other side told. If that fails, it has hung up.
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

    /// Says that nothing more will come, and reads what the client still sends, for so long at most: a connection that is closed
    /// while something comes is reset. Some clients read no answer before they have sent all of a body (`http.client` of Python).
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

/// How long in all, and with what pauses, a client is read that still sends what nobody waits for. nginx reads it
/// for 30 s too, whatever it sends (`lingering_time`, 1.22).
pub(crate) const LONGEST_LINGER: Duration = Duration::from_secs(30);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(2);

//! Sends the answer of a folder to an HTTP/1.1 client.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use super::body::{Body, became_shorter};
use super::error::FolderError;
use super::response::FileResponse;
use crate::client::Client;
use crate::exchange_end::{ExchangeEnd, Sent};
use crate::inbound::record::Record;

impl FileResponse {
    /// Sends the answer, a piece at a time. `record` counts the bytes.
    ///
    /// # Errors
    /// When the file cannot be read and none of the answer has left. Another answer can be sent then.
    pub(crate) async fn send(
        self,
        client: &mut Client,
        record: &Record<'_>,
    ) -> Result<Sent, FolderError> {
        let body = self.begin(client, record);
        let mut sending = Sending {
            client,
            record,
            put: 0,
        };
        match sending.all(body).await {
            Ok(()) => Ok(Sent::COMPLETE),
            Err(SendFailure::Client(error)) => {
                client.abort_answer();
                Ok(Sent {
                    ended: ExchangeEnd::with_client(&error),
                    began: client.is_being_answered(),
                })
            }
            Err(SendFailure::Folder(error)) if client.take_back_answer() => {
                record.bytes_out.set(0);
                Err(error)
            }
            Err(SendFailure::Folder(error)) => {
                client.abort_answer();
                Ok(Sent {
                    ended: error.ended().unwrap_or(ExchangeEnd::UpstreamBroke),
                    began: true,
                })
            }
        }
    }
}

/// A body that is being sent.
struct Sending<'s, 'r> {
    client: &'s mut Client,
    record: &'s Record<'r>,
    /// How many bytes of the body were written into the client's output.
    put: u64,
}

/// Which side has failed.
enum SendFailure {
    Client(io::Error),
    Folder(FolderError),
}

impl Sending<'_, '_> {
    async fn all(&mut self, body: Option<Body>) -> Result<(), SendFailure> {
        let mut left = body;
        while let Some(body) = &mut left {
            if self.client.connection.stream().takes_files()
                && let Some(count) = body.cached_length()
            {
                self.flush().await?;
                self.send(body, count).await?;
                continue;
            }
            let before = self.client.connection.output.len();
            body.fill(self.client).await.map_err(SendFailure::Folder)?;
            self.put += (self.client.connection.output.len() - before) as u64;
            match body.is_empty() {
                true => left = None,
                false if self.client.connection.output.len() >= LEAST_SENT => {
                    self.flush().await?;
                    self.record.head_sent();
                }
                false => {}
            }
        }
        if !self.client.is_being_answered() {
            self.client.connection.send_together().await;
        }
        self.flush().await
    }

    /// Sends this many bytes straight from the file, unless the client hangs up.
    async fn send(&mut self, body: &mut Body, count: usize) -> Result<(), SendFailure> {
        let mut left = count;
        while left > 0 {
            let sent = poll_fn(|context| {
                let sent = body.poll_send(context, &mut self.client.connection, left);
                self.result_or_gone(context, sent)
            });
            match sent.await.map_err(SendFailure::Client)? {
                0 => return Err(SendFailure::Folder(became_shorter())),
                sent => {
                    self.put += sent as u64;
                    left -= sent;
                }
            }
            self.count();
            self.record.head_sent();
        }
        Ok(())
    }

    /// Sends the client's output, unless the client hangs up.
    async fn flush(&mut self) -> Result<(), SendFailure> {
        let flushed = poll_fn(|context| self.poll_flush(context)).await;
        self.count();
        flushed.map_err(SendFailure::Client)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.client.connection.poll_flush(context);
        if flushed.is_pending() {
            self.count();
        }
        self.result_or_gone(context, flushed)
    }

    /// Returns the result of a send, or an error if the client has hung up.
    fn result_or_gone<T>(
        &mut self,
        context: &mut Context<'_>,
        sent: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            return sent;
        }
        let gone = self.client.poll_gone(context);
        gone.map(|()| Err(io::ErrorKind::ConnectionAborted.into()))
    }

    fn count(&self) {
        let unsent = self.client.connection.unsent() as u64;
        self.record.bytes_out.set(self.put.saturating_sub(unsent));
    }
}

/// The least output that is sent before the end of the body, in bytes. Less waits for the next piece, because the parts of a file
/// may be small.
const LEAST_SENT: usize = 32 * 1024;

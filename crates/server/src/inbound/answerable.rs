//! What the proxy needs from a client's side besides sending its own answers: files and WebSockets.

use crate::client::Client;
use crate::exchange_end::{ExchangeEnd, Sent};
use crate::folder::{FileResponse, FolderError};
use crate::inbound::record::Record;
use crate::inbound::tunnel;
use crate::leases::Lease;
use crate::upstream::{Forwards, Upgraded};

/// The client's side of an exchange that the proxy answers.
pub(crate) trait Answerable: Forwards {
    /// Sends the answer of a folder. `record` counts the bytes.
    ///
    /// # Errors
    /// When the file cannot be read and none of the answer was sent. Another answer can be sent then.
    async fn send_file(
        &mut self,
        found: FileResponse,
        record: &Record<'_>,
    ) -> Result<Sent, FolderError>;

    /// Relays a WebSocket between client and service, after the response head. Returns how it ended. When the session ends, the
    /// client gets a close frame with `close_code`.
    async fn join(
        &mut self,
        upstream: Upgraded,
        record: &Record<'_>,
        lease: Lease<'_>,
        close_code: u16,
    ) -> ExchangeEnd;
}

impl Answerable for Client {
    async fn send_file(
        &mut self,
        found: FileResponse,
        record: &Record<'_>,
    ) -> Result<Sent, FolderError> {
        found.send(self, record).await
    }

    async fn join(
        &mut self,
        upstream: Upgraded,
        record: &Record<'_>,
        lease: Lease<'_>,
        close_code: u16,
    ) -> ExchangeEnd {
        tunnel::join(&mut self.connection, upstream, record, lease, close_code).await
    }
}

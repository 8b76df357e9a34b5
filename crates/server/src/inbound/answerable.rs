//! What the proxy asks of a client's side beyond answers of its own: files, and WebSockets.

use crate::client::Client;
use crate::ended::{Ended, Sent};
use crate::folder::{FileResponse, FolderError};
use crate::inbound::record::Record;
use crate::inbound::tunnel;
use crate::leases::Lease;
use crate::upstream::{Forwards, Upgraded};

/// A client's side whose requests the proxy answers.
pub(crate) trait Answerable: Forwards {
    /// Sends what a folder has, and says what became of it. `record` is told how it goes on.
    ///
    /// # Errors
    /// When the file cannot be read, before anything of the answer has left. The client can be told then.
    async fn send_file(
        &mut self,
        found: FileResponse,
        record: &Record<'_>,
    ) -> Result<Sent, FolderError>;

    /// Joins it with a service that has become a WebSocket, after an answer that has begun and says so. Says how that ended. A
    /// session that has ended is told to the client with this code.
    async fn join(
        &mut self,
        upstream: Upgraded,
        record: &Record<'_>,
        lease: Lease<'_>,
        expired_code: u16,
    ) -> Ended;
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
        expired_code: u16,
    ) -> Ended {
        tunnel::join(&mut self.connection, upstream, record, lease, expired_code).await
    }
}

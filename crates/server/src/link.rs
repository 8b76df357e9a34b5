//! A connection to a server of a service, and what the pool knows about it.

use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::connection::Connection;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) connection: Connection,
    /// When it was opened, less a random offset, so that connections that were opened together do not all expire together.
    pub(crate) opened_at: Instant,
    /// The client that was announced to the server in a PROXY header when the connection was opened. The connection carries no
    /// requests of other clients.
    pub(crate) announced_client: Option<IpAddr>,
    /// Counts this connection among those to its server, if their number is limited.
    _permit: Option<OwnedSemaphorePermit>,
    /// Counts the connection's request among those under way, if requests are counted.
    pub(crate) under_way: Option<UnderWay>,
}

impl Link {
    /// Makes the link of a new connection, without a request under way.
    pub(crate) fn new(
        connection: Connection,
        opened_at: Instant,
        announced_client: Option<IpAddr>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            connection,
            opened_at,
            announced_client,
            _permit: permit,
            under_way: None,
        }
    }
}

/// Counts a request as under way until it is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    pub(crate) fn of(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deref for Link {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Link {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

//! A connection to a server of a service, with what is known of it beside its bytes.

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
    /// When it was opened, or a little before, so that those which were opened together do not end together.
    pub(crate) born: Instant,
    /// The client that was announced to the server in a PROXY header when the connection was opened. The connection carries no
    /// requests of other clients.
    pub(crate) announced_client: Option<IpAddr>,
    /// Counts it among the connections to its server, where these are limited.
    _place: Option<OwnedSemaphorePermit>,
    /// Counts its request among those that are under way, where these are counted.
    pub(crate) under_way: Option<UnderWay>,
}

impl Link {
    /// A connection that has carried nothing yet.
    pub(crate) fn new(
        connection: Connection,
        born: Instant,
        announced_client: Option<IpAddr>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            connection,
            born,
            announced_client,
            _place: place,
            under_way: None,
        }
    }
}

/// Counts a request for as long as it is under way.
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

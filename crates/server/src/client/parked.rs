//! A client whose connection is parked until its next request.

use std::future::poll_fn;

use super::OwnedLink;
use crate::socket::Stream;

/// A client whose connection is parked: its socket with its TLS state, and the connection to a service that is reserved for it.
pub(crate) struct ParkedClient {
    pub(super) stream: Box<Stream>,
    pub(super) own: Option<Box<OwnedLink>>,
}

impl ParkedClient {
    /// Waits until the client sends something. Returns false when it has hung up.
    pub(crate) async fn readable(&self) -> bool {
        // Polled by hand, which replaces the previous registration for this socket; that one would keep the memory of a
        // finished task alive.
        poll_fn(|context| self.stream.poll_readable(context)).await
    }
}

impl From<Stream> for ParkedClient {
    /// A new connection.
    fn from(stream: Stream) -> Self {
        Self {
            stream: Box::new(stream),
            own: None,
        }
    }
}

//! What is left of a client while no request comes.

use std::future::poll_fn;

use super::Own;
use crate::socket::Stream;

/// What is left of a client whose connection rests.
pub(crate) struct ParkedClient {
    pub(super) stream: Box<Stream>,
    pub(super) own: Option<Box<Own>>,
}

impl ParkedClient {
    /// Waits until something comes. False when the client has hung up.
    pub(crate) async fn readable(&self) -> bool {
        // Polled by hand, which takes the place of the last wait for it: that holds on to the memory of a task that has ended.
        poll_fn(|context| self.stream.poll_readable(context)).await
    }
}

impl From<Stream> for ParkedClient {
    /// A connection that has carried nothing yet.
    fn from(stream: Stream) -> Self {
        Self {
            stream: Box::new(stream),
            own: None,
        }
    }
}

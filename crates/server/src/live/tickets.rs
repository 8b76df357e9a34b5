//! Session ticket keys that are handed from one process to the next.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::config::ContentDigest;
use crate::tls::tickets::TicketKey;

/// A listener, and its ticket keys.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListenerTickets {
    pub(super) listener: TicketScope,
    pub(super) keys: Vec<TicketKey>,
}

/// The identity of a set of ticket keys: the listener, and how its clients authenticate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TicketScope {
    pub(super) address: SocketAddr,
    pub(super) redirects: bool,
    /// The client authentication, which is not repeated on resumption.
    pub(super) clients: Option<(ContentDigest, bool)>,
}

/// The ticket keys of the previous process, until listeners take them.
#[derive(Clone, Debug, Default)]
pub(crate) struct HandedTickets(Arc<Mutex<Vec<ListenerTickets>>>);

impl HandedTickets {
    pub(crate) fn new(all: Vec<ListenerTickets>) -> Self {
        Self(Arc::new(Mutex::new(all)))
    }

    /// Takes the keys for this listener, if there are any.
    pub(super) fn take(&self, listener: &TicketScope) -> Vec<TicketKey> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = all.iter().position(|one| one.listener == *listener);
        place.map_or_else(Vec::new, |place| all.remove(place).keys)
    }

    /// Drops the keys that no listener has taken.
    pub(super) fn forget(&self) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.clear();
    }
}

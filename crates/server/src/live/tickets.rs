//! The keys of session tickets on their way from one process to the next.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::config::ContentDigest;
use crate::tls::tickets::TicketKey;

/// A listener, and the keys of its tickets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListenerTickets {
    pub(super) listener: TicketsOf,
    pub(super) keys: Vec<TicketKey>,
}

/// Whose tickets they are: those of the same listener whose clients prove as much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TicketsOf {
    pub(super) address: SocketAddr,
    pub(super) redirects: bool,
    /// What clients prove, which they are not asked for again when they come back.
    pub(super) clients: Option<(ContentDigest, bool)>,
}

/// What the process before this one has handed over, until listeners take it.
#[derive(Clone, Debug, Default)]
pub(crate) struct HandedTickets(Arc<Mutex<Vec<ListenerTickets>>>);

impl HandedTickets {
    pub(crate) fn new(all: Vec<ListenerTickets>) -> Self {
        Self(Arc::new(Mutex::new(all)))
    }

    /// The keys for this listener, once. None where there are none.
    pub(super) fn take(&self, listener: &TicketsOf) -> Vec<TicketKey> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = all.iter().position(|one| one.listener == *listener);
        place.map_or_else(Vec::new, |place| all.remove(place).keys)
    }

    /// Forgets what no listener has taken.
    pub(super) fn forget(&self) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.clear();
    }
}

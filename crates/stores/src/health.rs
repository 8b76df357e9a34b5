//! Whether a store answers, as operators see it.

use std::sync::{Mutex, PoisonError};

use gate::Source;

/// How a store with a server or a file behind it is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreHealth {
    /// Which store.
    pub source: Source,
    /// Whether its last answer was one.
    pub up: bool,
    /// What is wrong, in the driver's words; it holds neither a credential nor a user's id.
    pub detail: Option<String>,
}

/// The state of one store, moved by every answer and every failure. Logs a change once, and nothing else.
#[derive(Debug)]
pub(super) struct Health {
    source: Source,
    /// Whose store it is, unless it is the default realm's, or everybody's.
    realm: Option<String>,
    /// Which server it is of those that are one store together.
    server: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Down { detail: String },
    Unknown,
    Up,
}

impl Health {
    pub(super) fn new(source: Source, realm: Option<String>) -> Self {
        Self {
            source,
            realm,
            server: None,
            state: Mutex::new(State::Unknown),
        }
    }

    /// That of one server, at `server`, of those that are one store together.
    pub(super) fn of_server(source: Source, server: String) -> Self {
        Self {
            server: Some(server),
            ..Self::new(source, None)
        }
    }

    /// The store gave an answer.
    pub(super) fn answered(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*state, State::Up) {
            *state = State::Up;
            let (realm, server) = (self.realm.as_deref(), self.server.as_deref());
            tracing::info!(store = self.source.as_str(), realm, server, "store is up");
        }
    }

    /// The store gave none, because of `detail`.
    pub(super) fn failed(&self, detail: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*state, State::Down { .. }) {
            let (realm, server) = (self.realm.as_deref(), self.server.as_deref());
            tracing::warn!(
                store = self.source.as_str(),
                realm,
                server,
                detail,
                "store is down"
            );
        }
        *state = State::Down {
            detail: detail.to_owned(),
        };
    }

    pub(super) fn report(&self) -> StoreHealth {
        let (up, detail) = match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Down { detail } => (false, Some(detail.clone())),
            State::Unknown => (false, Some("not asked yet".to_owned())),
            State::Up => (true, None),
        };
        StoreHealth {
            source: self.source,
            up,
            detail,
        }
    }
}

//! The health of a store, as operators see it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gate::LookupSource;

use super::process::Trial;

/// The health of a store with a server or a file behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreHealth {
    /// The kind of store.
    pub source: LookupSource,
    /// Whether the store answered when it was last asked.
    pub up: bool,
    /// The failure or problem, in the driver's words. It holds no credential and no user's id.
    pub detail: Option<String>,
}

/// Tracks the health of one store, updated by every answer and every failure. Only changes are logged.
#[derive(Debug)]
pub(super) struct Health {
    source: LookupSource,
    /// The realm that the store belongs to; `None` for the default realm, and for a store that realms share.
    realm: Option<String>,
    /// The server, if several servers are one store together.
    server: Option<String>,
    trial: Trial,
    state: Mutex<HealthState>,
}

#[derive(Debug)]
enum HealthState {
    Down {
        detail: String,
        /// Whether the log already says that a store in use is down. A store on trial has other log messages.
        is_logged: bool,
    },
    Unknown,
    Up,
}

impl Health {
    pub(super) fn new(source: LookupSource, realm: Option<String>, trial: Trial) -> Self {
        Self {
            source,
            realm,
            server: None,
            trial,
            state: Mutex::new(HealthState::Unknown),
        }
    }

    /// Creates the health of the server at `server`, one of several that are one store together.
    pub(super) fn of_server(source: LookupSource, server: String, trial: Trial) -> Self {
        Self {
            server: Some(server),
            ..Self::new(source, None, trial)
        }
    }

    /// Notes that the store has answered.
    pub(super) fn answered(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*state, HealthState::Up) {
            *state = HealthState::Up;
            let (realm, server) = (self.realm.as_deref(), self.server.as_deref());
            let store = self.source.as_str();
            match self.trial.configuration() {
                Some(configuration) => tracing::info!(
                    store,
                    realm,
                    server,
                    configuration,
                    "the store answers with the settings of a new configuration"
                ),
                None => tracing::info!(store, realm, server, "store is up"),
            }
        }
    }

    /// Notes that the store has not answered, because of `detail`.
    pub(super) fn failed(&self, detail: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let configuration = self.trial.configuration();
        let (was_down, was_logged) = match *state {
            HealthState::Down { is_logged, .. } => (true, is_logged),
            HealthState::Unknown | HealthState::Up => (false, false),
        };
        let (realm, server) = (self.realm.as_deref(), self.server.as_deref());
        let store = self.source.as_str();
        match configuration {
            Some(configuration) if !was_down => tracing::warn!(
                store,
                realm,
                server,
                configuration,
                detail,
                "the store does not answer with the settings of a new configuration"
            ),
            None if !was_logged => tracing::warn!(store, realm, server, detail, "store is down"),
            Some(_) | None => {}
        }
        *state = HealthState::Down {
            detail: detail.to_owned(),
            is_logged: was_logged || configuration.is_none(),
        };
    }

    pub(super) fn report(&self) -> StoreHealth {
        let (up, detail) = match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            HealthState::Down { detail, .. } => (false, Some(detail.clone())),
            HealthState::Unknown => (false, Some("not queried yet".to_owned())),
            HealthState::Up => (true, None),
        };
        StoreHealth {
            source: self.source,
            up,
            detail,
        }
    }
}

/// How often stores are probed, so that their health is known, connections stay warm, and an outage is over for the
/// first request after it.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(2);

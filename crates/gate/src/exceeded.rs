//! A request that is one too many.

use std::time::Duration;

use thiserror::Error;

use crate::{Admission, StoreError};

/// A limit on how often something may be asked for, and when there is room again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{quota} in {} s, counted by {policy}, are used up", window.as_secs())]
pub struct Exceeded {
    /// What is counted: `address`, `user`, `route` or `bad-session`.
    pub policy: &'static str,
    /// How many are allowed in a window.
    pub quota: u32,
    /// How long the window is.
    pub window: Duration,
    /// How long until the next one is allowed.
    pub wait: Duration,
}

/// A request that was refused because of a limit.
#[derive(Debug, Error)]
#[error("{exceeded}")]
pub struct RateLimited {
    /// The limit.
    pub exceeded: Exceeded,
    /// On what grounds the request would have entered, if its user was known by then.
    pub admission: Option<Box<Admission>>,
}

/// Why a session was not looked up.
#[derive(Clone, Debug, Error)]
pub enum FindError {
    /// The client has asked for too many that do not exist.
    #[error(transparent)]
    Limited(#[from] Exceeded),
    /// No store that could tell has answered.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Exceeded> for RateLimited {
    /// Before anybody was known.
    fn from(exceeded: Exceeded) -> Self {
        Self {
            exceeded,
            admission: None,
        }
    }
}

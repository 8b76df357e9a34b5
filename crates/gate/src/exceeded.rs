//! Limits that a request exceeds.

use std::time::Duration;

use thiserror::Error;

use crate::{Admission, StoreError};

/// A rate limit that is used up, and when the next request is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the limit of {quota} requests in {} s, counted by {policy}, is exceeded", window.as_secs())]
pub struct Exceeded {
    /// What is counted: `address`, `user`, `route` or `bad-session`.
    pub policy: &'static str,
    /// How many requests are allowed in a window.
    pub quota: u32,
    /// How long the window is.
    pub window: Duration,
    /// How long until the next request is allowed.
    pub wait: Duration,
}

/// A request that was refused because of a limit.
#[derive(Debug, Error)]
#[error("{exceeded}")]
pub struct RateLimited {
    /// The limit that it exceeds.
    pub exceeded: Exceeded,
    /// The grounds on which the request would have entered, if its user was known by then.
    pub admission: Option<Box<Admission>>,
}

/// Why the lookup of a session failed.
#[derive(Clone, Debug, Error)]
pub enum FindError {
    /// The client has sent too many tokens of sessions that do not exist.
    #[error(transparent)]
    Limited(#[from] Exceeded),
    /// No store that could know the session has answered.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Exceeded> for RateLimited {
    /// Refuses a request before its user is known.
    fn from(exceeded: Exceeded) -> Self {
        Self {
            exceeded,
            admission: None,
        }
    }
}

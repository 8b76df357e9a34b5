//! Why nothing new becomes live.

use thiserror::Error;

use crate::store::{ColumnError, StoreHealth, StoreOpenError};

/// Why there is nothing live.
#[derive(Debug, Error)]
pub(super) enum LiveError {
    /// A column of the user that rules or headers need cannot be read.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// The issuer does not answer as it is now asked.
    #[error("BEARER_JWKS: the issuer's keys cannot be had; the log says why")]
    Issuer,
    /// A store that answers does not do so with the new settings.
    #[error("{} does not answer with the new settings: {}", .0.source.as_str(), .0.detail.as_deref().unwrap_or("no reason given"))]
    Store(StoreHealth),
    /// The stores cannot be opened.
    #[error(transparent)]
    Stores(#[from] StoreOpenError),
}

//! Why a configuration cannot become live.

use thiserror::Error;

use super::listeners::TlsOpenError;
use crate::acme::AcmeOpenError;
use crate::config::Place;
use stores::{ColumnError, StoreHealth, StoreOpenError};

/// Why a configuration cannot become live.
#[derive(Debug, Error)]
pub(crate) enum LiveError {
    /// ACME cannot be set up.
    #[error(transparent)]
    Acme(#[from] AcmeOpenError),
    /// A column of the user that rules or headers need cannot be read.
    #[error(transparent)]
    Column(#[from] ConfiguredColumnError),
    /// The token issuer does not answer with the new settings.
    #[error("BEARER_JWKS: the issuer's keys cannot be fetched; the log says why")]
    Issuer,
    /// The revocations cannot be read.
    #[error("REVOCATION_STORE: revocations cannot be read from it; the log says why")]
    Revocations,
    /// A store that answers with the current settings does not answer with the new ones.
    #[error("{} does not answer with the new settings: {}", .0.source.as_str(), .0.detail.as_deref().unwrap_or("no reason given"))]
    Store(StoreHealth),
    /// The stores cannot be opened.
    #[error(transparent)]
    Stores(#[from] StoreOpenError),
    /// The TLS of a listener cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsOpenError),
}

/// A column that cannot be read, and where the configuration file names it.
#[derive(Debug, Error)]
#[error("{}{error}", .place.as_ref().map_or_else(String::new, |place| format!("{place}: ")))]
pub(crate) struct ConfiguredColumnError {
    place: Option<Place>,
    error: ColumnError,
}

impl ConfiguredColumnError {
    /// `places` are where the file first names each column, or a whole table (its name with a dot).
    pub(super) fn new(error: ColumnError, places: &[(String, Place)]) -> Self {
        let (table, column) = error.names();
        let find = |wanted: &str| places.iter().find(|(name, _)| *name == wanted);
        let place = find(&format!("{table}.")).or_else(|| find(&column?));
        Self {
            place: place.map(|(_, place)| place.clone()),
            error,
        }
    }
}

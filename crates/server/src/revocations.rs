//! Revocations: the stored list is kept in memory for decisions, and a new revocation takes effect at once.

mod known;
mod line;
mod request;
mod watch;

pub(crate) use self::line::{RevocationChange, RevocationFields};
pub(crate) use self::request::{RevocationRequest, read_key, time_of};
pub(crate) use self::watch::{RevocationObservers, RevocationWatch, RevokeError};

//! Revocations at work: what is kept is read into memory, where decisions look, and whoever hears of one obeys at once.

mod known;
mod line;
mod request;
mod watch;

pub(crate) use self::line::{RevocationChange, Shown};
pub(crate) use self::request::{RevocationRequest, read_key, time_of};
pub(crate) use self::watch::{RevocationWatch, RevokeError, Witness};

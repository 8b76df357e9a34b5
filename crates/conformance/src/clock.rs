//! The one reader of the clock.

use std::time::Instant;

/// The time now.
#[expect(
    clippy::disallowed_methods,
    reason = "this program measures how long others take"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

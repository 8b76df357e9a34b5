//! The only place that reads the clock; and its times for people.

#![expect(clippy::disallowed_methods, reason = "this is the home of the clock")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use session::UnixTime;

/// The time of day. A clock before 1970 reads as 1970, where every session is issued in the future and refused.
pub(crate) fn now() -> UnixTime {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixTime::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// A clock that never jumps, for durations and for how long an answer is trusted.
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

/// A time, for those who print it.
pub(crate) fn timestamp(now: UnixTime) -> Timestamp {
    let millis = i64::try_from(now.millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

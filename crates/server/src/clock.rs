//! The only place that reads the system clock (`std::time`; time-outs use tokio's `Instant`), and the forms in which a time is
//! written.

#![expect(
    clippy::disallowed_methods,
    reason = "the only module that reads the system clock"
)]

use std::cell::RefCell;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use session::UnixTime;

/// The current time. A clock before 1970 reads as 1970. Every session then seems to be issued in the future, and is refused.
pub(crate) fn now() -> UnixTime {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixTime::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// The time of a clock that never jumps, for durations and for how long an answer is trusted.
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

/// Converts a time for formatting.
pub(crate) fn timestamp(now: UnixTime) -> Timestamp {
    let millis = i64::try_from(now.millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

/// The current time as the value of a `Date` field (RFC 9110 §6.6.1). The text is formatted once a second.
pub(crate) fn http_date() -> HeaderValue {
    thread_local! {
        static DATE_NOW: RefCell<(u64, HeaderValue)> = const { RefCell::new((0, HeaderValue::from_static(""))) };
    }
    let time = now();
    DATE_NOW.with_borrow_mut(|(second, text)| {
        if *second != time.secs() {
            let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&timestamp(time));
            let date = date.expect("no clock of ours is beyond the year 9999");
            *text = HeaderValue::try_from(date).expect("a date is visible ASCII");
            *second = time.secs();
        }
        text.clone()
    })
}

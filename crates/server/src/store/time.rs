//! Points in time as JavaScript libraries write them.
//!
//! | written as | by |
//! |---|---|
//! | milliseconds since 1970 | Prisma, Drizzle (`timestamp_ms`) |
//! | seconds since 1970 | Drizzle (`timestamp`) |
//! | `2026-01-31T12:00:00.000Z`, or with an offset | Better Auth, Kysely, Prisma's driver adapters |
//! | `2026-01-31 12:00:00`, which is UTC | SQLite's own `CURRENT_TIMESTAMP` |

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use session::UnixTime;

/// A number of seconds or milliseconds. What is before 1970 becomes 1970.
pub(super) fn of_number(number: i64) -> UnixTime {
    let number = u64::try_from(number).unwrap_or(0);
    if number < FEWEST_MILLIS {
        UnixTime::from_secs(number)
    } else {
        UnixTime::from_millis(number)
    }
}

/// A date and a time of day. Without a zone they are UTC. What is before 1970 becomes 1970.
pub(super) fn of_text(text: &str) -> Option<UnixTime> {
    let (date, time) = text.split_at_checked(10)?;
    let digits = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-')
    };
    // Nothing of what the library reads beyond this: week dates, annotations, a date alone.
    let usual = digits(date)
        && time.len() >= "T00:00:00".len()
        && time.len() <= LONGEST
        && time.starts_with(['T', ' '])
        && time[1..]
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b':' | b'.' | b'Z' | b'+' | b'-'));
    if !usual {
        return None;
    }
    let timestamp = text.parse::<Timestamp>().or_else(|_| {
        let local: DateTime = text.parse()?;
        TimeZone::UTC.to_timestamp(local)
    });
    let millis = timestamp.ok()?.as_millisecond();
    Some(UnixTime::from_millis(u64::try_from(millis).unwrap_or(0)))
}

/// As seconds this is the year 5138, as milliseconds March 1973: no session ends after the one or before the other.
const FEWEST_MILLIS: u64 = 100_000_000_000;

/// In bytes, from the letter between date and time: nanoseconds and an offset with seconds.
const LONGEST: usize = "T00:00:00.000000000+00:00:00".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_time_is_read() {
        let time = UnixTime::from_millis(1_900_000_000_123);
        for text in [
            "2030-03-17T17:46:40.123Z",
            "2030-03-17T17:46:40.123000Z",
            "2030-03-17T17:46:40.123999Z",
            "2030-03-17T17:46:40.123+00:00",
            "2030-03-17T19:46:40.123+02:00",
            "2030-03-17 17:46:40.123",
            "2030-03-17 17:46:40.123Z",
        ] {
            assert_eq!(of_text(text), Some(time), "{text}");
        }
        let whole = UnixTime::from_secs(1_900_000_000);
        assert_eq!(of_text("2030-03-17 17:46:40"), Some(whole));
        assert_eq!(of_number(1_900_000_000), whole);
        assert_eq!(of_number(1_900_000_000_123), time);
        for number in [0, -1, i64::MIN] {
            assert_eq!(of_number(number), UnixTime::from_secs(0));
        }
        assert_eq!(
            of_text("1960-01-01T00:00:00Z"),
            Some(UnixTime::from_secs(0))
        );
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "0",
            "1900000000",
            "never",
            "2030-03-17",
            "2030-03-17T17",
            "2030-03-17T17:46",
            "2030-02-30T17:46:40Z",
            "2030-03-17T25:46:40Z",
            "2030-03-17T17:46:40Z[Europe/Berlin]",
            "2030-03-17T17:46:40 Z",
            "+002030-03-17T17:46:40Z",
            "2030-W11-7T17:46:40Z",
            "Sun, 17 Mar 2030 17:46:40 GMT",
            "2030-03-17T17:46:40Z\0",
            "２０30-03-17T17:46:40Z",
        ] {
            assert_eq!(of_text(text), None, "{text:?}");
        }
    }
}

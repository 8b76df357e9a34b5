//! Points in time as JavaScript libraries write them.
//!
//! | written as | by |
//! |---|---|
//! | milliseconds since 1970 | Prisma, Drizzle (`timestamp_ms`) |
//! | seconds since 1970 | Drizzle (`timestamp`) |
//! | `2026-01-31T12:00:00.000Z`, or with an offset | Better Auth, Kysely, Prisma's driver adapters |
//! | `2026-01-31 12:00:00`, which is UTC | SQLite's own `CURRENT_TIMESTAMP` |
//!
//! A time without a zone is read in the configured time zone: see [`Zone`].

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use session::UnixTime;

/// The time zone of the times that an application writes without a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// Reads a name such as `Asia/Tokyo` or `UTC`, or an offset such as `+09:00`.
    ///
    /// # Errors
    /// When the IANA database, which is built into the program, has no such zone.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let zone = match offset(text) {
            Some(offset) => TimeZone::fixed(offset),
            None => TimeZone::get(text).map_err(
                |_| "no such time zone; give a name such as Asia/Tokyo, an offset such as +09:00, or UTC",
            )?,
        };
        Ok(Self {
            name: text.to_owned(),
            zone,
        })
    }

    /// Converts local time. `shown` is what a clock in this zone shows, read as if it were UTC; the result is the moment at
    /// which the clock shows it. When clocks are set back there are two such moments; the result is the first, so that no
    /// session lives too long.
    pub(super) fn absolute(&self, shown: UnixTime) -> UnixTime {
        let local = i64::try_from(shown.millis())
            .ok()
            .and_then(|millis| Timestamp::from_millisecond(millis).ok())
            .map(|timestamp| TimeZone::UTC.to_datetime(timestamp));
        // No session could end at a time beyond the calendar, so such a time stays as it is.
        local
            .and_then(|local| self.timestamp(local))
            .map_or(shown, unix_time)
    }

    fn timestamp(&self, local: DateTime) -> Option<Timestamp> {
        self.zone.to_ambiguous_timestamp(local).earlier().ok()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Reads an offset such as `+09:00`, `-0330` or `+9`.
fn offset(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() > 2 => digits.split_at_checked(2)?,
        None => (digits, "0"),
    };
    let number = |text: &str, most: i32| {
        let is_short =
            matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i32>()
            .ok()
            .filter(|number| is_short && *number <= most)
    };
    Offset::from_seconds(sign * (number(hours, 25)? * 3600 + number(minutes, 59)? * 60)).ok()
}

/// Converts a timestamp. A time before 1970 becomes 1970.
fn unix_time(timestamp: Timestamp) -> UnixTime {
    UnixTime::from_millis(u64::try_from(timestamp.as_millisecond()).unwrap_or(0))
}

/// Reads a number of seconds or milliseconds since 1970. A time before 1970 becomes 1970.
pub(super) fn of_number(number: i64) -> UnixTime {
    let number = u64::try_from(number).unwrap_or(0);
    if number < MIN_MILLIS {
        UnixTime::from_secs(number)
    } else {
        UnixTime::from_millis(number)
    }
}

/// Reads a date with a time of day. A time without an offset of its own is read in `zone`, or in UTC. A time before 1970
/// becomes 1970.
pub(super) fn of_text(text: &str, zone: Option<&Zone>) -> Option<UnixTime> {
    let (date, time) = text.split_at_checked(10)?;
    let digits = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-')
    };
    // Reject the other forms that the library accepts: week dates, annotations, a date alone.
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
    let timestamp = match text.parse::<Timestamp>() {
        Ok(timestamp) => timestamp,
        Err(_) => {
            let local: DateTime = text.parse().ok()?;
            match zone {
                Some(zone) => zone.timestamp(local)?,
                None => TimeZone::UTC.to_timestamp(local).ok()?,
            }
        }
    };
    Some(unix_time(timestamp))
}

/// The smallest number that is taken for milliseconds. As seconds it is the year 5138, as milliseconds March 1973: no
/// session ends after 5138 or before March 1973.
const MIN_MILLIS: u64 = 100_000_000_000;

/// The longest time of day in bytes, including the letter before it: nanoseconds and an offset with seconds.
const LONGEST: usize = "T00:00:00.000000000+00:00:00".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_time_is_read() {
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
            assert_eq!(of_text(text, None), Some(time), "{text}");
        }
        let whole = UnixTime::from_secs(1_900_000_000);
        assert_eq!(of_text("2030-03-17 17:46:40", None), Some(whole));
        assert_eq!(of_number(1_900_000_000), whole);
        assert_eq!(of_number(1_900_000_000_123), time);
        for number in [0, -1, i64::MIN] {
            assert_eq!(of_number(number), UnixTime::from_secs(0));
        }
        assert_eq!(
            of_text("1960-01-01T00:00:00Z", None),
            Some(UnixTime::from_secs(0))
        );
    }

    #[test]
    fn a_time_without_a_zone_is_read_in_the_named_one() {
        let tokyo = Zone::parse("Asia/Tokyo").unwrap();
        let shown = UnixTime::from_secs(1_900_000_000);
        let nine_hours_before = UnixTime::from_secs(1_900_000_000 - 9 * 3600);
        assert_eq!(tokyo.absolute(shown), nine_hours_before);
        for zone in ["+09:00", "+0900", "+9", "Asia/Tokyo", "asia/tokyo"] {
            let zone = Zone::parse(zone).unwrap();
            assert_eq!(
                of_text("2030-03-17 17:46:40", Some(&zone)),
                Some(nine_hours_before),
                "{zone}"
            );
            // An offset of its own takes precedence.
            assert_eq!(of_text("2030-03-17T17:46:40Z", Some(&zone)), Some(shown));
        }
        // 02:30 of this night comes twice in Berlin, and the first time is UTC+2.
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        assert_eq!(
            of_text("2030-10-27 02:30:00", Some(&berlin)),
            of_text("2030-10-27 00:30:00", None)
        );
        // 02:30 of this one never comes.
        assert!(of_text("2030-03-31 02:30:00", Some(&berlin)).is_some());
        // Out of every calendar.
        assert_eq!(
            tokyo.absolute(UnixTime::from_millis(u64::MAX)),
            UnixTime::from_millis(u64::MAX)
        );
    }

    #[test]
    fn an_invalid_zone_is_refused() {
        for text in [
            "", "Tokyo", "+", "+25:61", "+99", "9", "+1:2:3", "+-1", "JST",
        ] {
            assert!(Zone::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Zone::parse("UTC").unwrap().to_string(), "UTC");
    }

    #[test]
    fn an_invalid_time_is_not_read() {
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
            assert_eq!(of_text(text, None), None, "{text:?}");
        }
    }
}

//! Points in time, as arguments: this crate never reads a clock.

use core::time::Duration;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Arithmetic saturates at both ends of the range, so a hostile claim cannot make it overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime {
    millis: u64,
}

impl UnixTime {
    /// The last second of the year 9999: a later expiry is a mistake.
    pub const LAST_EXPIRY: Self = Self::from_secs(253_402_300_799);

    /// The point `secs` seconds after the epoch; saturates when the milliseconds do not fit.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self {
            millis: secs.saturating_mul(1000),
        }
    }

    /// The point `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis }
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.millis / 1000
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.millis
    }

    /// This point moved `span` into the future; stops at the largest representable point.
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self {
            millis: self.millis.saturating_add(span),
        }
    }

    /// The time that passed from `earlier` to this point; zero when `earlier` is the later one.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.millis.saturating_sub(earlier.millis))
    }

    /// Reads a date as `JSON.stringify` writes it, `YYYY-MM-DDThh:mm:ss[.f…]Z`; `None` for any other text. A date before 1970
    /// becomes 1970.
    #[must_use]
    pub fn from_iso(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (date, rest) = bytes.split_at_checked(PATTERN.len())?;
        let fits = |(byte, wanted): (&u8, &u8)| match wanted {
            b'0' => byte.is_ascii_digit(),
            wanted => byte == wanted,
        };
        let fraction = match rest {
            b"Z" => true,
            [b'.', digits @ .., b'Z'] => {
                !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) && digits.len() <= 9
            }
            _ => false,
        };
        // jiff reads second 60 as 59, as RFC 3339 permits; dates of ECMAScript have no second 60.
        let is_leap_second = date.ends_with(b":60");
        if !(date.iter().zip(PATTERN).all(fits) && fraction) || is_leap_second {
            return None;
        }
        let time: jiff::Timestamp = text.parse().ok()?;
        let millis = u64::try_from(time.as_millisecond()).unwrap_or_default();
        Some(Self::from_millis(millis))
    }

    /// A JSON `NumericDate` (RFC 7519 section 2: seconds, a fraction is allowed), rounded down to milliseconds.
    /// A date before the epoch becomes the epoch.
    pub(crate) fn from_numeric_date(secs: f64) -> Self {
        // A float-to-integer cast saturates: below zero and NaN give 0, too large gives u64::MAX.
        let millis = (secs * 1000.0) as u64;
        Self { millis }
    }
}

const PATTERN: &[u8; 19] = b"0000-00-00T00:00:00";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_down() {
        assert_eq!(UnixTime::from_millis(1999).secs(), 1);
        assert_eq!(
            UnixTime::from_numeric_date(1.9996),
            UnixTime::from_millis(1999)
        );
    }

    #[test]
    fn arithmetic_saturates() {
        let last = UnixTime::from_millis(u64::MAX);
        assert_eq!(UnixTime::from_secs(u64::MAX), last);
        assert_eq!(last.saturating_add(Duration::MAX), last);
        assert_eq!(
            UnixTime::from_secs(1).saturating_since(last),
            Duration::ZERO
        );
        assert_eq!(UnixTime::from_numeric_date(-1.0), UnixTime::from_secs(0));
        assert_eq!(UnixTime::from_numeric_date(1e300), last);
        assert_eq!(
            UnixTime::from_numeric_date(f64::NAN),
            UnixTime::from_secs(0)
        );
    }

    #[test]
    fn dates_are_read_in_the_one_form_that_json_has() {
        let millis = |text| UnixTime::from_iso(text).map(UnixTime::millis);
        assert_eq!(millis("2030-01-21T21:47:46.000Z"), Some(1_895_262_466_000));
        assert_eq!(millis("2030-01-21T21:47:46Z"), Some(1_895_262_466_000));
        assert_eq!(millis("2030-01-21T21:47:46.1239Z"), Some(1_895_262_466_123));
        assert_eq!(millis("1969-12-31T23:59:59.999Z"), Some(0));
        for text in [
            "",
            "2030-01-21",
            "2030-01-21T21:47:46",
            "2030-01-21T21:47:46+00:00",
            "2030-01-21T21:47:46.Z",
            "2030-01-21T21:47:46.000z",
            "2030-01-21 21:47:46Z",
            "2030-13-21T21:47:46Z",
            "2030-02-30T21:47:46Z",
            "2030-01-21T21:47:60.000Z",
            "2016-12-31T23:59:60Z",
            "+002030-01-21T21:47:46Z",
            "2030-01-21T21:47:46.000Z ",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}

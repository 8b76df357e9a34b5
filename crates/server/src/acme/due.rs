//! When certificates are ordered: in time before they expire, and with pauses after failures.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use session::UnixTime;

use crate::tls::certificate::Certificate;

/// The stored record of failed orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OrderFailure {
    /// How many orders have failed since the last success.
    pub(super) count: u32,
    /// The time of the last failure, in milliseconds since 1970.
    pub(super) at: u64,
    /// The time of the next attempt, in seconds since 1970.
    pub(super) until: u64,
}

impl OrderFailure {
    /// Returns the record of one more failure after `before`. `share`, between 0 and 1, spreads the pauses of the nodes. The
    /// pause is never shorter than `at_least`.
    pub(super) fn after(
        before: Option<Self>,
        now: UnixTime,
        at_least: Duration,
        share: f64,
    ) -> Self {
        let count = before.map_or(0, |before| before.count).saturating_add(1);
        let doubled = SHORTEST_PAUSE.saturating_mul(1 << (count - 1).min(16));
        // 75 to 125 % of the doubled pause, but never less than 100 to 125 % of `at_least`.
        let spread = doubled.min(LONGEST_PAUSE).mul_f64(0.75 + share / 2.0);
        let pause = spread.max(at_least.mul_f64(1.0 + share / 4.0));
        Self {
            count,
            at: now.millis(),
            until: now.secs() + pause.as_secs(),
        }
    }
}

/// The time of a certificate's renewal, in seconds since 1970: after two thirds of its lifetime, spread among the nodes by
/// `share`, between 0 and 1.
///
/// Let's Encrypt recommends to renew with a third of the lifetime left (its integration guide); for six-day certificates
/// that is after four days.
pub(super) fn renewal(certificate: &Certificate, share: f64) -> u64 {
    let Certificate {
        not_before,
        not_after,
        ..
    } = certificate;
    let lifetime = not_after.saturating_sub(*not_before);
    let spread = Duration::from_secs(lifetime / 50).mul_f64(share);
    not_before + lifetime / 3 * 2 + spread.as_secs()
}

/// The first pause after a failure. Authorities limit failures: Let's Encrypt allows five for a hostname in an hour, which these
/// pauses do not reach.
const SHORTEST_PAUSE: Duration = Duration::from_secs(2 * 60);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_six_hours() {
        let mut failure = None;
        let mut pauses = Vec::new();
        let (zero, now) = (UnixTime::from_secs(0), UnixTime::from_secs(1000));
        for _ in 0..12 {
            let next = OrderFailure::after(failure, now, Duration::ZERO, 0.5);
            pauses.push(next.until - 1000);
            failure = Some(next);
        }
        assert_eq!(
            pauses,
            [
                120, 240, 480, 960, 1920, 3840, 7680, 15360, 21600, 21600, 21600, 21600
            ]
        );
        assert_eq!(
            OrderFailure::after(None, zero, Duration::ZERO, 0.0).until,
            90
        );
        assert_eq!(
            OrderFailure::after(None, zero, Duration::ZERO, 1.0).until,
            150
        );
        let many = OrderFailure {
            count: u32::MAX,
            at: 0,
            until: 0,
        };
        assert_eq!(
            OrderFailure::after(Some(many), zero, Duration::ZERO, 0.5).until,
            21600
        );
    }

    #[test]
    fn rate_limit_pause_is_never_shorter_than_its_minimum() {
        let zero = UnixTime::from_secs(0);
        let hour = Duration::from_secs(3600);
        for (share, pause) in [(0.0, 3600), (0.5, 4050), (1.0, 4500)] {
            assert_eq!(OrderFailure::after(None, zero, hour, share).until, pause);
        }
        // The ninth pause is longer than the minimum already.
        let eight = OrderFailure {
            count: 8,
            at: 0,
            until: 0,
        };
        assert_eq!(
            OrderFailure::after(Some(eight), zero, hour, 0.0).until,
            21600 / 4 * 3
        );
    }
}

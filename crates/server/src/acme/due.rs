//! When a certificate is ordered: in time before it expires, and after a failure not at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use session::UnixTime;

use crate::tls::certificate::Certificate;

/// An order that failed, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    /// How many have failed since the last success.
    pub(super) count: u32,
    /// When, in milliseconds since 1970.
    pub(super) at: u64,
    /// From when on the next may be tried, in seconds since 1970.
    pub(super) until: u64,
}

impl Failure {
    /// One more after `before`, with a pause of `at_least` that. `share`, between 0 and 1, keeps nodes apart.
    pub(super) fn after(
        before: Option<Self>,
        now: UnixTime,
        at_least: Duration,
        share: f64,
    ) -> Self {
        let count = before.map_or(0, |before| before.count).saturating_add(1);
        let doubled = SHORTEST_PAUSE.saturating_mul(1 << (count - 1).min(16));
        let pause = doubled.min(LONGEST_PAUSE).max(at_least);
        // A quarter less to a quarter more.
        let pause = pause.mul_f64(0.75 + share / 2.0);
        Self {
            count,
            at: now.millis(),
            until: now.secs() + pause.as_secs(),
        }
    }
}

/// From when on a certificate is renewed, in seconds since 1970: after two thirds of its time, and a little later on one node
/// than on another. `share` is between 0 and 1.
///
/// Let's Encrypt advises to renew with a third of the time left (its integration guide); of certificates for six days, that is
/// after four.
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

/// Authorities count failures: Let's Encrypt takes five for a host in an hour, which these pauses do not come to.
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
            let next = Failure::after(failure, now, Duration::ZERO, 0.5);
            pauses.push(next.until - 1000);
            failure = Some(next);
        }
        assert_eq!(
            pauses,
            [
                120, 240, 480, 960, 1920, 3840, 7680, 15360, 21600, 21600, 21600, 21600
            ]
        );
        assert_eq!(Failure::after(None, zero, Duration::ZERO, 0.0).until, 90);
        assert_eq!(Failure::after(None, zero, Duration::ZERO, 1.0).until, 150);
        let many = Failure {
            count: u32::MAX,
            at: 0,
            until: 0,
        };
        assert_eq!(
            Failure::after(Some(many), zero, Duration::ZERO, 0.5).until,
            21600
        );
    }
}

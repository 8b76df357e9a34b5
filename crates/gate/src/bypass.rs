//! The development bypass: a header that lets a request enter without a session, off by default and always logged.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderName;
use session::Secret;

use crate::Facts;

/// The development bypass: a header that lets a request enter without an identity. Off unless configured.
#[derive(Clone, Debug)]
pub struct Bypass {
    header: HeaderName,
    value: Secret,
    loopback_only: bool,
}

impl Bypass {
    /// A bypass that anyone who knows the value can use.
    pub fn new(header: HeaderName, value: Secret) -> Self {
        Self {
            header,
            value,
            loopback_only: false,
        }
    }

    /// A bypass whose value is publicly known, so that it works only for requests that seem to come directly from this machine:
    /// the addresses are loopback, and no common header of a proxy is present. A proxy on this machine that adds no such header
    /// is not recognized.
    pub fn from_loopback(header: HeaderName, value: Secret) -> Self {
        Self {
            header,
            value,
            loopback_only: true,
        }
    }

    /// The header that carries the value.
    pub fn header(&self) -> &HeaderName {
        &self.header
    }

    /// Whether it works only for requests that seem to come directly from this machine.
    pub fn is_loopback_only(&self) -> bool {
        self.loopback_only
    }

    /// Whether this request carries the value exactly once, and comes from an allowed address.
    pub(crate) fn admits(&self, facts: &Facts<'_>) -> bool {
        let mut values = facts.headers.get_all(&self.header).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let known = verify_slices_are_equal(value.as_bytes(), self.value.expose()).is_ok();
        known && (!self.loopback_only || is_from_this_machine(facts))
    }
}

/// Whether a request seems to come directly from this machine. A request that a proxy on this machine forwards has a loopback
/// peer too, but most proxies add one of six common headers. A proxy that adds none of them is not recognized.
fn is_from_this_machine(facts: &Facts<'_>) -> bool {
    let marks = [
        "forwarded",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
    ];
    !facts.arrival.relayed
        && facts.arrival.peer.to_canonical().is_loopback()
        && facts.arrival.client.to_canonical().is_loopback()
        && !marks.iter().any(|mark| facts.headers.contains_key(*mark))
}

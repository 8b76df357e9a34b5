//! The cases, grouped by class.

mod chunks;
mod connections;
mod credentials;
mod forward_auth;
mod headers;
mod hop_by_hop;
mod host;
mod http2;
mod limits;
mod lines;
mod methods;
mod paths;
mod request_line;
mod responses;
mod routing;
mod smuggling;
mod special;
mod upgrades;

use std::time::Duration;

use crate::case::Case;

/// Returns all cases, sorted by class and id.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = [
        smuggling::CASES,
        lines::CASES,
        chunks::CASES,
        request_line::CASES,
        host::CASES,
        paths::CASES,
        headers::CASES,
        routing::CASES,
        hop_by_hop::CASES,
        credentials::CASES,
        special::CASES,
        methods::CASES,
        upgrades::CASES,
        responses::CASES,
        connections::CASES,
        limits::CASES,
        forward_auth::CASES,
        http2::CASES,
    ]
    .concat();
    cases.sort_by_key(|case| (case.class, case.id));
    cases
}

/// The pause between two pieces that are sent one after the other on one connection.
const PAUSE: Duration = Duration::from_millis(120);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::all;

    #[test]
    fn every_case_has_its_own_id() {
        let mut seen = HashSet::new();
        for case in all() {
            assert!(seen.insert(case.id), "the id {} is used twice", case.id);
            assert!(!case.title.is_empty() && !case.expects.is_empty());
        }
    }
}

//! The state of services' servers, for Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::live::Live;

/// The metrics of the live servers whose state is tracked. They are not registered like other metrics, because a removed
/// server would stay there.
pub(super) fn metrics(live: &Live) -> String {
    // Two services may have the same server, with different states.
    let mut servers: BTreeMap<&str, (bool, u64)> = BTreeMap::new();
    let members = live.terms.iter().flatten().map(|terms| &terms.members);
    let watched = members.filter(|members| members.are_watched());
    for member in watched.flat_map(|members| &members.all) {
        let (is_up, ejections) = servers.entry(&member.name).or_insert((true, 0));
        *is_up &= !member.is_avoided();
        *ejections = (*ejections).max(member.ejections());
    }
    if servers.is_empty() {
        return String::new();
    }
    let mut lines = String::from(UP);
    for (server, (is_up, _)) in &servers {
        let (server, is_up) = (escaped(server), u8::from(*is_up));
        let _ = writeln!(
            lines,
            "sessiongate_upstream_up{{server=\"{server}\"}} {is_up}"
        );
    }
    lines += EJECTIONS;
    for (server, (_, ejections)) in &servers {
        let server = escaped(server);
        let _ = writeln!(
            lines,
            "sessiongate_upstream_ejections_total{{server=\"{server}\"}} {ejections}"
        );
    }
    lines
}

/// Replaces characters that end a label, which the path of a socket may contain.
fn escaped(server: &str) -> String {
    server.replace(['\\', '"', '\n'], "_")
}

const UP: &str = "# HELP sessiongate_upstream_up Whether a server of a service gets requests (1), or is ejected or unhealthy (0).\n\
     # TYPE sessiongate_upstream_up gauge\n";

const EJECTIONS: &str = "# HELP sessiongate_upstream_ejections_total How often a server was ejected after failures in a row.\n\
     # TYPE sessiongate_upstream_ejections_total counter\n";

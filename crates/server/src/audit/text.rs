//! An audit line for people.

use std::io::Write;

use super::AuditEntry;
use crate::clock::timestamp;

/// Writes time, outcome, status, request, route, user and duration, and how the exchange ended if it did not complete.
/// Values of the request are escaped where they could break the line.
// Not inlined, because most gates write JSON for every request.
#[inline(never)]
pub(super) fn write(out: &mut Vec<u8>, entry: &AuditEntry<'_>) {
    let time = timestamp(entry.ts).strftime("%H:%M:%S");
    let AuditEntry {
        outcome,
        method,
        host,
        path,
        status,
        reason,
        ..
    } = entry;
    let (host, path) = (host.escape_debug(), path.escape_debug());
    let route = entry.rule.map_or_else(String::new, |rule| {
        format!(" route=\"{}\"", rule.escape_debug())
    });
    let method = method.escape_debug();
    let user = entry.user_id.unwrap_or("-").escape_debug();
    let guest = if entry.anonymous { " (guest)" } else { "" };
    let by = entry.impersonated_by.map_or_else(String::new, |id| {
        format!(" impersonated_by={}", id.escape_debug())
    });
    #[expect(clippy::cast_precision_loss, reason = "a duration for people")]
    let millis = entry.duration_us as f64 / 1000.0;
    let ended = match (entry.event, entry.ended) {
        (Some("start"), _) => " goes on",
        (_, None | Some("whole")) => "",
        (_, Some(ended)) => &format!(" {ended}"),
    };
    // Writing to memory cannot fail.
    let _ = writeln!(
        out,
        "{time} {outcome:5} {status} {method} {host}{path}{route} user={user}{guest}{by} reason={reason} {millis:.1}ms{ended}"
    );
}

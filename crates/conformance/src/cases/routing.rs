//! Headers that describe the original request.

use crate::case::{Case, Class};
use crate::judgment::{Judgment, broken, each, weak};
use crate::latin::excerpt;
use crate::probe::Probe;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::RoutingMetadata, id, title, expects, run)
}

pub(super) const CASES: &[Case] = &[
    case(
        "HD12",
        "X-Forwarded-For and X-Real-IP",
        "replaced, or the real address appended",
        |probe| {
            let forged = format!("X-Forwarded-For: 6.6.6.6, {}", probe.forged());
            let exchange = probe.send(probe.public().lines([&forged, "X-Real-IP: 6.6.6.6"]));
            for record in probe.arrived() {
                let addresses = record.all("x-forwarded-for").join(",");
                let last = addresses.rsplit(',').next().unwrap_or_default();
                if last.contains("6.6.6.6") || last.contains(&probe.forged()) {
                    let addresses = excerpt(&addresses, 60);
                    return broken(format!("X-Forwarded-For arrived as {addresses}"));
                }
                if record.all("x-real-ip") == ["6.6.6.6"] {
                    return weak("the client's X-Real-IP arrived");
                }
            }
            probe.canonical(&exchange, None)
        },
    )
    .rule("RFC 7239 8.1"),
    case(
        "HD13",
        "X-Forwarded-Host and similar headers, and Forwarded",
        "removed, or overwritten",
        |probe| {
            check_not_chosen(
                probe,
                &[
                    "X-Forwarded-Host",
                    "X-Forwarded-Proto",
                    "X-Forwarded-Port",
                    "X-Forwarded-Prefix",
                    "X-Forwarded-Server",
                    "Forwarded",
                    "X_Forwarded_Host",
                ],
            )
        },
    )
    .rule("RFC 7239 8.1")
    .known("CVE-2026-35051, CVE-2026-54764, CVE-2026-57210")
    .should(),
    case(
        "RM01",
        "headers that name another path",
        "the path of the request line is judged",
        |probe| {
            let public = probe.marked(&probe.target.public_folder());
            each(PATHS.iter().copied(), |name| {
                probe.denied(probe.protected().line(format!("{name}: {public}")))
            })
        },
    )
    .known("CVE-2026-40575, CVE-2026-33495"),
    case(
        "RM02",
        "headers that name another method",
        "still denied",
        |probe| {
            let names = [
                "X-Forwarded-Method",
                "X-Original-Method",
                "X-HTTP-Method-Override",
                "X-Method-Override",
            ];
            each(names, |name| {
                probe.denied(probe.protected().line(format!("{name}: OPTIONS")))
            })
        },
    )
    .known("CVE-2026-33495"),
    case(
        "RM03",
        "headers that name another host, scheme or address",
        "still denied",
        |probe| {
            let lines = [
                "X-Forwarded-Host: public",
                "X-Forwarded-Proto: https",
                "X-Forwarded-For: 127.0.0.1",
                "X-Real-IP: 127.0.0.1",
                "X-Client-IP: 127.0.0.1",
                "True-Client-IP: 127.0.0.1",
                "Forwarded: for=127.0.0.1;host=localhost;proto=https",
                "X-Envoy-External-Address: 127.0.0.1",
            ];
            each(lines, |line| probe.denied(probe.protected().line(*line)))
        },
    )
    .rule("RFC 7239 8.1"),
    case(
        "RM04",
        "headers that name another path, forwarded to the service",
        "removed",
        |probe| check_not_chosen(probe, PATHS),
    )
    .known("CVE-2026-40575, CVE-2026-48794")
    .should(),
    case(
        "RM05",
        "method override, forwarded to the service",
        "removed",
        |probe| {
            check_not_chosen(
                probe,
                &[
                    "X-HTTP-Method-Override",
                    "X-HTTP-Method",
                    "X-Method-Override",
                ],
            )
        },
    )
    .should(),
];

/// Headers in which frameworks and proxies look for the path of the original request.
const PATHS: &[&str] = &[
    "X-Forwarded-Uri",
    "X-Original-URL",
    "X-Original-URI",
    "X-Rewrite-URL",
    "X-Forwarded-Path",
    "X-Script-Name",
    "X-Envoy-Original-Path",
];

/// Checks that none of these headers arrives as the client wrote it.
fn check_not_chosen(probe: &Probe<'_>, names: &[&str]) -> Judgment {
    let lines = names
        .iter()
        .map(|name| format!("{name}: {}", probe.forged()));
    let exchange = probe.send(probe.public().lines(lines));
    probe.not_chosen(names)?;
    probe.canonical(&exchange, None)
}

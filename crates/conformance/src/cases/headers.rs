//! Headers that a service reads as those of the gateway.

use crate::case::{Case, Class};
use crate::judgment::{Judgment, each};
use crate::probe::Probe;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::HeaderAliases, id, title, expects, run)
}

const REMOVED: &str = "removed on public paths, replaced once on protected ones";

pub(super) const CASES: &[Case] = &[
    case(
        "HD01",
        "the identity header, in any case",
        REMOVED,
        |probe| {
            let name = probe.identity_name();
            let swapped = name.chars().map(|char| match char.is_ascii_lowercase() {
                true => char.to_ascii_uppercase(),
                false => char.to_ascii_lowercase(),
            });
            let names = [
                name.to_owned(),
                name.to_ascii_lowercase(),
                name.to_ascii_uppercase(),
                swapped.collect(),
            ];
            forged(probe, names)
        },
    )
    .rule("RFC 9110 5.1"),
    case(
        "HD02",
        "the identity header with underscores",
        REMOVED,
        |probe| {
            let name = probe.identity_name();
            let names = [
                name.replace('-', "_"),
                name.to_ascii_lowercase().replace('-', "_"),
                name.replacen('-', "_", 1),
            ];
            forged(probe, names)
        },
    )
    .rule("RFC 3875 4.1.18")
    .known("CVE-2025-64484"),
    case("HD03", "the identity header with dots", REMOVED, |probe| {
        let name = probe.identity_name();
        let names = [
            name.replace('-', "."),
            name.replacen('-', ".", 1),
            name.to_ascii_lowercase().replace('-', "."),
        ];
        forged(probe, names)
    })
    .rule("PHP's variable names")
    .known("CVE-2026-39858, CVE-2026-52845"),
    case(
        "HD14",
        "the identity header with other characters between its words",
        REMOVED,
        |probe| {
            let name = probe.identity_name();
            let chars = ['~', '!', '+', '\'', '|', '$'];
            forged(
                probe,
                chars.map(|char| name.replace('-', &char.to_string())),
            )
        },
    )
    .rule("RFC 3875 4.1.18")
    .should(),
    case(
        "HD04",
        "the identity header several times",
        REMOVED,
        |probe| {
            let (name, line) = (probe.identity_name(), probe.forged_line());
            let upper = format!("{}: {}", name.to_ascii_uppercase(), probe.forged());
            let folded = format!("{}: {}", name.replace('-', "_"), probe.forged());
            let spellings = [
                ("twice", vec![line.clone(), line.clone()]),
                ("in three spellings", vec![line.clone(), upper, folded]),
                ("as a list", vec![format!("{name}: , {}", probe.forged())]),
                ("empty first", vec![format!("{name}:"), line]),
            ];
            each(spellings, |(_, lines)| probe.stripped(lines))
        },
    )
    .rule("RFC 9110 5.3"),
    case(
        "HD05",
        "every identity header of the gateway",
        "none arrives as the client wrote it",
        |probe| {
            let names = &probe.target.identity_headers;
            let lines: Vec<_> = names
                .iter()
                .map(|name| format!("{name}: {}", probe.forged()))
                .collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let requests = [
                ("public", probe.public()),
                ("protected", probe.with_session(probe.protected())),
            ];
            each(requests, |(_, request)| {
                let exchange = probe.send(request.clone().lines(&lines));
                probe.not_chosen(&names)?;
                probe.canonical(&exchange, None)
            })
        },
    )
    .known("CVE-2026-30851"),
    case(
        "HD07",
        "white space and control characters around the name",
        "refused, or removed",
        |probe| {
            let (name, forged) = (probe.identity_name(), probe.forged());
            let lines = [
                format!("{name} : {forged}"),
                format!("{name}\t: {forged}"),
                format!(" {name}: {forged}"),
                format!("{name}\x0b: {forged}"),
                format!("\u{a0}{name}: {forged}"),
            ];
            each(lines, |line| probe.stripped(&[line]))
        },
    )
    .rule("RFC 9112 5.1"),
    case(
        "HD15",
        "identity headers of other gateways",
        "removed",
        |probe| {
            let lines: Vec<_> = FOREIGN
                .iter()
                .map(|name| format!("{name}: {}", probe.forged()))
                .collect();
            for request in [probe.public(), probe.with_session(probe.protected())] {
                let exchange = probe.send(request.lines(&lines));
                probe.not_chosen(FOREIGN)?;
                probe.canonical(&exchange, None)?;
            }
            Ok("removed".to_owned())
        },
    )
    .should(),
];

/// Headers that services behind other gateways read as an identity.
const FOREIGN: &[&str] = &[
    "Remote-User",
    "X-Remote-User",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-WEBAUTH-USER",
    "X-User-Email",
    "X-Authenticated-User",
];

fn forged(probe: &Probe<'_>, names: impl IntoIterator<Item = String>) -> Judgment {
    each(names, |name: &String| {
        probe.stripped(&[format!("{name}: {}", probe.forged())])
    })
}

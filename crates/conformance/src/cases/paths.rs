//! Path confusion: the policy sees one path, and the service another.

use crate::case::{Case, Class};
use crate::judgment::{Judgment, broken, each};
use crate::latin::excerpt;
use crate::probe::Probe;
use crate::readings::may_be;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::Paths, id, title, expects, run)
}

/// Creates a case of paths that are requested without a session.
const fn paths(id: &'static str, title: &'static str, run: fn(&Probe<'_>) -> Judgment) -> Case {
    case(id, title, "4xx, or forwarded as what the policy saw", run)
}

pub(super) const CASES: &[Case] = &[
    paths("PA01", "dot segments out of the public folder", |probe| {
        let (d, p) = probe.places();
        check_paths(
            probe,
            [
                format!("{d}../{p}"),
                format!("{d}./../{p}"),
                format!("{d}x/../../{p}"),
                format!("/.{d}../{p}"),
                format!("{d}../{p}/."),
                format!("{d}../{p}/x/.."),
            ],
        )
    })
    .rule("RFC 3986 5.2.4, 6.2.2.3"),
    paths(
        "PA02",
        "dot segments from the protected path into the public folder",
        |probe| {
            let (d, p) = probe.places();
            check_paths(
                probe,
                [
                    format!("/{p}/..{d}"),
                    format!("/{p}/x/../..{d}"),
                    format!("/{p}/.{d}"),
                ],
            )
        },
    )
    .rule("RFC 3986 5.2.4")
    .known("CVE-2026-33494"),
    paths("PA03", "encoded dot segments", |probe| {
        let (d, p) = probe.places();
        check_paths(
            probe,
            [
                format!("{d}%2e%2e/{p}"),
                format!("{d}.%2e/{p}"),
                format!("{d}%2E./{p}"),
                format!("/{p}/%2e%2e{d}"),
            ],
        )
    })
    .rule("RFC 3986 6.2.2.2"),
    paths("PA04", "encoded slashes", |probe| {
        let (d, p) = probe.places();
        let public = d.trim_end_matches('/');
        check_paths(
            probe,
            [
                format!("{d}..%2f{p}"),
                format!("{d}%2e%2e%2f{p}"),
                format!("{d}..%2F{p}"),
                format!("{d}x%2f..%2f..%2f{p}"),
                format!("/{p}%2f..{d}"),
                format!("{public}%2f..%2f{p}"),
            ],
        )
    })
    .rule("RFC 3986 2.2")
    .known("CWE-177, CVE-2026-32811"),
    paths("PA05", "double slashes", |probe| {
        let (d, p) = probe.places();
        check_paths(
            probe,
            [
                format!("//{p}"),
                format!("///{p}"),
                format!("{d}/../{p}"),
                format!("{d}x//../../{p}"),
                format!("/{d}../{p}"),
                format!("/{p}//..{d}"),
            ],
        )
    })
    .rule("RFC 3986 3.3"),
    paths("PA06", "path parameters", |probe| {
        let (d, p) = probe.places();
        check_paths(
            probe,
            [
                format!("{d}..;/{p}"),
                format!("{d}..;a=b/{p}"),
                format!("{d};/../{p}"),
                format!("/;{d}../{p}"),
                format!("/{p};{d}"),
                format!("/{p};/..{d}"),
            ],
        )
    })
    .rule("RFC 3986 3.3")
    .known("CWE-180"),
    paths("PA07", "backslashes, raw and encoded", |probe| {
        let (d, p) = probe.places();
        check_paths(
            probe,
            [
                format!("{d}..\\{p}"),
                format!("{d}..%5c{p}"),
                format!("{d}\\..\\..\\{p}"),
                format!("\\{p}"),
                format!("/{p}\\..{d}"),
            ],
        )
    })
    .rule("RFC 3986 2.2, WHATWG URL"),
    paths("PA08", "encoded NUL", |probe| {
        let (d, p) = probe.places();
        check_paths(
            probe,
            [
                format!("/{p}%00{d}"),
                format!("/{p}%00/..{d}"),
                format!("{d}..%00/{p}"),
                format!("{d}%00/../{p}"),
            ],
        )
    })
    .rule("RFC 3986 2")
    .known("CWE-158"),
    paths("PA09", "queries and fragments", |probe| {
        let (d, p) = probe.places();
        check_paths(
            probe,
            [
                format!("/{p}?{d}"),
                format!("/{p}?x={d}../"),
                format!("/{p}#{d}"),
                format!("/{p}%3f{d}"),
                format!("/{p}%23{d}"),
                format!("/{p}#/..{d}"),
            ],
        )
    })
    .rule("RFC 3986 3.4")
    .known("CVE-2025-54576, CVE-2026-41059"),
    paths("PA10", "nested percent-encoding", |probe| {
        let (d, p) = probe.places();
        check_paths(
            probe,
            [
                format!("{d}%252e%252e/{p}"),
                format!("{d}..%252f{p}"),
                format!("{d}%252e%252e%252f{p}"),
                format!("/{p}%252f..{d}"),
                format!("/{p}%3f/..{d}"),
            ],
        )
    })
    .known("CWE-174")
    .should(),
    paths(
        "PA11",
        "overlong and full-width characters, and other escapes",
        |probe| {
            let (d, p) = probe.places();
            check_paths(
                probe,
                [
                    format!("{d}%c0%ae%c0%ae/{p}"),
                    format!("{d}..%c0%af{p}"),
                    format!("{d}%u002e%u002e/{p}"),
                    format!("{d}%ef%bc%8e%ef%bc%8e/{p}"),
                    format!("{d}.%0a./{p}"),
                    format!("{d}..%09/{p}"),
                ],
            )
        },
    )
    .rule("RFC 3629 3")
    .known("CWE-176")
    .should(),
    case(
        "PA12",
        "the protected path in other cases",
        "denied",
        |probe| {
            let path = probe.target.protected();
            let one = path.char_indices().map(|(at, char)| match at {
                1 => char.to_ascii_uppercase(),
                _ => char,
            });
            each(
                [path.to_ascii_uppercase(), one.collect()],
                |path: &String| probe.denied(probe.get(probe.marked(path))),
            )
        },
    )
    .rule("RFC 3986 6.2.2.1"),
    case(
        "PA13",
        "encoded letters",
        "denied, or public as it is decoded",
        |probe| {
            let (d, p) = probe.places();
            let encoded = |path: &str| {
                let codes = path.bytes().map(|byte| match byte {
                    b'/' => "/".to_owned(),
                    other => format!("%{other:02x}"),
                });
                codes.collect::<String>()
            };
            check_paths(
                probe,
                [
                    encoded(&format!("/{p}")),
                    format!("{}../{p}", encoded(&d)),
                    format!(
                        "/%{:02X}{}",
                        p.as_bytes().first().copied().unwrap_or(b'p'),
                        p.get(1..).unwrap_or_default()
                    ),
                ],
            )
        },
    )
    .rule("RFC 3986 6.2.2.2")
    .known("CVE-2026-42272, CVE-2026-42274"),
    case(
        "PA14",
        "the public prefix at the start of a longer segment",
        "denied, nothing upstream",
        |probe| {
            let (d, p) = probe.places();
            let public = d.trim_end_matches('/');
            each(["x", ".x", &format!("-{p}"), "%2f..%2fx", ";x"], |end| {
                probe.denied(probe.get(probe.marked(&format!("{public}{end}"))))
            })
        },
    )
    .known("CWE-187"),
    case(
        "PA15",
        "invalid percent-encoding",
        "4xx, or forwarded unchanged",
        |probe| {
            each(["%", "%z", "%zz", "%2", "%g0/x", "%-1"], |end| {
                let path = format!("{}{end}", probe.target.public_folder());
                probe.refused_or_forwarded(probe.get(probe.marked(&path)), "")
            })
        },
    )
    .rule("RFC 3986 2.1"),
    paths("PA16", "absolute-form with dot segments", |probe| {
        let (d, p) = probe.places();
        let host = &probe.target.host;
        check_paths(
            probe,
            [
                format!("http://{host}{d}../{p}"),
                format!("http://{host}{d}%2e%2e/{p}"),
                format!("http://{host}/{p}/..{d}"),
                format!("http://{host}?{d}"),
            ],
        )
    })
    .rule("RFC 9112 3.2.2"),
    case(
        "PA17",
        "unusual queries",
        "forwarded byte for byte, or 4xx",
        |probe| {
            let ends = [
                "&a=%2e%2e/&b=//x;y",
                "&a=b?c=d/../e",
                "&a=+%20%2B",
                "&x=%zz",
                "&a='%22{}|",
                "&&=&a",
            ];
            each(ends, |end| {
                let path = format!("{}q", probe.target.public_folder());
                let target = format!("{}{end}", probe.marked(&path));
                let exchange = probe.send(probe.get(&target));
                match probe
                    .arrived()
                    .iter()
                    .find(|record| record.target != target)
                {
                    Some(record) => broken(format!(
                        "the query changed: {}",
                        excerpt(&record.target, 60)
                    )),
                    None => probe.canonical(&exchange, None),
                }
            })
        },
    )
    .rule("RFC 9110 7.7, RFC 3986 3.4"),
    case(
        "PA18",
        "unusual paths with a session",
        "the same resource, or 4xx",
        |probe| {
            each(
                [
                    "/a%20b", "/a%2Fb", "/a;v=1", "/a//b", "/%C3%A9", "/./a", "/a/", "/a'(b)",
                ],
                |end| {
                    let path = format!("{}{end}", probe.target.protected());
                    let exchange = probe.send(probe.with_session(probe.get(probe.marked(&path))));
                    let arrived = probe.arrived();
                    let same = |target: &str| may_be(target, probe.target.protected()).is_some();
                    match arrived.iter().find(|record| !same(&record.target)) {
                        Some(record) => broken(format!("forwarded as {}", record.brief())),
                        None => probe.canonical(&exchange, None),
                    }
                },
            )
        },
    )
    .rule("RFC 9110 7.7")
    .with_session(),
];

fn check_paths(probe: &Probe<'_>, paths: impl IntoIterator<Item = String>) -> Judgment {
    each(paths, |path| probe.path(path))
}

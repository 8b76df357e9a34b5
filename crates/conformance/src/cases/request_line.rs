//! Malformed request lines, and request lines that name the target in another form.

use crate::case::{Case, Class};
use crate::judgment::{Finding, Judgment, Rejection, broken, each, weak};
use crate::probe::Probe;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::RequestLine, id, title, expects, run)
}

const REFUSED: &str = "4xx or 5xx of the version, nothing upstream";

pub(super) const CASES: &[Case] = &[
    case(
        "RL01",
        "absolute-form with the same host",
        "as origin-form",
        |probe| {
            let target = format!(
                "http://{}{}",
                probe.target.host,
                probe.target.public_folder()
            );
            let exchange = probe.send(probe.get(probe.marked(&target)));
            let arrived = probe.arrived();
            match arrived
                .iter()
                .find(|record| !record.target.starts_with('/'))
            {
                Some(record) => weak(format!("forwarded unchanged: {}", record.brief())),
                None => probe.canonical(&exchange, None),
            }
        },
    )
    .rule("RFC 9112 3.2.2"),
    case(
        "RL03",
        "absolute-form of the protected path",
        "denied, nothing upstream",
        |probe| {
            let (host, bare) = (&probe.target.host, probe.target.bare_host());
            let prefixes = [
                format!("http://{host}"),
                format!("HTTP://{host}"),
                format!("https://{bare}:443"),
                format!("http://u:p@{host}"),
                "http://public".to_owned(),
            ];
            each(prefixes, |prefix| {
                let target = format!("{prefix}{}", probe.target.protected());
                probe.denied(probe.get(probe.marked(&target)))
            })
        },
    )
    .rule("RFC 9112 3.2.2"),
    case(
        "RL04",
        "asterisk-form",
        "GET is refused, OPTIONS does not reach the upstream",
        |probe| {
            let asterisk = |method: &str| {
                probe
                    .get("*")
                    .method(method)
                    .line(format!("X-T: {}", probe.token))
            };
            let exchange = probe.send(asterisk("GET"));
            if !matches!(exchange.status(), 301..=303) {
                probe.judge_refused(&exchange, Rejection::Open)?;
            }
            let exchange = probe.send(asterisk("OPTIONS"));
            match probe.arrived().is_empty() {
                true => Ok(exchange.to_string()),
                false => broken("OPTIONS * arrived without a session"),
            }
        },
    )
    .rule("RFC 9112 3.2.4"),
    case(
        "RL05",
        "authority-form, a relative target, no target",
        "4xx, nothing upstream",
        |probe| {
            let (_, protected) = probe.places();
            let authority = format!("{}:80", probe.target.bare_host());
            let targets = [
                &authority, &protected, "public/", "", "?x", "http:", "http://", "://x/",
            ];
            each(targets, |target| {
                let request = probe.get(*target).line(format!("X-T: {}", probe.token));
                probe.refused(request, Rejection::Open)
            })
        },
    )
    .rule("RFC 9112 3.2.1, 3.2.3"),
    case(
        "RL09",
        "methods that are not tokens",
        "4xx, nothing upstream",
        |probe| {
            each(
                [
                    "GE(T",
                    "GET\0",
                    "G\x01T",
                    "\"GET\"",
                    "GET:",
                    "G\u{c3}\u{a9}T",
                ],
                |method| probe.refused(probe.public().method(method), Rejection::Open),
            )
        },
    )
    .rule("RFC 9110 9.1, 5.6.2"),
    case(
        "RL10",
        "control characters and spaces in the target",
        "4xx, or encoded",
        |probe| {
            each(["\x01", "\x7f", "\0", "\t", " ", "\r", "\x0b"], |char| {
                let path = format!("{}a{char}b", probe.target.public_folder());
                probe.refused_or_forwarded(probe.get(probe.marked(&path)), "")
            })
        },
    )
    .rule("RFC 9112 3, RFC 3986 2"),
    case(
        "RL11",
        "white space around the parts of the line",
        "4xx, or one canonical request",
        |probe| {
            let target = probe.marked(&probe.target.public_folder());
            let host = &probe.target.host;
            let lines = [
                format!("GET  {target} HTTP/1.1"),
                format!("GET {target}  HTTP/1.1"),
                format!("GET\t{target}\tHTTP/1.1"),
                format!(" GET {target} HTTP/1.1"),
                format!("GET {target} HTTP/1.1 "),
            ];
            each(lines, |line| {
                let text = format!("{line}\r\nHost: {host}\r\n\r\n");
                probe.refused_or_forwarded(text, "")
            })
        },
    )
    .rule("RFC 9112 3"),
    case("RL12", "invalid versions", REFUSED, |probe| {
        let versions = [
            "HTTP/2.0",
            "HTTP/3.0",
            "HTTP/0.9",
            "HTTP/1",
            "HTTP/1.",
            "HTTP/01.1",
            "http/1.1",
            "HTTPS/1.1",
            "HTTP/1.1x",
            "HTTP/1.10",
        ];
        each(versions, |version| {
            let judged = probe.refused(probe.public().version(version), Rejection::Open);
            match judged {
                // A lenient reading of the minor version alone does no harm.
                Err(Finding::Broken(why)) if *version == "HTTP/1.10" => weak(why),
                other => other,
            }
        })
    })
    .rule("RFC 9112 2.3"),
    case(
        "RL13",
        "a request line without a version",
        "4xx or closed, nothing upstream",
        |probe| {
            let target = probe.marked(&probe.target.public_folder());
            each(
                [format!("GET {target}\r\n"), format!("GET {target}\r\n\r\n")],
                |text| {
                    let mut sending = probe.sending(text.as_str());
                    sending.half_closes = true;
                    let exchange = probe.perform(&sending);
                    match probe.arrived().is_empty() && !exchange.permits() {
                        true => Ok(exchange.to_string()),
                        false => broken(format!("HTTP/0.9 is served: {exchange}")),
                    }
                },
            )
        },
    )
    .rule("RFC 9112 3, appendix C"),
    case(
        "RL14",
        "a target of 64 KiB",
        "refused, or forwarded complete",
        |probe| {
            let path = format!("{}{}", probe.target.public_folder(), "a".repeat(1 << 16));
            probe.refused_or_forwarded(probe.get(probe.marked(&path)), "")
        },
    )
    .rule("RFC 9110 4.1, 15.5.15"),
];

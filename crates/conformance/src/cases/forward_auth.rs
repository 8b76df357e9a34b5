//! The forward-auth endpoint, to which calling proxies send decision requests.

use std::thread;
use std::time::Duration;

use super::host::redirects_elsewhere;
use crate::case::{Case, Class};
use crate::client::Exchange;
use crate::judgment::{Judgment, broken, each};
use crate::latin::folded;
use crate::probe::Probe;
use crate::profile::OriginalRequest;
use crate::request::Request;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::ForwardAuth, id, title, expects, run).with_check()
}

pub(super) const CASES: &[Case] = &[
    case(
        "FA01",
        "with and without a session",
        "permitted with identity, and denied",
        |probe| {
            let exchange = send(probe, probe.with_session(protected(probe)));
            let Some(answer) = exchange.answers.first().filter(|_| exchange.permits()) else {
                return broken(format!("with a session, but {exchange}"));
            };
            let wanted = folded(probe.identity_name());
            let names_sent = answer
                .fields
                .iter()
                .filter(|(name, _)| folded(name) == wanted);
            let names_sent: Vec<_> = names_sent.map(|(_, value)| value.as_str()).collect();
            let user = probe.target.user.as_deref();
            match names_sent.as_slice() {
                [one] if user.is_none_or(|user| user == *one) => denied(probe, protected(probe)),
                other => broken(format!("{} identities in the answer", other.len())),
            }
        },
    )
    .rule("nginx auth_request, Traefik ForwardAuth")
    .with_session(),
    case(
        "FA02",
        "decision requests without a valid path",
        "denied, never 5xx",
        |probe| {
            let public = probe.target.public_folder();
            let long = "/".repeat(5000);
            let evil = format!("http://evil.example{public}");
            let relative = format!("?{public}");
            let network = format!("//evil.example{public}");
            let paths = [
                "", "*", "private", &evil, &network, "\x01", &relative, &long, "%",
            ];
            denied(probe, decision_request(probe, "GET", None))?;
            each(paths, |path| {
                denied(probe, decision_request(probe, "GET", Some(path)))
            })
        },
    )
    .known("CVE-2026-40575"),
    case(
        "FA03",
        "decision requests about paths with two readings",
        "denied",
        |probe| {
            let (d, p) = probe.places();
            let public = d.trim_end_matches('/');
            let paths = [
                format!("/{p}?x={d}"),
                format!("/{p}#{d}"),
                format!("{d}../{p}"),
                format!("{d}%2e%2e/{p}"),
                format!("{d}..%2f{p}"),
                format!("{d}..;/{p}"),
                format!("{d}..\\{p}"),
                format!("/{p}/..{d}"),
                format!("/{p}%00{d}"),
                format!("{d}/../{p}"),
                format!("/{p}%3f{d}"),
                format!("{public}x"),
                format!("{d}../{p}?{d}"),
            ];
            each(paths, |path| {
                denied(probe, decision_request(probe, "GET", Some(path)))
            })
        },
    )
    .known("CVE-2026-40575, CVE-2026-41059, CVE-2025-54576"),
    case(
        "FA04",
        "decision requests that contradict themselves",
        "denied",
        |probe| {
            let public = probe.marked(&probe.target.public_folder());
            let lines: Vec<String> = match probe.target.profile.original_request {
                OriginalRequest::Forwarded => vec![
                    format!("X-Forwarded-Uri: {public}"),
                    format!("X-Original-URL: {public}"),
                    format!("X_Forwarded_Uri: {public}"),
                ],
                OriginalRequest::OriginalUrl => vec![
                    format!("X-Original-URL: http://{}{public}", probe.target.host),
                    format!("X-Original-URI: {public}"),
                    format!("X-Forwarded-Uri: {public}"),
                ],
                OriginalRequest::RequestLine => vec![
                    format!("X-Forwarded-Uri: {public}"),
                    format!("X-Envoy-Original-Path: {public}"),
                    format!("X-Original-URL: {public}"),
                ],
            };
            each(lines, |line| denied(probe, protected(probe).line(line)))
        },
    )
    .known("CVE-2026-40575, CVE-2026-33495"),
    case(
        "FA05",
        "odd methods and hosts",
        "denied, and no redirect to that host",
        |probe| {
            let host = &probe.target.host;
            let request_to = |method: &str, host: &str| {
                let request = of(
                    probe,
                    method,
                    host,
                    Some(&probe.marked(probe.target.protected())),
                );
                request.lines(["Accept: text/html", "Sec-Fetch-Mode: navigate"])
            };
            let requests = [
                ("OPTIONS", request_to("OPTIONS", host)),
                (
                    "two methods",
                    request_to("GET", host).line("X-Forwarded-Method: OPTIONS"),
                ),
                ("no method", request_to("G T", host)),
                ("another host", request_to("GET", "evil.example")),
                (
                    "userinfo",
                    request_to("GET", &format!("{host}@evil.example")),
                ),
                (
                    "two hosts",
                    request_to("GET", &format!("{host}, evil.example")),
                ),
            ];
            each(requests, |(_, request)| {
                let exchange = send(probe, request.clone());
                let location = exchange
                    .answers
                    .first()
                    .map(|answer| answer.all("location").concat());
                match location.is_some_and(|location| redirects_elsewhere(&location)) {
                    true => broken("a redirect leads to the host that the client chose"),
                    false => judge_denied(probe, &exchange),
                }
            })
        },
    )
    .rule("Fetch 3.2.2")
    .known("CWE-601"),
    case(
        "FA06",
        "an identity in the decision request",
        "not in the answer",
        |probe| {
            let names = &probe.target.identity_headers;
            let lines: Vec<_> = names
                .iter()
                .map(|name| format!("{name}: {}", probe.forged()))
                .collect();
            let public = probe.marked(&probe.target.public_folder());
            let requests = [
                ("public", decision_request(probe, "GET", Some(&public))),
                ("protected", protected(probe)),
                ("with a session", probe.with_session(protected(probe))),
            ];
            each(requests, |(_, request)| {
                let exchange = send(probe, request.clone().lines(&lines));
                match exchange.data.contains(&probe.forged()) {
                    true => broken("the forged identity is in the answer"),
                    false => Ok(exchange.to_string()),
                }
            })
        },
    )
    .known("CWE-290"),
    case(
        "FA07",
        "a session, but no path to judge",
        "denied",
        |probe| {
            denied(
                probe,
                probe.with_session(decision_request(probe, "GET", None)),
            )
        },
    )
    .with_session()
    .should(),
    case(
        "FA08",
        "a permitted request without a user",
        "every identity header is in the answer",
        |probe| {
            let public = probe.marked(&probe.target.public_folder());
            let exchange = send(probe, decision_request(probe, "GET", Some(&public)));
            let Some(answer) = exchange.answers.first().filter(|_| exchange.permits()) else {
                return broken(format!("on a public path, but {exchange}"));
            };
            let mut names = probe.target.identity_headers.iter();
            match names.find(|name| !answer.has(name)) {
                Some(name) => broken(format!(
                    "without {name}, the client's own header would be forwarded"
                )),
                None => Ok(exchange.to_string()),
            }
        },
    )
    .known("CVE-2026-30851")
    .should(),
];

/// Returns a decision request about the protected path.
fn protected(probe: &Probe<'_>) -> Request {
    decision_request(probe, "GET", Some(&probe.marked(probe.target.protected())))
}

fn decision_request(probe: &Probe<'_>, method: &str, path: Option<&str>) -> Request {
    of(probe, method, &probe.target.host, path)
}

/// Returns the decision request that this kind of calling proxy would send.
fn of(probe: &Probe<'_>, method: &str, host: &str, path: Option<&str>) -> Request {
    let own = &probe.target.host;
    let check = probe.target.check.as_ref();
    let check = check.map_or("/", |(_, path)| path.as_str());
    let request = match probe.target.profile.original_request {
        OriginalRequest::Forwarded => {
            let lines = [
                format!("X-Forwarded-Method: {method}"),
                "X-Forwarded-Proto: http".to_owned(),
                format!("X-Forwarded-Host: {host}"),
                "X-Forwarded-For: 127.0.0.1".to_owned(),
            ];
            let path = path.map(|path| format!("X-Forwarded-Uri: {path}"));
            Request::get(check, own).lines(lines).lines(path)
        }
        OriginalRequest::OriginalUrl => {
            let line = format!("X-Original-Method: {method}");
            let url = path.map(|path| format!("X-Original-URL: http://{host}{path}"));
            Request::get(check, own).line(line).lines(url)
        }
        OriginalRequest::RequestLine => {
            let target = format!(
                "{}{}",
                check.trim_end_matches('/'),
                path.unwrap_or_default()
            );
            Request::get(target, host).method(method)
        }
    };
    request.line(format!("X-Case: {}", probe.token))
}

fn send(probe: &Probe<'_>, request: Request) -> Exchange {
    probe.skip_records();
    let address = probe
        .target
        .check
        .as_ref()
        .map_or(probe.target.proxy, |(address, _)| *address);
    let exchange = probe.sending(request).send(address);
    // A request that must not reach the upstream would take a moment to arrive there.
    thread::sleep(Duration::from_millis(5));
    exchange
}

fn denied(probe: &Probe<'_>, request: Request) -> Judgment {
    judge_denied(probe, &send(probe, request))
}

fn judge_denied(probe: &Probe<'_>, exchange: &Exchange) -> Judgment {
    if !probe.arrived().is_empty() {
        return broken("the decision request reached the upstream");
    }
    match exchange.status() {
        0 if exchange.closed => Ok(exchange.to_string()),
        300..500 => Ok(exchange.to_string()),
        _ => broken(format!("not denied: {exchange}")),
    }
}

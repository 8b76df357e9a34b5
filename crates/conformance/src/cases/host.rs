//! The requested host.

use crate::case::{Case, Class};
use crate::judgment::{Judgment, Rejection, broken, each};
use crate::probe::Probe;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::Host, id, title, expects, run).rule("RFC 9112 3.2")
}

pub(super) const CASES: &[Case] = &[
    case("RL06", "HTTP/1.1 without Host", "400", |probe| {
        let target = probe.marked(&probe.target.public_folder());
        probe.refused(probe.get(target).without_host(), Rejection::Open)
    }),
    case("RL07", "two Host fields", "400", |probe| {
        each(
            ["evil.example".to_owned(), probe.target.host.clone()],
            |host| {
                probe.refused(
                    probe.public().line(format!("Host: {host}")),
                    Rejection::Open,
                )
            },
        )
    }),
    case(
        "RL02",
        "absolute-form with another host than Host",
        "the target's host wins, or 400",
        |probe| {
            let path = probe.marked(&probe.target.public_folder());
            let exchange = probe.send(
                probe
                    .get(format!("http://app.example{path}"))
                    .host("evil.example"),
            );
            let arrived = probe.arrived();
            let hosts = arrived.iter().flat_map(|record| record.all("host"));
            match hosts.into_iter().any(|host| host.contains("evil.example")) {
                true => broken("the Host field arrived in place of the target's host"),
                false => probe.canonical(&exchange, None),
            }
        },
    )
    .rule("RFC 9112 3.2.2"),
    case(
        "RL08",
        "an invalid Host",
        "400, or forwarded without harm",
        |probe| {
            let hosts = [
                "a b", "a/b", "a@b", "a#b", "a?b", "a,b", "a\\b", "[::1", "a:b", "a:99999",
            ];
            each(hosts, |host| {
                let request = probe.protected().host(host);
                probe.denied(request)
            })
        },
    ),
    case(
        "HO01",
        "the same host in other spellings",
        "denied without a session",
        |probe| {
            let bare = probe.target.bare_host();
            let hosts = [
                bare.to_ascii_uppercase(),
                format!("{bare}."),
                format!("{bare}:80"),
                format!("{bare}:443"),
                format!("{bare}.:80"),
                "localhost".to_owned(),
                "LOCALHOST.".to_owned(),
            ];
            each(hosts, |host| probe.denied(probe.protected().host(host)))
        },
    )
    .known("CVE-2026-42273")
    .rule("RFC 3986 3.2.2"),
    case(
        "HO02",
        "a host that is not configured",
        "denied without a session",
        |probe| {
            each(
                [
                    "evil.example",
                    "public",
                    "127.0.0.1",
                    "[::1]",
                    "0",
                    "admin",
                    "healthz",
                ],
                |host| probe.denied(probe.protected().host(host)),
            )
        },
    ),
    case(
        "HO03",
        "a client's choice of host and the redirect to the sign-in page",
        "never redirects to that host",
        |probe| {
            let requests = [
                ("Host", probe.protected().host("evil.example")),
                (
                    "userinfo",
                    probe.protected().host("app.example@evil.example"),
                ),
                (
                    "X-Forwarded-Host",
                    probe.protected().line("X-Forwarded-Host: evil.example"),
                ),
                (
                    "Forwarded",
                    probe.protected().line("Forwarded: host=evil.example"),
                ),
                (
                    "slashes",
                    probe.get(format!("//evil.example{}", probe.target.protected())),
                ),
            ];
            each(requests, |(_, request)| {
                let request = request
                    .clone()
                    .lines(["Accept: text/html", "Sec-Fetch-Mode: navigate"]);
                let exchange = probe.send(request);
                let location = exchange
                    .answers
                    .first()
                    .map(|answer| answer.all("location").concat());
                match location.is_some_and(|location| redirects_elsewhere(&location)) {
                    true => broken("a redirect leads to the host that the client chose"),
                    false => Ok(exchange.to_string()),
                }
            })
        },
    )
    .known("CWE-601")
    .rule("RFC 9110 7.2"),
];

/// Whether a redirect leads to the host that the client chose.
pub(super) fn redirects_elsewhere(location: &str) -> bool {
    let location = location.to_ascii_lowercase();
    let Some((_, rest)) = location.split_once("//") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    // In a query it is only the address to return to, which the sign-in page checks.
    let before = location.split("//").next().unwrap_or_default();
    let leads = before.is_empty() || before == "http:" || before == "https:";
    leads && (authority.contains("evil.example") || authority.contains('@'))
}

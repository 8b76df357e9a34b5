//! Fields of one connection, and attacks that make them remove other fields.

use crate::case::{Case, Class};
use crate::judgment::{Judgment, each};
use crate::probe::Probe;
use crate::request::chunks;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::HopByHop, id, title, expects, run).rule("RFC 9110 7.6.1")
}

pub(super) const CASES: &[Case] = &[
    case(
        "HD06",
        "Connection names the identity header",
        "the gateway's own one arrives",
        |probe| {
            let (name, line) = (probe.identity_name(), probe.forged_line());
            let spellings = [
                vec![format!("Connection: {name}")],
                vec![
                    format!("Connection: close, {}", name.to_ascii_lowercase()),
                    line,
                ],
                vec![
                    "Connection: keep-alive".to_owned(),
                    format!("Connection: {name}"),
                ],
            ];
            each(spellings, |lines| probe.stripped(lines))
        },
    )
    .known("CVE-2021-33197, GO-2023-1747"),
    case(
        "HD09",
        "Connection names the session cookie, the host or the body's length",
        "denied, or one canonical request with identity",
        |probe| {
            let names = [
                "Cookie",
                "Host",
                "Authorization",
                "Content-Length",
                "Transfer-Encoding",
                "X-Forwarded-For",
            ];
            each(names, |name| {
                let request = probe.with_session(probe.protected().method("POST"));
                let request =
                    request.lines([&format!("Connection: {name}"), "Transfer-Encoding: chunked"]);
                probe.denied_or_identified(request.body(chunks(&["hello"])))
            })
        },
    )
    .known("CVE-2021-33197")
    .with_session(),
    case(
        "HD10",
        "fields that Connection names",
        "do not travel",
        |probe| {
            let request = probe
                .public()
                .lines(["Connection: X-Hop-T, keep-alive", "X-Hop-T: 1"]);
            let exchange = probe.send(request);
            probe.absent(&["X-Hop-T"])?;
            probe.canonical(&exchange, None)
        },
    )
    .known("CVE-2021-33197"),
    case(
        "HD11",
        "Keep-Alive, Proxy-Connection, TE, Proxy-Authorization",
        "do not travel",
        |probe| {
            let lines = [
                "Keep-Alive: timeout=99",
                "Proxy-Connection: keep-alive",
                "TE: gzip",
                "Proxy-Authorization: Basic eDp5",
            ];
            let exchange = probe.send(probe.public().lines(lines));
            probe.absent(&[
                "Keep-Alive",
                "Proxy-Connection",
                "TE",
                "Proxy-Authorization",
            ])?;
            probe.canonical(&exchange, None)
        },
    )
    .rule("RFC 9110 7.6.1, 11.7.2")
    .should(),
];

//! Special, unknown and malformed methods.

use crate::case::{Case, Class};
use crate::judgment::{Judgment, broken, each, weak};
use crate::probe::Probe;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::Methods, id, title, expects, run)
}

pub(super) const CASES: &[Case] = &[
    case(
        "ME01",
        "OPTIONS that is not a preflight",
        "nothing upstream without a session",
        |probe| {
            let spellings: [Vec<String>; 4] = [
                Vec::new(),
                vec![ORIGIN.to_owned()],
                vec!["Access-Control-Request-Method: GET".to_owned()],
                vec![
                    ORIGIN.to_owned(),
                    "Access-Control-Request-Method:".to_owned(),
                ],
            ];
            each(spellings, |lines| {
                let request = probe
                    .protected()
                    .method("OPTIONS")
                    .lines(lines)
                    .line(probe.forged_line());
                let exchange = probe.send(request);
                match probe.arrived().is_empty() {
                    true => probe.canonical(&exchange, None),
                    false => broken("OPTIONS arrived without a session"),
                }
            })
        },
    )
    .rule("Fetch 3.2.2"),
    case(
        "ME02",
        "a real preflight",
        "answered here, or denied; never credentials for any origin",
        |probe| {
            let lines = [
                ORIGIN,
                "Access-Control-Request-Method: DELETE",
                &probe.forged_line(),
            ];
            let exchange = probe.send(probe.protected().method("OPTIONS").lines(lines));
            probe.anonymous()?;
            for answer in &exchange.answers {
                let origins = answer.all("access-control-allow-origin");
                let any = origins
                    .iter()
                    .any(|origin| ["*", "http://evil.example"].contains(origin));
                if any && answer.all("access-control-allow-credentials") == ["true"] {
                    return broken("credentials are allowed for any origin");
                }
            }
            if exchange.status() >= 500 || exchange.timed_out {
                return broken(exchange.to_string());
            }
            match probe.arrived().is_empty() {
                true => Ok(exchange.to_string()),
                false => weak("a preflight arrives without a session"),
            }
        },
    )
    .rule("Fetch 3.2.2")
    .should(),
    case("ME03", "HEAD", "denied like GET", |probe| {
        let request = probe.protected().method("HEAD").text();
        let mut sending = probe.sending(request);
        sending.methods = vec!["HEAD"];
        let exchange = probe.perform(&sending);
        probe.judge_denied(&exchange)
    })
    .rule("RFC 9110 9.3.2"),
    case(
        "ME04",
        "TRACE",
        "refused, and never echoes the cookie",
        |probe| {
            let cookie = format!("Cookie: probe={}", probe.forged());
            let requests = [
                probe.protected().line(&cookie),
                probe.public().lines([&cookie, "Max-Forwards: 0"]),
            ];
            let mut last = String::new();
            for request in requests {
                let exchange = probe.send(request.method("TRACE"));
                if exchange.data.contains(&probe.forged()) {
                    return broken("the cookie is echoed");
                }
                let arrived = probe.arrived();
                if arrived
                    .iter()
                    .any(|record| record.target.contains(probe.target.protected()))
                {
                    return broken("TRACE arrived without a session");
                }
                if !arrived.is_empty() {
                    return weak("TRACE is forwarded on public paths");
                }
                last = exchange.to_string();
            }
            Ok(last)
        },
    )
    .rule("RFC 9110 9.3.8"),
    case(
        "ME05",
        "CONNECT",
        "refused, no tunnel, nothing upstream",
        |probe| {
            let targets = [
                probe.target.upstream.to_string(),
                format!("{}:443", probe.target.bare_host()),
                probe.marked(&probe.target.public_folder()),
                probe.marked(probe.target.protected()),
            ];
            each(targets, |target| {
                let request = probe
                    .get(target)
                    .method("CONNECT")
                    .line(format!("X-T: {}", probe.token));
                let mut sending = probe.sending(request);
                sending.pieces.push((super::PAUSE, probe.hidden()));
                let exchange = probe.perform(&sending);
                match exchange.permits() {
                    true => broken(format!("a tunnel was opened: {exchange}")),
                    false => probe.judge_denied(&exchange),
                }
            })
        },
    )
    .rule("RFC 9110 9.3.6"),
    case(
        "ME07",
        "unknown, lower-case and very long methods",
        "denied, nothing upstream",
        |probe| {
            let long = "A".repeat(5000);
            each(
                ["FOO", "get", "PROPFIND", "PRI", &long, "M-SEARCH"],
                |method| probe.denied(probe.protected().method(method)),
            )
        },
    )
    .rule("RFC 9110 9.1"),
];

const ORIGIN: &str = "Origin: http://evil.example";

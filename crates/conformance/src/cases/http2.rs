//! HTTP/2 that is converted to HTTP/1.1 on its way to the upstream.

use std::thread;
use std::time::Duration;

use crate::case::{Case, Class};
use crate::client::Exchange;
use crate::http2::{self, Fields};
use crate::judgment::{Judgment, Rejection, broken, each};
use crate::probe::Probe;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::Http2, id, title, expects, run).with_http2()
}

const REFUSED: &str = "a stream error or 4xx, nothing upstream";

pub(super) const CASES: &[Case] = &[
    case(
        "H201",
        "identity headers, and the protected path without a session",
        "removed, and denied",
        |probe| {
            let name = probe.identity_name().to_ascii_lowercase();
            each([name.clone(), name.replace('-', "_")], |name| {
                let exchange = send(probe, &with(public(probe), &[(name, &probe.forged())]), "");
                probe.canonical(&exchange, None)
            })?;
            let exchange = send(
                probe,
                &with(protected(probe), &[(&name, &probe.forged())]),
                "",
            );
            probe.judge_denied(&exchange)
        },
    )
    .rule("RFC 9113 8.2"),
    case(
        "H202",
        "the session cookie among several cookie fields",
        "forwarded once with identity",
        |probe| {
            let cookie = probe.target.cookie.as_deref().unwrap_or_default();
            let fields = with(
                protected(probe),
                &[("cookie", "a=1"), ("cookie", cookie), ("cookie", "b=2")],
            );
            let exchange = send(probe, &fields, "");
            probe.forwarded(&exchange, None)?;
            probe.identified()
        },
    )
    .rule("RFC 9113 8.2.3")
    .with_session(),
    case(
        "H203",
        "fields of a connection",
        "a stream error, or removed",
        |probe| {
            let fields = [
                ("connection", "close"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "h2c"),
                ("keep-alive", "timeout=9"),
                ("proxy-connection", "close"),
                ("te", "gzip"),
            ];
            each(
                fields.map(|(name, value)| (name, value)),
                |(name, value)| {
                    let exchange = send(probe, &with(public(probe), &[(name, value)]), "");
                    let arrived = probe.arrived();
                    let travels =
                        |record: &crate::recorder::Record| record.all(name).contains(value);
                    match *name != "connection" && arrived.iter().any(travels) {
                        true => broken("it arrived"),
                        false => probe.canonical(&exchange, None),
                    }
                },
            )
        },
    )
    .rule("RFC 9113 8.2.2")
    .known("CVE-2021-33193"),
    case(
        "H204",
        "Content-Length that does not match the data",
        REFUSED,
        |probe| {
            let hidden = probe.hidden();
            let length = hidden.len();
            let lengths = [
                ("none", "0".to_owned()),
                ("too short", (length - 5).to_string()),
                ("too long", (length + 50).to_string()),
                ("a sign", format!("+{length}")),
                ("no number", "x".to_owned()),
            ];
            each(lengths, |(_, length)| {
                let fields = with(
                    replaced(public(probe), ":method", "POST"),
                    &[("content-length", length)],
                );
                let exchange = send(probe, &fields, &hidden);
                probe.judge_refused(&exchange, Rejection::Open)
            })
        },
    )
    .rule("RFC 9113 8.1.1")
    .known("CWE-444"),
    case(
        "H205",
        "line ends and NUL in names and values",
        REFUSED,
        |probe| {
            let fields = [
                (
                    "CRLF in a value",
                    ("x-a", format!("b\r\n{}", probe.forged_line())),
                ),
                (
                    "LF in a value",
                    ("x-a", format!("b\n{}", probe.forged_line())),
                ),
                ("NUL in a value", ("x-a", "b\0c".to_owned())),
                ("CRLF in a name", ("x-a: b\r\nx-c", "d".to_owned())),
                ("a colon in a name", ("x-a: b", "d".to_owned())),
                ("a space in a name", ("x a", "d".to_owned())),
            ];
            each(fields, |(_, (name, value))| {
                refused(probe, &with(public(probe), &[(name, value)]))
            })
        },
    )
    .rule("RFC 9113 8.2.1")
    .known("CWE-93, CWE-444"),
    case(
        "H206",
        "request lines in pseudo-headers",
        REFUSED,
        |probe| {
            let path = probe.marked(&probe.target.public_folder());
            let (_, protected) = probe.places();
            let (mark, host) = (&probe.token, &probe.target.host);
            let target = format!("{}/smug-{mark}", probe.target.protected());
            let fields = [
                (":method", format!("GET {target} HTTP/1.1\r\nx: ")),
                (":path", format!("{path} HTTP/1.1\r\nX: {mark}")),
                (":path", format!("{path} x")),
                (":authority", format!("{host}\r\nx: y")),
                (":path", String::new()),
                (":path", format!("{protected}{mark}")),
                (":scheme", "http://x/?\r\n".to_owned()),
            ];
            each(fields, |(name, value)| {
                refused(probe, &replaced(public(probe), name, value))
            })
        },
    )
    .rule("RFC 9113 8.3.1")
    .known("CWE-444"),
    case(
        "H207",
        "pseudo-headers that are missing, doubled, late, unknown",
        REFUSED,
        |probe| {
            let fields = || public(probe);
            let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let without_path = || {
                fields()
                    .into_iter()
                    .filter(|(name, _)| name != ":path")
                    .collect()
            };
            let first = |one: (String, String)| [vec![one], fields()].concat();
            let path = probe.marked(probe.target.protected());
            let requests: [(&str, Fields); 6] = [
                ("no path", with(without_path(), &[("x-t", &probe.token)])),
                ("two paths", with(fields(), &[(":path", &path)])),
                ("two methods", first(field(":method", "GET"))),
                ("late", first(field("x-a", "b"))),
                ("unknown", with(fields(), &[(":user", &probe.forged())])),
                (":status", with(fields(), &[(":status", "200")])),
            ];
            each(requests, |(_, fields)| refused(probe, fields))
        },
    )
    .rule("RFC 9113 8.3"),
    case(
        "H208",
        "paths with two readings, and the protected path by other means",
        "denied, or forwarded as what the policy saw",
        |probe| {
            let (d, p) = probe.places();
            let paths = [
                format!("{d}../{p}"),
                format!("{d}%2e%2e/{p}"),
                format!("/{p}?{d}"),
                format!("{d}..;/{p}"),
                format!("//{p}"),
            ];
            each(paths, |path: &String| {
                let exchange = send(
                    probe,
                    &replaced(public(probe), ":path", &probe.marked(path)),
                    "",
                );
                let arrived = probe.arrived();
                let reading =
                    |target: &str| crate::readings::may_be(target, probe.target.protected());
                match arrived
                    .iter()
                    .any(|record| reading(&record.target).is_some())
                {
                    true => broken("it arrived without a session"),
                    false => probe.canonical(&exchange, None),
                }
            })
        },
    )
    .rule("RFC 3986 5.2.4"),
    case(
        "H209",
        "Host beside another :authority",
        "refused, or one host upstream",
        |probe| {
            let exchange = send(probe, &with(public(probe), &[("host", "evil.example")]), "");
            let arrived = probe.arrived();
            let hosts = arrived.iter().flat_map(|record| record.all("host"));
            match hosts.into_iter().any(|host| host.contains("evil.example")) {
                true => broken("the Host field arrived in place of :authority"),
                false => probe.canonical(&exchange, None),
            }
        },
    )
    .rule("RFC 9113 8.3.1"),
];

fn public(probe: &Probe<'_>) -> Fields {
    of(probe, &probe.target.public_folder())
}

fn protected(probe: &Probe<'_>) -> Fields {
    of(probe, probe.target.protected())
}

fn of(probe: &Probe<'_>, path: &str) -> Fields {
    let (host, path) = (probe.target.host.as_str(), probe.marked(path));
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", host),
        (":path", &path),
    ];
    with(Vec::new(), &fields)
}

fn with(mut fields: Fields, more: &[(&str, &str)]) -> Fields {
    let more = more
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    fields.extend(more);
    fields
}

fn replaced(mut fields: Fields, name: &str, value: &str) -> Fields {
    for (field, old) in &mut fields {
        if field == name {
            value.clone_into(old);
        }
    }
    fields
}

fn refused(probe: &Probe<'_>, fields: &Fields) -> Judgment {
    let exchange = send(probe, fields, "");
    probe.judge_refused(&exchange, Rejection::Open)
}

fn send(probe: &Probe<'_>, fields: &Fields, body: &str) -> Exchange {
    probe.skip_records();
    let address = probe.target.http2.unwrap_or(probe.target.proxy);
    let exchange = http2::send(address, fields, body, probe.target.timeout);
    thread::sleep(Duration::from_millis(10));
    exchange
}

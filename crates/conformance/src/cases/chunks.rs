//! Request smuggling: chunks that two parsers read differently.

use crate::case::{Case, Class};
use crate::judgment::{Judgment, Rejection, broken, each};
use crate::probe::Probe;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::Smuggling, id, title, expects, run)
        .known("CWE-444")
        .rule("RFC 9112 7.1")
}

const REFUSED: &str = "4xx and the end of the connection";
const REFUSED_OR_CANONICAL: &str = "refused, or one canonical request without it";

pub(super) const CASES: &[Case] = &[
    case(
        "FR19",
        "chunk sizes that are not hexadecimal numbers",
        REFUSED,
        |probe| {
            each(["0x5", "+5", "-5", " 5", "", "5_0", "g", "\x0b5"], |size| {
                refused(probe, &format!("{size}\r\nhello\r\n0\r\n\r\n"))
            })
        },
    ),
    case("FR20", "chunk sizes that overflow", REFUSED, |probe| {
        each(
            [
                "10000000000000005",
                "fffffffffffffffff",
                "80000000000000005",
            ],
            |size| refused(probe, &format!("{size}\r\nhello\r\n0\r\n\r\n")),
        )
    }),
    case(
        "FR21",
        "chunk sizes with extensions, zeros and spaces",
        REFUSED_OR_CANONICAL,
        |probe| {
            each(["5;a=b", "5;a=\"q;q\"", "5 ;a", "0000005", "5 "], |size| {
                refused_or_canonical(probe, &format!("{size}\r\nhello\r\n0\r\n\r\n"))
            })
        },
    )
    .rule("RFC 9112 7.1.1"),
    case(
        "FR22",
        "a line feed in a chunk extension",
        REFUSED_OR_CANONICAL,
        |probe| {
            let sizes = [
                ("plain", "5;\nxx"),
                ("quoted", "5;a=\"\n\""),
                ("CR", "5;\rxx"),
            ];
            each(sizes, |(_, size)| {
                refused_or_canonical(probe, &format!("{size}\r\nhello\r\n0\r\n\r\n"))
            })
        },
    )
    .rule("RFC 9112 7.1.1")
    .known("CWE-444, CVE-2025-55315"),
    case(
        "FR23",
        "chunk lines that end in a bare LF or CR",
        REFUSED_OR_CANONICAL,
        |probe| {
            let bodies = [
                ("LF after the size", "5\nhello\r\n0\r\n\r\n"),
                ("LF after the data", "5\r\nhello\n0\r\n\r\n"),
                ("CR after the size", "5\rhello\r\n0\r\n\r\n"),
                ("LF after the last size", "5\r\nhello\r\n0\n\r\n"),
            ];
            each(bodies, |(_, body)| refused_or_canonical(probe, body))
        },
    ),
    case("FR24", "a chunk longer than its size", REFUSED, |probe| {
        each(
            ["5\r\nhelloX\r\n0\r\n\r\n", "5\r\nhelloXX0\r\n\r\n"],
            |body| refused(probe, body),
        )
    }),
    case(
        "FR25",
        "framing and routing in the trailers",
        REFUSED_OR_CANONICAL,
        |probe| {
            let trailers = [
                "Content-Length: 50",
                "Transfer-Encoding: chunked",
                "Host: evil.example",
                "X A: b",
            ];
            each(trailers, |trailer| {
                refused_or_canonical(probe, &format!("5\r\nhello\r\n0\r\n{trailer}\r\n\r\n"))
            })
        },
    )
    .rule("RFC 9110 6.5.1"),
    case(
        "HD08",
        "an identity header in the trailers",
        "neither forwarded nor merged",
        |probe| {
            let body = format!("5\r\nhello\r\n0\r\n{}\r\n\r\n", probe.forged_line());
            let name = format!("Trailer: {}", probe.identity_name());
            let request = probe.post().lines([CHUNKED, &name]).body(body);
            let exchange = probe.send(request);
            let records = probe.records();
            if records
                .iter()
                .any(|record| record.raw().contains(&probe.forged()))
            {
                return broken("the forged trailer arrived");
            }
            match records.len() < 2 && exchange.status() < 500 {
                true => Ok(exchange.to_string()),
                false => broken(format!("{} requests arrived: {exchange}", records.len())),
            }
        },
    )
    .rule("RFC 9110 6.5.1"),
];

const CHUNKED: &str = "Transfer-Encoding: chunked";

fn refused(probe: &Probe<'_>, body: &str) -> Judgment {
    probe.refused(probe.post().line(CHUNKED).body(body), Rejection::Closing)
}

fn refused_or_canonical(probe: &Probe<'_>, body: &str) -> Judgment {
    probe.refused_or_canonical(probe.post().line(CHUNKED).body(body), "hello")
}

//! Request smuggling: ambiguity about where a request ends.

use crate::case::{Case, Class};
use crate::judgment::{Judgment, Rejection, broken, each, weak};
use crate::probe::Probe;
use crate::request::chunks;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::Smuggling, id, title, expects, run).known("CWE-444")
}

const REFUSED: &str = "4xx and the end of the connection";
const REFUSED_OR_CANONICAL: &str = "4xx and the end of the connection, or one canonical request";

pub(super) const CASES: &[Case] = &[
    case(
        "FR01",
        "Content-Length and Transfer-Encoding, a request hidden behind the chunks",
        "refused, or chunked wins and the connection ends",
        |probe| {
            let body = format!("0\r\n\r\n{}", probe.hidden());
            let lengths = [
                format!("Content-Length: {}", body.len()),
                CHUNKED.to_owned(),
            ];
            refused_or_once(probe, probe.post().lines(lengths).body(body), &[""])
        },
    )
    .rule("RFC 9112 6.1, 6.3"),
    case(
        "FR02",
        "Transfer-Encoding and Content-Length, a request hidden in a chunk",
        "refused, or chunked wins and the connection ends",
        |probe| {
            let hidden = probe.hidden();
            let size = format!("{:x}\r\n", hidden.len());
            let length = format!("Content-Length: {}", size.len());
            let body = format!("{size}{hidden}\r\n0\r\n\r\n");
            refused_or_once(
                probe,
                probe.post().lines([CHUNKED, &length]).body(body),
                &[&hidden],
            )
        },
    )
    .rule("RFC 9112 6.1, 6.3"),
    case(
        "FR03",
        "Content-Length and Transfer-Encoding that agree",
        REFUSED,
        |probe| {
            let request = probe.post().lines(["Content-Length: 15", CHUNKED]);
            probe.refused(request.body(chunks(&["hello"])), Rejection::Closing)
        },
    )
    .rule("RFC 9112 6.3")
    .should(),
    case("FR04", "two different Content-Length", REFUSED, |probe| {
        let hidden = probe.hidden();
        let long = 5 + hidden.len();
        each(
            [
                ("the short one first", (5, long)),
                ("the long one first", (long, 5)),
            ],
            |(_, (one, two))| {
                let lengths = [one, two].map(|length| format!("Content-Length: {length}"));
                let request = probe.post().lines(lengths).body(format!("hello{hidden}"));
                probe.refused(request, Rejection::Closing)
            },
        )
    })
    .rule("RFC 9112 6.3"),
    case("FR05", "Content-Length that overflows", REFUSED, |probe| {
        let lengths = ["18446744073709551621", "99999999999999999999999"];
        each(lengths, |length| refused_length(probe, length, "hello"))
    })
    .rule("RFC 9110 8.6, RFC 9112 6.3"),
    case(
        "FR06",
        "a list of different lengths in Content-Length",
        REFUSED,
        |probe| {
            let hidden = probe.hidden();
            let list = format!("5, {}", 5 + hidden.len());
            refused_length(probe, &list, &format!("hello{hidden}"))
        },
    )
    .rule("RFC 9112 6.3"),
    case("FR07", "Content-Length with a sign", REFUSED, |probe| {
        each(["+5", "-5", "-0"], |length| {
            refused_length(probe, length, "hello")
        })
    })
    .rule("RFC 9110 8.6"),
    case(
        "FR08",
        "Content-Length that is not a decimal number",
        REFUSED,
        |probe| {
            let lengths = ["0x5", "5.0", "5_0", "5 0", "5;a", "", "\x0b5", "\"5\""];
            each(lengths, |length| refused_length(probe, length, "hello"))
        },
    )
    .rule("RFC 9110 8.6"),
    case(
        "FR09",
        "the same Content-Length twice, or as a list",
        REFUSED_OR_CANONICAL,
        |probe| {
            each(["5\r\nContent-Length: 5", "5, 5"], |length| {
                let request = probe.post().line(format!("Content-Length: {length}"));
                probe.refused_or_canonical(request.body("hello"), "hello")
            })
        },
    )
    .rule("RFC 9112 6.3"),
    case(
        "FR10",
        "Transfer-Encoding that does not end in chunked",
        REFUSED,
        |probe| {
            let codings = [
                "xchunked",
                "chunked, identity",
                "identity",
                "chunked-not",
                "x, y",
            ];
            each(codings, |coding| {
                let request = probe.post().line(format!("Transfer-Encoding: {coding}"));
                probe.refused(request.body(chunks(&["hello"])), Rejection::Closing)
            })
        },
    )
    .rule("RFC 9112 6.3"),
    case(
        "FR11",
        "Transfer-Encoding that is malformed",
        REFUSED_OR_CANONICAL,
        |probe| {
            let codings = [
                "\"chunked\"",
                "chunked;q=1",
                "\x0bchunked",
                "chunked,",
                ",chunked",
                "chunked\0",
                "chunked\x0c",
            ];
            each(codings, |coding| {
                with_coding(probe, &format!("Transfer-Encoding: {coding}"))
            })
        },
    )
    .rule("RFC 9112 7"),
    case("FR12", "chunked twice", REFUSED_OR_CANONICAL, |probe| {
        let codings = [
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        ];
        each(codings, |line| with_coding(probe, line))
    })
    .rule("RFC 9112 6.1"),
    case(
        "FR13",
        "white space between Transfer-Encoding and its colon",
        REFUSED,
        |probe| {
            let body = format!("0\r\n\r\n{}", probe.hidden());
            each(
                [
                    "Transfer-Encoding : chunked",
                    "Transfer-Encoding\t: chunked",
                ],
                |line| {
                    let length = format!("Content-Length: {}", body.len());
                    let request = probe.post().lines([*line, &length]);
                    probe.refused(request.body(&body), Rejection::Closing)
                },
            )
        },
    )
    .rule("RFC 9112 5.1"),
    case(
        "FR14",
        "headers that a folding service reads as framing",
        "refused, or removed",
        |probe| {
            let lines = [
                "Transfer_Encoding: chunked",
                "Transfer.Encoding: chunked",
                "Content_Length: 0",
                "Content.Length: 0",
            ];
            each(lines, |line| {
                let request = probe.post().lines([line, "Content-Length: 5"]);
                probe.refused_or_forwarded(request.body("hello"), "hello")
            })
        },
    )
    .rule("RFC 3875 4.1.18"),
    case(
        "FR15",
        "Transfer-Encoding on a folded line",
        REFUSED_OR_CANONICAL,
        |probe| {
            let chunked = chunks(&["hello"]);
            let length = format!("Content-Length: {}", chunked.len());
            let line = "X-A: b\r\n Transfer-Encoding: chunked";
            let request = probe.post().lines([line, &length]).body(&chunked);
            probe.refused_or_canonical(request, &chunked)?;
            with_coding(probe, "Transfer-Encoding:\r\n chunked")
        },
    )
    .rule("RFC 9112 5.2"),
    case(
        "FR16",
        "legitimate spellings of chunked",
        "one canonical request, or 4xx",
        |probe| {
            let lines = [
                "Transfer-Encoding: CHUNKED",
                "Transfer-Encoding:\tchunked",
                "transfer-encoding:chunked  ",
            ];
            each(lines, |line| {
                let request = probe.post().line(*line).body(chunks(&["hello", " world"]));
                probe.refused_or_canonical(request, "hello world")
            })
        },
    )
    .rule("RFC 9112 7, RFC 9110 5.6.3"),
    case(
        "FR17",
        "a coding besides chunked",
        REFUSED_OR_CANONICAL,
        |probe| with_coding(probe, "Transfer-Encoding: gzip, chunked"),
    )
    .rule("RFC 9112 6.1, 7.4"),
    case(
        "FR18",
        "Transfer-Encoding in HTTP/1.0",
        "refused, or one canonical request and the end of the connection",
        |probe| {
            let request = probe
                .post()
                .version("HTTP/1.0")
                .lines([CHUNKED, "Connection: keep-alive"]);
            let request = request.body(chunks(&["hello"]) + &probe.hidden());
            // No body at all is safe too, as long as nothing after it is read as a request.
            refused_or_once(probe, request, &["hello", ""])
        },
    )
    .rule("RFC 9112 6.1"),
    case(
        "FR31",
        "Content-Length that fits only into an unsigned 64-bit number",
        REFUSED,
        |probe| refused_length(probe, "9223372036854775808", "hello"),
    )
    .rule("RFC 9110 8.6")
    .should(),
    case(
        "FR32",
        "Expect with the body sent at once",
        "one canonical request, or refused",
        |probe| {
            let hidden = probe.hidden();
            each(["100-continue", "100-Continue", "x-unknown"], |expected| {
                let lines = [
                    format!("Expect: {expected}"),
                    format!("Content-Length: {}", hidden.len()),
                ];
                probe.refused_or_forwarded(probe.post().lines(lines).body(&hidden), &hidden)
            })
        },
    )
    .rule("RFC 9110 10.1.1"),
    case(
        "FR33",
        "a body that ends too early",
        "never complete at the upstream",
        |probe| {
            let framings = [
                ("a length", "Content-Length: 100", "hello"),
                ("chunks", CHUNKED, "5\r\nhello\r\n"),
                ("the inside of a chunk", CHUNKED, "ff\r\nhello"),
            ];
            each(
                framings.map(|(name, line, body)| (name, (line, body))),
                |(_, (line, body))| {
                    let mut sending = probe.sending(probe.post().line(*line).body(*body));
                    sending.half_closes = true;
                    let exchange = probe.perform(&sending);
                    match (probe.arrived().is_empty(), exchange.permits()) {
                        (true, false) => Ok(exchange.to_string()),
                        (true, true) => weak(format!("nothing complete arrived, but {exchange}")),
                        (false, _) => broken("a truncated body arrived as complete"),
                    }
                },
            )
        },
    )
    .rule("RFC 9112 8"),
];

const CHUNKED: &str = "Transfer-Encoding: chunked";

fn refused_length(probe: &Probe<'_>, length: &str, body: &str) -> Judgment {
    let request = probe.post().line(format!("Content-Length: {length}"));
    probe.refused(request.body(body), Rejection::Closing)
}

/// Sends a chunked body under this header line, which must be refused or arrive as one canonical request.
fn with_coding(probe: &Probe<'_>, line: &str) -> Judgment {
    let request = probe.post().line(line).body(chunks(&["hello"]));
    probe.refused_or_canonical(request, "hello")
}

/// Checks that a request is refused, or arrives once with one of these bodies, and that the connection ends either way.
fn refused_or_once(probe: &Probe<'_>, request: impl Into<String>, bodies: &[&str]) -> Judgment {
    let mut sending = probe.sending(request);
    sending.enough = 2;
    let exchange = probe.perform(&sending);
    let arrived = probe.arrived();
    let Some(first) = arrived.first() else {
        return probe.judge_refused(&exchange, Rejection::Closing);
    };
    let body = bodies.iter().copied().find(|body| *body == first.body);
    let seen = probe.canonical(&exchange, body.or(bodies.first().copied()))?;
    match exchange.closed && exchange.answers.len() < 2 {
        true => Ok(seen),
        false => broken(format!(
            "forwarded, but the connection does not end: {exchange}"
        )),
    }
}

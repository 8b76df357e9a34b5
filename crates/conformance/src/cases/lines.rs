//! Request smuggling: header lines that two parsers read differently.

use crate::case::{Case, Class};
use crate::judgment::{Judgment, each};
use crate::probe::Probe;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::Smuggling, id, title, expects, run).known("CWE-444")
}

const REFUSED_OR_CANONICAL: &str = "4xx and the end of the connection, or one canonical request";

pub(super) const CASES: &[Case] = &[
    case(
        "FR26",
        "header lines that end in a bare LF",
        REFUSED_OR_CANONICAL,
        |probe| {
            let request = probe.public().line("X-A: b").text();
            let one = probe
                .public()
                .line(format!("X-A: b\n{}", probe.forged_line()))
                .text();
            each(
                [
                    ("all of them", request.replace("\r\n", "\n")),
                    ("one of them", one),
                ],
                |(_, text)| probe.refused_or_canonical(text, ""),
            )
        },
    )
    .rule("RFC 9112 2.2"),
    case(
        "FR27",
        "a bare CR in a header",
        "refused, or replaced by a space",
        |probe| {
            let lines = [
                format!("X-A: b\r{}", probe.forged_line()),
                "X-A: b\rTransfer-Encoding: chunked".to_owned(),
                "\rX-A: b".to_owned(),
                "X-A\r: b".to_owned(),
            ];
            each(lines, |line| {
                let request = probe.post().lines([line, "Content-Length: 5"]);
                probe.refused_or_canonical(request.body("hello"), "hello")
            })
        },
    )
    .rule("RFC 9112 2.2"),
    case(
        "FR28",
        "a header that continues on the next line",
        "refused, or unfolded",
        |probe| {
            let lines = [
                "X-A: b\r\n c".to_owned(),
                format!("X-A: b\r\n\t{}", probe.forged_line()),
                "X-A:\r\n b".to_owned(),
            ];
            each(lines, |line| {
                probe.refused_or_canonical(probe.public().line(line), "")
            })
        },
    )
    .rule("RFC 9112 5.2"),
    case(
        "FR29",
        "white space before the first header",
        REFUSED_OR_CANONICAL,
        |probe| {
            each([" X-A: b", "\tX-A: b", " Host: evil.example"], |line| {
                let text = probe
                    .public()
                    .text()
                    .replacen("\r\n", &format!("\r\n{line}\r\n"), 1);
                probe.refused_or_canonical(text, "")
            })
        },
    )
    .rule("RFC 9112 2.2"),
    case(
        "FR30",
        "a header without a colon or a name, and NUL in one",
        "refused, or dropped",
        |probe| {
            let lines = [
                "NoColonHere",
                ": empty",
                "X\0A: b",
                "X-A: b\0c",
                "\0: b",
                "X A: b",
            ];
            each(lines, |line| {
                probe.refused_or_canonical(probe.public().line(*line), "")
            })
        },
    )
    .rule("RFC 9110 5.1, 5.5"),
];

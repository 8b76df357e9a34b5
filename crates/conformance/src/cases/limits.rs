//! Size limits, and slow clients.

use std::time::Duration;

use crate::case::{Case, Class};
use crate::judgment::{Judgment, Rejection, broken, each};
use crate::probe::Probe;
use crate::request::chunks;
use crate::slow::Slow;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::Limits, id, title, expects, run)
}

const fn slow(id: &'static str, title: &'static str, run: fn(&Probe<'_>) -> Judgment) -> Case {
    case(id, title, "ended in time, nothing complete upstream", run)
        .known("CWE-400")
        .rule("RFC 9112 9.5")
        .with_slow_limit()
}

pub(super) const CASES: &[Case] = &[
    case(
        "HD16",
        "thousands of headers",
        "refused, or forwarded complete",
        |probe| {
            each([("2000", 2000), ("20000", 20000)], |(_, count)| {
                let lines = (0..*count).map(|number| format!("X-{number}: y"));
                probe.refused_or_forwarded(probe.public().lines(lines), "")
            })
        },
    )
    .rule("RFC 6585 5"),
    case(
        "HD17",
        "one header of 1 MiB",
        "refused, nothing upstream",
        |probe| {
            let long = "y".repeat(1 << 20);
            let lines = [("its value", format!("X-A: {long}")), ("its name", long)];
            each(lines, |(_, line)| {
                probe.refused(probe.public().line(line), Rejection::Open)
            })
        },
    )
    .rule("RFC 6585 5, RFC 9110 5.4"),
    slow("SL01", "a connection that sends nothing", |probe| {
        Slow::new(String::new()).judge(probe)
    }),
    slow("SL02", "a head, one byte every half second", |probe| {
        let text = probe.public().text();
        let text = text.strip_suffix("\r\n").unwrap_or(&text);
        Slow::new(text).dripping("X-a: b\r\n").judge(probe)
    }),
    slow("SL03", "a part of a body, then silence", |probe| {
        Slow::new(probe.post().line("Content-Length: 1000").body("0123456789")).judge(probe)
    }),
    slow("SL04", "a part of a chunk, then silence", |probe| {
        Slow::new(
            probe
                .post()
                .line("Transfer-Encoding: chunked")
                .body("ff\r\nabc"),
        )
        .judge(probe)
    }),
    slow(
        "SL05",
        "a connection that is kept alive, and idle",
        |probe| Slow::new(probe.public()).after_a_request().judge(probe),
    ),
    slow("SL06", "a body, one byte every half second", |probe| {
        Slow::new(probe.post().line("Content-Length: 100000"))
            .dripping("a")
            .judge(probe)
    })
    .should(),
    case(
        "SL08",
        "a request in small pieces",
        "one canonical request",
        |probe| {
            let request = probe.post().line("Transfer-Encoding: chunked");
            let text = request.body(chunks(&["hello", " world"])).text();
            let (line, head) = (
                text.find("\r\n").unwrap_or(0),
                text.find("\r\n\r\n").unwrap_or(0),
            );
            let end = text.len();
            let mut cuts = [
                0,
                1,
                3,
                5,
                line + 1,
                head + 1,
                head + 3,
                end - 12,
                end - 4,
                end - 1,
                end,
            ];
            cuts.sort_unstable();
            let mut sending = probe.sending("");
            let pieces = cuts
                .windows(2)
                .map(|cut| (Duration::from_millis(20), text[cut[0]..cut[1]].to_owned()));
            sending.pieces = pieces.collect();
            let exchange = probe.perform(&sending);
            probe.forwarded(&exchange, Some("hello world"))
        },
    )
    .rule("RFC 9112 2.2"),
    case(
        "SL09",
        "a hundred silent connections",
        "others are still served",
        |probe| {
            let open: Vec<_> = (0..100)
                .filter_map(|_| std::net::TcpStream::connect(probe.target.proxy).ok())
                .collect();
            let exchange = probe.send(probe.public());
            drop(open);
            match exchange.permits() {
                true => Ok(exchange.to_string()),
                false => broken(exchange.to_string()),
            }
        },
    )
    .known("CWE-400"),
];

//! Changes of protocol.

use crate::case::{Case, Class};
use crate::judgment::{Judgment, broken, each, weak};
use crate::probe::Probe;
use crate::recorder::Reply;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::Upgrades, id, title, expects, run)
}

pub(super) const CASES: &[Case] = &[
    case(
        "UP01",
        "a WebSocket without a session",
        "denied before the upstream is asked",
        |probe| {
            probe.reply(Reply::Switching);
            let owned =
                |lines: &[&str]| lines.iter().copied().map(str::to_owned).collect::<Vec<_>>();
            let upper: Vec<_> = WEBSOCKET
                .iter()
                .map(|line| line.to_ascii_uppercase())
                .collect();
            let mut listed = owned(&WEBSOCKET);
            listed[0] = "Connection: keep-alive, Upgrade".to_owned();
            let spellings = [owned(&WEBSOCKET), upper, listed, owned(&WEBSOCKET[1..])];
            each(spellings, |lines| {
                let mut sending = probe.sending(probe.protected().lines(lines));
                sending.pieces.push((super::PAUSE, probe.hidden()));
                let exchange = probe.perform(&sending);
                match exchange.statuses().contains(&101) {
                    true => broken("101 without a session"),
                    false => probe.judge_denied(&exchange),
                }
            })
        },
    )
    .rule("RFC 6455 4.2.2")
    .known("CWE-306"),
    case(
        "UP02",
        "a WebSocket with a session",
        "101 with identity, or no upgrade",
        |probe| {
            probe.reply(Reply::Switching);
            let request = probe
                .with_session(probe.protected())
                .lines(WEBSOCKET)
                .line(probe.forged_line());
            let mut sending = probe.sending(request);
            sending
                .pieces
                .push((super::PAUSE, "\u{81}\u{2}hi".to_owned()));
            let exchange = probe.perform(&sending);
            let arrived = probe.arrived();
            let Some(record) = arrived.first() else {
                return probe.canonical(&exchange, None);
            };
            let switched = exchange.statuses().contains(&101);
            if !record.all("upgrade").is_empty() && !switched {
                return broken(format!("the upgrade was forwarded, but {exchange}"));
            }
            probe.canonical(&exchange, None)?;
            probe.identified()
        },
    )
    .rule("RFC 9110 7.8, RFC 6455 4")
    .with_session(),
    case(
        "UP03",
        "an upgrade that the upstream declines",
        "no tunnel: what follows is decided as a request",
        |probe| {
            let mut sending = probe.sending(probe.public().lines(WEBSOCKET));
            sending.pieces.push((super::PAUSE, probe.hidden()));
            sending.enough = 2;
            let exchange = probe.perform(&sending);
            let records = probe.records();
            probe.smuggled(&records)?;
            match exchange
                .answers
                .iter()
                .skip(1)
                .any(|answer| answer.status < 300)
            {
                true => broken(format!("what followed was forwarded: {exchange}")),
                false => Ok(exchange.to_string()),
            }
        },
    )
    .rule("RFC 9110 7.8")
    .known("CWE-444"),
    case("UP04", "h2c and other protocols", "no upgrade", |probe| {
        probe.reply(Reply::Switching);
        each(
            ["h2c", "H2C", "h2c, websocket", "TLS/1.0", "foo"],
            |protocol| {
                let lines = [
                    "Connection: Upgrade, HTTP2-Settings",
                    &format!("Upgrade: {protocol}"),
                    "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
                ];
                let mut sending = probe.sending(probe.public().lines(lines));
                sending.pieces.push((super::PAUSE, probe.hidden()));
                sending.enough = 2;
                let exchange = probe.perform(&sending);
                if exchange.statuses().contains(&101) {
                    return broken("101");
                }
                let records = probe.records();
                for record in &records {
                    let nominated = record.all("connection").join(",").to_ascii_lowercase();
                    if !record.all("upgrade").is_empty() || nominated.contains("upgrade") {
                        return broken("the upgrade arrived");
                    }
                    // It is harmless without Upgrade, but Connection names it.
                    if !record.all("http2-settings").is_empty() {
                        return weak("HTTP2-Settings arrived");
                    }
                }
                probe.smuggled(&records)
            },
        )
    })
    .rule("RFC 9113 3.1, RFC 9110 7.8"),
    case(
        "UP05",
        "101 to a request that asked for no upgrade",
        "502, or closed",
        |probe| {
            probe.reply(Reply::UnaskedSwitching);
            let exchange = probe.send(probe.public());
            match exchange.statuses().contains(&101) || exchange.data.contains("POISON") {
                true => broken(format!("a tunnel was opened: {exchange}")),
                false => Ok(exchange.to_string()),
            }
        },
    )
    .rule("RFC 9110 15.2.2"),
];

const WEBSOCKET: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
];

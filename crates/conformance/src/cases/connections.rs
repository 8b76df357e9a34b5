//! State that one request leaves for the next on its connection.

use std::time::Duration;

use crate::case::{Case, Class};
use crate::judgment::{Judgment, broken, each};
use crate::probe::Probe;
use crate::recorder::Record;
use crate::request::{Request, chunks};

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::Connections, id, title, expects, run)
}

pub(super) const CASES: &[Case] = &[
    case(
        "PL01",
        "alternately with and without a session, on one connection",
        "each decided separately",
        |probe| sequence(probe, "snsn", super::PAUSE),
    )
    .rule("RFC 9112 9.3")
    .known("CWE-488")
    .with_session(),
    case(
        "PL02",
        "public after protected requests, on one connection",
        "no identity on public ones",
        |probe| sequence(probe, "spsp", super::PAUSE),
    )
    .rule("RFC 9112 9.3")
    .known("CWE-488")
    .with_session(),
    case(
        "PL03",
        "20 requests in one write",
        "answered in order, each decided separately",
        |probe| sequence(probe, "snpsnpsnpsnpsnpsnpsn", Duration::ZERO),
    )
    .rule("RFC 9112 9.3.2")
    .with_session(),
    case(
        "PL04",
        "a request behind one that closes the connection",
        "not served",
        |probe| {
            let close = probe.public().line("Connection: close").text();
            let old = probe.public().version("HTTP/1.0").text();
            each([("close", close), ("HTTP/1.0", old)], |(_, text)| {
                let mut sending = probe.sending(format!(
                    "{text}{}",
                    probe.hidden_at(&probe.target.public_folder())
                ));
                sending.enough = 2;
                let exchange = probe.perform(&sending);
                probe.smuggled(&probe.records())?;
                match exchange.closed && exchange.answers.len() < 2 {
                    true => Ok(exchange.to_string()),
                    false => broken(format!("the connection stays open: {exchange}")),
                }
            })
        },
    )
    .rule("RFC 9112 9.3, 9.6"),
    case(
        "PL05",
        "a denied request whose body looks like a request",
        "no request, and no second answer",
        |probe| {
            let hidden = probe.hidden_at(&probe.target.public_folder());
            let length = format!("Content-Length: {}", hidden.len());
            let spellings = [
                ("a length", (vec![length.clone()], hidden.clone())),
                (
                    "chunks",
                    (
                        vec!["Transfer-Encoding: chunked".to_owned()],
                        chunks(&[&hidden]),
                    ),
                ),
                (
                    "Expect",
                    (
                        vec!["Expect: 100-continue".to_owned(), length],
                        hidden.clone(),
                    ),
                ),
            ];
            each(spellings, |(_, (lines, body))| {
                let head = probe.protected().method("POST").lines(lines);
                check_unread_body(probe, head.clone().body(body).text(), None)?;
                check_unread_body(probe, head.text(), Some(body))
            })
        },
    )
    .rule("RFC 9112 9.3, 9.6")
    .known("CWE-444"),
    case(
        "PL06",
        "a request behind one that is malformed",
        "not served",
        |probe| {
            let hidden = probe.hidden_at(&probe.target.public_folder());
            let first = [
                ("length", probe.post().line("Content-Length: x").text()),
                (
                    "chunk",
                    probe
                        .post()
                        .line("Transfer-Encoding: chunked")
                        .body("g\r\n")
                        .text(),
                ),
                (
                    "header",
                    probe.public().line("X A: b").line("X-A\0: b").text(),
                ),
            ];
            each(first, |(_, text)| {
                let mut sending = probe.sending(format!("{text}{hidden}"));
                sending.expects_close = true;
                let exchange = probe.perform(&sending);
                probe.smuggled(&probe.records())?;
                match exchange.answers.len() < 2 {
                    true => Ok(exchange.to_string()),
                    false => broken(format!("the connection stays open: {exchange}")),
                }
            })
        },
    )
    .rule("RFC 9112 2.2, 11.2")
    .known("CWE-444"),
    case(
        "PL07",
        "six clients at once, with and without sessions",
        "identity exactly where the session is",
        |probe| {
            probe.skip_records();
            let wrong: Vec<String> = std::thread::scope(|scope| {
                let clients: Vec<_> = (0..6)
                    .map(|client| scope.spawn(move || run_client(probe, client)))
                    .collect();
                let ended = clients.into_iter().map(|client| client.join());
                ended
                    .flat_map(|wrong| wrong.unwrap_or_else(|_| vec!["a client failed".to_owned()]))
                    .collect()
            });
            if let Some(first) = wrong.first() {
                return broken(format!("{} answers are wrong, first {first}", wrong.len()));
            }
            let arrived = probe.arrived();
            for record in &arrived {
                judge_identity(probe, record)?;
            }
            match arrived.len() {
                48 => Ok("48 requests arrived".to_owned()),
                other => broken(format!("{other} requests arrived instead of 48")),
            }
        },
    )
    .known("CWE-362, CWE-488")
    .with_session(),
    case(
        "PL08",
        "everything that arrived during the whole run",
        "no forged identity, no hidden request; the gateway still serves",
        |probe| {
            // Other spellings have separate cases.
            let owned = &probe.target.identity_headers;
            let is_owned = |name: &str| owned.iter().any(|owned| owned.eq_ignore_ascii_case(name));
            let records = probe.recorder.since(0);
            for record in &records {
                let mut fields = record.fields.iter();
                let forged = |value: &str| value.contains("evil-n");
                if let Some((name, _)) =
                    fields.find(|(name, value)| is_owned(name) && forged(value))
                {
                    return broken(format!("a forged {name} arrived: {}", record.brief()));
                }
                if record.target.contains("/smug-") {
                    return broken(format!(
                        "a hidden request arrived after its case: {}",
                        record.brief()
                    ));
                }
            }
            let exchange = probe.send(probe.public());
            probe.forwarded(&exchange, None)?;
            match exchange.permits() {
                true => Ok(format!("{} requests looked at", records.len())),
                false => broken(exchange.to_string()),
            }
        },
    )
    .last(),
];

/// Returns a request of this kind: `s` with a session, `p` public, `n` protected without a session.
fn of_kind(probe: &Probe<'_>, kind: char, number: usize) -> Request {
    let folder = match kind {
        'p' => probe.target.public_folder(),
        _ => format!("{}/", probe.target.protected()),
    };
    let request = probe.get(probe.marked(&format!("{folder}{kind}{number}")));
    match kind {
        's' => probe.with_session(request),
        _ => request,
    }
}

/// Sends requests of these kinds on one connection, and judges the answers.
fn sequence(probe: &Probe<'_>, kinds: &str, pause: Duration) -> Judgment {
    let requests = kinds.chars().enumerate();
    let requests: Vec<_> = requests
        .map(|(number, kind)| of_kind(probe, kind, number).text())
        .collect();
    let mut sending = probe.sending("");
    sending.pieces = match pause.is_zero() {
        true => vec![(pause, requests.concat())],
        false => requests
            .into_iter()
            .map(|request| (pause, request))
            .collect(),
    };
    sending.enough = kinds.len();
    let exchange = probe.perform(&sending);
    for record in probe.arrived() {
        judge_identity(probe, &record)?;
    }
    for (kind, status) in kinds.chars().zip(exchange.statuses()) {
        if !has_status(kind, status) {
            return broken(format!("the order or state is wrong: {exchange}"));
        }
    }
    match exchange.answers.len() < kinds.len() && !exchange.closed {
        true => broken(format!(
            "{} of {} answers: {exchange}",
            exchange.answers.len(),
            kinds.len()
        )),
        false => Ok(exchange.to_string()),
    }
}

/// Whether this status is right for a request of this kind.
fn has_status(kind: char, status: u16) -> bool {
    match kind {
        'n' => matches!(status, 300..=399 | 401 | 403),
        _ => (200..300).contains(&status),
    }
}

/// Checks that the identity is that of the session, or absent without a session.
fn judge_identity(probe: &Probe<'_>, record: &Record) -> Judgment {
    let path = record.target.split('?').next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let mut identities = probe.identity_of(record);
    identities.retain(|value| !value.is_empty());
    let user = probe.target.user.as_deref();
    match (name.chars().next(), identities.as_slice()) {
        (Some('n'), _) => broken(format!("arrived without a session: {}", record.brief())),
        (Some('p'), []) => Ok(String::new()),
        (Some('s'), [one]) if user.is_none_or(|user| user == *one) => Ok(String::new()),
        (Some('p' | 's'), _) => broken(format!("another identity arrived with {}", record.brief())),
        _ => Ok(String::new()),
    }
}

/// Sends a request that must be denied, and checks that its body is not read as a request. `later` is a body to send after a
/// pause.
fn check_unread_body(probe: &Probe<'_>, head: String, later: Option<&String>) -> Judgment {
    let mut sending = probe.sending(head);
    sending
        .pieces
        .extend(later.map(|body| (super::PAUSE, body.clone())));
    sending.settle = 2 * super::PAUSE;
    let exchange = probe.perform(&sending);
    probe.smuggled(&probe.records())?;
    if exchange.answers.len() > 1 {
        return broken(format!("the body was taken for a request: {exchange}"));
    }
    probe.judge_denied(&exchange)
}

/// Runs one of several concurrent clients, and returns its wrong answers.
fn run_client(probe: &Probe<'_>, client: usize) -> Vec<String> {
    let kinds = (0..12).map(|number| (number, ['s', 'p', 'n'][(number + client) % 3]));
    let wrong = kinds.filter_map(|(number, kind)| {
        let request = of_kind(probe, kind, client * 100 + number);
        let mut sending = probe.sending(request);
        sending.settle = Duration::ZERO;
        let exchange = sending.send(probe.target.proxy);
        (!has_status(kind, exchange.status())).then(|| format!("{kind}: {exchange}"))
    });
    wrong.collect()
}

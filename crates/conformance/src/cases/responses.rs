//! Answers of the upstream that are malformed.

use crate::answer::Response;
use crate::case::{Case, Class};
use crate::client::Exchange;
use crate::judgment::{Judgment, broken, weak};
use crate::latin::excerpt;
use crate::probe::Probe;
use crate::recorder::{BODY, Reply};

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::Responses, id, title, expects, run)
}

pub(super) const CASES: &[Case] = &[
    case(
        "RS01",
        "an answer shorter than its Content-Length",
        "502, or closed before its end",
        |probe| {
            relayed(probe, Reply::Short, "GET", |answer, _| {
                match answer.complete && answer.status < 500 {
                    true => broken("a truncated answer looks complete to the client"),
                    false => Ok(String::new()),
                }
            })
        },
    )
    .rule("RFC 9112 8, 6.3"),
    case(
        "RS02",
        "an unsolicited second answer",
        "no client receives it",
        |probe| relayed(probe, Reply::Unsolicited, "GET", |_, _| Ok(String::new())),
    )
    .rule("RFC 9112 9.2")
    .known("CWE-444"),
    case(
        "RS03",
        "an answer that is not HTTP",
        "502, or closed",
        |probe| relayed(probe, Reply::NoHttp, "GET", |answer, _| malformed(answer)),
    )
    .rule("RFC 9112 4"),
    case(
        "RS04",
        "fields of the upstream's connection",
        "those that Connection names do not travel",
        |probe| {
            relayed(probe, Reply::HopByHop, "GET", |answer, _| {
                match answer.has("x-hop-resp") {
                    true => broken("a field that Connection names is relayed"),
                    false => Ok(String::new()),
                }
            })?;
            let exchange = probe.send(probe.public());
            let relayed = |name: &str| exchange.answers.iter().any(|answer| answer.has(name));
            let timeout = exchange
                .answers
                .iter()
                .any(|answer| answer.all("keep-alive") == ["timeout=99"]);
            match relayed("proxy-connection") || relayed("proxy-authenticate") || timeout {
                true => weak("Proxy-Connection, Proxy-Authenticate or Keep-Alive is relayed"),
                false => Ok(exchange.to_string()),
            }
        },
    )
    .rule("RFC 9110 7.6.1"),
    case(
        "RS05",
        "an answer with two Content-Length",
        "502",
        |probe| {
            relayed(probe, Reply::TwoLengths, "GET", |answer, _| {
                malformed(answer)
            })
        },
    )
    .rule("RFC 9112 6.3"),
    case(
        "RS06",
        "an answer with Content-Length and Transfer-Encoding",
        "502, or chunked wins",
        |probe| relayed(probe, Reply::BothFramings, "GET", |_, _| Ok(String::new())),
    )
    .rule("RFC 9112 6.3"),
    case(
        "RS07",
        "NUL in a header of the answer",
        "502, or replaced",
        |probe| {
            relayed(probe, Reply::Nul, "GET", |_, exchange| {
                match exchange.data.contains('\0') {
                    true => broken("NUL is relayed"),
                    false => Ok(String::new()),
                }
            })
        },
    )
    .rule("RFC 9110 5.5"),
    case(
        "RS08",
        "a header of the answer that continues on the next line",
        "502, or unfolded",
        |probe| {
            relayed(probe, Reply::Folded, "GET", |_, exchange| {
                match exchange.data.contains("\r\n ") || exchange.data.contains("\r\n\t") {
                    true => broken("the folded line is relayed"),
                    false => Ok(String::new()),
                }
            })
        },
    )
    .rule("RFC 9112 5.2"),
    case("RS09", "204 with a body", "the body is dropped", |probe| {
        relayed(probe, Reply::BodyAfter204, "GET", |_, _| Ok(String::new()))
    })
    .rule("RFC 9112 6.3"),
    case(
        "RS10",
        "a body after HEAD",
        "the body is dropped",
        |probe| {
            relayed(
                probe,
                Reply::BodyAfterHead,
                "HEAD",
                |_, _| Ok(String::new()),
            )
        },
    )
    .rule("RFC 9112 6.3, RFC 9110 9.3.2"),
];

fn malformed(answer: &Response) -> Judgment {
    match answer.status {
        500.. => Ok(String::new()),
        status => broken(format!(
            "a malformed answer is relayed with status {status}"
        )),
    }
}

/// Sends two requests on one connection, which the upstream answers with `reply`, and then one of another client, which it
/// answers properly. Checks all answers.
fn relayed(
    probe: &Probe<'_>,
    reply: Reply,
    method: &str,
    check: fn(&Response, &Exchange) -> Judgment,
) -> Judgment {
    probe.reply(reply);
    let mut sending = probe.sending(probe.public().method(method));
    sending.pieces.push((super::PAUSE, probe.public().text()));
    sending.enough = 2;
    sending.methods = vec![method, "GET"];
    let exchange = probe.perform(&sending);
    if exchange.data.contains("POISON") || exchange.data.contains("X-Poison") {
        return broken("bytes beyond the answer reached the client");
    }
    if exchange.answers.len() > 2 {
        return broken(format!("{} answers to 2 requests", exchange.answers.len()));
    }
    if exchange.timed_out && !exchange.closed {
        return broken(format!("the client is left waiting: {exchange}"));
    }
    for (number, answer) in exchange.answers.iter().enumerate() {
        let bodiless = number == 0 && method == "HEAD";
        if answer.status == 200 && answer.has("x-recorder") && !bodiless {
            judge_body(answer, &exchange)?;
        }
        if answer.has("content-length") && answer.has("transfer-encoding") {
            return broken("an answer with both Content-Length and Transfer-Encoding");
        }
        if answer.all("content-length").len() > 1 {
            return broken("an answer with several Content-Length");
        }
        check(answer, &exchange)?;
    }
    let other = Probe::new(probe.target, probe.recorder);
    let after = other.send(other.public());
    let right = after
        .answers
        .first()
        .is_some_and(|answer| answer.status == 200 && answer.body == BODY);
    match right {
        true => Ok(format!("{exchange}; the next client: {after}")),
        false => broken(format!("the next client's answer is wrong: {after}")),
    }
}

fn judge_body(answer: &Response, exchange: &Exchange) -> Judgment {
    if answer.complete && answer.body != BODY {
        return broken(format!(
            "an answer is complete with the body {}",
            excerpt(&answer.body, 40)
        ));
    }
    match answer.complete || exchange.closed {
        true => Ok(String::new()),
        false => broken("an answer that is not complete, and the connection stays open"),
    }
}

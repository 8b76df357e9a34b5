//! Cookies and tokens.

mod jose;

use crate::case::{Case, Class};
use crate::judgment::{Judgment, broken, each, weak};
use crate::probe::Probe;

const fn case(
    id: &'static str,
    title: &'static str,
    expects: &'static str,
    run: fn(&Probe<'_>) -> Judgment,
) -> Case {
    Case::new(Class::Credentials, id, title, expects, run)
}

const DENIED: &str = "denied, nothing upstream";
const DENIED_OR_IDENTIFIED: &str = "denied, or the right identity once";

pub(super) const CASES: &[Case] = &[
    case(
        "CK01",
        "with and without a session",
        "forwarded once with identity, and denied",
        |probe| {
            let exchange = probe.send(probe.with_session(probe.protected()));
            probe.forwarded(&exchange, None)?;
            probe.identified()?;
            probe.denied(probe.protected())
        },
    )
    .rule("RFC 6265 5.4")
    .with_session(),
    case(
        "CK02",
        "the session cookie twice, once with garbage",
        DENIED_OR_IDENTIFIED,
        |probe| {
            let (name, value) = probe.cookie();
            let (good, bad) = (format!("{name}={value}"), format!("{name}=garbage"));
            let spellings = [
                ("garbage first", vec![format!("Cookie: {bad}; {good}")]),
                ("garbage last", vec![format!("Cookie: {good}; {bad}")]),
                (
                    "two lines",
                    vec![format!("Cookie: {bad}"), format!("Cookie: {good}")],
                ),
                (
                    "the same twice",
                    vec![format!("Cookie: {good}"), format!("Cookie: {good}")],
                ),
            ];
            each(spellings, |(_, lines)| {
                probe.denied_or_identified(probe.protected().lines(lines))
            })
        },
    )
    .rule("RFC 6265 4.2.2, 5.4")
    .with_session(),
    case(
        "CK03",
        "cookies whose names resemble the session cookie's",
        DENIED,
        |probe| {
            let (name, value) = probe.cookie();
            let names = [
                name.to_ascii_uppercase(),
                format!("{name}x"),
                format!("x{name}"),
                name.replace(['-', '.'], "_"),
                format!("{name}%20"),
                format!("{name}[]"),
                format!("$Version=1; ${name}"),
            ];
            let names = names.into_iter().filter(|spelled| spelled != name);
            each(names, |name| {
                cookie_denied(probe, &format!("{name}={value}"))
            })
        },
    )
    .rule("RFC 6265 5.4"),
    case(
        "CK04",
        "quotes and white space around the session cookie",
        DENIED_OR_IDENTIFIED,
        |probe| {
            let (n, v) = probe.cookie();
            let cookies = [
                format!("{n}=\"{v}\""),
                format!("{n} = {v}"),
                format!("  {n}={v}  "),
                format!("{n}={v};"),
                format!(";;{n}={v}"),
                format!("a;{n}={v}"),
                format!("a=\"b; {n}={v}"),
                format!("{n}={v}\t"),
            ];
            each(cookies, |cookie| {
                probe.denied_or_identified(probe.protected().line(format!("Cookie: {cookie}")))
            })
        },
    )
    .rule("RFC 6265 4.1.1, 5.2")
    .with_session(),
    case("CK05", "the session outside its cookie", DENIED, |probe| {
        let (name, value) = probe.cookie();
        let lines = [
            format!("X-Session-Token: {value}"),
            format!("X-Cookie: {name}={value}"),
            format!("Set-Cookie: {name}={value}"),
            format!("Cookie2: {name}={value}"),
            format!("X-Auth-Token: {value}"),
        ];
        each(lines, |line| probe.denied(probe.protected().line(line)))?;
        let query = format!("{}?{name}={value}", probe.target.protected());
        probe.denied(probe.get(probe.marked(&query)))
    })
    .rule("RFC 6265 5.4")
    .with_session(),
    case("CK06", "the session cookie, changed", DENIED, |probe| {
        let (name, value) = probe.cookie();
        each(jose::changed(value), |changed| {
            cookie_denied(probe, &format!("{name}={changed}"))
        })
    })
    .rule("RFC 7516 5.2")
    .with_session(),
    case(
        "CK08",
        "JOSE headers that demand another algorithm or key",
        DENIED,
        |probe| {
            let (name, value) = probe.cookie();
            each(jose::hostile(value), |token| {
                cookie_denied(probe, &format!("{name}={token}"))
            })
        },
    )
    .rule("RFC 7516 4.1, RFC 8725 3"),
    case(
        "CK09",
        "parts of a JWE that are too short or too long",
        DENIED,
        |probe| {
            let (name, value) = probe.cookie();
            each(jose::resized(value), |token| {
                cookie_denied(probe, &format!("{name}={token}"))
            })
        },
    )
    .rule("RFC 7518 5.2, 5.3")
    .with_session(),
    case(
        "CK10",
        "control characters in the cookie",
        "refused or denied, or the right identity once",
        |probe| {
            let (name, value) = probe.cookie();
            let cookies = [
                "a=\x0b; b=c".to_owned(),
                format!("{name}=\0"),
                format!("{name}=a\rb"),
            ];
            each(cookies, |cookie| cookie_denied(probe, cookie))?;
            if probe.target.cookie.is_none() {
                return Ok("denied".to_owned());
            }
            let (start, end) = value.split_at(value.len().saturating_sub(5));
            let cookies = [
                format!("{name}={start}\0{end}"),
                format!("{name}={start}\r{end}"),
                format!("{name}={value}\x01"),
                format!("{name}={value}\x7f"),
            ];
            each(cookies, |cookie| {
                probe.denied_or_identified(probe.protected().line(format!("Cookie: {cookie}")))
            })
        },
    )
    .rule("RFC 6265 4.1.1, RFC 9110 5.5"),
    case(
        "CK11",
        "a session cookie in parts, with gaps and duplicates",
        DENIED,
        |probe| {
            let (name, value) = probe.cookie();
            let (a, b) = value.split_at(value.len() / 2);
            let parted = [
                vec![(".0", a), (".2", b)],
                vec![(".1", b)],
                vec![(".1", a), (".2", b)],
                vec![(".0", a), (".0", a), (".1", b)],
                vec![(".00", a), (".01", b)],
                vec![(".0", a), (".1", b), (".1", "x")],
                vec![(".-1", a), (".0", b)],
                vec![(".0", a), (".99999999999999999999", b)],
                vec![(".0", a), (".1e0", b)],
                vec![(".0", a), (".+1", b)],
                vec![(".", a), (".1", b)],
                vec![(".0", b), (".1", a)],
            ];
            let cookies = parted.map(|parts| {
                let cookies: Vec<_> = parts
                    .iter()
                    .map(|(end, part)| format!("{name}{end}={part}"))
                    .collect();
                let ends: Vec<_> = parts.iter().map(|(end, _)| *end).collect();
                (ends.join(" "), cookies.join("; "))
            });
            each(
                cookies
                    .iter()
                    .map(|(ends, cookies)| (ends.as_str(), cookies)),
                |(_, cookies)| cookie_denied(probe, cookies),
            )
        },
    )
    .rule("Auth.js, cookies in chunks"),
    case("CK12", "Authorization without a session", DENIED, |probe| {
        let none = jose::unsigned();
        let values = [
            "Bearer",
            "Bearer ",
            "Bearer %",
            "Bearer %zz",
            "Bearer %00",
            "Bearer null",
            "Bearer a.b.c",
            "Bearer a.b.c.d.e",
            &format!("Bearer {none}"),
            "Basic YWRtaW46YWRtaW4=",
            "Basic !",
            "bearer \u{ff}",
            "Negotiate AAAA",
        ];
        each(values, |value| {
            probe.denied(probe.protected().line(format!("Authorization: {value}")))
        })
    })
    .rule("RFC 6750 2.1")
    .known("GHSA-xmf8-cvqr-rfgj, GHSA-8fpg-xm3f-6cx3"),
    case("CK13", "very many and very long cookies", DENIED, |probe| {
        let (name, _) = probe.cookie();
        let numbered = |name: &str, count: usize, value: &str| {
            let cookies: Vec<_> = (0..count)
                .map(|number| format!("{name}{number}={value}"))
                .collect();
            cookies.join("; ")
        };
        let cookies = [
            ("a token of 7 KB", format!("{name}={}", "A".repeat(7000))),
            (
                "a token of 64 KiB",
                format!("{name}={}", "A".repeat(1 << 16)),
            ),
            (
                "500 parts",
                numbered(&format!("{name}."), 500, &"A".repeat(20)),
            ),
            ("5000 cookies", numbered("c", 5000, "x")),
            (
                "1000 duplicates",
                vec![format!("{name}=x"); 1000].join("; "),
            ),
            ("semicolons", ";".repeat(7000)),
            ("equals signs", "=".repeat(7000)),
        ];
        each(cookies, |(_, cookie)| cookie_denied(probe, cookie))
    })
    .rule("RFC 6265 6.1, RFC 6585 5"),
    case(
        "CK14",
        "no session, a malformed one, a changed one",
        "the same response",
        |probe| {
            let (name, value) = probe.cookie();
            let mut statuses = vec![probe.send(probe.protected()).status()];
            let changed = jose::changed(value);
            for cookie in ["garbage", changed.first().map_or("", String::as_str)] {
                let request = probe.protected().line(format!("Cookie: {name}={cookie}"));
                statuses.push(probe.send(request).status());
            }
            statuses.dedup();
            match statuses.as_slice() {
                [status] => Ok(format!("status {status}")),
                differ => broken(format!("a client can tell them apart: {differ:?}")),
            }
        },
    )
    .known("CWE-204")
    .should(),
    case(
        "CK15",
        "the session cookie, forwarded to the service",
        "not forwarded",
        |probe| {
            let (_, value) = probe.cookie();
            let exchange = probe.send(probe.with_session(probe.protected()));
            match probe
                .arrived()
                .iter()
                .any(|record| record.raw().contains(value))
            {
                true => weak("the session cookie arrived"),
                false => probe.forwarded(&exchange, None),
            }
        },
    )
    .known("CWE-200")
    .with_session()
    .should(),
    case(
        "CA01",
        "a decision cached for another user",
        "denied every time",
        |probe| {
            for _ in 0..4 {
                let exchange = probe.send(probe.with_session(probe.protected()));
                probe.forwarded(&exchange, None)?;
                probe.identified()?;
                probe.denied(probe.protected())?;
            }
            Ok("each request was decided separately".to_owned())
        },
    )
    .known("CVE-2026-33496, CVE-2021-32701")
    .with_session(),
    case(
        "CA02",
        "a decision cached for a similar cookie",
        DENIED,
        |probe| {
            let (name, value) = probe.cookie();
            each(jose::changed(value), |changed| {
                let exchange = probe.send(probe.with_session(probe.protected()));
                probe.forwarded(&exchange, None)?;
                cookie_denied(probe, &format!("{name}={changed}"))?;
                cookie_denied(probe, &format!("{name}2={value}"))
            })
        },
    )
    .known("CVE-2026-33496, CVE-2021-32701")
    .with_session(),
];

fn cookie_denied(probe: &Probe<'_>, cookie: &str) -> Judgment {
    probe.denied(probe.protected().line(format!("Cookie: {cookie}")))
}

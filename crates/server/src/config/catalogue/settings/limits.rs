//! How many there may be, and how often.

use super::super::form::ExampleValue::{Default, Sample};
use super::super::form::Kind::{Count, List, Switch, Text};
use super::super::form::Scope::Process;
use super::super::form::{Row, entry, row};

pub(super) const LIMITS: &[Row] = &[
    row(
        &[entry(
            "RATE_LIMIT",
            List,
            Process,
            Sample("[\"100/s burst 200\", \"1000/m by user\"]"),
            "",
        )],
        "none",
        "how often somebody may ask, such as `100/s burst 200`; more is 429. Counted by client address, or `by user`, `by \
         route`; units `s`, `m`, `h`; several apart by commas",
    ),
    row(
        &[entry(
            "RATE_LIMIT_SHARED",
            Switch,
            Process,
            Default("false"),
            "",
        )],
        "`false`",
        "`true`: all gates with the same Redis count [together](docs/limits.md#several-gates); each for itself while Redis does \
         not answer",
    ),
    row(
        &[entry(
            "BAD_SESSION_RATE_LIMIT",
            Text,
            Process,
            Default("\"50/s burst 1000\""),
            "",
        )],
        "`50/s burst 1000`",
        "how often an address may bring a session that does not open, or that no store knows; `off`: as often as it likes",
    ),
    row(
        &[
            entry(
                "CONNECTIONS_PER_ADDRESS",
                Count,
                Process,
                Default("0"),
                "connections that one client address may have open, trusted proxies apart; 0: any number",
            ),
            entry(
                "MAX_CONNECTIONS",
                Count,
                Process,
                Default("0"),
                "connections that each listener may have open; 0: as many as the system allows",
            ),
        ],
        "`0`, `0`",
        "connections that one client address (IPv6: network of 64 bits) and each listener may have open; `0` is no limit",
    ),
    row(
        &[
            entry(
                "MAX_HEADER_BYTES",
                Count,
                Process,
                Default("65536"),
                "bytes that the request line and the headers of a request may have together",
            ),
            entry(
                "MAX_HEADER_FIELDS",
                Count,
                Process,
                Default("256"),
                "headers that a request may have",
            ),
        ],
        "`65536`, `256`",
        "bytes of the request line and headers of a request, and how many headers there may be; more is 431",
    ),
    row(
        &[
            entry(
                "LEAST_UPLOAD_RATE",
                Count,
                Process,
                Default("500"),
                "bytes a second that a client has to send of a body, beyond `client_body_timeout`; 0: as slowly as it likes",
            ),
            entry(
                "LEAST_DOWNLOAD_RATE",
                Count,
                Process,
                Default("500"),
                "bytes a second that a client has to take of an answer, beyond `client_body_timeout`; 0: as slowly as it likes",
            ),
        ],
        "`500`, `500`",
        "bytes a second that a client has to send of a body, and take of an answer, when it is waited for; `0`: [as slowly as it \
         likes](docs/limits.md#slow-clients)",
    ),
    row(
        &[entry("MAX_IN_FLIGHT", Count, Process, Default("0"), "")],
        "`0`",
        "requests that may be under way at a time; one more is answered with 503 at once. `0` is no limit",
    ),
];

//! Settings of limits: how many connections and requests there may be, and how many requests clients may send per time.

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
        "how many requests are allowed, such as `100/s burst 200`; more are answered with 429. Counted by client address \
         unless you add `by user` or `by route`; units are `s`, `m` and `h`; separate several limits by commas",
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
        "`true`: all gates that use the same Redis count [together](docs/limits.md#several-gates); while Redis does not \
         answer, each counts alone",
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
        "how many invalid or unknown sessions a client address may send; `off`: no limit",
    ),
    row(
        &[
            entry(
                "CONNECTIONS_PER_ADDRESS",
                Count,
                Process,
                Default("0"),
                "the most open connections per client address, trusted proxies excepted; 0: no limit",
            ),
            entry(
                "MAX_CONNECTIONS",
                Count,
                Process,
                Default("0"),
                "the most open connections per listener; 0: no limit",
            ),
        ],
        "`0`, `0`",
        "the most open connections per client address (IPv6: per /64 network), and per listener; `0`: no limit",
    ),
    row(
        &[
            entry(
                "MAX_HEADER_BYTES",
                Count,
                Process,
                Default("65536"),
                "the most bytes in the request line and the headers together",
            ),
            entry(
                "MAX_HEADER_FIELDS",
                Count,
                Process,
                Default("256"),
                "the most headers in a request",
            ),
        ],
        "`65536`, `256`",
        "the most bytes in the request line and the headers together, and the most headers; more is answered with 431",
    ),
    row(
        &[
            entry(
                "LEAST_UPLOAD_RATE",
                Count,
                Process,
                Default("500"),
                "the lowest average rate in bytes per second at which a client may send a body, not counting a pause of \
                 `client_body_timeout`; 0: no limit",
            ),
            entry(
                "LEAST_DOWNLOAD_RATE",
                Count,
                Process,
                Default("500"),
                "the lowest average rate in bytes per second at which a client may receive a response, not counting a \
                 pause of `client_body_timeout`; 0: no limit",
            ),
        ],
        "`500`, `500`",
        "the lowest average rates in bytes per second at which a client may send a body and receive a response while the \
         gate [waits for it](docs/limits.md#slow-clients); `0`: no limit",
    ),
    row(
        &[entry("MAX_IN_FLIGHT", Count, Process, Default("0"), "")],
        "`0`",
        "the most requests in progress at the same time; the gate answers further ones with 503 at once. `0`: no limit",
    ),
];

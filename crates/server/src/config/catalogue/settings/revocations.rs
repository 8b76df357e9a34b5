//! Settings of revocations.

use super::super::form::ExampleValue::{Dependent, Sample};
use super::super::form::Kind::{Seconds, Text};
use super::super::form::Scope::Process;
use super::super::form::{Row, entry, row};

pub(super) const REVOCATIONS: &[Row] = &[
    row(
        &[entry(
            "REVOCATION_STORE",
            Text,
            Process,
            Sample("\"/var/lib/sessiongate/revocations.db\""),
            "",
        )],
        "none",
        "where the gate stores [revocations](docs/revocation.md#revoking-sessions), which end sessions before they \
         expire: `postgres` for the database in `DATABASE_URL`, `redis` for the server in `REDIS_URL`, or, for a single \
         machine, the path of a SQLite file of the gate's own. If unset, you cannot revoke sessions",
    ),
    row(
        &[entry(
            "REVOCATION_INTERVAL",
            Seconds,
            Process,
            Dependent("5"),
            "",
        )],
        "`5`",
        "seconds between reads of the revocation list",
    ),
    row(
        &[entry(
            "REVOCATION_MAX_STALE",
            Seconds,
            Process,
            Dependent("60"),
            "",
        )],
        "`60`",
        "seconds for which the gate uses its copy of the list while it cannot read the list again; after that it answers \
         every request with a session with 503 until it can",
    ),
    row(
        &[entry(
            "REVOCATION_TTL",
            Seconds,
            Process,
            Dependent("2592000"),
            "",
        )],
        "`2592000`, 30 days",
        "seconds for which a revocation is stored: at least as long as the longest session lasts",
    ),
];

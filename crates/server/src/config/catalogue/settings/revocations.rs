//! Revocations.

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
        "where [revocations](docs/revocation.md#revoking-sessions) are kept, so that sessions can be ended before they expire: \
         `postgres` for the database of `DATABASE_URL`, `redis` for that of `REDIS_URL`, or the path of a SQLite file of the \
         gate's own, for one machine. Without it nothing can be revoked",
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
        "seconds after which each gate reads the list of revocations again",
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
        "seconds for which the list counts while it cannot be read again; after that every session is answered with 503, until \
         it can",
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
        "seconds for which a revocation is kept: at least as long as the longest session lasts",
    ),
];

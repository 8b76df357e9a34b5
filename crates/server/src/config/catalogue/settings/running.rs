//! Running the program.

use super::super::form::ExampleValue::{Default, Sample};
use super::super::form::Kind::{Address, Choice, Count, Secret, Switch, Text};
use super::super::form::Scope::Process;
use super::super::form::{Row, entry, row};

pub(super) const RUNNING: &[Row] = &[
    row(
        &[entry(
            "ADMIN_LISTEN",
            Address,
            Process,
            Default("\"127.0.0.1:9090\""),
            "",
        )],
        "`127.0.0.1:9090`",
        "health and metrics",
    ),
    row(
        &[entry(
            "ADMIN_TOKEN",
            Secret,
            Process,
            Sample("\"${ADMIN_TOKEN}\""),
            "",
        )],
        "none",
        "what metrics and readiness demand as a bearer token; required off loopback",
    ),
    row(
        &[entry("WORKERS", Count, Process, Sample("4"), "")],
        "number of cores",
        "threads that serve requests",
    ),
    row(
        &[entry("AUDIT_LOG", Switch, Process, Default("true"), "")],
        "`true`",
        "`false` writes no line per decision; the counters stay",
    ),
    row(
        &[
            entry(
                "LOG_FORMAT",
                Choice(&["json", "text"]),
                Process,
                Default("\"json\""),
                "`json` for programs, `text` for people",
            ),
            entry(
                "RUST_LOG",
                Text,
                Process,
                Default("\"info\""),
                "the level of everything but the audit log",
            ),
        ],
        "`json`, `info`",
        "`text` for people; the level of everything but the audit log",
    ),
];

pub(super) const DEVELOPMENT: &[Row] = &[
    row(
        &[entry("ALLOW_BYPASS", Switch, Process, Default("false"), "")],
        "`false`",
        "let requests with the header below through, without an identity",
    ),
    row(
        &[
            entry(
                "BYPASS_HEADER",
                Text,
                Process,
                Default("\"X-Bypass-Auth\""),
                "the header that lets a request through; removed from every request in any case",
            ),
            entry(
                "BYPASS_HEADER_VALUE",
                Secret,
                Process,
                Sample("\"${BYPASS_HEADER_VALUE}\""),
                "what that header must say; `true` counts from this machine only, any other value needs 32 characters",
            ),
        ],
        "`X-Bypass-Auth`, `true`",
        "`true` counts from this machine only; any other value needs 32 characters",
    ),
];

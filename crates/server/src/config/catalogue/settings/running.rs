//! Settings of the process: the admin listener, logs, threads, and the bypass for development.

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
        "the address of the admin listener, which serves health checks and metrics",
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
        "the bearer token that metrics and readiness require; you must set it unless the admin listener is on a loopback \
         address",
    ),
    row(
        &[entry("WORKERS", Count, Process, Sample("4"), "")],
        "number of cores",
        "number of threads that serve requests",
    ),
    row(
        &[entry("AUDIT_LOG", Switch, Process, Default("true"), "")],
        "`true`",
        "`false` turns off the audit log, which has a line per decision; metrics are still counted",
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
        "`json` for programs, `text` for people; the level of everything but the audit log",
    ),
];

pub(super) const DEVELOPMENT: &[Row] = &[
    row(
        &[entry("ALLOW_BYPASS", Switch, Process, Default("false"), "")],
        "`false`",
        "`true` lets requests with the header below through without a session and without an identity",
    ),
    row(
        &[
            entry(
                "BYPASS_HEADER",
                Text,
                Process,
                Default("\"X-Bypass-Auth\""),
                "the header that lets a request through; the gate always removes it from the request",
            ),
            entry(
                "BYPASS_HEADER_VALUE",
                Secret,
                Process,
                Sample("\"${BYPASS_HEADER_VALUE}\""),
                "the value of that header; `true` works only for requests from this machine, any other value needs at \
                 least 32 characters",
            ),
        ],
        "`X-Bypass-Auth`, `true`",
        "the header that lets a request through, and its value; `true` works only for requests from this machine, any other value needs at least 32 characters",
    ),
];

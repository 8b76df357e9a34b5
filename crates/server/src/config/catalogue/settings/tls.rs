//! TLS, and what has to do with it.

use super::super::form::Kind::{Address, Choice, File, Files, Switch, Text};
use super::super::form::Scope::Process;
use super::super::form::Written::{Default, Sample};
use super::super::form::{Row, entry, row};

pub(super) const TLS: &[Row] = &[
    row(
        &[
            entry(
                "TLS_CERT_FILE",
                Files,
                Process,
                Sample("[\"/etc/sessiongate/tls.crt\"]"),
                "PEM files, each with a certificate and those that signed it; with several, the host that a client names \
                 (SNI) decides, and the first is for everybody else",
            ),
            entry(
                "TLS_KEY_FILE",
                Files,
                Process,
                Sample("[\"/etc/sessiongate/tls.key\"]"),
                "PEM files with the keys, in the same order; without it each key is in the file of its certificate",
            ),
        ],
        "none",
        "certificate chains and their keys as PEM files, comma-separated: with them `LISTEN` speaks HTTPS. Of several, the \
         host that a client names decides, and the first is for everybody else. Read again when they change",
    ),
    row(
        &[entry(
            "TLS",
            Choice(&["auto", "off", "self-signed"]),
            Process,
            Default("\"auto\""),
            "",
        )],
        "`auto`",
        "`auto`: with `TLS_CERT_FILE`; `off`: not even then; `self-signed`: with a certificate that is made at start-up, for \
         development",
    ),
    row(
        &[entry(
            "TLS_MIN_VERSION",
            Choice(&["1.2", "1.3"]),
            Process,
            Default("\"1.2\""),
            "",
        )],
        "`1.2`",
        "the oldest version of TLS that is spoken: `1.2` or `1.3`",
    ),
    row(
        &[
            entry(
                "TLS_CLIENT_AUTH",
                Choice(&["off", "optional", "required"]),
                Process,
                Default("\"off\""),
                "whether clients prove who they are with a certificate",
            ),
            entry(
                "TLS_CLIENT_CA_FILE",
                File,
                Process,
                Sample("\"/etc/sessiongate/clients.pem\""),
                "PEM file with the authorities whose certificates clients may show",
            ),
        ],
        "`off`, none",
        "whether clients prove who they are with a [certificate](docs/tls.md#certificates-of-clients): `off`, `optional` or \
         `required`; and who signs those, as a PEM file",
    ),
    row(
        &[entry(
            "REDIRECT_LISTEN",
            Address,
            Process,
            Sample("\"0.0.0.0:80\""),
            "",
        )],
        "off",
        "where requests without TLS are sent to the same place with `https://`",
    ),
    row(
        &[entry(
            "HSTS",
            Text,
            Process,
            Sample("\"max-age=31536000; includeSubDomains\""),
            "",
        )],
        "none",
        "`Strict-Transport-Security` of every answer over HTTPS, such as `max-age=31536000; includeSubDomains`",
    ),
    row(
        &[entry(
            "REQUIRE_HTTPS",
            Switch,
            Process,
            Default("false"),
            "",
        )],
        "`false`",
        "`true` refuses requests that did not come by HTTPS; what listed proxies say of theirs counts",
    ),
];

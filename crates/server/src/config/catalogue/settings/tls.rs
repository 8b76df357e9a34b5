//! TLS, and what has to do with it.

use super::super::form::ExampleValue::{Default, Dependent, Sample};
use super::super::form::Kind::{Address, Choice, File, Files, Hosts, Switch, Text, Url};
use super::super::form::Scope::Process;
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
            Choice(&["acme", "auto", "off", "self-signed"]),
            Process,
            Default("\"auto\""),
            "",
        )],
        "`auto`",
        "`auto`: with `TLS_CERT_FILE`; `off`: not even then; `acme`: with certificates that are \
         [ordered and renewed](docs/tls.md#certificates-by-acme); `self-signed`: with one that is made at start-up, for development",
    ),
    row(
        &[entry(
            "ACME_DOMAINS",
            Hosts,
            Process,
            Sample("[\"app.example.com\"]"),
            "",
        )],
        "none",
        "the hosts for which `TLS=acme` orders certificates, comma-separated, each one of its own",
    ),
    row(
        &[entry(
            "ACME_STORE",
            Text,
            Process,
            Sample("\"/var/lib/sessiongate/acme\""),
            "",
        )],
        "none",
        "where the account and the certificates are kept: a folder, or `postgres` for the database of `DATABASE_URL`, which \
         several nodes can share; `TLS=acme` needs it",
    ),
    row(
        &[entry(
            "ACME_EMAIL",
            Text,
            Process,
            Sample("\"ops@example.com\""),
            "",
        )],
        "none",
        "whom the authority writes to about the account",
    ),
    row(
        &[
            entry(
                "ACME_DIRECTORY_URL",
                Url,
                Process,
                Dependent("\"https://acme-v02.api.letsencrypt.org/directory\""),
                "where certificates are ordered; by default from Let's Encrypt",
            ),
            entry(
                "ACME_CA_FILE",
                File,
                Process,
                Sample("\"/etc/sessiongate/acme-ca.pem\""),
                "PEM file with who may vouch for that server, in place of the public authorities",
            ),
        ],
        "Let's Encrypt, public authorities",
        "the directory of the ACME server, and a PEM file with who may vouch for it, for one of your own",
    ),
    row(
        &[entry(
            "ACME_CHALLENGE",
            Choice(&["auto", "http-01", "tls-alpn-01"]),
            Process,
            Dependent("\"auto\""),
            "",
        )],
        "`auto`",
        "how the authority is shown that a host is ours: `tls-alpn-01` at port 443, `http-01` at port 80, or `auto`, which takes \
         turns after failures where both are possible",
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

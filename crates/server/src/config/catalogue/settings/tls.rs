//! Settings of TLS between the gate and its clients.

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
                "PEM files, each with a certificate chain; if there are several, the gate chooses by the hostname the \
                 client asks for (SNI) and falls back to the first",
            ),
            entry(
                "TLS_KEY_FILE",
                Files,
                Process,
                Sample("[\"/etc/sessiongate/tls.key\"]"),
                "PEM files with the private keys, in the same order; if unset, each key is read from its certificate \
                 file",
            ),
        ],
        "none",
        "PEM files with certificate chains and private keys, separated by commas; with them `LISTEN` serves HTTPS. If \
         there are several, the gate chooses by the hostname the client asks for (SNI) and falls back to the first. \
         Changed files are reloaded",
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
        "`auto`: TLS if `TLS_CERT_FILE` is set; `off`: never; `acme`: with certificates that the gate [orders and \
         renews](docs/tls.md#certificates-by-acme); `self-signed`: with a certificate made at start-up, for development",
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
        "the hostnames for which `TLS=acme` orders certificates, separated by commas; each gets its own certificate",
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
        "where the gate stores the ACME account and the certificates: a folder, or `postgres` for the database in \
         `DATABASE_URL`, which several nodes can share; required by `TLS=acme`",
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
        "the address to which the certificate authority writes about the account",
    ),
    row(
        &[
            entry(
                "ACME_DIRECTORY_URL",
                Url,
                Process,
                Dependent("\"https://acme-v02.api.letsencrypt.org/directory\""),
                "the directory URL of the ACME server; by default that of Let's Encrypt",
            ),
            entry(
                "ACME_CA_FILE",
                File,
                Process,
                Sample("\"/etc/sessiongate/acme-ca.pem\""),
                "PEM file with the certificate authorities to trust for that server, instead of the public ones",
            ),
        ],
        "Let's Encrypt, public authorities",
        "for an ACME server of your own: its directory URL, and a PEM file with the certificate authorities to trust for \
         it",
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
        "how the gate proves that it controls a hostname: `tls-alpn-01` on port 443, `http-01` on port 80, or `auto`, \
         which tries the other one after a failure if both are possible",
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
        "the oldest TLS version that the gate accepts: `1.2` or `1.3`",
    ),
    row(
        &[
            entry(
                "TLS_CLIENT_AUTH",
                Choice(&["off", "optional", "required"]),
                Process,
                Default("\"off\""),
                "whether clients must present a certificate",
            ),
            entry(
                "TLS_CLIENT_CA_FILE",
                File,
                Process,
                Sample("\"/etc/sessiongate/clients.pem\""),
                "PEM file with the certificate authorities that issue client certificates",
            ),
        ],
        "`off`, none",
        "whether clients present a [certificate](docs/tls.md#certificates-of-clients): `off`, `optional` or `required`; \
         PEM file with the certificate authorities that issue them",
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
        "the address on which the gate redirects plain HTTP requests to `https://`",
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
        "the `Strict-Transport-Security` header of every response over HTTPS, such as `max-age=31536000; \
         includeSubDomains`",
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
        "`true` refuses requests that did not arrive over HTTPS; for requests from `TRUSTED_PROXIES`, \
         `X-Forwarded-Proto` or `Forwarded` decides",
    ),
];

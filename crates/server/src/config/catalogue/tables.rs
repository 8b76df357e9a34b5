//! The keys that exist only in the file: those of the top level that are not settings, and those of tables.

mod rules;

pub(in crate::config) use self::rules::{CONDITION, HEADER, HEADER_WORDS, PROFILE};
use super::form::Kind::{
    Active, Address, Choice, Conditions, Count, File, Files, Hosts, List, Seconds, Switch, Tables,
    Text, Url, Urls,
};
use super::form::{Key, Kind};

/// The keys of the top level that are not settings of the environment.
pub(in crate::config) const TOP_LEVEL: &[Key] = &[
    key(
        "include",
        List,
        "[\"routes/*.toml\"]",
        "patterns of further files, relative to this one, that may hold `[[route]]`, `[service.*]`, `[profile.*]` and \
         `[realm.*]` only",
    ),
    key(
        "case_insensitive",
        Switch,
        "false",
        "`true`: services treat `/Admin` and `/admin` as the same path, so routes do too",
    ),
    ACTIVE,
    key(
        "listener",
        Tables,
        "",
        "another address on which the gate accepts requests, with TLS settings of its own",
    ),
    TABLES[0],
    TABLES[1],
    TABLES[2],
    TABLES[3],
];

/// The tables that are also allowed in an included file.
pub(in crate::config) const TABLES: &[Key] = &[
    key(
        "route",
        Tables,
        "",
        "one rule: which requests it matches, who may enter, and where they go",
    ),
    key("service", Tables, "", "where requests go"),
    key(
        "profile",
        Tables,
        "",
        "the headers that tell a service who is calling",
    ),
    key("realm", Tables, "", "another app that issues sessions"),
];

/// The keys of `[[route]]`.
pub(in crate::config) const ROUTE: &[Key] = &[
    key(
        "name",
        Text,
        "\"admin\"",
        "its name in logs; by default host and path",
    ),
    key(
        "host",
        Hosts,
        "\"app.example.com\"",
        "hostnames that requests ask for; the `*` of `*.example.com` is one label; by default any",
    ),
    key(
        "path",
        List,
        "\"/admin/\"",
        "exact paths, or with a trailing slash everything below them; `{id}` is one segment",
    ),
    key(
        "methods",
        List,
        "[\"GET\", \"POST\"]",
        "request methods; by default any",
    ),
    key(
        "access",
        Choice(&["session", "public", "deny"]),
        "\"session\"",
        "`session` requires a session, `public` lets every request enter, `deny` refuses every request",
    ),
    key(
        "realm",
        Text,
        "\"default\"",
        "the realm whose sessions are valid here: a `[realm.*]`, or `default` for that of the top level",
    ),
    key(
        "require",
        Conditions,
        "[{ column = \"role\", contains = \"admin\" }]",
        "conditions that the session must meet, all of them",
    ),
    key(
        "service",
        Text,
        "\"api\"",
        "where requests go: a `[service.*]`, or `default` for `upstream` of the top level",
    ),
    key(
        "upstream",
        Urls,
        "\"http://127.0.0.1:3000\"",
        "where requests go, in place of `service`; `dir:./public` is a [folder](static-sites.md)",
    ),
    key(
        "headers",
        Text,
        "\"default\"",
        "the header profile: a `[profile.*]`, or a built-in one",
    ),
    key(
        "strip_prefix",
        Text,
        "\"/admin\"",
        "the prefix that the gate removes from the path before it forwards the request",
    ),
    key(
        "rewrite_host",
        Address,
        "\"wiki.internal\"",
        "the `Host` header that the service receives",
    ),
    key(
        "connect_timeout",
        Seconds,
        "5",
        "seconds to wait for a connection to the service",
    ),
    key(
        "timeout",
        Seconds,
        "60",
        "seconds to wait for the service's response to begin, and for each further part of it",
    ),
    key(
        "body_limit",
        Count,
        "10485760",
        "the longest request body in bytes; longer ones are refused",
    ),
    key(
        "rate_limit",
        List,
        "\"5/m burst 10 by user\"",
        "how many requests are allowed, in addition to `rate_limit` of the top level; more are answered with 429",
    ),
    key(
        "cors_origins",
        Urls,
        "[\"https://app.example.com\"]",
        "origins whose pages may read refusals; the gate answers their preflights",
    ),
    key(
        "forward_session_cookie",
        Switch,
        "true",
        "`false` removes the app's session cookies and tokens from the requests that the service receives",
    ),
    key(
        "sign_in_url",
        Url,
        "\"https://app.example.com/login\"",
        "the page to which browsers without a session are redirected; by default that of the realm",
    ),
    key(
        "csrf",
        Switch,
        "false",
        "`true` refuses requests with unsafe methods that pages of other hosts send",
    ),
    key(
        "shared_cache",
        Switch,
        "false",
        "`true` lets shared caches store responses that the service marks public, although the route requires a session",
    ),
];

/// The keys of `[[listener]]`.
pub(in crate::config) const LISTENER: &[Key] = &[
    key(
        "address",
        Address,
        "\"0.0.0.0:443\"",
        "its address, in the form of `listen`",
    ),
    key(
        "redirect",
        Switch,
        "false",
        "`true`: it redirects all requests to `https://`, as `redirect_listen` does",
    ),
    key(
        "proxy_protocol",
        Switch,
        "false",
        "`true`: connections from `trusted_proxies` begin with a PROXY protocol header; by default that of the top level",
    ),
    key(
        "tls",
        Choice(&["acme", "auto", "off", "self-signed"]),
        "\"auto\"",
        "`auto`: TLS if it has a `tls_cert_file`; `acme`: with certificates that the gate orders; `self-signed`: with a \
         certificate made at start-up",
    ),
    key(
        "tls_cert_file",
        Files,
        "\"/etc/sessiongate/tls.crt\"",
        "PEM files with its certificate chains",
    ),
    key(
        "tls_key_file",
        Files,
        "\"/etc/sessiongate/tls.key\"",
        "PEM files with their private keys, in the same order",
    ),
    key(
        "tls_min_version",
        Choice(&["1.2", "1.3"]),
        "\"1.2\"",
        "the oldest TLS version that it accepts; by default that of the top level",
    ),
    key(
        "tls_client_auth",
        Choice(&["off", "optional", "required"]),
        "\"off\"",
        "whether its clients must present a certificate",
    ),
    key(
        "tls_client_ca_file",
        File,
        "\"/etc/sessiongate/clients.pem\"",
        "PEM file with the certificate authorities that issue client certificates",
    ),
];

/// The keys of `[service.NAME]`.
pub(in crate::config) const SERVICE: &[Key] = &[
    key(
        "upstream",
        Urls,
        "[\"http://127.0.0.1:3000\", \"http://127.0.0.1:3001\"]",
        "one or more URLs, `unix:/path` included; or a folder, as `dir:./public`, relative to this file",
    ),
    key(
        "connect_timeout",
        Seconds,
        "5",
        "seconds to wait for a connection",
    ),
    key(
        "timeout",
        Seconds,
        "60",
        "seconds to wait for a response to begin, and for each further part of it",
    ),
    key(
        "fallback",
        Text,
        "\"/index.html\"",
        "folders only: the file to send for pages that do not exist, for single-page apps",
    ),
    key(
        "error_pages",
        Text,
        "\"/errors/{status}.html\"",
        "folders only: its error pages, one per status if the path contains `{status}`, otherwise one for all",
    ),
    key(
        "cache_control",
        Text,
        "\"no-cache\"",
        "folders only: the `Cache-Control` header of its files; on routes that require a session the gate adds `private`",
    ),
    key(
        "well_known",
        Switch,
        "false",
        "folders only: `true` serves files below `/.well-known/`; other names that begin with a dot are never served",
    ),
    key(
        "balance",
        Choice(&["round-robin", "least-requests", "by-user"]),
        "\"round-robin\"",
        "which server gets a request: the next one, the one with the fewest requests in progress, or always the same one \
         for a user",
    ),
    key(
        "retry_budget",
        Count,
        "20",
        "how many requests in 100 may be retried on another server after a failure; `0`: none",
    ),
    key(
        "eject_after",
        Count,
        "3",
        "consecutive failures after which a server gets no requests for a while; `0`: never",
    ),
    key(
        "eject_time",
        Seconds,
        "10",
        "seconds for which an ejected server gets no requests; doubled each consecutive time, up to five minutes",
    ),
    key(
        "health_check",
        Text,
        "\"/healthz\"",
        "a path that each server must answer with 2xx or 3xx, or `tcp` to only open a connection; by default servers are \
         not checked",
    ),
    key(
        "health_interval",
        Seconds,
        "5",
        "seconds between two checks, and the timeout of each",
    ),
    key(
        "max_connections",
        Count,
        "100",
        "the most open connections per server; requests wait up to `connect_timeout` for one; by default no limit",
    ),
    key(
        "max_age",
        Seconds,
        "300",
        "seconds after which a connection is no longer reused, so that DNS changes take effect; `0`: no limit",
    ),
    key(
        "keep_alive",
        Seconds,
        "5",
        "seconds for which servers keep idle connections open; the gate closes them earlier. By default their own \
         `Keep-Alive` timeout, or 2",
    ),
    key(
        "proxy_protocol",
        Choice(&["off", "v1", "v2"]),
        "\"off\"",
        "the version of the PROXY protocol that tells servers the client's address",
    ),
    key(
        "tls_ca_file",
        Files,
        "\"/etc/sessiongate/service-ca.pem\"",
        "`https://` only: PEM files with the certificate authorities to trust; by default the public ones",
    ),
    key(
        "tls_server_name",
        Text,
        "\"app.internal\"",
        "the hostname to ask for (SNI) and to expect in certificates; by default that of the URL",
    ),
    key(
        "tls_cert_file",
        File,
        "\"/etc/sessiongate/gate.crt\"",
        "PEM file with the certificate chain that the gate presents to servers",
    ),
    key(
        "tls_key_file",
        File,
        "\"/etc/sessiongate/gate.key\"",
        "PEM file with its private key",
    ),
];

/// The keys of `[realm.NAME]` that are not settings of the environment.
pub(in crate::config) const REALM: &[Key] = &[ACTIVE];

const ACTIVE: Key = key(
    "active",
    Active,
    "[{ not = { column = \"banned\", equals = true } }]",
    "conditions that the user's row must meet on every route of the realm; or the name of a preset: \"better-auth\"",
);

const fn key(name: &'static str, kind: Kind, sample: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        sample,
        doc,
    }
}

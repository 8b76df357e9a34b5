//! The keys of the file that the environment does not know: those of the top level, and of the tables.

use super::form::Kind::{
    Active, Address, Choice, Condition, Conditions, Count, File, Files, Headers, Hosts, List,
    Networks, Scalar, Scalars, Seconds, Secret, Switch, Tables, Text, Url, Urls,
};
use super::form::{Key, Kind};

/// Keys of the top level that are no settings of the environment.
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
        "`true` says that services do not tell `/Admin` from `/admin`; then rules do not either",
    ),
    ACTIVE,
    key(
        "listener",
        Tables,
        "",
        "one more address on which requests are taken, with TLS of its own",
    ),
    TABLES[0],
    TABLES[1],
    TABLES[2],
    TABLES[3],
];

/// The tables that may stand in an included file too.
pub(in crate::config) const TABLES: &[Key] = &[
    key(
        "route",
        Tables,
        "",
        "one rule: which requests it is about, who may enter, and where they go",
    ),
    key("service", Tables, "", "where requests go"),
    key(
        "profile",
        Tables,
        "",
        "which headers tell a service who is calling",
    ),
    key("realm", Tables, "", "another app that issues sessions"),
];

/// The keys of `[[route]]`.
pub(in crate::config) const ROUTE: &[Key] = &[
    key(
        "name",
        Text,
        "\"admin\"",
        "what logs call it; by default host and path",
    ),
    key(
        "host",
        Hosts,
        "\"app.example.com\"",
        "hosts that were asked for; `*.example.com` is one label; without it, any",
    ),
    key(
        "path",
        List,
        "\"/admin/\"",
        "exact paths, or everything below with a trailing slash; `{id}` is one segment",
    ),
    key("methods", List, "[\"GET\", \"POST\"]", "without it, any"),
    key(
        "access",
        Choice(&["session", "public", "deny"]),
        "\"session\"",
        "`session` demands one, `public` lets everybody through, `deny` nobody",
    ),
    key(
        "realm",
        Text,
        "\"default\"",
        "whose sessions count: a `[realm.*]`, or `default` for the top level's",
    ),
    key(
        "require",
        Conditions,
        "[{ column = \"role\", contains = \"admin\" }]",
        "what a session must show besides; all of these",
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
        "the profile of identity headers: a `[profile.*]`, or a built-in one",
    ),
    key(
        "strip_prefix",
        Text,
        "\"/admin\"",
        "what is taken off the path before the service sees it",
    ),
    key(
        "rewrite_host",
        Address,
        "\"wiki.internal\"",
        "the `Host` that the service sees",
    ),
    key(
        "connect_timeout",
        Seconds,
        "5",
        "seconds for a connection to the service to open",
    ),
    key(
        "timeout",
        Seconds,
        "60",
        "seconds for the service's answer to begin, and between its pieces",
    ),
    key(
        "body_limit",
        Count,
        "10485760",
        "the longest body in bytes; a longer one is refused",
    ),
    key(
        "rate_limit",
        List,
        "\"5/m burst 10 by user\"",
        "how often somebody may ask, beside `rate_limit` of the top level; more is 429",
    ),
    key(
        "cors_origins",
        Urls,
        "[\"https://app.example.com\"]",
        "origins whose pages may read refusals; their preflights are answered here",
    ),
    key(
        "forward_session_cookie",
        Switch,
        "true",
        "`false` removes everything that is a session of the app before the service",
    ),
    key(
        "sign_in_url",
        Url,
        "\"https://app.example.com/login\"",
        "where browsers without a session are sent; by default that of the realm",
    ),
    key(
        "csrf",
        Switch,
        "false",
        "`true` refuses unsafe methods that come from pages of other hosts",
    ),
    key(
        "shared_cache",
        Switch,
        "false",
        "`true` lets shared caches keep answers that the service marks public, though the route demands a session",
    ),
];

/// The keys of `[[listener]]`.
pub(in crate::config) const LISTENER: &[Key] = &[
    key(
        "address",
        Address,
        "\"0.0.0.0:443\"",
        "where it is, as `listen` has it",
    ),
    key(
        "redirect",
        Switch,
        "false",
        "`true`: it sends everybody to the same place with `https://`, as `redirect_listen` does",
    ),
    key(
        "proxy_protocol",
        Switch,
        "false",
        "`true`: connections of `trusted_proxies` begin with a PROXY header; by default as the top level has it",
    ),
    key(
        "tls",
        Choice(&["acme", "auto", "off", "self-signed"]),
        "\"auto\"",
        "`auto`: with TLS if it has a `tls_cert_file`; `acme`: with certificates that are ordered; `self-signed`: with one that is \
         made at start-up",
    ),
    key(
        "tls_cert_file",
        Files,
        "\"/etc/sessiongate/tls.crt\"",
        "PEM files with its certificates, each with those that signed it",
    ),
    key(
        "tls_key_file",
        Files,
        "\"/etc/sessiongate/tls.key\"",
        "PEM files with their keys, in the same order",
    ),
    key(
        "tls_min_version",
        Choice(&["1.2", "1.3"]),
        "\"1.2\"",
        "the oldest version of TLS that it speaks; by default that of the top level",
    ),
    key(
        "tls_client_auth",
        Choice(&["off", "optional", "required"]),
        "\"off\"",
        "whether its clients prove who they are with a certificate",
    ),
    key(
        "tls_client_ca_file",
        File,
        "\"/etc/sessiongate/clients.pem\"",
        "PEM file with the authorities whose certificates its clients may show",
    ),
];

/// The keys of `[service.NAME]`.
pub(in crate::config) const SERVICE: &[Key] = &[
    key(
        "upstream",
        Urls,
        "[\"http://127.0.0.1:3000\", \"http://127.0.0.1:3001\"]",
        "one URL or several, also `unix:/path`; or one folder, `dir:./public`, from where this file is",
    ),
    key(
        "connect_timeout",
        Seconds,
        "5",
        "seconds for a connection to open",
    ),
    key(
        "timeout",
        Seconds,
        "60",
        "seconds for an answer to begin, and between its pieces",
    ),
    key(
        "fallback",
        Text,
        "\"/index.html\"",
        "of a folder: the file that is sent in place of pages that are not there, for apps whose pages are made in the browser",
    ),
    key(
        "error_pages",
        Text,
        "\"/errors/{status}.html\"",
        "of a folder: its own error pages, one for each status with `{status}`, or one for all",
    ),
    key(
        "cache_control",
        Text,
        "\"no-cache\"",
        "of a folder: what caches may do with its files; on routes that demand a session `private` is added",
    ),
    key(
        "well_known",
        Switch,
        "false",
        "of a folder: `true` sends what is below `/.well-known/`; other names that begin with a dot are never sent",
    ),
    key(
        "balance",
        Choice(&["round-robin", "least-requests", "by-user"]),
        "\"round-robin\"",
        "which of several servers gets a request: the next, the one with the fewest under way, or the same for the same user",
    ),
    key(
        "retry_budget",
        Count,
        "20",
        "how many of 100 requests may be sent to another server after one has failed; `0`: none",
    ),
    key(
        "eject_after",
        Count,
        "3",
        "failures in a row after which one of several servers gets no requests for a while; `0`: it always does",
    ),
    key(
        "eject_time",
        Seconds,
        "10",
        "seconds for which it gets none, the first time; each time in a row that is doubled, up to five minutes",
    ),
    key(
        "health_check",
        Text,
        "\"/healthz\"",
        "a path that each server must answer with 2xx or 3xx, or `tcp` for a connection; by default nothing is checked",
    ),
    key(
        "health_interval",
        Seconds,
        "5",
        "seconds between two checks, and for each of them",
    ),
    key(
        "max_connections",
        Count,
        "100",
        "connections to each server at the same time; requests wait `connect_timeout` for one; without it, any number",
    ),
    key(
        "max_age",
        Seconds,
        "300",
        "seconds that a connection is used at most, so that changes of DNS are followed; `0`: any time",
    ),
    key(
        "keep_alive",
        Seconds,
        "5",
        "seconds for which servers keep idle connections, which are closed here before that; by default what they say \
         themselves, or 2",
    ),
    key(
        "proxy_protocol",
        Choice(&["off", "v1", "v2"]),
        "\"off\"",
        "the version of the PROXY protocol in which servers are told the client's address",
    ),
    key(
        "tls_ca_file",
        Files,
        "\"/etc/sessiongate/service-ca.pem\"",
        "of servers with `https://`: PEM files with the authorities that count; by default the public ones",
    ),
    key(
        "tls_server_name",
        Text,
        "\"app.internal\"",
        "the host that is asked for (SNI) and that certificates must name; by default that of the URL",
    ),
    key(
        "tls_cert_file",
        File,
        "\"/etc/sessiongate/gate.crt\"",
        "PEM file with the certificate by which the gate proves who it is, with those that signed it",
    ),
    key(
        "tls_key_file",
        File,
        "\"/etc/sessiongate/gate.key\"",
        "PEM file with its key",
    ),
];

/// The keys of `[profile.NAME]`.
pub(in crate::config) const PROFILE: &[Key] = &[
    key(
        "base",
        Text,
        "\"remote-user\"",
        "the built-in profile whose headers it starts with",
    ),
    key(
        "encoding",
        ENCODING,
        "\"percent\"",
        "how what is not ASCII is written",
    ),
    key(
        "separator",
        Text,
        "\",\"",
        "what stands between the entries of a list",
    ),
    key(
        "headers",
        Headers,
        "{ \"X-Team\" = { column = \"team\" }, \"X-Login\" = \"email\" }",
        "the names of the headers, and what each says",
    ),
];

/// The keys of a header of a profile.
pub(in crate::config) const HEADER: &[Key] = &[
    key(
        "claim",
        Text,
        "\"org.name\"",
        "a path of names into the claims of the session",
    ),
    key("column", Text, "\"team\"", "a column of the user's row"),
    key("route", Switch, "true", "`true`: the name of the route"),
    key(
        "secret_file",
        File,
        "\"/run/secrets/header\"",
        "the content of a file, without a newline at its end",
    ),
    key("value", Secret, "\"text\"", "always the same text"),
    key(
        "encoding",
        ENCODING,
        "\"latin-1\"",
        "another encoding than the profile's",
    ),
    key(
        "separator",
        Text,
        "\" \"",
        "another separator than the profile's",
    ),
];

/// What a header may say in place of a table.
pub(in crate::config) const HEADER_WORDS: [&str; 4] = ["subject", "email", "name", "groups"];

/// The keys of `[realm.NAME]` that are no settings of the environment.
pub(in crate::config) const REALM: &[Key] = &[ACTIVE];

/// The keys of a condition.
pub(in crate::config) const CONDITION: &[Key] = &[
    key(
        "claim",
        Text,
        "\"org.plan\"",
        "a path of names into the claims of the session",
    ),
    key("column", Text, "\"role\"", "a column of the user's row"),
    key("equals", Scalar, "\"admin\"", "it is this"),
    key(
        "one_of",
        Scalars,
        "[\"team\", \"business\"]",
        "it is one of these",
    ),
    key(
        "contains",
        Scalars,
        "\"admin\"",
        "it is a list that has one of these",
    ),
    key(
        "present",
        Switch,
        "true",
        "it is there and not null; `false`: it is not",
    ),
    key(
        "empty",
        Switch,
        "true",
        "it is null, absent, or an empty text or list; `false`: it is not",
    ),
    key("past", Switch, "true", "it is a point in time that is over"),
    key(
        "future",
        Switch,
        "true",
        "it is a point in time that has not come yet",
    ),
    key("separator", Text, "\",\"", "takes a text apart into a list"),
    key(
        "all",
        Conditions,
        "[{ claim = \"plan\", present = true }]",
        "all of these hold",
    ),
    key(
        "any",
        Conditions,
        "[{ network = \"10.0.0.0/8\" }]",
        "at least one of these holds",
    ),
    key(
        "not",
        Condition,
        "{ claim = \"session.impersonatedBy\", present = true }",
        "this does not hold",
    ),
    key(
        "organization_role",
        List,
        "[\"owner\", \"admin\"]",
        "the user's role in the organization in which the session is active (Better Auth), one of these",
    ),
    key(
        "certificate",
        List,
        "[\"CN=billing,O=Example\"]",
        "the client has shown a certificate with one of these names: its subject, or `DNS:`, `URI:` or `email:` and an alternative name",
    ),
    key(
        "network",
        Networks,
        "[\"10.0.0.0/8\"]",
        "the client's address is in one of these networks",
    ),
    key(
        "max_age",
        Text,
        "\"12h\"",
        "the session was issued at most so long ago: seconds `s`, minutes `m`, hours `h`, days `d`",
    ),
    key("methods", List, "[\"GET\"]", "the method is one of these"),
];

const ACTIVE: Key = key(
    "active",
    Active,
    "[{ not = { column = \"banned\", equals = true } }]",
    "what the user's row must show, on every route of the realm; or a preset: \"better-auth\"",
);

const ENCODING: Kind = Choice(&["percent", "quoted-printable", "base64", "latin-1"]);

const fn key(name: &'static str, kind: Kind, sample: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        sample,
        doc,
    }
}

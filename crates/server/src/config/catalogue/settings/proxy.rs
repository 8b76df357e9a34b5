//! What is protected, what goes on to it, and how long things may take.

use super::super::form::ExampleValue::{Default, Dependent, Sample};
use super::super::form::Kind::{
    Address, Choice, File, List, Networks, Seconds, Switch, Text, Url, Urls,
};
use super::super::form::Scope::{Process, Realm, Service};
use super::super::form::{Row, entry, row};

pub(super) const WHAT_TO_PROTECT: &[Row] = &[
    row(
        &[entry(
            "UPSTREAM",
            Url,
            Service,
            Sample("\"http://127.0.0.1:3000\""),
            "",
        )],
        "required for the proxy",
        "the service, as `http://host:port` or `https://host`, as [`h2c://` or `grpc://`](docs/http2.md#services) where it speaks HTTP/2, \
         or a [folder](docs/static-sites.md), as `dir:/srv/www`; [docs/services.md](docs/services.md) is about those with several servers",
    ),
    row(
        &[entry(
            "UPSTREAM_CA_FILE",
            File,
            Service,
            Sample("\"/etc/sessiongate/service-ca.pem\""),
            "",
        )],
        "public authorities",
        "PEM certificates to trust for services with `https://`",
    ),
    row(
        &[entry(
            "FOLDER_FALLBACK",
            Text,
            Service,
            Sample("\"/index.html\""),
            "",
        )],
        "none",
        "of that folder: the file that is sent in place of pages that are not there, for apps whose pages are made in the browser",
    ),
    row(
        &[entry(
            "FOLDER_ERROR_PAGES",
            Text,
            Service,
            Sample("\"/errors/{status}.html\""),
            "",
        )],
        "none",
        "of that folder: its own error pages, one for each status with `{status}`, or one for all",
    ),
    row(
        &[entry(
            "FOLDER_CACHE_CONTROL",
            Text,
            Service,
            Dependent("\"no-cache\""),
            "",
        )],
        "`no-cache`",
        "of that folder: what caches may do with its files; where a session is demanded `private` is added",
    ),
    row(
        &[entry(
            "FOLDER_WELL_KNOWN",
            Switch,
            Service,
            Dependent("false"),
            "",
        )],
        "`false`",
        "of that folder: `true` sends what is below `/.well-known/`; other names that begin with a dot are never sent",
    ),
    row(
        &[entry(
            "LISTEN",
            Address,
            Process,
            Dependent("\"0.0.0.0:8080\""),
            "",
        )],
        "`0.0.0.0:8080`",
        "where the gate accepts requests",
    ),
    row(
        &[entry("HTTP2", Switch, Process, Default("true"), "")],
        "`true`",
        "whether clients may speak [HTTP/2](docs/http2.md): over TLS as both agree, and in the clear by clients that know \
         beforehand",
    ),
    row(
        &[entry(
            "AUTH_LISTEN",
            Address,
            Process,
            Sample("\"127.0.0.1:8081\""),
            "",
        )],
        "off",
        "where nginx, Caddy, Traefik or Envoy ask for [decisions](docs/decisions.md), as `host:port` or `unix:/path`; \
         `UPSTREAM` is not needed then",
    ),
    row(
        &[entry(
            "AUTH_SOCKET_MODE",
            Text,
            Process,
            Dependent("\"660\""),
            "",
        )],
        "`660`",
        "permissions of that Unix socket, octal",
    ),
    row(
        &[entry(
            "PUBLIC_PATHS",
            List,
            Service,
            Sample("[\"/healthz\", \"/assets/\"]"),
            "",
        )],
        "none",
        "paths without a session, comma-separated: `/healthz,/assets/`; a trailing slash means everything below",
    ),
    row(
        &[entry(
            "SIGN_IN_URL",
            Url,
            Realm,
            Sample("\"https://app.example.com/api/auth/signin\""),
            "",
        )],
        "none",
        "where browsers without a session are sent, with `?callbackUrl=`; without it they get a 401 page",
    ),
    row(
        &[entry(
            "PUBLIC_URL",
            Urls,
            Process,
            Sample("[\"https://grafana.example.com\"]"),
            "",
        )],
        "none",
        "this gate's own origin or origins, such as `https://grafana.example.com` or `https://*.example.com`, for the \
         way back from another origin",
    ),
    row(
        &[entry(
            "SIGN_IN_CALLBACK_PARAMETER",
            Text,
            Realm,
            Dependent("\"callbackUrl\""),
            "",
        )],
        "`callbackUrl`",
        "the parameter of `SIGN_IN_URL` that holds the way back",
    ),
    row(
        &[entry(
            "CORS_PREFLIGHT",
            Choice(&["deny", "pass"]),
            Service,
            Default("\"deny\""),
            "",
        )],
        "`deny`",
        "`pass` lets real CORS preflights through without a session",
    ),
    row(
        &[entry(
            "CORS_ORIGINS",
            Urls,
            Service,
            Sample("[\"https://app.example.com\"]"),
            "",
        )],
        "none",
        "origins whose pages may read refusals, `https://app.example.com`; their preflights are answered here",
    ),
];

pub(super) const WHAT_GOES_ON: &[Row] = &[
    row(
        &[entry(
            "FORWARD_SESSION_COOKIE",
            Switch,
            Service,
            Dependent("true"),
            "",
        )],
        "`true`",
        "`false` removes everything that is a session of the app, and nothing else, before the upstream",
    ),
    row(
        &[entry("VIA", Switch, Service, Dependent("true"), "")],
        "`true`",
        "whether services get `Via: 1.1 sessiongate`, as RFC 9110 demands of gateways; nginx compresses nothing for such requests unless `gzip_proxied` says so",
    ),
    row(
        &[entry(
            "TRUSTED_PROXIES",
            Networks,
            Process,
            Sample("[\"10.0.0.0/8\"]"),
            "",
        )],
        "none",
        "networks whose `X-Forwarded-*` and `X-Request-Id` are believed, such as `10.0.0.0/8`",
    ),
    row(
        &[entry(
            "FORWARDED_HEADER",
            Choice(&["x-forwarded-for", "forwarded"]),
            Process,
            Dependent("\"x-forwarded-for\""),
            "",
        )],
        "`x-forwarded-for`",
        "the header in which these write where a request comes from; the other one, which they leave as the client sent it, \
         is [never believed](docs/limits.md#the-clients-address)",
    ),
    row(
        &[entry(
            "PROXY_PROTOCOL",
            Switch,
            Process,
            Dependent("false"),
            "",
        )],
        "`false`",
        "`true`: each connection of `TRUSTED_PROXIES` begins with a [PROXY header](docs/services.md#the-proxy-protocol), version 1 \
         or 2, which says for whom it is",
    ),
];

pub(super) const TIME: &[Row] = &[
    row(
        &[
            entry(
                "UPSTREAM_CONNECT_TIMEOUT",
                Seconds,
                Service,
                Dependent("5"),
                "seconds for a connection to the service to open",
            ),
            entry(
                "UPSTREAM_TIMEOUT",
                Seconds,
                Service,
                Dependent("60"),
                "seconds for the service's answer to begin, and between its pieces",
            ),
        ],
        "`5` s, `60` s",
        "for a connection to open; for an answer to begin, and between its pieces",
    ),
    row(
        &[
            entry(
                "UPSTREAM_KEEP_ALIVE",
                Seconds,
                Service,
                Sample("5"),
                "seconds for which the service keeps idle connections, which are closed here before that; by default what it says \
                 itself, or 2",
            ),
            entry(
                "UPSTREAM_MAX_AGE",
                Seconds,
                Service,
                Dependent("300"),
                "seconds that a connection to the service is used at most; 0: any time",
            ),
        ],
        "what the service says or `2` s, `300` s",
        "for which the service keeps idle [connections](docs/services.md#connections), which are closed before that; for which one \
         is used at most",
    ),
    row(
        &[
            entry(
                "CLIENT_HEADER_TIMEOUT",
                Seconds,
                Process,
                Default("30"),
                "seconds for the rest of a request's head, once it has begun",
            ),
            entry(
                "CLIENT_BODY_TIMEOUT",
                Seconds,
                Process,
                Default("60"),
                "seconds for each piece of a body",
            ),
        ],
        "`30` s, `60` s",
        "for a request's head; for each piece of a body",
    ),
    row(
        &[entry(
            "CLIENT_IDLE_TIMEOUT",
            Seconds,
            Process,
            Dependent("75"),
            "seconds for the next request on an open connection",
        )],
        "`75` s",
        "for the next request on an open connection",
    ),
    row(
        &[
            entry(
                "STREAM_IDLE_TIMEOUT",
                Seconds,
                Service,
                Default("3600"),
                "seconds that a service may say nothing in an event stream; 0: as long as it likes",
            ),
            entry(
                "REQUEST_TIMEOUT",
                Seconds,
                Service,
                Default("0"),
                "seconds for a request and its answer in all, streams and WebSockets apart; 0: any time",
            ),
        ],
        "`3600` s, `0` s",
        "for the next piece of an [event stream](docs/limits.md#times); for a request and its answer in all, streams and \
         WebSockets apart; `0` is no limit",
    ),
    row(
        &[entry(
            "SESSION_END_CLOSE_CODE",
            Text,
            Service,
            Default("\"4401\""),
            "the code with which WebSockets are closed whose session has ended; off: they go on, and event streams too",
        )],
        "`4401`",
        "the code with which a WebSocket is closed when its session [has ended](docs/restarts.md#long-connections); \
         `off` lets WebSockets and event streams outlive their sessions",
    ),
    row(
        &[entry(
            "DRAIN_DELAY",
            Seconds,
            Process,
            Default("0"),
            "seconds for which connections are still accepted after a signal to stop, while `/readyz` says 503",
        )],
        "`0` s",
        "how long connections are still accepted after a signal to stop, while `/readyz` says 503",
    ),
    row(
        &[entry(
            "DRAIN_TIMEOUT",
            Seconds,
            Process,
            Default("30"),
            "seconds for what is in flight when the gate is asked to stop",
        )],
        "`30` s",
        "for what is in flight when the gate is asked to stop",
    ),
    row(
        &[entry(
            "RELOAD_INTERVAL",
            Seconds,
            Process,
            Default("1"),
            "seconds between two looks at the files of the configuration for changes; 0: they are read again when told only",
        )],
        "`1` s",
        "between two looks at the files of the configuration, and those that it names, for changes to \
         [reload](docs/operating.md#reloading); `0`: only on SIGHUP and `POST /reload`",
    ),
];

//! Settings of the proxy: the service it protects, what that service receives, and the timeouts.

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
        "the service to protect: `http://host:port` or `https://host`; [`h2c://` or `grpc://`](docs/http2.md#services) \
         if it speaks HTTP/2; or a [folder](docs/static-sites.md) such as `dir:/srv/www`. For several servers see \
         [docs/services.md](docs/services.md)",
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
        "PEM file with the certificate authorities to trust for `https://` services",
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
        "if `UPSTREAM` is a folder: the file to send for pages that do not exist, for single-page apps",
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
        "if `UPSTREAM` is a folder: its error pages, one per status if the path contains `{status}`, otherwise one for \
         all",
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
        "if `UPSTREAM` is a folder: the `Cache-Control` header of its files; on routes that require a session the gate \
         adds `private`",
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
        "if `UPSTREAM` is a folder: `true` serves files below `/.well-known/`; other names that begin with a dot are \
         never served",
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
        "the address on which the gate accepts requests",
    ),
    row(
        &[entry("HTTP2", Switch, Process, Default("true"), "")],
        "`true`",
        "whether clients may use [HTTP/2](docs/http2.md): negotiated over TLS, or with prior knowledge over plain \
         connections",
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
        "the address at which a calling proxy (nginx, Caddy, Traefik, Envoy) asks for [decisions](docs/decisions.md): \
         `host:port` or `unix:/path`; you do not need `UPSTREAM` then",
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
        "permissions of the Unix socket in `AUTH_LISTEN`, in octal",
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
        "paths that need no session, separated by commas: `/healthz,/assets/`; a trailing slash includes everything \
         below",
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
        "the page to which browsers without a session are redirected, with `?callbackUrl=`; if unset, they get a 401 \
         page",
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
        "the origins under which browsers reach this gate, such as `https://grafana.example.com` or \
         `https://*.example.com`; needed if the sign-in page is on another origin",
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
        "the query parameter of `SIGN_IN_URL` that holds the return URL",
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
        "`pass` forwards genuine CORS preflights without a session",
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
        "origins whose pages may read refusals, such as `https://app.example.com`; the gate answers their preflights",
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
        "`false` removes the app's session cookies and tokens, and nothing else, from the requests that the service \
         receives",
    ),
    row(
        &[entry("VIA", Switch, Service, Dependent("true"), "")],
        "`true`",
        "whether the gate adds `Via: 1.1 sessiongate`, which RFC 9110 requires of gateways; nginx does not compress \
         responses to such requests unless you set `gzip_proxied`",
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
        "networks of proxies whose `X-Forwarded-*` and `X-Request-Id` headers the gate trusts, such as `10.0.0.0/8`",
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
        "the header in which trusted proxies write the client's address; the gate [never \
         trusts](docs/limits.md#the-clients-address) the other one, which they pass on as the client sent it",
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
        "`true`: each connection from `TRUSTED_PROXIES` begins with a [PROXY protocol \
         header](docs/services.md#the-proxy-protocol), version 1 or 2, with the client's address",
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
                "seconds to wait for a connection to the service",
            ),
            entry(
                "UPSTREAM_TIMEOUT",
                Seconds,
                Service,
                Dependent("60"),
                "seconds to wait for the service's response to begin, and for each further part of it",
            ),
        ],
        "`5` s, `60` s",
        "seconds to wait for a connection to the service; seconds to wait for its response to begin, and for each \
         further part of it",
    ),
    row(
        &[
            entry(
                "UPSTREAM_KEEP_ALIVE",
                Seconds,
                Service,
                Sample("5"),
                "seconds for which the service keeps idle connections open; the gate closes them earlier. By default the \
                 service's own `Keep-Alive` timeout, or 2",
            ),
            entry(
                "UPSTREAM_MAX_AGE",
                Seconds,
                Service,
                Dependent("300"),
                "seconds after which a connection to the service is no longer reused; 0: no limit",
            ),
        ],
        "the service's own or `2` s, `300` s",
        "seconds for which the service keeps idle [connections](docs/services.md#connections) open (the gate closes them \
         earlier); seconds after which a connection is no longer reused",
    ),
    row(
        &[
            entry(
                "CLIENT_HEADER_TIMEOUT",
                Seconds,
                Process,
                Default("30"),
                "seconds in which a client must send a request's headers, once it has begun",
            ),
            entry(
                "CLIENT_BODY_TIMEOUT",
                Seconds,
                Process,
                Default("60"),
                "seconds to wait for each part of a request body",
            ),
        ],
        "`30` s, `60` s",
        "seconds in which a client must send a request's headers; seconds to wait for each part of its body",
    ),
    row(
        &[entry(
            "CLIENT_IDLE_TIMEOUT",
            Seconds,
            Process,
            Dependent("75"),
            "seconds to wait for the next request on an open connection",
        )],
        "`75` s",
        "seconds to wait for the next request on an open connection",
    ),
    row(
        &[
            entry(
                "STREAM_IDLE_TIMEOUT",
                Seconds,
                Service,
                Default("3600"),
                "seconds for which an event stream may be silent; 0: no limit",
            ),
            entry(
                "REQUEST_TIMEOUT",
                Seconds,
                Service,
                Default("0"),
                "seconds for a whole request and its response, except event streams and WebSockets; 0: no limit",
            ),
        ],
        "`3600` s, `0` s",
        "seconds for which an [event stream](docs/limits.md#times) may be silent; seconds for a whole request and its \
         response, except event streams and WebSockets; `0`: no limit",
    ),
    row(
        &[entry(
            "SESSION_END_CLOSE_CODE",
            Text,
            Service,
            Default("\"4401\""),
            "the WebSocket close code when a session ends; off: WebSockets and event streams outlive their sessions",
        )],
        "`4401`",
        "the close code that a WebSocket gets when its session [ends](docs/restarts.md#long-connections); `off` lets \
         WebSockets and event streams outlive their sessions",
    ),
    row(
        &[entry(
            "DRAIN_DELAY",
            Seconds,
            Process,
            Default("0"),
            "seconds for which the gate still accepts connections after a signal to stop, while `/readyz` answers 503",
        )],
        "`0` s",
        "seconds for which the gate still accepts connections after a signal to stop, while `/readyz` answers 503",
    ),
    row(
        &[entry(
            "DRAIN_TIMEOUT",
            Seconds,
            Process,
            Default("30"),
            "seconds for requests in flight to finish when the gate stops",
        )],
        "`30` s",
        "seconds for requests in flight to finish when the gate stops",
    ),
    row(
        &[entry(
            "RELOAD_INTERVAL",
            Seconds,
            Process,
            Default("1"),
            "seconds between checks of the configuration files for changes; 0: reload only on SIGHUP or `POST /reload`",
        )],
        "`1` s",
        "seconds between checks of the configuration files, and the files they name, for changes to \
         [reload](docs/operating.md#reloading); `0`: only on SIGHUP and `POST /reload`",
    ),
];

//! The settings that the environment and the top level of the file know, in the order of the README's table.

use super::Kind::{
    Address, Choice, Count, File, List, Millis, Networks, Port, Seconds, Secret, SecretList,
    SecretUrl, Switch, Text, Url, Urls,
};
use super::Scope::{Database, Front, Process, Realm, Redis, Stores};
use super::Written::{Beside, Default, Sample};
use super::{Entry, Kind, Row, Scope, Section, Written};

/// Every section, and with it every setting.
pub(in crate::config) const SECTIONS: &[Section] = &[
    Section {
        title: "What to protect",
        meaning: "",
        rows: WHAT_TO_PROTECT,
    },
    Section {
        title: "Sessions",
        meaning: "",
        rows: SESSIONS,
    },
    Section {
        title: "Tokens of machines and APIs",
        meaning: "",
        rows: TOKENS,
    },
    Section {
        title: "Sessions that are looked up",
        meaning: "[docs/database-sessions.md](docs/database-sessions.md)",
        rows: LOOKED_UP,
    },
    Section {
        title: "Users, and stores",
        meaning: "",
        rows: STORED,
    },
    Section {
        title: "What goes on",
        meaning: "",
        rows: WHAT_GOES_ON,
    },
    Section {
        title: "Time",
        meaning: "",
        rows: TIME,
    },
    Section {
        title: "Running it",
        meaning: "",
        rows: RUNNING,
    },
    Section {
        title: "Development only",
        meaning: "",
        rows: DEVELOPMENT,
    },
];

const WHAT_TO_PROTECT: &[Row] = &[
    row(
        &[entry(
            "UPSTREAM",
            Url,
            Front,
            Sample("\"http://127.0.0.1:3000\""),
            "",
        )],
        "required for the proxy",
        "the service, as `http://host:port`",
    ),
    row(
        &[entry(
            "LISTEN",
            Address,
            Process,
            Beside("\"0.0.0.0:8080\""),
            "",
        )],
        "`0.0.0.0:8080`",
        "where the gate accepts requests",
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
            Beside("\"660\""),
            "",
        )],
        "`660`",
        "permissions of that Unix socket, octal",
    ),
    row(
        &[entry(
            "PUBLIC_PATHS",
            List,
            Front,
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
            Beside("\"callbackUrl\""),
            "",
        )],
        "`callbackUrl`",
        "the parameter of `SIGN_IN_URL` that holds the way back",
    ),
    row(
        &[entry(
            "CORS_PREFLIGHT",
            Choice(&["deny", "pass"]),
            Front,
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
            Front,
            Sample("[\"https://app.example.com\"]"),
            "",
        )],
        "none",
        "origins whose pages may read refusals, `https://app.example.com`; their preflights are answered here",
    ),
];

const SESSIONS: &[Row] = &[
    row(
        &[
            entry(
                "AUTH_SECRET",
                Secret,
                Realm,
                Sample("\"${AUTH_SECRET}\""),
                "the secret of your Auth.js app, at least 32 bytes",
            ),
            entry(
                "AUTH_SECRET_1",
                Secret,
                Realm,
                Sample("\"${AUTH_SECRET_1}\""),
                "a newer secret than `AUTH_SECRET`, while you rotate it",
            ),
            entry(
                "AUTH_SECRET_2",
                Secret,
                Realm,
                Sample("\"${AUTH_SECRET_2}\""),
                "a newer secret than `AUTH_SECRET_1`, while you rotate it",
            ),
            entry(
                "AUTH_SECRET_3",
                Secret,
                Realm,
                Sample("\"${AUTH_SECRET_3}\""),
                "a newer secret than `AUTH_SECRET_2`, while you rotate it",
            ),
            entry(
                "NEXTAUTH_SECRET",
                Secret,
                Realm,
                Sample("\"${NEXTAUTH_SECRET}\""),
                "the secret of a NextAuth app, under the name that it has there",
            ),
            entry(
                "JWT_SECRET",
                Secret,
                Realm,
                Sample("\"${JWT_SECRET}\""),
                "the secret of an app that passes one to `jwt` of its options; the current one, before all others",
            ),
        ],
        "one is required",
        "the secret of your app; several while you [rotate](docs/configuration.md#sessions) it",
    ),
    row(
        &[
            entry(
                "BETTER_AUTH_SECRET",
                Secret,
                Realm,
                Sample("\"${BETTER_AUTH_SECRET}\""),
                "the secret of a Better Auth app; without it, that of `AUTH_SECRET`",
            ),
            entry(
                "BETTER_AUTH_SECRETS",
                SecretList,
                Realm,
                Sample("[\"2:${NEW_SECRET}\", \"1:${OLD_SECRET}\"]"),
                "several secrets of a Better Auth app with their versions, the current one first",
            ),
        ],
        "`AUTH_SECRET`",
        "that of a Better Auth app; several as `2:new,1:old`",
    ),
    row(
        &[entry(
            "SESSION_FORMAT",
            Choice(&[
                "auto",
                "authjs",
                "nextauth",
                "better-auth",
                "authjs-database",
                "authjs-signed",
            ]),
            Realm,
            Default("\"auto\""),
            "",
        )],
        "`auto`",
        "`authjs` (v5), `nextauth` (v4), `better-auth`, `authjs-database`; or all of these, by their cookies; or \
         [`authjs-signed`](docs/configuration.md#signed-sessions)",
    ),
    row(
        &[entry(
            "AUTH_COOKIE_NAME",
            Text,
            Realm,
            Sample("\"__Secure-authjs.session-token\""),
            "",
        )],
        "every default name",
        "the one cookie that holds the session",
    ),
    row(
        &[entry(
            "BETTER_AUTH_COOKIE_PREFIX",
            Text,
            Realm,
            Beside("\"better-auth\""),
            "",
        )],
        "`better-auth`",
        "what the cookies of Better Auth begin with",
    ),
    row(
        &[entry(
            "BETTER_AUTH_DATA_COOKIE_NAME",
            Text,
            Realm,
            Sample("\"better-auth.session_data\""),
            "",
        )],
        "by the token's cookie",
        "the name of Better Auth's [cookie cache](docs/better-auth.md)",
    ),
    row(
        &[
            entry(
                "BETTER_AUTH_CACHE_STRATEGY",
                Choice(&["any", "compact", "jwe", "jwt"]),
                Realm,
                Beside("\"any\""),
                "how Better Auth's cookie cache is written",
            ),
            entry(
                "BETTER_AUTH_CACHE_VERSION",
                Text,
                Realm,
                Beside("\"1\""),
                "the version that Better Auth's cookie cache must have",
            ),
        ],
        "`any`, `1`",
        "how that cache is written, and its version",
    ),
    row(
        &[entry(
            "TRUST_COOKIE_CACHE",
            Switch,
            Realm,
            Beside("true"),
            "",
        )],
        "`true`",
        "`false` looks sessions up that Better Auth has cached in a cookie; [more](docs/better-auth.md)",
    ),
    row(
        &[entry(
            "JWT_SALT",
            Text,
            Realm,
            Sample("\"authjs.session-token\""),
            "",
        )],
        "the cookie's name",
        "the salt of a custom `encode()`; alone, it names the cookie too",
    ),
    row(
        &[
            entry(
                "TOKEN_ISSUER",
                Text,
                Realm,
                Sample("\"https://app.example.com\""),
                "what the claim `iss` of a session must say",
            ),
            entry(
                "TOKEN_AUDIENCE",
                Text,
                Realm,
                Sample("\"app\""),
                "what the claim `aud` of a session must say or contain",
            ),
        ],
        "none",
        "what the claims `iss` and `aud` must say",
    ),
    row(
        &[entry("TOKEN_MAX_AGE", Seconds, Realm, Sample("86400"), "")],
        "none",
        "seconds after `iat` at which a session ends, whatever its `exp` says",
    ),
    row(
        &[entry("SUBJECT_CLAIM", Text, Realm, Beside("\"sub\""), "")],
        "`sub`",
        "the claim that names the user; [more](docs/configuration.md#who-the-user-is)",
    ),
    row(
        &[entry(
            "EMAIL_HEADER",
            Choice(&["verified", "always"]),
            Realm,
            Default("\"verified\""),
            "",
        )],
        "`verified`",
        "`always` writes e-mail addresses too that the session calls [unverified](docs/headers.md#unverified-addresses)",
    ),
    row(
        &[entry("ALLOW_ANONYMOUS", Switch, Realm, Default("true"), "")],
        "`true`",
        "`false` refuses [guests](docs/better-auth.md#guests-and-admins-who-act-for-others) of Better Auth",
    ),
    row(
        &[
            entry("GROUPS_CLAIM", Text, Realm, Sample("\"groups\""), ""),
            entry("GROUPS_COLUMN", Text, Realm, Sample("\"role\""), ""),
            entry("GROUPS_SEPARATOR", Text, Realm, Beside("\",\""), ""),
        ],
        "unset, unset, `,`",
        "where a user's [groups](docs/headers.md#groups) are: a claim of the session, a list or a text with this separator, or a \
         column of the users' table",
    ),
    row(
        &[entry(
            "ALLOW_WEAK_SECRET",
            Switch,
            Realm,
            Beside("false"),
            "",
        )],
        "`false`",
        "accept a secret shorter than 32 bytes, with a warning",
    ),
];

const TOKENS: &[Row] = &[
    row(
        &[entry(
            "BEARER_JWKS",
            Url,
            Realm,
            Sample("\"https://issuer.example.com/.well-known/jwks.json\""),
            "",
        )],
        "none",
        "the issuer's public keys: a file, or an `https://` URL; see [docs/bearer.md](docs/bearer.md)",
    ),
    row(
        &[entry(
            "BEARER_SECRET",
            Secret,
            Realm,
            Sample("\"${BEARER_SECRET}\""),
            "",
        )],
        "none",
        "a secret shared with the issuer, instead of or beside his public keys",
    ),
    row(
        &[
            entry(
                "BEARER_ISSUER",
                Text,
                Realm,
                Sample("\"https://issuer.example.com\""),
                "what a token's `iss` must say",
            ),
            entry(
                "BEARER_AUDIENCE",
                Text,
                Realm,
                Sample("\"api\""),
                "what a token's `aud` must say or contain",
            ),
        ],
        "required by the above",
        "what a token's `iss` and `aud` must say",
    ),
    row(
        &[entry(
            "BEARER_SUBJECT_CLAIM",
            Text,
            Realm,
            Sample("\"sub\""),
            "",
        )],
        "`SUBJECT_CLAIM`",
        "the claim that names the user of a token",
    ),
    row(
        &[entry(
            "BEARER_CHECK_USER",
            Switch,
            Realm,
            Beside("true"),
            "",
        )],
        "`true`",
        "look the `sub` of a token up as that of a session; `false` for machines that are no users",
    ),
    row(
        &[entry(
            "BEARER_JWKS_CA_FILE",
            File,
            Realm,
            Sample("\"/etc/sessiongate/issuer-ca.pem\""),
            "",
        )],
        "public authorities",
        "further PEM certificates to trust for `BEARER_JWKS`",
    ),
];

const LOOKED_UP: &[Row] = &[
    row(
        &[entry(
            "SESSION_SCHEMA",
            Choice(&[
                "pg-adapter",
                "drizzle",
                "prisma",
                "better-auth",
                "better-auth-drizzle",
            ]),
            Realm,
            Sample("\"prisma\""),
            "",
        )],
        "by `SESSION_FORMAT`",
        "whose tables: `pg-adapter`, `drizzle`, `prisma`, `better-auth`, `better-auth-drizzle`",
    ),
    row(
        &[
            entry(
                "SESSION_TABLE",
                Text,
                Realm,
                Sample("\"sessions\""),
                "the table of sessions (or `schema.table`), where it is not the schema's",
            ),
            entry(
                "SESSION_TOKEN_FIELD",
                Text,
                Realm,
                Sample("\"sessionToken\""),
                "the column of the session table with the token",
            ),
            entry(
                "SESSION_USER_FIELD",
                Text,
                Realm,
                Sample("\"userId\""),
                "the column of the session table with the user's id",
            ),
            entry(
                "SESSION_EXPIRES_FIELD",
                Text,
                Realm,
                Sample("\"expires\""),
                "the column of the session table with the time at which the session ends",
            ),
            entry(
                "SESSION_CREATED_FIELD",
                Text,
                Realm,
                Sample("\"createdAt\""),
                "the column of the session table with the time at which the session began, or `none`",
            ),
        ],
        "by the schema",
        "other names than the schema's; `none` for a time of creation that is not kept",
    ),
    row(
        &[
            entry(
                "USER_EMAIL_FIELD",
                Text,
                Realm,
                Beside("\"email\""),
                "the column of `USER_TABLE` with the e-mail address, or `none`",
            ),
            entry(
                "USER_NAME_FIELD",
                Text,
                Realm,
                Beside("\"name\""),
                "the column of `USER_TABLE` with the name, or `none`",
            ),
        ],
        "`email`, `name`",
        "columns of `USER_TABLE`, or `none`",
    ),
    row(
        &[
            entry(
                "USER_EMAIL_VERIFIED_FIELD",
                Text,
                Realm,
                Sample("\"emailVerified\""),
                "the column of `USER_TABLE` that says whether the address is verified, or `none`",
            ),
            entry(
                "USER_ANONYMOUS_FIELD",
                Text,
                Realm,
                Sample("\"isAnonymous\""),
                "the column of `USER_TABLE` that says whether the user is a guest, or `none`",
            ),
            entry(
                "SESSION_IMPERSONATED_BY_FIELD",
                Text,
                Realm,
                Sample("\"impersonatedBy\""),
                "the column of the session table that names the admin who acts for the user, or `none`",
            ),
        ],
        "by the schema, as far as they are there",
        "columns that say [more about the user](docs/database-sessions.md#what-else-is-read), or `none`",
    ),
    row(
        &[entry(
            "SESSION_TIME_ZONE",
            Text,
            Realm,
            Beside("\"UTC\""),
            "",
        )],
        "UTC",
        "where [times without a zone](docs/database-sessions.md#times) are read: `Asia/Tokyo`, `+09:00`",
    ),
    row(
        &[entry(
            "SESSION_STORE",
            Choice(&["database", "redis", "redis-then-database"]),
            Realm,
            Beside("\"database\""),
            "",
        )],
        "`database`",
        "where Better Auth keeps sessions: also `redis`, `redis-then-database`",
    ),
    row(
        &[entry(
            "BETTER_AUTH_REDIS_PREFIX",
            Text,
            Realm,
            Beside("\"better-auth:\""),
            "",
        )],
        "`better-auth:`",
        "what its keys in Redis begin with, or `none`",
    ),
];

const STORED: &[Row] = &[
    row(
        &[entry(
            "ENABLE_DB_CHECK",
            Switch,
            Realm,
            Default("false"),
            "",
        )],
        "`false`",
        "look every user up, so that a deleted one is refused",
    ),
    row(
        &[entry(
            "DATABASE_URL",
            SecretUrl,
            Database,
            Sample("\"postgres://gate:${DATABASE_PASSWORD}@db/app\""),
            "",
        )],
        "required by look-ups",
        "`postgres://…` or `sqlite://…`; [what may stand behind the `?`](docs/connections.md)",
    ),
    row(
        &[
            entry(
                "POSTGRES_HOST",
                Address,
                Database,
                Sample("\"db\""),
                "the host of PostgreSQL, in place of a URL",
            ),
            entry(
                "POSTGRES_PORT",
                Port,
                Database,
                Beside("5432"),
                "the port of PostgreSQL, where the URL has none",
            ),
            entry(
                "POSTGRES_DB",
                Text,
                Database,
                Beside("\"postgres\""),
                "the database in PostgreSQL, where the URL has none",
            ),
            entry(
                "POSTGRES_USER",
                Text,
                Database,
                Beside("\"postgres\""),
                "the user in PostgreSQL, where the URL has none",
            ),
            entry(
                "POSTGRES_PASSWORD",
                Secret,
                Database,
                Sample("\"${POSTGRES_PASSWORD}\""),
                "the password in PostgreSQL, where the URL has none",
            ),
            entry(
                "POSTGRES_SSLMODE",
                Text,
                Database,
                Beside("\"prefer\""),
                "`disable`, `prefer`, `require`, `verify-ca` or `verify-full`, where the URL has none",
            ),
        ],
        "what the URL says",
        "in place of the URL, or the parts that it lacks",
    ),
    row(
        &[
            entry(
                "USER_TABLE",
                Text,
                Realm,
                Beside("\"users\""),
                "the table (or `schema.table`) of users; by default `users`, or that of the schema",
            ),
            entry(
                "USER_ID_FIELD",
                Text,
                Realm,
                Beside("\"id\""),
                "the column that session subjects are found in",
            ),
        ],
        "`users` or the schema's, `id`",
        "the table (or `schema.table`) and the column that session subjects are found in",
    ),
    row(
        &[entry(
            "DATABASE_TIMEOUT",
            Millis,
            Stores,
            Beside("2000"),
            "",
        )],
        "`2000` ms",
        "how long a request waits for the database",
    ),
    row(
        &[entry(
            "DATABASE_CONNECTIONS",
            Count,
            Stores,
            Beside("10"),
            "",
        )],
        "`10`",
        "the most connections to it",
    ),
    row(
        &[entry(
            "REDIS_URL",
            SecretUrl,
            Redis,
            Sample("\"redis://:${REDIS_PASSWORD}@cache\""),
            "",
        )],
        "none",
        "the shared cache, `redis://…` or `rediss://…`; [more](docs/connections.md#redis)",
    ),
    row(
        &[
            entry(
                "REDIS_HOST",
                Address,
                Redis,
                Sample("\"cache\""),
                "the host of Redis, in place of a URL",
            ),
            entry(
                "REDIS_PORT",
                Port,
                Redis,
                Beside("6379"),
                "the port of Redis, where the URL has none",
            ),
            entry(
                "REDIS_USERNAME",
                Text,
                Redis,
                Sample("\"gate\""),
                "the user in Redis, where the URL has none",
            ),
            entry(
                "REDIS_PASSWORD",
                Secret,
                Redis,
                Sample("\"${REDIS_PASSWORD}\""),
                "the password in Redis, where the URL has none",
            ),
        ],
        "what the URL says",
        "in place of the URL, or the parts that it lacks",
    ),
    row(
        &[entry("REDIS_TIMEOUT", Millis, Stores, Beside("1000"), "")],
        "`1000` ms",
        "how long a request waits for Redis before the database is asked instead",
    ),
    row(
        &[entry("REDIS_CACHE_TTL", Seconds, Stores, Beside("600"), "")],
        "`600` s",
        "how long Redis vouches for a user or a session",
    ),
    row(
        &[entry(
            "REDIS_KEY_PREFIX",
            Text,
            Realm,
            Beside("\"auth:\""),
            "",
        )],
        "`auth:`",
        "what stands before the user id, or `session:` and a hash, in a key",
    ),
    row(
        &[entry(
            "REDIS_CA_FILE",
            File,
            Redis,
            Sample("\"/etc/sessiongate/redis-ca.pem\""),
            "",
        )],
        "public authorities",
        "PEM certificates to trust for `rediss://`",
    ),
    row(
        &[entry("MEMORY_CACHE_TTL", Seconds, Stores, Beside("5"), "")],
        "`5` s",
        "how long this process vouches for a user or a session",
    ),
    row(
        &[entry(
            "MEMORY_CACHE_ENTRIES",
            Count,
            Stores,
            Beside("100000"),
            "",
        )],
        "`100000`",
        "the most users, and sessions, it remembers",
    ),
    row(
        &[entry("ABSENT_CACHE_TTL", Seconds, Stores, Beside("5"), "")],
        "`5` s",
        "how long \"no such user\", or session, is remembered",
    ),
];

const WHAT_GOES_ON: &[Row] = &[
    row(
        &[entry(
            "FORWARD_SESSION_COOKIE",
            Switch,
            Front,
            Beside("true"),
            "",
        )],
        "`true`",
        "`false` removes everything that is a session of the app, and nothing else, before the upstream",
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
];

const TIME: &[Row] = &[
    row(
        &[
            entry(
                "UPSTREAM_CONNECT_TIMEOUT",
                Seconds,
                Front,
                Beside("5"),
                "seconds for a connection to the service to open",
            ),
            entry(
                "UPSTREAM_TIMEOUT",
                Seconds,
                Front,
                Beside("60"),
                "seconds for the service's answer to begin, and between its pieces",
            ),
        ],
        "`5` s, `60` s",
        "for a connection to open; for an answer to begin, and between its pieces",
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
            Beside("75"),
            "seconds for the next request on an open connection",
        )],
        "`75` s",
        "for the next request on an open connection",
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
];

const RUNNING: &[Row] = &[
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

const DEVELOPMENT: &[Row] = &[
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

const fn row(settings: &'static [Entry], default: &'static str, meaning: &'static str) -> Row {
    Row {
        settings,
        default,
        meaning,
    }
}

const fn entry(
    name: &'static str,
    kind: Kind,
    scope: Scope,
    written: Written,
    doc: &'static str,
) -> Entry {
    Entry {
        name,
        kind,
        scope,
        written,
        doc,
    }
}

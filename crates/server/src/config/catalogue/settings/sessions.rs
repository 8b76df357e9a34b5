//! Settings of sessions in cookies, and of bearer tokens.

use super::super::form::ExampleValue::{Default, Dependent, Sample};
use super::super::form::Kind::{Choice, File, Seconds, Secret, SecretList, Switch, Text, Url};
use super::super::form::Scope::Realm;
use super::super::form::{Row, entry, row};

pub(super) const SESSIONS: &[Row] = &[
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
                "the secret of a NextAuth app",
            ),
            entry(
                "JWT_SECRET",
                Secret,
                Realm,
                Sample("\"${JWT_SECRET}\""),
                "the secret of an app that passes one in its `jwt` option; it takes precedence over all others",
            ),
        ],
        "one is required",
        "the secret of your app; set several while you [rotate](docs/configuration.md#sessions) it",
    ),
    row(
        &[
            entry(
                "BETTER_AUTH_SECRET",
                Secret,
                Realm,
                Sample("\"${BETTER_AUTH_SECRET}\""),
                "the secret of a Better Auth app; if unset, `AUTH_SECRET`",
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
        "the secret of a Better Auth app; several with their versions, as `2:new,1:old`",
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
        "`authjs` (v5), `nextauth` (v4), `better-auth` or `authjs-database`; `auto` recognizes all of these by their \
         cookies. [`authjs-signed`](docs/configuration.md#signed-sessions) is for apps that sign sessions themselves",
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
        "the name of the session cookie",
    ),
    row(
        &[entry(
            "BETTER_AUTH_COOKIE_PREFIX",
            Text,
            Realm,
            Dependent("\"better-auth\""),
            "",
        )],
        "`better-auth`",
        "the prefix of Better Auth's cookie names",
    ),
    row(
        &[entry(
            "BETTER_AUTH_DATA_COOKIE_NAME",
            Text,
            Realm,
            Sample("\"better-auth.session_data\""),
            "",
        )],
        "derived from the token cookie's name",
        "the name of Better Auth's [cookie cache](docs/better-auth.md)",
    ),
    row(
        &[
            entry(
                "BETTER_AUTH_CACHE_STRATEGY",
                Choice(&["any", "compact", "jwe", "jwt"]),
                Realm,
                Dependent("\"any\""),
                "the strategy of Better Auth's cookie cache",
            ),
            entry(
                "BETTER_AUTH_CACHE_VERSION",
                Text,
                Realm,
                Dependent("\"1\""),
                "the version of Better Auth's cookie cache",
            ),
        ],
        "`any`, `1`",
        "the strategy of the cookie cache, and its version",
    ),
    row(
        &[entry(
            "TRUST_COOKIE_CACHE",
            Switch,
            Realm,
            Dependent("true"),
            "",
        )],
        "`true`",
        "`false` ignores Better Auth's [cookie cache](docs/better-auth.md) and looks up every session",
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
        "the salt that the app passes to `encode()`; if `AUTH_COOKIE_NAME` is unset, also the name of the cookie",
    ),
    row(
        &[
            entry(
                "TOKEN_ISSUER",
                Text,
                Realm,
                Sample("\"https://app.example.com\""),
                "the required value of a session's `iss` claim",
            ),
            entry(
                "TOKEN_AUDIENCE",
                Text,
                Realm,
                Sample("\"app\""),
                "the required value, or list entry, of a session's `aud` claim",
            ),
        ],
        "none",
        "the required values of a session's `iss` and `aud` claims",
    ),
    row(
        &[entry("TOKEN_MAX_AGE", Seconds, Realm, Sample("86400"), "")],
        "none",
        "seconds after `iat` at which a session ends, whatever its `exp` says",
    ),
    row(
        &[entry(
            "SIGN_IN_TIME_CLAIM",
            Text,
            Realm,
            Sample("\"auth_time\""),
            "",
        )],
        "none",
        "the claim of Auth.js and NextAuth sessions with the time of the sign-in, which \
         [revocations](docs/revocation.md#sessions-that-the-app-renews) use instead of `iat`",
    ),
    row(
        &[entry(
            "SUBJECT_CLAIM",
            Text,
            Realm,
            Dependent("\"sub\""),
            "",
        )],
        "`sub`",
        "the claim with the [user's id](docs/configuration.md#who-the-user-is)",
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
        "`always` also passes on e-mail addresses that the session marks as \
         [unverified](docs/headers.md#unverified-addresses)",
    ),
    row(
        &[entry("ALLOW_ANONYMOUS", Switch, Realm, Default("true"), "")],
        "`true`",
        "`false` refuses Better Auth's [anonymous users](docs/better-auth.md#guests-and-admins-who-act-for-others)",
    ),
    row(
        &[
            entry("GROUPS_CLAIM", Text, Realm, Sample("\"groups\""), ""),
            entry("GROUPS_COLUMN", Text, Realm, Sample("\"role\""), ""),
            entry("GROUPS_SEPARATOR", Text, Realm, Dependent("\",\""), ""),
        ],
        "unset, unset, `,`",
        "where to find a user's [groups](docs/headers.md#groups): a claim of the session or a column of the user table, \
         which holds a list, or text with this separator",
    ),
    row(
        &[entry(
            "ALLOW_WEAK_SECRET",
            Switch,
            Realm,
            Dependent("false"),
            "",
        )],
        "`false`",
        "`true` accepts a secret shorter than 32 bytes, with a warning",
    ),
];

pub(super) const TOKENS: &[Row] = &[
    row(
        &[entry(
            "BEARER_JWKS",
            Url,
            Realm,
            Sample("\"https://issuer.example.com/.well-known/jwks.json\""),
            "",
        )],
        "none",
        "the issuer's [public keys](docs/bearer.md): a file, or an `https://` URL",
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
        "a secret shared with the issuer, instead of its public keys or in addition to them",
    ),
    row(
        &[
            entry(
                "BEARER_ISSUER",
                Text,
                Realm,
                Sample("\"https://issuer.example.com\""),
                "the required value of a token's `iss` claim",
            ),
            entry(
                "BEARER_AUDIENCE",
                Text,
                Realm,
                Sample("\"api\""),
                "the required value, or list entry, of a token's `aud` claim",
            ),
        ],
        "required if either is set",
        "the required values of a token's `iss` and `aud` claims",
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
        "the claim of a token with the user's id",
    ),
    row(
        &[entry(
            "BEARER_CHECK_USER",
            Switch,
            Realm,
            Dependent("true"),
            "",
        )],
        "`true`",
        "whether `ENABLE_DB_CHECK` also looks up the users of tokens; `false` for machines that are not users",
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
        "PEM file with further certificate authorities to trust for `BEARER_JWKS`",
    ),
];

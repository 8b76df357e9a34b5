//! Sessions that are in a cookie, and tokens.

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
            Dependent("\"better-auth\""),
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
                Dependent("\"any\""),
                "how Better Auth's cookie cache is written",
            ),
            entry(
                "BETTER_AUTH_CACHE_VERSION",
                Text,
                Realm,
                Dependent("\"1\""),
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
            Dependent("true"),
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
        &[entry(
            "SIGN_IN_TIME_CLAIM",
            Text,
            Realm,
            Sample("\"auth_time\""),
            "",
        )],
        "none",
        "the claim of Auth.js and NextAuth sessions that says when the user signed in, which [revocations]\
         (docs/revocation.md#sessions-that-the-app-renews) compare in place of `iat`",
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
            entry("GROUPS_SEPARATOR", Text, Realm, Dependent("\",\""), ""),
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
            Dependent("false"),
            "",
        )],
        "`false`",
        "accept a secret shorter than 32 bytes, with a warning",
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
        "a secret shared with the issuer, instead of or beside its public keys",
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
            Dependent("true"),
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

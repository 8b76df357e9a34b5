use crate::config::{Config, ConfigErrors, Variables};
use stores::{
    Column, Need, SessionTables, Settings, StandingColumn, StandingColumns, Table, UserTable,
};

const DATABASE: (&str, &str) = ("DATABASE_URL", "postgres://gate@db/app");
const REDIS: (&str, &str) = ("REDIS_URL", "redis://cache");

fn config(pairs: &[(&'static str, &str)]) -> Result<Config, ConfigErrors> {
    let base = [
        ("UPSTREAM", "http://127.0.0.1:3000".to_owned()),
        (
            "AUTH_SECRET",
            "0123456789abcdef0123456789abcdef0123".to_owned(),
        ),
    ];
    let pairs = pairs
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    Config::from_variables(&Variables::default().with(base).with(pairs))
}

fn stores(pairs: &[(&'static str, &str)]) -> Option<Settings> {
    config(pairs).unwrap().realms.remove(0).stores
}

/// The names of the variables that have problems.
fn problems(pairs: &[(&'static str, &str)]) -> String {
    let errors = config(pairs).expect_err("a problem");
    let names: Vec<_> = errors
        .problems()
        .iter()
        .map(|problem| &*problem.name)
        .collect();
    names.join(" ")
}

fn tables(pairs: &[(&'static str, &str)]) -> Option<SessionTables> {
    stores(pairs)?.database?.sessions
}

/// The tables with these names: table, token, user, expires, created, table of users, id, e-mail, name.
fn named(names: [&str; 9]) -> Option<SessionTables> {
    let column = |name: &str| Column::parse(name).unwrap();
    let optional = |name: &str| (name != "none").then(|| column(name));
    let [table, token, user, expires, created, users, id, email, name] = names;
    Some(SessionTables {
        table: Table::parse(table).unwrap(),
        token: column(token),
        user: column(user),
        expires: column(expires),
        created: optional(created),
        users: UserTable {
            table: Table::parse(users).unwrap(),
            id: column(id),
        },
        email: optional(email),
        name: optional(name),
        time_zone: None,
        standing: standing(match (token, user) {
            ("token", "user_id") => ["email_verified", "is_anonymous", "impersonated_by"],
            ("token", _) => ["emailVerified", "isAnonymous", "impersonatedBy"],
            (_, _) => ["emailVerified", "none", "none"],
        }),
    })
}

/// The columns for verified addresses, anonymous users and impersonation, which are read if they are readable.
fn standing(names: [&str; 3]) -> StandingColumns {
    let [verified, anonymous, impersonated_by] = names.map(|name| {
        let column = (name != "none").then(|| Column::parse(name).unwrap());
        column.map(|column| StandingColumn {
            column,
            need: Need::IfReadable,
        })
    });
    StandingColumns {
        verified,
        null_is_unverified: anonymous.is_some(),
        anonymous,
        impersonated_by,
    }
}

#[test]
fn configured_columns_and_that_of_refused_guests_must_exist() {
    let standing = |pairs: &[(&'static str, &str)]| {
        let base = [("SESSION_FORMAT", "better-auth"), DATABASE];
        tables(&[&base, pairs].concat()).unwrap().standing
    };
    let need = |column: Option<StandingColumn>| column.map(|column| column.need);
    let usual = standing(&[]);
    assert_eq!(need(usual.anonymous), Some(Need::IfReadable));
    let refusing = standing(&[("ALLOW_ANONYMOUS", "false")]);
    assert_eq!(need(refusing.anonymous), Some(Need::IfPresent));
    assert_eq!(need(refusing.verified), Some(Need::IfReadable));
    let named = standing(&[
        ("ALLOW_ANONYMOUS", "false"),
        ("USER_ANONYMOUS_FIELD", "guest"),
        ("USER_EMAIL_VERIFIED_FIELD", "none"),
        ("SESSION_IMPERSONATED_BY_FIELD", "actor"),
    ]);
    assert_eq!(need(named.anonymous), Some(Need::Always));
    assert_eq!(need(named.verified), None);
    assert_eq!(need(named.impersonated_by), Some(Need::Always));

    let unused = [
        ("SESSION_FORMAT", "authjs"),
        ("USER_EMAIL_VERIFIED_FIELD", "verified"),
    ];
    assert_eq!(problems(&unused), "USER_EMAIL_VERIFIED_FIELD");
}

#[test]
fn schema_names_can_be_overridden() {
    let [authjs, better_auth] = ["authjs-database", "better-auth"];
    for (format, schema, [table, token, user, expires, created, users]) in [
        (
            authjs,
            "pg-adapter",
            [
                "sessions",
                "sessionToken",
                "userId",
                "expires",
                "none",
                "users",
            ],
        ),
        (
            authjs,
            "drizzle",
            [
                "session",
                "sessionToken",
                "userId",
                "expires",
                "none",
                "user",
            ],
        ),
        (
            authjs,
            "prisma",
            [
                "Session",
                "sessionToken",
                "userId",
                "expires",
                "none",
                "User",
            ],
        ),
        (
            better_auth,
            "better-auth",
            [
                "session",
                "token",
                "userId",
                "expiresAt",
                "createdAt",
                "user",
            ],
        ),
        (
            better_auth,
            "better-auth-drizzle",
            [
                "session",
                "token",
                "user_id",
                "expires_at",
                "created_at",
                "user",
            ],
        ),
    ] {
        let expected = named([
            table, token, user, expires, created, users, "id", "email", "name",
        ]);
        for format in [format, "auto"] {
            let settings = [
                ("SESSION_FORMAT", format),
                ("SESSION_SCHEMA", schema),
                DATABASE,
            ];
            assert_eq!(tables(&settings), expected, "{format} {schema}");
            assert!(stores(&settings).unwrap().database.unwrap().users.is_none());
        }
        let checked = [
            ("SESSION_SCHEMA", schema),
            ("ENABLE_DB_CHECK", "true"),
            DATABASE,
        ];
        let database = stores(&checked).unwrap().database.unwrap();
        assert_eq!(
            database.users,
            expected.map(|tables| tables.users),
            "{schema}"
        );
    }
    let others = [
        DATABASE,
        ("SESSION_SCHEMA", "prisma"),
        ("SESSION_TABLE", "auth.Sitzung"),
        ("SESSION_TOKEN_FIELD", "a"),
        ("SESSION_USER_FIELD", "b"),
        ("SESSION_EXPIRES_FIELD", "c"),
        ("SESSION_CREATED_FIELD", "d"),
        ("USER_TABLE", "auth.People"),
        ("USER_ID_FIELD", "e"),
        ("USER_EMAIL_FIELD", "none"),
        ("USER_NAME_FIELD", "f"),
    ];
    let expected = named([
        "auth.Sitzung",
        "a",
        "b",
        "c",
        "d",
        "auth.People",
        "e",
        "none",
        "f",
    ]);
    assert_eq!(tables(&others), expected);
    let wrong = [
        DATABASE,
        ("SESSION_SCHEMA", "prisma"),
        ("SESSION_TABLE", "a.b.c"),
    ];
    assert_eq!(problems(&wrong), "SESSION_TABLE");
}

#[test]
fn format_determines_the_lookups() {
    let [database, better_auth, auto] =
        ["authjs-database", "better-auth", "auto"].map(|format| ("SESSION_FORMAT", format));
    assert!(
        tables(&[database, DATABASE]).is_some_and(|tables| Some(tables)
            == named([
                "sessions",
                "sessionToken",
                "userId",
                "expires",
                "none",
                "users",
                "id",
                "email",
                "name"
            ]))
    );
    assert_eq!(problems(&[database]), "DATABASE_URL");
    assert!(
        tables(&[better_auth, DATABASE]).is_some_and(|tables| Some(tables)
            == named([
                "session",
                "token",
                "userId",
                "expiresAt",
                "createdAt",
                "user",
                "id",
                "email",
                "name"
            ]))
    );
    assert!(tables(&[better_auth, ("POSTGRES_HOST", "db")]).is_some());
    assert!(stores(&[auto, DATABASE]).is_none());
    assert_eq!(
        problems(&[auto, ("SESSION_SCHEMA", "drizzle")]),
        "DATABASE_URL"
    );

    let cookies_only = config(&[better_auth]).unwrap();
    assert!(cookies_only.realms[0].stores.is_none());
    assert!(
        cookies_only
            .warnings
            .iter()
            .any(|warning| warning.contains("session store"))
    );
    assert_eq!(
        problems(&[better_auth, ("SESSION_SCHEMA", "better-auth")]),
        "DATABASE_URL"
    );

    // Users are checked in their own table, whether or not sessions are looked up.
    let checked = stores(&[DATABASE, ("ENABLE_DB_CHECK", "true")])
        .unwrap()
        .database
        .unwrap();
    assert!(checked.sessions.is_none());
    assert_eq!(checked.users.unwrap().table, Table::parse("users").unwrap());
}

#[test]
fn warns_if_deleted_users_keep_access() {
    let warned = |pairs: &[(&'static str, &str)]| {
        let warnings = config(pairs).unwrap().warnings;
        warnings
            .iter()
            .any(|warning| warning.starts_with("ENABLE_DB_CHECK is off"))
    };
    assert!(warned(&[]));
    assert!(warned(&[DATABASE, ("SESSION_SCHEMA", "prisma")]));
    assert!(warned(&[
        REDIS,
        ("SESSION_FORMAT", "better-auth"),
        ("SESSION_STORE", "redis")
    ]));
    assert!(!warned(&[DATABASE, ("SESSION_FORMAT", "authjs-database")]));
    assert!(!warned(&[DATABASE, ("ENABLE_DB_CHECK", "true")]));
}

#[test]
fn better_auth_sessions_can_be_in_redis() {
    let better_auth = ("SESSION_FORMAT", "better-auth");
    let redis = ("SESSION_STORE", "redis");
    let settings = stores(&[better_auth, redis, REDIS]).unwrap();
    assert_eq!(
        settings.redis.unwrap().sessions.as_deref(),
        Some("better-auth:")
    );
    assert!(settings.database.is_none());

    let settings = stores(&[
        better_auth,
        redis,
        REDIS,
        DATABASE,
        ("ENABLE_DB_CHECK", "true"),
    ])
    .unwrap();
    let database = settings.database.unwrap();
    assert!(database.sessions.is_none());
    assert_eq!(database.users.unwrap().table, Table::parse("user").unwrap());

    let both = [
        better_auth,
        ("SESSION_STORE", "redis-then-database"),
        REDIS,
        DATABASE,
        ("BETTER_AUTH_REDIS_PREFIX", "app:"),
    ];
    let settings = stores(&both).unwrap();
    assert_eq!(settings.redis.unwrap().sessions.as_deref(), Some("app:"));
    assert!(settings.database.unwrap().sessions.is_some());
    assert!(
        stores(&[better_auth, REDIS, DATABASE])
            .unwrap()
            .redis
            .unwrap()
            .sessions
            .is_none()
    );

    let bare = [
        better_auth,
        redis,
        REDIS,
        ("BETTER_AUTH_REDIS_PREFIX", "none"),
    ];
    let settings = stores(&bare).unwrap();
    assert_eq!(settings.redis.unwrap().sessions.as_deref(), Some(""));

    assert_eq!(problems(&[better_auth, redis]), "REDIS_URL");
    let one_slot = |sessions| {
        [
            better_auth,
            redis,
            ("REDIS_URL", "redis+cluster://a,b"),
            ("REDIS_TRACKING", "true"),
            ("REDIS_KEY_PREFIX", "{app}:auth:"),
            ("BETTER_AUTH_REDIS_PREFIX", sessions),
        ]
    };
    assert_eq!(problems(&one_slot("better-auth:")), "REDIS_TRACKING");
    assert!(stores(&one_slot("{app}:")).unwrap().redis.unwrap().tracking);
    assert_eq!(
        problems(&[better_auth, redis, REDIS, ("SESSION_TABLE", "x")]),
        "SESSION_TABLE"
    );
    assert_eq!(problems(&[both[0], both[1], REDIS]), "DATABASE_URL");
}

#[test]
fn contradictory_lookup_settings_are_refused() {
    for (pairs, names) in [
        (
            &[("SESSION_FORMAT", "authjs"), ("SESSION_SCHEMA", "drizzle")][..],
            "SESSION_SCHEMA",
        ),
        (
            &[
                ("SESSION_FORMAT", "nextauth"),
                ("USER_NAME_FIELD", "x"),
                ("SESSION_STORE", "redis"),
            ],
            "SESSION_STORE USER_NAME_FIELD",
        ),
        (&[("SESSION_TABLE", "x")], "SESSION_TABLE"),
        (&[("SESSION_STORE", "redis"), REDIS], "SESSION_STORE"),
        (
            &[
                ("SESSION_FORMAT", "better-auth"),
                ("BETTER_AUTH_REDIS_PREFIX", "x"),
            ],
            "BETTER_AUTH_REDIS_PREFIX",
        ),
        (
            &[
                ("SESSION_FORMAT", "better-auth"),
                DATABASE,
                ("BETTER_AUTH_REDIS_PREFIX", "x"),
            ],
            "BETTER_AUTH_REDIS_PREFIX",
        ),
        (
            &[
                ("SESSION_FORMAT", "better-auth"),
                DATABASE,
                ("SESSION_SCHEMA", "prisma"),
            ],
            "SESSION_SCHEMA",
        ),
        (
            &[
                ("SESSION_FORMAT", "authjs-database"),
                DATABASE,
                ("SESSION_SCHEMA", "better-auth"),
            ],
            "SESSION_SCHEMA",
        ),
        (
            &[
                ("SESSION_FORMAT", "authjs-database"),
                DATABASE,
                REDIS,
                ("SESSION_STORE", "redis-then-database"),
            ],
            "SESSION_STORE",
        ),
        (&[DATABASE, ("SESSION_SCHEMA", "mongodb")], "SESSION_SCHEMA"),
    ] {
        assert_eq!(problems(pairs), names, "{pairs:?}");
    }
}

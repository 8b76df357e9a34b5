//! Tests of whole configurations: which are valid, what they mean, and which problems are reported.

mod credentials;

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef0123";

fn config(pairs: &[(&'static str, &str)]) -> Result<Config, ConfigErrors> {
    let base = [
        ("UPSTREAM", "http://127.0.0.1:3000".to_owned()),
        ("AUTH_SECRET", SECRET.to_owned()),
    ];
    let variables = Variables::default().with(base);
    Config::from_variables(
        &variables.with(
            pairs
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        ),
    )
}

/// The host and port of the only server of the only service.
fn server(config: &Config) -> (&str, u16) {
    let ServiceSettings::Upstream(upstream) = &config.rules.services[0] else {
        panic!("a folder");
    };
    match &upstream.servers[..] {
        [
            ServerSettings {
                address: ServerAddress::Tcp { host, port, .. },
                ..
            },
        ] => (host, *port),
        other => panic!("{other:?}"),
    }
}

fn problem(pairs: &[(&'static str, &str)]) -> String {
    let errors = config(pairs).expect_err("a problem");
    assert_eq!(errors.problems().len(), 1, "{errors}");
    errors.problems()[0].to_string()
}

#[test]
fn an_upstream_and_a_secret_are_enough() {
    let config = config(&[]).unwrap();
    assert_eq!(config.listeners[0].address, "0.0.0.0:8080".parse().unwrap());
    assert_eq!(config.admin.listen, "127.0.0.1:9090".parse().unwrap());
    assert_eq!(server(&config), ("127.0.0.1", 3000));
    assert!(
        config.realms[0].stores.is_none() && config.bypass.is_none() && !config.passes_preflight
    );
    let names: Vec<_> = config.realms[0]
        .keys
        .cookies()
        .map(|cookie| cookie.name().to_string())
        .collect();
    assert_eq!(
        names,
        [
            "__Secure-authjs.session-token",
            "authjs.session-token",
            "__Secure-next-auth.session-token",
            "next-auth.session-token",
            "__Secure-better-auth.session_token",
            "better-auth.session_token"
        ]
    );
}

#[test]
fn services_at_the_gates_own_addresses_are_reported() {
    let listen = ("LISTEN", "0.0.0.0:8080");
    for (url, is_own) in [
        ("http://127.0.0.1:8080", true),
        ("http://localhost:8080", true),
        ("h2c://127.0.0.2:8080", true),
        ("http://[::1]:8080", false),
        ("http://127.0.0.1:8081", false),
        ("http://192.0.2.1:8080", false),
        ("http://app:8080", false),
    ] {
        match config(&[listen, ("UPSTREAM", url)]) {
            Ok(_) => assert!(!is_own, "{url}"),
            Err(errors) => {
                assert!(is_own, "{url}: {errors}");
                let message = errors.to_string();
                assert!(
                    message.contains("(LISTEN), so requests would loop"),
                    "{message}"
                );
            }
        }
    }
    let token = ("ADMIN_TOKEN", SECRET);
    for (name, address) in [
        ("AUTH_LISTEN", "127.0.0.1:8080"),
        ("ADMIN_LISTEN", "0.0.0.0:8080"),
    ] {
        let message = problem(&[listen, token, (name, address)]);
        let expected = format!("{name}: {address} is already used by LISTEN");
        assert!(message.starts_with(&expected), "{message}");
    }
    let message = problem(&[("AUTH_LISTEN", "127.0.0.1:9090")]);
    assert!(
        message.contains("ADMIN_LISTEN: 127.0.0.1:9090 is already used by AUTH_LISTEN"),
        "{message}"
    );
    assert!(config(&[("LISTEN", "127.0.0.1:0"), ("AUTH_LISTEN", "127.0.0.1:0")]).is_ok());
    let message = problem(&[("SIGN_IN_URL", "app.example/login")]);
    assert!(
        message.contains("give an http or https URL, or a path"),
        "{message}"
    );
}

#[test]
fn non_ascii_host_is_reported_with_its_dns_name() {
    let url = "https://m\u{fc}nchen.de";
    let needed = [("SIGN_IN_URL", "https://login.example/")];
    let bearer = [("BEARER_ISSUER", "a"), ("BEARER_AUDIENCE", "b")];
    for name in [
        "PUBLIC_URL",
        "SIGN_IN_URL",
        "CORS_ORIGINS",
        "UPSTREAM",
        "BEARER_JWKS",
    ] {
        let mut pairs = vec![(name, url)];
        match name {
            "PUBLIC_URL" => pairs.extend(needed),
            "BEARER_JWKS" => pairs.extend(bearer),
            _ => {}
        }
        let message = problem(&pairs);
        assert!(message.contains("`https://xn--mnchen-3ya.de`"), "{message}");
    }
}

#[test]
fn shared_limits_need_only_redis() {
    let limit = ("RATE_LIMIT", "1/s");
    let shared = ("RATE_LIMIT_SHARED", "true");
    let what = problem(&[limit, shared]);
    assert!(what.contains("in which nodes count together"), "{what}");
    let redis = [
        limit,
        shared,
        ("REDIS_HOST", "cache"),
        ("REDIS_KEY_PREFIX", "shop:"),
    ];
    let read = config(&redis).unwrap();
    let settings = read.shared_limits.unwrap();
    assert_eq!(settings.key_prefix, "shop:");
    let unexpected = read.warnings.iter().filter(|one| one.contains("REDIS_"));
    assert_eq!(unexpected.count(), 0, "{:?}", read.warnings);
    // With a cache in Redis, rates are counted in the same Redis.
    let more = [
        ("ENABLE_DB_CHECK", "true"),
        ("DATABASE_URL", "postgres://db/app"),
    ];
    let both = config(&[&redis[..], &more].concat()).unwrap();
    assert_eq!(both.shared_limits, Some(settings));
}

#[test]
fn every_problem_is_reported_at_once() {
    let errors = Config::from_variables(&Variables::default().with([
        ("LISTEN", "nowhere".to_owned()),
        ("UPSTREAM", "ftp://files".to_owned()),
        ("PUBLIC_PATHS", "/ok,relative".to_owned()),
        ("ENABLE_DB_CHECK", "true".to_owned()),
    ]))
    .unwrap_err();
    let names: Vec<_> = errors
        .problems()
        .iter()
        .map(|problem| problem.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "LISTEN",
            "UPSTREAM",
            "PUBLIC_PATHS",
            "AUTH_SECRET",
            "DATABASE_URL"
        ]
    );
}

#[test]
fn consequences_of_a_problem_are_not_reported() {
    let problem_names = |pairs: &[(&'static str, &str)]| {
        let base = [
            ("AUTH_SECRET", SECRET),
            ("UPSTREAM", "http://127.0.0.1:1"),
            ("ENABLE_DB_CHECK", "true"),
        ];
        let pairs: Vec<_> = base.iter().chain(pairs).copied().collect();
        let errors = config(&pairs).unwrap_err();
        let names = errors.problems().iter().map(|problem| problem.name.clone());
        names.collect::<Vec<_>>()
    };
    let url = ("DATABASE_URL", "postgres://gate@db/app");
    let wrong_url = ("DATABASE_URL", "mysql://db/app");
    for (pairs, names) in [
        (
            &[wrong_url, ("REVOCATION_STORE", "postgres")][..],
            ["DATABASE_URL"],
        ),
        (
            &[
                wrong_url,
                ("TLS", "acme"),
                ("ACME_DOMAINS", "a.example"),
                ("ACME_STORE", "postgres"),
            ],
            ["DATABASE_URL"],
        ),
        (
            &[wrong_url, ("LISTEN_DATABASE_URL", url.1)],
            ["DATABASE_URL"],
        ),
        (&[wrong_url, ("GROUPS_COLUMN", "groups")], ["DATABASE_URL"]),
        (
            &[
                url,
                ("REDIS_URL", "http://cache"),
                ("REVOCATION_STORE", "redis"),
            ],
            ["REDIS_URL"],
        ),
        (
            &[
                url,
                ("REDIS_URL", "http://cache"),
                ("RATE_LIMIT", "5/s"),
                ("RATE_LIMIT_SHARED", "true"),
                ("REDIS_TRACKING", "true"),
            ],
            ["REDIS_URL"],
        ),
        (
            &[
                url,
                ("TLS_CERT_FILE", "/nonexistent.pem"),
                ("TLS_KEY_FILE", "/nonexistent.pem"),
                ("REDIRECT_LISTEN", "127.0.0.1:0"),
                ("REQUIRE_HTTPS", "true"),
            ],
            ["TLS_CERT_FILE"],
        ),
    ] {
        assert_eq!(problem_names(pairs), names, "{pairs:?}");
    }
    let switch = ("ENABLE_DB_CHECK", "perhaps");
    assert_eq!(
        problem_names(&[switch, ("GROUPS_COLUMN", "groups")]),
        ["ENABLE_DB_CHECK"]
    );
    // If the TLS settings have no problem, REDIRECT_LISTEN has one.
    let redirects = [url, ("REDIRECT_LISTEN", "127.0.0.1:0"), ("TLS", "off")];
    assert_eq!(problem_names(&redirects), ["REDIRECT_LISTEN"]);
}

#[test]
fn guessable_secrets_are_refused() {
    for secret in [
        "your_secret",
        "changeme",
        "better-auth-secret-12345678901234567890",
    ] {
        for allowed in ["true", "false"] {
            let problem = problem(&[("AUTH_SECRET", secret), ("ALLOW_WEAK_SECRET", allowed)]);
            assert!(
                problem.starts_with("AUTH_SECRET: ") && !problem.contains(secret),
                "{problem}"
            );
        }
    }
    assert!(problem(&[("AUTH_SECRET", "0123456789abcdef")]).starts_with("AUTH_SECRET: "));
    let allowed = config(&[
        ("AUTH_SECRET", "0123456789abcdef"),
        ("ALLOW_WEAK_SECRET", "true"),
    ])
    .unwrap();
    assert!(
        allowed
            .warnings
            .iter()
            .any(|warning| warning.starts_with("AUTH_SECRET: "))
    );
}

#[test]
fn bypass_is_refused_in_production_and_with_a_weak_value() {
    let value = ("BYPASS_HEADER_VALUE", SECRET);
    assert!(
        config(&[("ALLOW_BYPASS", "true"), value])
            .unwrap()
            .bypass
            .is_some_and(|bypass| !bypass.is_loopback_only())
    );
    assert!(
        config(&[("ALLOW_BYPASS", "true")])
            .unwrap()
            .bypass
            .is_some_and(|bypass| bypass.is_loopback_only())
    );
    assert!(
        problem(&[("ALLOW_BYPASS", "true"), ("BYPASS_HEADER_VALUE", "short")])
            .starts_with("BYPASS_HEADER_VALUE")
    );
    for name in ["NODE_ENV", "RAILS_ENV", "APP_ENV", "SESSIONGATE_ENV"] {
        assert!(problem(&[("ALLOW_BYPASS", "true"), value, (name, "Production")]).contains(name));
    }
}

#[test]
fn salt_sets_the_cookie_name() {
    let cookie = |pairs: &[(&'static str, &str)]| {
        let config = config(pairs).unwrap();
        let cookies: Vec<_> = config.realms[0]
            .keys
            .cookies()
            .map(|cookie| format!("{} {}", cookie.name(), cookie.expects()))
            .collect();
        cookies.join(", ")
    };
    assert_eq!(
        cookie(&[("JWT_SALT", "myapp.session")]),
        "myapp.session authjs-v5"
    );
    assert_eq!(
        cookie(&[("JWT_SALT", "next-auth.session-token")]),
        "next-auth.session-token nextauth-v4"
    );
    assert_eq!(
        cookie(&[("JWT_SALT", "x"), ("SESSION_FORMAT", "nextauth")]),
        "x nextauth-v4"
    );
    assert_eq!(
        cookie(&[("JWT_SALT", "x"), ("AUTH_COOKIE_NAME", "y")]),
        "y authjs-v5"
    );
    assert!(problem(&[("JWT_SALT", "not a name")]).starts_with("JWT_SALT"));
}

/// The cookies that a configuration recognizes, each with the expected format. It does not have the secret of the other tests.
fn recognized(pairs: &[(&'static str, &str)]) -> Vec<String> {
    let upstream = [("UPSTREAM", "http://127.0.0.1:3000")];
    let pairs = pairs.iter().chain(&upstream);
    let variables =
        Variables::default().with(pairs.map(|(name, value)| (*name, (*value).to_owned())));
    let config = Config::from_variables(&variables).unwrap();
    let shown = |cookie: &session::SessionCookie| format!("{} {}", cookie.name(), cookie.expects());
    config.realms[0].keys.cookies().map(shown).collect()
}

#[test]
fn secret_alone_enables_the_cookies_of_its_framework() {
    let better_auth = [
        "__Secure-better-auth.session_token better-auth",
        "better-auth.session_token better-auth",
    ];
    let all = recognized(&[("AUTH_SECRET", SECRET)]);
    assert_eq!(all.len(), 6);
    assert_eq!(all[4..], better_auth);
    assert_eq!(recognized(&[("BETTER_AUTH_SECRET", SECRET)]), better_auth);
    let secrets = format!("2:{SECRET}, 1:{SECRET}-old");
    assert_eq!(
        recognized(&[("BETTER_AUTH_SECRETS", &secrets)]),
        better_auth
    );
}

#[test]
fn format_enables_only_its_own_cookies() {
    let of = |format| recognized(&[("AUTH_SECRET", SECRET), ("SESSION_FORMAT", format)]);
    for (format, expected) in [
        ("authjs", "authjs-v5"),
        ("nextauth", "nextauth-v4"),
        ("better-auth", "better-auth"),
    ] {
        let cookies = of(format);
        assert_eq!(cookies.len(), 2, "{format}");
        assert!(
            cookies
                .iter()
                .all(|cookie| cookie.ends_with(&format!(" {expected}"))),
            "{cookies:?}"
        );
    }
}

#[test]
fn a_gate_for_machines_needs_no_session_secret() {
    let bearer = [
        ("BEARER_SECRET", SECRET),
        ("BEARER_ISSUER", "https://issuer.example"),
        ("BEARER_AUDIENCE", "api"),
    ];
    assert!(recognized(&bearer).is_empty());
    let [secret, ..] = bearer;
    let with_sessions = [&bearer[..], &[("AUTH_SECRET", SECRET)]].concat();
    assert_eq!(recognized(&with_sessions).len(), 6);
    assert!(problem(&[secret, bearer[1]]).starts_with("BEARER_AUDIENCE"));
}

#[test]
fn cookie_name_determines_the_format() {
    for (name, expected) in [
        ("sid", "authjs-v5"),
        ("__Secure-next-auth.session-token", "nextauth-v4"),
        ("my-app.session_token", "better-auth"),
    ] {
        let cookies = recognized(&[("AUTH_SECRET", SECRET), ("AUTH_COOKIE_NAME", name)]);
        assert_eq!(cookies, [format!("{name} {expected}")]);
    }
    let prefixed = recognized(&[
        ("BETTER_AUTH_SECRET", SECRET),
        ("BETTER_AUTH_COOKIE_PREFIX", "shop"),
    ]);
    assert_eq!(prefixed[1], "shop.session_token better-auth");
}

#[test]
fn settings_that_contradict_better_auth_are_refused() {
    for (name, value) in [
        ("BETTER_AUTH_COOKIE_PREFIX", "a b"),
        ("BETTER_AUTH_DATA_COOKIE_NAME", "a b"),
        ("BETTER_AUTH_CACHE_STRATEGY", "jws"),
        (
            "BETTER_AUTH_SECRET",
            "better-auth-secret-12345678901234567890",
        ),
        ("BETTER_AUTH_SECRETS", SECRET),
        ("BETTER_AUTH_SECRETS", "x:0123456789abcdef0123456789abcdef"),
        (
            "BETTER_AUTH_SECRETS",
            "1:0123456789abcdef0123456789abcdef,1:1123456789abcdef0123456789abcdef",
        ),
        ("SESSION_FORMAT", "authjs5"),
        ("TRUST_COOKIE_CACHE", "maybe"),
    ] {
        let found = problem(&[(name, value)]);
        assert!(found.starts_with(&format!("{name}: ")), "{found}");
        assert!(!found.contains("0123456789abcdef"), "{found}");
    }
}

#[test]
fn cookie_cache_name_can_be_set_alone() {
    let names = |pairs: &[(&'static str, &str)]| {
        let config = config(pairs).unwrap();
        let pair = |cookie: &session::SessionCookie| {
            Some(format!("{} {}", cookie.name(), cookie.data_name()?))
        };
        config.realms[0]
            .keys
            .cookies()
            .filter_map(pair)
            .collect::<Vec<_>>()
    };
    for given in ["cache", "__Secure-cache"] {
        assert_eq!(
            names(&[("BETTER_AUTH_DATA_COOKIE_NAME", given)]),
            [
                "__Secure-better-auth.session_token __Secure-cache",
                "better-auth.session_token cache"
            ]
        );
    }
    let both = [
        ("BETTER_AUTH_DATA_COOKIE_NAME", "cache"),
        ("AUTH_COOKIE_NAME", "__Secure-shop.session_token"),
    ];
    assert_eq!(names(&both), ["__Secure-shop.session_token cache"]);
}

#[test]
fn admin_listener_requires_a_token_unless_on_loopback() {
    assert!(problem(&[("ADMIN_LISTEN", "0.0.0.0:9090")]).starts_with("ADMIN_LISTEN"));
    assert!(config(&[("ADMIN_LISTEN", "0.0.0.0:9090"), ("ADMIN_TOKEN", SECRET)]).is_ok());
}

#[test]
fn upstreams_that_cannot_be_reached_are_refused() {
    for upstream in [
        "ftp://a",
        "a",
        "127.0.0.1:80",
        "http://a/path",
        "http://u:p@a",
        "http://a:99999",
        "http://a:",
        "dir:/no/such/folder",
        "dir:",
        "dir:/etc/passwd",
    ] {
        assert!(
            problem(&[("UPSTREAM", upstream)]).starts_with("UPSTREAM: "),
            "{upstream}"
        );
    }
    let ipv6 = config(&[("UPSTREAM", "http://[::1]:81")]).unwrap();
    assert_eq!(server(&ipv6), ("::1", 81));
    let secure = config(&[("UPSTREAM", "https://a")]).unwrap();
    assert_eq!(server(&secure), ("a", 443));
}

#[test]
fn no_secret_is_shown() {
    let database = "postgres://user:pgpassword@db/app";
    let pairs = [
        ("ENABLE_DB_CHECK", "true"),
        ("DATABASE_URL", database),
        ("REDIS_HOST", "cache"),
        ("REDIS_PASSWORD", "redispassword"),
        ("BYPASS_HEADER_VALUE", "bypassvalue0123456789abcdef012345"),
    ];
    let config = config(&pairs).unwrap();
    let shown = format!("{:?} {:?}", config.settings, config);
    for secret in [SECRET, "pgpassword", "redispassword", "bypassvalue"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn typo_in_a_setting_name_causes_a_note() {
    let config = config(&[
        ("REDIS_HOTS", "cache"),
        ("ENABLE_DB_CHECK", "true"),
        ("DATABASE_URL", "sqlite://a.db"),
    ]);
    assert!(
        config
            .unwrap()
            .warnings
            .iter()
            .any(|warning| warning.contains("did you mean REDIS_HOST?"))
    );
}

#[test]
fn typo_is_noted_beside_the_missing_setting() {
    for (typo, meant) in [
        ("UPSTREM", "UPSTREAM"),
        ("AUTH_SECRTE", "AUTH_SECRET"),
        ("MAX_HEADER_BYTE", "MAX_HEADER_BYTES"),
        ("ACME_STOR", "ACME_STORE"),
    ] {
        let variables = Variables::default().with([
            (typo, "http://127.0.0.1:3000".to_owned()),
            ("WORKERS", "many".to_owned()),
        ]);
        let errors = Config::from_variables(&variables).unwrap_err().to_string();
        let note = format!(
            "\n  note: {typo} is set but is not a setting of sessiongate; did you mean {meant}?"
        );
        assert!(errors.contains(&note), "{errors}");
        assert!(errors.contains("WORKERS: `many`"), "{errors}");
    }
}

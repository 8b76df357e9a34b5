//! What a whole configuration may and may not say.

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

fn problem(pairs: &[(&'static str, &str)]) -> String {
    let errors = config(pairs).expect_err("a problem");
    assert_eq!(errors.problems().len(), 1, "{errors}");
    errors.problems()[0].to_string()
}

#[test]
fn an_upstream_and_a_secret_are_enough() {
    let config = config(&[]).unwrap();
    assert_eq!(config.listen, "0.0.0.0:8080".parse().unwrap());
    assert_eq!(config.admin.listen, "127.0.0.1:9090".parse().unwrap());
    assert_eq!(
        (config.upstream.host.as_str(), config.upstream.port),
        ("127.0.0.1", 3000)
    );
    assert!(config.users.is_none() && config.bypass.is_none() && !config.passes_preflight);
    let names: Vec<_> = config
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
            "next-auth.session-token"
        ]
    );
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
fn the_bypass_is_off_in_production_and_demands_a_real_value() {
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
    for name in ["NODE_ENV", "APP_ENV", "SESSIONGATE_ENV"] {
        assert!(problem(&[("ALLOW_BYPASS", "true"), value, (name, "Production")]).contains(name));
    }
}

#[test]
fn the_salt_fixes_the_cookie() {
    let cookie = |pairs: &[(&'static str, &str)]| {
        let config = config(pairs).unwrap();
        let cookies: Vec<_> = config
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

#[test]
fn the_admin_listener_demands_a_token_off_loopback() {
    assert!(problem(&[("ADMIN_LISTEN", "0.0.0.0:9090")]).starts_with("ADMIN_LISTEN"));
    assert!(config(&[("ADMIN_LISTEN", "0.0.0.0:9090"), ("ADMIN_TOKEN", SECRET)]).is_ok());
}

#[test]
fn upstreams_that_cannot_be_reached_are_refused() {
    for upstream in [
        "https://a",
        "ftp://a",
        "a",
        "127.0.0.1:80",
        "http://a/path",
        "http://u:p@a",
        "dir:/srv",
    ] {
        assert!(
            problem(&[("UPSTREAM", upstream)]).starts_with("UPSTREAM: "),
            "{upstream}"
        );
    }
    let ipv6 = config(&[("UPSTREAM", "http://[::1]:81")]).unwrap().upstream;
    assert_eq!((ipv6.host.as_str(), ipv6.port), ("::1", 81));
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
fn a_slip_in_a_name_is_pointed_out() {
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

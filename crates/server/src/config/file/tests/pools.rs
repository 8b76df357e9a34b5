//! Tests of the problems in the keys of `[service.NAME]` for servers.

use super::reported::assert_problems;

/// A service with these servers and keys, and a route to it.
fn service(servers: &str, keys: &str) -> String {
    format!("[service.a]\nupstream = {servers}\n{keys}\n[[route]]\npath = '/'\nservice = 'a'\n")
}

#[test]
fn numbers_and_words_are_checked() {
    let two = "['http://a', 'http://b']";
    for (keys, expected) in [
        (
            "balance = 'random'",
            "`random` is not one of `round-robin`, `least-requests`, `by-user`",
        ),
        ("eject_after = -1", "`eject_after` must be a whole number"),
        ("eject_time = 0", "it must be a whole number, at least 1"),
        (
            "max_connections = 0",
            "it must be a whole number, at least 1",
        ),
        (
            "retry_budget = 101",
            "it must be the number of requests in 100",
        ),
        (
            "health_check = 'healthz'",
            "`healthz` is neither a path such as `/healthz` nor `tcp`",
        ),
        ("health_interval = 5", "this has no effect"),
        (
            "proxy_protocol = 'v3'",
            "`v3` is not one of `off`, `v1`, `v2`",
        ),
        ("keep_alive = 'long'", "`keep_alive` must be"),
        ("keep_alve = 5", "unknown key `keep_alve`"),
    ] {
        assert_problems(&service(two, keys), &[expected]);
    }
}

#[test]
fn weight_follows_the_url() {
    for upstream in [
        "'http://a weight'",
        "'http://a weight 0'",
        "'http://a weight 101'",
        "'http://a weight 3 4'",
    ] {
        let what = format!(
            "`{}`: only a weight may follow the URL",
            upstream.trim_matches('\'')
        );
        assert_problems(&service(upstream, ""), &[&what]);
    }
    assert_problems(
        &service("'http://a wait 3'", ""),
        &["`http://a wait 3` is not a URL"],
    );
}

#[test]
fn unused_pool_keys_are_reported() {
    let no_effect = "this has no effect";
    let of_several = "balance = 'by-user'\nretry_budget = 5\neject_after = 1\neject_time = 1";
    assert_problems(&service("'http://a'", of_several), &[no_effect; 4]);
    assert_problems(
        &service("'http://a'", "tls_ca_file = '/x'\ntls_server_name = 'b'"),
        &[no_effect; 2],
    );
    let folder = "max_age = 5\nhealth_check = 'tcp'\nproxy_protocol = 'v1'";
    assert_problems(&service("'dir:/'", folder), &[no_effect; 3]);
}

#[test]
fn proxy_protocol_is_refused_for_shared_connections() {
    let named = "`proxy_protocol` is not possible with `h2c://b:80`";
    let servers = "['http://a', 'grpc://b']";
    assert_problems(&service(servers, "proxy_protocol = 'v2'"), &[named]);
    let (off, secure) = ("proxy_protocol = 'off'", "proxy_protocol = 'v1'");
    let (interval, no_effect) = ("\nhealth_interval = 5", "this has no effect");
    assert_problems(&service(servers, &format!("{off}{interval}")), &[no_effect]);
    let https = "['https://a', 'https://b']";
    assert_problems(
        &service(https, &format!("{secure}{interval}")),
        &[no_effect],
    );
}

#[test]
fn tls_files_and_names_are_checked() {
    let secure = "'https://a'";
    for (keys, expected) in [
        (
            "tls_ca_file = '/no/such/file'",
            "cannot use `/no/such/file`",
        ),
        (
            "tls_server_name = 'a b'",
            "`a b`: this is neither a hostname nor an IP address",
        ),
        (
            "tls_cert_file = '/no/such/file'",
            "the certificate and its key must be given together",
        ),
        (
            "tls_key_file = '/no/such/file'",
            "the certificate and its key must be given together",
        ),
        (
            "tls_cert_file = '/x'\ntls_key_file = '/y'",
            "cannot use `/x`",
        ),
    ] {
        assert_problems(&service(secure, keys), &[expected]);
    }
}

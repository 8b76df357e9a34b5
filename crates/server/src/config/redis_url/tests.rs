use super::*;

fn read(url: &str) -> Result<RedisServer, String> {
    RedisUrl::read(&ConnectionUrl::parse(url)?).map(RedisUrl::server)
}

#[test]
fn parameters_of_common_clients_are_applied() {
    for (url, address, user, password, database) in [
        ("redis://cache", "redis://cache:6379", None, None, 0),
        (
            "redis://:p%40ss@cache:1/2",
            "redis://cache:1",
            None,
            Some("p@ss"),
            2,
        ),
        (
            "redis://gate:pw@[::1]:1",
            "redis://[::1]:1",
            Some("gate"),
            Some("pw"),
            0,
        ),
        ("rediss://cache", "rediss://cache:6379", None, None, 0),
        ("valkeys://cache", "rediss://cache:6379", None, None, 0),
        (
            "redis://cache?ssl=true",
            "rediss://cache:6379",
            None,
            None,
            0,
        ),
        (
            "redis://cache?username=gate&password=p+w&db=3&protocol=resp3&dial_timeout=5",
            "redis://cache:6379",
            Some("gate"),
            Some("p+w"),
            3,
        ),
        (
            "unix:///run/redis.sock?db=1&pass=pw",
            "unix:///run/redis.sock",
            None,
            Some("pw"),
            1,
        ),
        (
            "redis+sentinel://gate:pw@a,b:1,[::1]/main/2",
            "redis+sentinel://a:26379,b:1,[::1]:26379/main",
            Some("gate"),
            Some("pw"),
            2,
        ),
        (
            "rediss-sentinel://a/2?sentinelMasterId=main&sentinel_password=x",
            "rediss+sentinel://a:26379/main",
            None,
            None,
            2,
        ),
        (
            "redis-sentinel://a#main",
            "redis+sentinel://a:26379/main",
            None,
            None,
            0,
        ),
        (
            "redis+cluster://gate:pw@a,b:1,[::1]/0?db=0",
            "redis+cluster://a:6379,b:1,[::1]:6379",
            Some("gate"),
            Some("pw"),
            0,
        ),
        (
            "valkeys+cluster://a:1",
            "rediss+cluster://a:1",
            None,
            None,
            0,
        ),
        (
            "redis-cluster://a?tls=true",
            "rediss+cluster://a:6379",
            None,
            None,
            0,
        ),
    ] {
        let server = read(url).unwrap();
        let login = &server.login;
        assert_eq!(
            (
                server.address.to_string().as_str(),
                login.username(),
                login.password(),
                login.db()
            ),
            (address, user, password, database),
            "{url}"
        );
    }
}

#[test]
fn unsupported_parameters_are_refused_by_name() {
    for (url, words) in [
        ("rediss://:hidden@cache/#insecure", "#insecure"),
        (
            "redis://:hidden@cache?ssl_cert_reqs=none",
            "`ssl_cert_reqs`: it would trust",
        ),
        (
            "redis://:hidden@cache?skip_verify=true",
            "would trust any server",
        ),
        (
            "redis://:hidden@cache?sentinel=primary",
            "`sentinel`: it is not supported",
        ),
        (
            "rediss://:hidden@cache?ssl_ca_cert=/ca.pem",
            "did you mean `sslcacerts`?",
        ),
        (
            "redis://:hidden@cache?usrname=a",
            "did you mean `username`?",
        ),
        (
            "redis://:hidden@cache?socket_timeot=3",
            "did you mean `sockettimeout`?",
        ),
        ("rediss://:hidden@cache?tls=false", "contradicts the scheme"),
        ("redis://:hidden@cache?password=other", "given twice"),
        ("redis://:hidden@cache?ssl_ca_certs=/ca.pem", "rediss://"),
        (
            "rediss://:hidden@cache?ssl_certfile=/c.pem",
            "not supported",
        ),
        (
            "redis://:hidden@cache?ssl_cert_reqs=optional",
            "would trust",
        ),
        ("redis-sentinel://:hidden@cache", "the sentinels' name"),
        (
            "redis+sentinel://:hidden@/main",
            "of the form redis+sentinel",
        ),
        (
            "redis+sentinel://:hidden@a/main/x",
            "of the form redis+sentinel",
        ),
        ("redis+sentinel://:hidden@a/main#other", "given twice"),
        (
            "redis://:hidden@a?sentinel_password=hidden",
            "`sentinel_password`: it is not supported",
        ),
        ("redis+cluster://:hidden@a,b/3", "only has database 0"),
        ("redis+cluster://:hidden@a?db=3", "only has database 0"),
        (
            "redis+cluster://:hidden@a/name",
            "of the form redis+cluster",
        ),
        ("redis+cluster://:hidden@", "of the form redis+cluster"),
        ("redis+cluster://:hidden@a#x", "a `#` ends a URL"),
        ("redis://:hidden@cache?db=x", "must be a number"),
        ("redis://:hidden@cache/1?db=2", "given twice"),
        ("redis://:hidden@cache/x", "not a URL of the form"),
        ("redis://:hidden@a,b", "several hosts"),
        ("redis://:hidden@0.0.0.0", "every interface"),
        ("redis://", "not a URL of the form"),
        ("http://cache", "not a URL of the form"),
        ("cache:6379", "not a URL"),
        ("unix://run/redis.sock", "three slashes"),
    ] {
        let error = read(url).unwrap_err();
        assert!(error.contains(words), "{url}: {error}");
        assert!(!error.contains("hidden"), "{error}");
    }
}

#[test]
fn printing_a_server_shows_no_password() {
    let server = read("rediss://gate:hidden@cache:6380/3").unwrap();
    assert_eq!(
        format!("{server:?}"),
        "Redis(rediss://cache:6380, database 3)"
    );
}

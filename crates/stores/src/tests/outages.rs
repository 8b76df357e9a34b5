//! Real servers that fail, come back, or misbehave.

use tokio::time::Instant;

use super::*;

/// How long a lookup may take beyond its own timeouts on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

#[tokio::test]
async fn while_the_database_is_down_cached_users_are_served_and_it_recovers_by_itself() {
    let (mut server, cache) = (with_users().await, Redis::start().await.unwrap());
    server
        .execute("INSERT INTO users VALUES (9)")
        .await
        .unwrap();
    let mut chain = settings(postgres(&server), "users");
    chain.redis = Some(redis(&cache.url()));
    let (other_node, _) = open(chain.clone());
    served_by_redis(&other_node, "7").await;
    chain.memory.ttl = MINUTE;
    let (stores, _) = open(chain);
    assert!(exists(&stores, "7").await);

    server.stop().await.unwrap();
    let asked = Instant::now();
    assert!(matches!(
        stores.find("9").await,
        Err(StoreError::Failed {
            store: LookupSource::Postgres,
            ..
        })
    ));
    assert!(
        asked.elapsed() < LIMIT,
        "a refused connection is reported at once"
    );
    assert_eq!(source(&stores, "7").await, LookupSource::Memory);
    assert_eq!(source(&other_node, "7").await, LookupSource::Redis);
    let detail = until(&stores, LookupSource::Postgres, false).await.unwrap();
    assert!(!detail.contains(Postgres::PASSWORD), "{detail}");

    server.start_again().await.unwrap();
    assert!(
        exists(&stores, "9").await,
        "the first request after the outage succeeds"
    );
    until(&stores, LookupSource::Postgres, true).await;
}

#[tokio::test]
async fn a_cut_connection_to_the_database_is_retried_and_a_stalled_one_times_out() {
    let server = with_users().await;
    let proxy = CutProxy::start(&server.address()).await.unwrap();
    let (stores, outcomes) = open(settings(
        postgres_at(&server.url_through(&proxy.address(), Postgres::DATABASE)),
        "users",
    ));
    assert!(exists(&stores, "7").await);
    for _ in 0..5 {
        proxy.cut().await.unwrap();
        proxy.restore().await.unwrap();
        assert!(
            exists(&stores, "7").await,
            "the old connections are dead, a new one works"
        );
    }
    // PostgreSQL itself closes the connections.
    server
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'gate'",
        )
        .await
        .unwrap();
    assert!(exists(&stores, "7").await);
    assert_eq!(outcomes.count(LookupSource::Postgres, Outcome::Failed), 0);

    proxy.stall();
    let asked = Instant::now();
    let lookups: Vec<_> = (0..20).map(|subject| subject.to_string()).collect();
    let answers = lookups.iter().map(|subject| stores.find(subject));
    for answer in all(answers).await {
        // One lookup has timed out, and the others fail with it.
        let error = answer.unwrap_err();
        assert_eq!(error.store(), LookupSource::Postgres);
        let limit = format!("within {} ms", LIMIT.as_millis());
        assert!(error.to_string().contains(&limit), "{error}");
    }
    assert!(asked.elapsed() < LIMIT + SLACK);
    proxy.restore().await.unwrap();
    until(&stores, LookupSource::Postgres, true).await;
    assert!(exists(&stores, "7").await);
}

/// Waits until Redis is asked again after an outage.
async fn served_by_redis(stores: &TestNode, subject: &str) {
    let waiting = async {
        while source(stores, subject).await != LookupSource::Redis {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, waiting).await.unwrap();
}

#[tokio::test]
async fn redis_that_is_down_from_the_start_is_skipped_and_used_once_it_is_up() {
    let (server, mut cache) = (with_users().await, Redis::start().await.unwrap());
    cache.stop();
    let mut chain = settings(postgres(&server), "users");
    chain.redis = Some(redis(&cache.url()));
    let (stores, _) = open(chain);
    assert_eq!(source(&stores, "7").await, LookupSource::Postgres);
    assert!(!exists(&stores, "8").await);
    until(&stores, LookupSource::Redis, false).await;
    cache.start_again().await.unwrap();
    until(&stores, LookupSource::Redis, true).await;
    served_by_redis(&stores, "7").await;
}

#[tokio::test]
async fn redis_that_is_cut_stalled_or_slow_costs_few_requests_its_timeout() {
    let (server, cache) = (with_users().await, Redis::start().await.unwrap());
    let proxy = CutProxy::start(&cache.address()).await.unwrap();
    let mut chain = settings(postgres(&server), "users");
    let limit = Duration::from_millis(500);
    chain.redis = Some(RedisSettings {
        timeout: limit,
        ..redis(&format!("redis://{}", proxy.address()))
    });
    let (stores, _) = open(chain);
    served_by_redis(&stores, "7").await;

    proxy.cut().await.unwrap();
    let asked = Instant::now();
    assert_eq!(source(&stores, "7").await, LookupSource::Postgres);
    assert!(
        asked.elapsed() < limit,
        "a connection that is cut is noticed at once"
    );
    proxy.restore().await.unwrap();
    served_by_redis(&stores, "7").await;

    for slow in [CutProxy::stall, |proxy: &CutProxy| {
        proxy.delay(Duration::from_secs(2));
    }] {
        slow(&proxy);
        let asked = Instant::now();
        assert_eq!(source(&stores, "7").await, LookupSource::Postgres);
        assert!(asked.elapsed() < limit + SLACK);
        // During the outage, and several attempts to reconnect, hardly any other request is delayed.
        let (began, mut paid, mut all) = (Instant::now(), 0, 0);
        while began.elapsed() < Duration::from_secs(4) {
            let asked = Instant::now();
            assert_eq!(source(&stores, "7").await, LookupSource::Postgres);
            all += 1;
            paid += usize::from(asked.elapsed() >= limit);
            sleep(Duration::from_millis(5)).await;
        }
        assert!(paid * 10 < all, "{paid} of {all}");
        proxy.restore().await.unwrap();
        served_by_redis(&stores, "7").await;
    }
}

#[tokio::test]
async fn redis_that_refuses_commands_is_skipped() {
    let server = with_users().await;
    let cache = Redis::options().password("correct").start().await.unwrap();
    let chain = |url: &str| {
        let mut chain = settings(postgres(&server), "users");
        chain.redis = Some(redis(url));
        chain
    };
    // A wrong password, and no password.
    for (url, reason) in [
        (
            format!("redis://:hunter2@{}", cache.address()),
            "authentication failed",
        ),
        (format!("redis://{}", cache.address()), "NOAUTH"),
    ] {
        let (stores, _) = open(chain(&url));
        assert_eq!(source(&stores, "7").await, LookupSource::Postgres);
        let detail = until(&stores, LookupSource::Redis, false).await.unwrap();
        assert!(detail.contains(reason), "{detail}");
        assert!(!detail.contains("hunter2"));
        assert_eq!(cache.cli(["EXISTS", "auth:7"]).await.unwrap(), "0");
    }

    // A Redis user who may not read.
    cache
        .cli(["ACL", "SETUSER", "limited", "on", ">secret", "~*", "+ping"])
        .await
        .unwrap();
    let (stores, _) = open(chain(&format!(
        "redis://limited:secret@{}",
        cache.address()
    )));
    assert_eq!(source(&stores, "7").await, LookupSource::Postgres);
    assert_eq!(
        until(&stores, LookupSource::Redis, false).await.as_deref(),
        Some(
            "refused GETRANGE: NOPERM (the gate's user lacks the right to this command or to the gate's keys; \
             docs/operating.md lists what it needs)"
        )
    );
    cache
        .cli([
            "ACL",
            "SETUSER",
            "limited",
            "+getrange",
            "+set",
            "+evalsha",
            "+eval",
        ])
        .await
        .unwrap();
    until(&stores, LookupSource::Redis, true).await;
    served_by_redis(&stores, "7").await;

    // A server that is full, has too few replicas, or is a replica still answers about the keys that it holds.
    let (stores, outcomes) = open(chain(&cache.url()));
    for (on, off, code) in [
        (
            ["CONFIG", "SET", "maxmemory", "1"],
            ["CONFIG", "SET", "maxmemory", "0"],
            "OOM",
        ),
        (
            ["CONFIG", "SET", "min-replicas-to-write", "1"],
            ["CONFIG", "SET", "min-replicas-to-write", "0"],
            "NOREPLICAS",
        ),
    ] {
        served_by_redis(&stores, "7").await;
        cache.cli(on).await.unwrap();
        assert_eq!(source(&stores, "7").await, LookupSource::Redis);
        assert_eq!(source(&stores, code).await, LookupSource::Postgres);
        let refused = async {
            while !stores.health()[0]
                .detail
                .as_deref()
                .is_some_and(|detail| detail.contains(code))
            {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(TIMEOUT, refused).await.unwrap();
        assert!(stores.health()[0].up);
        assert_eq!(source(&stores, code).await, LookupSource::Postgres);
        cache.cli(off).await.unwrap();
        served_by_redis(&stores, code).await;
        assert_eq!(stores.health()[0].detail, None);
    }
    assert!(outcomes.count(LookupSource::Redis, Outcome::Unwritten) >= 2);
    assert_eq!(outcomes.count(LookupSource::Redis, Outcome::Failed), 0);
    let primary = Redis::start().await.unwrap();
    cache
        .cli(["REPLICAOF", "127.0.0.1", &primary.port().to_string()])
        .await
        .unwrap();
    assert!(exists(&stores, "7").await);
    assert!(!exists(&stores, "8").await);
}

#[tokio::test]
async fn foreign_values_in_redis_are_misses_and_are_not_overwritten() {
    let (server, cache) = (with_users().await, Redis::start().await.unwrap());
    let mut chain = settings(postgres(&server), "users");
    chain.redis = Some(redis(&cache.url()));
    let (stores, _) = open(chain.clone());
    served_by_redis(&stores, "7").await;
    let present = cached(&cache, "auth:7").await;

    let huge = "x".repeat(100_000);
    for value in [
        "",
        "1",
        "true",
        "OK",
        r#"{"v":1,"user":true}"#,
        r#"{"id":"8","name":"Ann"}"#,
        &present,
        &huge,
    ] {
        cache.cli(["SET", "auth:8", value]).await.unwrap();
        assert_eq!(
            stores.find("8").await.unwrap(),
            Lookup {
                found: None,
                source: LookupSource::Postgres
            },
            "{value:.40}"
        );
        assert_eq!(cache.cli(["GET", "auth:8"]).await.unwrap(), value);
    }
    cache.cli(["DEL", "auth:8"]).await.unwrap();
    cache.cli(["HSET", "auth:8", "user", "true"]).await.unwrap();
    assert_eq!(
        stores.find("8").await.unwrap(),
        Lookup {
            found: None,
            source: LookupSource::Postgres
        }
    );
    assert_eq!(cache.cli(["TYPE", "auth:8"]).await.unwrap(), "hash");
    assert!(stores.health()[0].up);

    // If changes are announced, the age of such a value is read too, but the value does not close the connection.
    let mut tracking = chain.clone();
    tracking.redis.as_mut().unwrap().tracking = true;
    let (tracking, outcomes) = open(tracking);
    until(&tracking, LookupSource::Redis, true).await;
    for _ in 0..3 {
        assert!(!exists(&tracking, "8").await);
    }
    assert_eq!(outcomes.count(LookupSource::Redis, Outcome::Missed), 3);
    assert_eq!(outcomes.count(LookupSource::Redis, Outcome::Failed), 0);

    // Another deployment with the same Redis, the same prefix and the same ids.
    server
        .execute("CREATE TABLE accounts (id integer PRIMARY KEY)")
        .await
        .unwrap();
    users(&mut chain).table = Table::parse("accounts").unwrap();
    let (other, _) = open(chain);
    assert_eq!(
        other.find("7").await.unwrap(),
        Lookup {
            found: None,
            source: LookupSource::Postgres
        }
    );
    assert_eq!(source(&stores, "7").await, LookupSource::Redis);

    // A subject is plain bytes, and is never read as a pattern or a second command.
    for subject in [
        "*",
        "7\r\nSET auth:9 x",
        "{7}",
        "../7",
        "a b",
        "\u{1F600}",
        &"9".repeat(1024),
    ] {
        served_by_redis(&stores, subject).await;
        assert!(!exists(&stores, subject).await);
        assert_eq!(
            cache
                .cli(["EXISTS", &format!("auth:{subject}")])
                .await
                .unwrap(),
            "1"
        );
    }
    assert_eq!(cache.cli(["EXISTS", "auth:9"]).await.unwrap(), "0");
}

#[tokio::test]
async fn answers_in_redis_expire() {
    let (server, cache) = (with_users().await, Redis::start().await.unwrap());
    let mut chain = settings(postgres(&server), "users");
    chain.redis = Some(RedisSettings {
        cache_ttl: Duration::from_millis(300),
        ..redis(&cache.url())
    });
    chain.absent_ttl = Duration::ZERO;
    let (stores, _) = open(chain);
    served_by_redis(&stores, "7").await;
    server
        .execute("DELETE FROM users WHERE id = 7")
        .await
        .unwrap();
    let refused = async {
        while exists(&stores, "7").await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, refused).await.unwrap();
    // With a time to live of zero, nothing is written about absent users, so a new user is let in at once.
    server
        .execute("INSERT INTO users VALUES (7)")
        .await
        .unwrap();
    assert!(exists(&stores, "7").await);
}

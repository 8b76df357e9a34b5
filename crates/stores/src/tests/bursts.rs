//! Many requests at once, and changes between a lookup and its answer.

use tokio::task::JoinSet;

use super::*;

/// As many requests as there are connections that come back after a failure.
const REQUESTS: usize = 50_000;
const USERS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_for_uncached_users_queries_the_database_once_for_each() {
    let (server, cache) = (
        Postgres::start().await.unwrap(),
        Redis::start().await.unwrap(),
    );
    let users = format!(
        "CREATE TABLE users (id integer PRIMARY KEY); INSERT INTO users SELECT generate_series(1, {USERS})"
    );
    server.execute(&users).await.unwrap();
    for tracking in [false, true] {
        cache.cli(["FLUSHALL"]).await.unwrap();
        let mut chain = settings(postgres(&server), "users");
        chain.memory = MemorySettings {
            ttl: MINUTE,
            entries: 10 * USERS,
            bytes: MANY_BYTES,
        };
        database(&mut chain).timeout = TIMEOUT;
        chain.redis = Some(RedisSettings {
            tracking,
            timeout: TIMEOUT,
            ..redis(&cache.url())
        });
        let (stores, outcomes) = open(chain);
        until(&stores, LookupSource::Redis, true).await;
        if tracking {
            until_up(&stores).await;
        }
        let mut requests = JoinSet::new();
        for number in 0..REQUESTS {
            let stores = stores.clone();
            requests.spawn(async move { exists(&stores, &(number % USERS + 1).to_string()).await });
        }
        assert!(requests.join_all().await.into_iter().all(|exists| exists));
        let asked = outcomes.count(LookupSource::Postgres, Outcome::Present);
        assert_eq!(asked, USERS, "tracking: {tracking}");
        stores.close().await;
    }
}

/// Waits until every channel is up.
async fn until_up(stores: &TestNode) {
    let waiting = async {
        while !stores.0.channels().all(|(_, is_up)| is_up) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, waiting).await.unwrap();
}

#[tokio::test]
async fn an_answer_from_before_a_deletion_is_written_nowhere() {
    let (server, cache) = (with_users().await, Redis::start().await.unwrap());
    // The answer comes a second later, with the state at the time of the lookup.
    server
        .execute("CREATE VIEW slow AS SELECT id FROM users, (SELECT pg_sleep(1)) AS later")
        .await
        .unwrap();
    let mut chain = settings(postgres(&server), "slow");
    database(&mut chain).timeout = TIMEOUT;
    chain.redis = Some(redis(&cache.url()));
    let (stores, outcomes) = open(chain);
    until(&stores, LookupSource::Redis, true).await;
    let asking = {
        let stores = stores.clone();
        async move { stores.find("7").await.unwrap() }
    };
    let (cache, server) = (&cache, &server);
    let deleting = async {
        let lease = cached(cache, "auth:7").await;
        assert!(lease.starts_with("lease:"), "{lease}");
        server.execute("DELETE FROM users").await.unwrap();
        cache.cli(["DEL", "auth:7"]).await.unwrap();
    };
    let (answer, ()) = tokio::join!(asking, deleting);
    assert_eq!(answer.found, None, "it was asked for again");
    assert_eq!(outcomes.count(LookupSource::Postgres, Outcome::Present), 1);
    let kept = cache.cli(["GET", "auth:7"]).await.unwrap();
    assert!(!kept.contains(r#""user":true"#), "{kept}");
    assert!(!exists(&stores, "7").await);
}

//! Older gates, which only understand the value `true`, on the same Redis as ours.

use super::columns::value;
use super::*;

/// Reads the value under a key, which is empty if the key does not exist.
async fn value_of(cache: &Redis, key: &str) -> String {
    cache.cli(["GET", key]).await.unwrap()
}

#[tokio::test]
async fn a_plain_true_is_read_and_written_for_a_user_who_exists() {
    let (server, cache) = (with_users().await, Redis::start().await.unwrap());
    let mut chain = settings(postgres(&server), "users");
    chain.redis = Some(redis(&cache.url()));
    let records = open(chain.clone()).0;
    chain.redis.as_mut().unwrap().format = CacheFormat::True;
    let stores = open(chain.clone()).0;
    until(&stores, LookupSource::Redis, true).await;
    until(&records, LookupSource::Redis, true).await;

    // An older gate has written a value about a user who is not in our database.
    cache
        .cli(["SET", "auth:9", "true", "EX", "60"])
        .await
        .unwrap();
    let theirs = stores.find("9").await.unwrap();
    assert_eq!(theirs.source, LookupSource::Redis);
    assert_eq!(theirs.found, Some(User::default()));
    assert_eq!(source(&records, "9").await, LookupSource::Postgres);
    for other in ["True", "1", "truer", "false", "\"true\""] {
        cache.cli(["SET", "auth:9", other]).await.unwrap();
        assert!(!exists(&stores, "9").await, "{other:?}");
        assert_eq!(value_of(&cache, "auth:9").await, other);
    }

    // Our values expire, and no value is written for users who do not exist.
    assert_eq!(source(&stores, "7").await, LookupSource::Postgres);
    assert_eq!(cached(&cache, "auth:7").await, "true");
    let left: u64 = cache
        .cli(["PTTL", "auth:7"])
        .await
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60_000).contains(&left), "{left}");
    assert_eq!(source(&stores, "7").await, LookupSource::Redis);
    for _ in 0..2 {
        assert_eq!(source(&stores, "8").await, LookupSource::Postgres);
        assert_eq!(value_of(&cache, "auth:8").await, "");
    }

    // Records are read as well, because some gates write them.
    cache.cli(["DEL", "auth:7"]).await.unwrap();
    assert_eq!(source(&records, "7").await, LookupSource::Postgres);
    assert!(cached(&cache, "auth:7").await.contains("\"user\":true"));
    assert_eq!(source(&stores, "7").await, LookupSource::Redis);

    // If columns are configured, `true` holds too little.
    cache.cli(["SET", "auth:7", "true"]).await.unwrap();
    database(&mut chain).columns = vec![value("id")];
    let looking = open(chain).0;
    assert_eq!(source(&looking, "7").await, LookupSource::Postgres);
    assert_eq!(value_of(&cache, "auth:7").await, "true");
}

#[tokio::test]
async fn a_plain_true_is_a_miss_where_its_age_matters() {
    let (server, cache) = (with_users().await, Redis::start().await.unwrap());
    let mut chain = settings(postgres(&server), "users");
    let url = server.url(Postgres::DATABASE);
    database(&mut chain).listen = Some(Box::new(urls::postgres_server(&url)));
    chain.redis = Some(RedisSettings {
        format: CacheFormat::True,
        ..redis(&cache.url())
    });
    let stores = open(chain).0;
    until(&stores, LookupSource::Redis, true).await;
    for _ in 0..2 {
        assert_eq!(source(&stores, "7").await, LookupSource::Postgres);
        assert_eq!(cached(&cache, "auth:7").await, "true");
    }
}

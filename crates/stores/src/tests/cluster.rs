//! A cluster of Redis servers as the shared cache, as Better Auth's storage, and for the gate's own limits and revocations.

use gate::{Revocation, Revoked};
use harness::{RedisCluster, RedisVersion, poll};
use session::UnixTime;

use super::sessions::token;
use super::tracking::BOTH;
use super::*;
use crate::pools::RedisHandle;
use crate::redis::{CacheBackend as _, SharedCells};
use crate::{RevocationPlace, SharedCell, SharedChange, SharedRates};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(3600);

/// Keys of many slots: some on each primary.
fn keys() -> Vec<Vec<u8>> {
    (0..30)
        .map(|number| format!("auth:{number}").into_bytes())
        .collect()
}

/// Connects to a cluster, and waits until its slots are known.
async fn connected_to(url: &str) -> Arc<RedisHandle> {
    let settings = RedisSettings {
        timeout: Duration::from_millis(500),
        ..redis(url)
    };
    let handle = pools().redis(&settings).resource.clone();
    is_up(&handle, true).await;
    handle
}

async fn is_up(handle: &RedisHandle, up: bool) {
    poll("the cluster to be as it should", async || {
        (handle.redis.health().up == up).then_some(())
    })
    .await
    .unwrap_or_else(|_| panic!("{:?}", handle.redis.health()));
}

async fn leased_and_redeemed(handle: &RedisHandle, key: &[u8], value: &[u8]) -> bool {
    let placed = handle.redis.lease(key, b"lease:1", LONG).await;
    let written = Some((value, LONG));
    placed.is_ok_and(|placed| placed)
        && handle
            .redis
            .redeem(key, b"lease:1", written)
            .await
            .is_ok_and(|redeemed| redeemed)
}

async fn text(handle: &RedisHandle, key: &[u8]) -> Result<Vec<u8>, StoreError> {
    let aged = crate::redis::CacheBackend::read(&*handle.redis, key, 100, true).await?;
    assert_eq!(aged.left.is_some(), !aged.value.is_empty());
    Ok(aged.value)
}

#[tokio::test]
async fn every_command_goes_to_the_server_that_holds_its_key() {
    for version in BOTH {
        let cluster = RedisCluster::start(version).await.unwrap();
        // One seed leads to all servers.
        let first = format!("redis+cluster://{}", cluster.nodes[0].address());
        let handle = connected_to(&first).await;
        let keys = keys();
        for key in &keys {
            assert!(leased_and_redeemed(&handle, key, key).await);
            assert_eq!(&text(&handle, key).await.unwrap(), key);
        }
        for node in &cluster.nodes {
            let size: usize = node.cli(["DBSIZE"]).await.unwrap().parse().unwrap();
            assert!((1..30).contains(&size), "{version:?}: {size}");
            node.cli(["SCRIPT", "FLUSH"]).await.unwrap();
        }
        handle.redis.delete(&keys).await.unwrap();
        for key in &keys {
            assert_eq!(text(&handle, key).await.unwrap(), b"");
            // Each server must be sent the script again.
            assert!(leased_and_redeemed(&handle, key, b"x").await);
        }
    }
}

#[tokio::test]
async fn commands_follow_a_slot_at_every_step_of_its_migration() {
    for version in BOTH {
        let mut cluster = RedisCluster::start(version).await.unwrap();
        let handle = connected_to(&cluster.url()).await;
        let new = cluster.add().await.unwrap();
        // Both keys have the hash tag `x`, so they belong to the same slot.
        let (first, second): (&[u8], &[u8]) = (b"auth:{x}1", b"auth:{x}2");
        let slot = cluster
            .cli_words(&["CLUSTER", "KEYSLOT", "x"])
            .await
            .unwrap();
        let slot: u16 = slot.parse().unwrap();
        assert!(leased_and_redeemed(&handle, first, b"1").await);
        let from = cluster.holder_of(slot).await.unwrap();
        cluster.begin_slot_move(slot, new).await.unwrap();
        assert_eq!(text(&handle, first).await.unwrap(), b"1");
        // A missing key is looked up on the new server, which was unknown before.
        assert!(leased_and_redeemed(&handle, second, b"2").await);
        let port = cluster.nodes[new].port().to_string();
        let words = ["MIGRATE", "127.0.0.1", &port, "auth:{x}1", "0", "5000"];
        assert_eq!(cluster.nodes[from].cli(words).await.unwrap(), "OK");
        assert_eq!(text(&handle, first).await.unwrap(), b"1");
        assert_eq!(text(&handle, second).await.unwrap(), b"2");
        cluster.end_slot_move(slot, new).await.unwrap();
        assert_eq!(text(&handle, first).await.unwrap(), b"1");
        handle
            .redis
            .delete(&[first.to_vec(), second.to_vec()])
            .await
            .unwrap();
        assert_eq!(cluster.nodes[new].cli(["DBSIZE"]).await.unwrap(), "0");
        // The slot moves back, over the same connections.
        assert!(leased_and_redeemed(&handle, first, b"3").await);
        cluster.move_slot(slot, from).await.unwrap();
        assert_eq!(text(&handle, first).await.unwrap(), b"3");
        is_up(&handle, true).await;
    }
}

#[tokio::test]
async fn commands_are_answered_while_slots_migrate() {
    let cluster = RedisCluster::start(RedisVersion::Debian).await.unwrap();
    let handle = connected_to(&cluster.url()).await;
    let keys = keys();
    for key in &keys {
        assert!(leased_and_redeemed(&handle, key, key).await);
    }
    let moving = async {
        for (index, key) in keys.iter().enumerate() {
            let key = str::from_utf8(key).unwrap();
            let slot = cluster
                .cli_words(&["CLUSTER", "KEYSLOT", key])
                .await
                .unwrap();
            let (slot, from) = (slot.parse().unwrap(), cluster.holder(key).await.unwrap());
            let to = (from + 1 + index % 2) % RedisCluster::PRIMARIES;
            cluster.move_slot(slot, to).await.unwrap();
        }
    };
    let asking = async {
        loop {
            for key in &keys {
                assert_eq!(&text(&handle, key).await.unwrap(), key);
            }
        }
    };
    tokio::select! {
        () = moving => {}
        never = asking => never,
    }
}

#[tokio::test]
async fn a_failed_primary_affects_only_its_own_keys_and_is_replaced() {
    for version in BOTH {
        let mut cluster = RedisCluster::with_replicas(version).await.unwrap();
        let database = Postgres::start().await.unwrap();
        let rows = "CREATE TABLE users (id integer PRIMARY KEY); \
                    INSERT INTO users SELECT generate_series(0, 29)";
        database.execute(rows).await.unwrap();
        let mut chain = settings(postgres(&database), "users");
        chain.redis = Some(RedisSettings {
            timeout: Duration::from_millis(500),
            ..redis(&cluster.url())
        });
        let (stores, _) = open(chain);
        until(&stores, LookupSource::Redis, true).await;
        let user_ids = || (0..30).map(|id: u32| id.to_string());
        for id in user_ids() {
            assert!(exists(&stores, &id).await);
        }
        poll("all to be in the cluster", async || {
            for id in user_ids() {
                if source(&stores, &id).await != LookupSource::Redis {
                    return None;
                }
            }
            Some(())
        })
        .await
        .unwrap();
        cluster.nodes[0].stop();
        let down = until(&stores, LookupSource::Redis, false).await.unwrap();
        assert!(down.contains(&cluster.nodes[0].address()), "{down}");
        assert!(stores.0.ready());
        // Every user is found all the time, in Redis or in the database.
        let asking = async {
            loop {
                for id in user_ids() {
                    assert!(exists(&stores, &id).await);
                }
            }
        };
        tokio::select! {
            never = asking => never,
            took_over = cluster.wait_for_takeover(3) => took_over.unwrap(),
        }
        until(&stores, LookupSource::Redis, true).await;
        poll("the cluster to answer for all", async || {
            for id in user_ids() {
                if source(&stores, &id).await != LookupSource::Redis {
                    return None;
                }
            }
            Some(())
        })
        .await
        .unwrap();
        // The server accepts connections again, but answers nothing.
        cluster.nodes[0].start_again().await.unwrap();
        for id in user_ids() {
            assert_eq!(source(&stores, &id).await, LookupSource::Redis);
        }
    }
}

#[tokio::test]
async fn a_server_that_hangs_delays_its_own_keys_once() {
    let cluster = RedisCluster::start(RedisVersion::Debian).await.unwrap();
    let handle = connected_to(&cluster.url()).await;
    let held = async |node: usize| {
        for number in 0.. {
            let key = format!("auth:{number}");
            if cluster.holder(&key).await.unwrap() == node {
                return key.into_bytes();
            }
        }
        unreachable!("there are many keys")
    };
    let (here, there) = (held(0).await, held(1).await);
    cluster.nodes[0].suspend().unwrap();
    let late = text(&handle, &here).await;
    assert!(matches!(late, Err(StoreError::TimedOut { .. })), "{late:?}");
    for _ in 0..100 {
        // No further request waits for the server.
        assert!(text(&handle, &here).await.is_err());
        assert!(text(&handle, &there).await.is_ok());
    }
    cluster.nodes[0].resume().unwrap();
    is_up(&handle, true).await;
    assert!(text(&handle, &here).await.is_ok());
}

#[tokio::test]
async fn limits_are_counted_on_the_servers_that_hold_their_keys() {
    let cluster = RedisCluster::start(RedisVersion::Debian).await.unwrap();
    let rates = SharedRates::open(redis(&cluster.url()), &pools());
    let cell = |key: u8, burst: u32| SharedCell {
        key: [key; 16],
        interval: 3600.0 * 1e6,
        change: SharedChange::Count { burst },
    };
    let cells = |keys: &[(u8, u32)]| -> SharedCells {
        keys.iter().map(|(key, burst)| cell(*key, *burst)).collect()
    };
    for key in 0..9 {
        assert_eq!(rates.count(cells(&[(key, 1)])).await, Some(Ok(())));
    }
    for node in &cluster.nodes {
        assert_ne!(node.cli(["DBSIZE"]).await.unwrap(), "0");
    }
    // The second cell exceeds its limit and is reported; the first cell is counted nevertheless.
    let three = || cells(&[(10, 5), (11, 1), (12, 9)]);
    assert_eq!(rates.count(three()).await, Some(Ok(())));
    let over = rates.count(three()).await.unwrap().unwrap_err();
    assert_eq!(over.cell, 1);
    let counting = (0..20).map(|_| rates.count(cells(&[(10, 5)])));
    let counted = futures_util::future::join_all(counting).await;
    let allowed = counted.iter().filter(|one| **one == Some(Ok(())));
    assert_eq!(allowed.count(), 3);
    rates.give_back(SharedCell {
        change: SharedChange::GiveBack,
        ..cell(10, 5)
    });
    assert_eq!(rates.count(cells(&[(10, 5)])).await, Some(Ok(())));
    assert!(rates.count(cells(&[(10, 5)])).await.unwrap().is_err());
    assert!(rates.are_shared());
    rates.close().await;
}

#[tokio::test]
async fn revocations_are_kept_in_a_cluster() {
    let cluster = RedisCluster::start(RedisVersion::Debian).await.unwrap();
    let place = RevocationPlace::Redis(redis(&cluster.url()));
    let (pools, now) = (pools(), clock::now());
    let store = RevocationStore::open(&place, &pools);
    let entry = RevocationEntry {
        realm: "default".to_owned(),
        revocation: Revocation {
            what: Revoked::User("ada".into()),
            before: now,
            until: UnixTime::from_secs(now.secs() + 60),
        },
        made: now,
        by: "ops".to_owned(),
        source: "cli".to_owned(),
        reason: String::new(),
    };
    store.add(&entry, now).await.unwrap();
    assert_eq!(store.load(now).await.unwrap(), [entry]);
    let ada = Revoked::User("ada".into());
    assert!(store.remove("default", &ada).await.unwrap());
    assert_eq!(store.load(now).await.unwrap(), []);
    store.close().await;
}

#[tokio::test]
async fn sessions_of_better_auth_are_read_from_a_cluster() {
    let cluster = RedisCluster::start(RedisVersion::Debian).await.unwrap();
    let (node, _) = open(Settings {
        redis: Some(RedisSettings {
            sessions: Some("better-auth:".to_owned()),
            ..redis(&cluster.url())
        }),
        database: None,
        ..settings(postgres_at("postgres://nowhere"), "users")
    });
    for number in 0..9 {
        let (key, user) = (format!("t{number}"), format!("u{number}"));
        let value = format!(
            r#"{{"session":{{"token":"{key}","userId":"{user}","expiresAt":4900000000123,"createdAt":1800000000000}}}}"#
        );
        let words = ["SET", &format!("better-auth:{key}"), &value];
        cluster.cli_words(&words).await.unwrap();
        assert!(node.look_up(&token(&key)).await.unwrap().found.is_some());
        let marker = format!("better-auth:revoked-sessions-before-{user}");
        let words = ["SET", &marker, "1800000000001"];
        cluster.cli_words(&words).await.unwrap();
        assert!(node.look_up(&token(&key)).await.unwrap().found.is_none());
    }
}

#[tokio::test]
async fn a_url_of_the_wrong_kind_is_reported() {
    let (server, cluster) = (
        Redis::start().await.unwrap(),
        RedisCluster::start(RedisVersion::Debian).await.unwrap(),
    );
    let (of_none, of_one) = (
        format!("redis+cluster://{}", server.address()),
        cluster.nodes[2].url(),
    );
    let advice = [
        (of_none, "refused CLUSTER SLOTS: ERR", "write redis:// in"),
        (of_one, "refused GETRANGE: MOVED", "as redis+cluster://"),
    ];
    for (url, refusal, advice) in advice {
        let handle = pools().redis(&redis(&url)).resource.clone();
        poll("it to be told", async || {
            let detail = handle.redis.health().detail?;
            (detail.contains(refusal) && detail.contains(advice)).then_some(())
        })
        .await
        .unwrap_or_else(|_| panic!("{:?}", handle.redis.health()));
    }
}

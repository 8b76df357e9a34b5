//! Changes that a cluster of Redis servers announces, and when the gate does not trust the channel.

use harness::{RedisCluster, RedisVersion, poll};

use super::tracking::{BOTH, RedisEvent, TestChannel, tracked};
use super::*;
use crate::channel::Invalidation;

const EVERYTHING: RedisEvent = RedisEvent::Invalidation(Invalidation::Everything);

async fn set(cluster: &RedisCluster, key: &str) {
    let answer = cluster.cli_words(&["SET", key, "x"]).await.unwrap();
    assert_eq!(answer, "OK");
}

/// A key that this server holds.
async fn held_by(cluster: &RedisCluster, node: usize) -> String {
    for number in 0..1000 {
        let key = format!("auth:{number}");
        if cluster.holder(&key).await.unwrap() == node {
            return key;
        }
    }
    panic!("it holds no slot")
}

/// Waits until this key is announced, and, before or after it, that anything may have changed.
async fn until_key_or_everything(channel: &TestChannel, key: &str) {
    let received = channel.until(key).await;
    if !received.contains(&EVERYTHING) {
        channel.until_event(&EVERYTHING).await;
    }
}

/// Waits until a key of each server is announced.
async fn until_all_announce(cluster: &RedisCluster, channel: &TestChannel, nodes: [usize; 3]) {
    for node in nodes {
        let key = held_by(cluster, node).await;
        set(cluster, &key).await;
        channel.until(&key).await;
    }
}

#[tokio::test]
async fn a_change_on_every_primary_is_announced_and_a_flush_of_one_invalidates_everything() {
    for version in BOTH {
        let cluster = RedisCluster::start(version).await.unwrap();
        let channel = TestChannel::connected(&tracked(&cluster.url())).await;
        until_all_announce(&cluster, &channel, [0, 1, 2]).await;
        for node in &cluster.nodes {
            let key = held_by(&cluster, 0).await;
            set(&cluster, &key).await;
            channel.until(&key).await;
            node.cli(["FLUSHALL"]).await.unwrap();
            channel.until_event(&EVERYTHING).await;
        }
    }
}

#[tokio::test]
async fn the_channel_is_down_from_the_failure_of_a_primary_until_its_replica_takes_over() {
    for version in BOTH {
        let mut cluster = RedisCluster::with_replicas(version).await.unwrap();
        let channel = TestChannel::connected(&tracked(&cluster.url())).await;
        let former = cluster.nodes[0].address();
        cluster.nodes[0].stop();
        channel.until_down(&former).await;
        cluster.wait_for_takeover(3).await.unwrap();
        channel.until_up().await;
        until_all_announce(&cluster, &channel, [3, 1, 2]).await;
        cluster.nodes[0].start_again().await.unwrap();
        until_all_announce(&cluster, &channel, [3, 1, 2]).await;

        // This server resumes later, and keeps its old view for a moment.
        cluster.nodes[1].suspend().unwrap();
        channel.until_down(&cluster.nodes[1].address()).await;
        cluster.wait_for_takeover_without(4, Some(1)).await.unwrap();
        channel.until_up().await;
        cluster.nodes[1].resume().unwrap();
        until_all_announce(&cluster, &channel, [3, 4, 2]).await;
    }
}

#[tokio::test]
async fn without_a_replica_the_channel_is_down_until_the_primary_is_back() {
    for full_coverage in ["yes", "no"] {
        let options = Redis::options().set("cluster-require-full-coverage", full_coverage);
        let mut cluster = RedisCluster::of(options, 0).await.unwrap();
        let channel = TestChannel::connected(&tracked(&cluster.url())).await;
        let failed = cluster.nodes[2].address();
        cluster.nodes[2].stop();
        channel.until_down(&failed).await;
        poll("the others to miss it", async || {
            let known = cluster.nodes[0].cli(["CLUSTER", "NODES"]).await.ok()?;
            known.contains("master,fail ").then_some(())
        })
        .await
        .unwrap();
        // The channel is silent whether or not the other servers accept commands about their own keys.
        let key = held_by(&cluster, 0).await;
        let answer = cluster.nodes[0].cli(["SET", &key, "x"]).await.unwrap();
        assert_eq!(answer == "OK", full_coverage == "no", "{answer}");
        channel.until_down(&failed).await;
        cluster.nodes[2].start_again().await.unwrap();
        channel.until_up().await;
        cluster.wait_until_ready().await.unwrap();
        until_all_announce(&cluster, &channel, [0, 1, 2]).await;
    }
}

#[tokio::test]
async fn a_manual_failover_is_followed_without_a_gap() {
    for version in BOTH {
        let cluster = RedisCluster::with_replicas(version).await.unwrap();
        let channel = TestChannel::connected(&tracked(&cluster.url())).await;
        until_all_announce(&cluster, &channel, [0, 1, 2]).await;
        let key = held_by(&cluster, 0).await;
        cluster.fail_over_to(3).await.unwrap();
        // Changes on the new primary are received from the start, and anything may have changed when it took over.
        set(&cluster, &key).await;
        until_key_or_everything(&channel, &key).await;
        until_all_announce(&cluster, &channel, [3, 1, 2]).await;
    }
}

#[tokio::test]
async fn changes_in_a_migrated_slot_are_announced_by_its_new_server() {
    for version in BOTH {
        let mut cluster = RedisCluster::start(version).await.unwrap();
        let channel = TestChannel::connected(&tracked(&cluster.url())).await;
        let new = cluster.add().await.unwrap();
        let (kept, other) = ("auth:{x}1", "auth:{x}2");
        let slot = cluster
            .cli_words(&["CLUSTER", "KEYSLOT", "x"])
            .await
            .unwrap();
        let slot: u16 = slot.parse().unwrap();
        set(&cluster, kept).await;
        channel.until(kept).await;
        let to_new = async |node: usize| {
            poll("the channel to lead there", async || {
                let clients = cluster.nodes[node].cli(["CLIENT", "LIST"]).await.ok()?;
                clients.contains("flags=tB").then_some(())
            })
            .await
            .unwrap();
        };
        // The new server is tracked before it holds anything.
        to_new(new).await;
        cluster.begin_slot_move(slot, new).await.unwrap();
        // A key that the former server lacks is written on the new one.
        set(&cluster, other).await;
        channel.until(other).await;
        cluster.move_slot(slot, new).await.unwrap();
        set(&cluster, kept).await;
        until_key_or_everything(&channel, kept).await;
        set(&cluster, kept).await;
        channel.until(kept).await;
        until_all_announce(&cluster, &channel, [0, 1, 2]).await;
    }
}

#[tokio::test]
async fn keys_that_are_dropped_with_a_slot_are_invalidated() {
    for version in BOTH {
        let cluster = RedisCluster::start(version).await.unwrap();
        let channel = TestChannel::connected(&tracked(&cluster.url())).await;
        let key = held_by(&cluster, 0).await;
        set(&cluster, &key).await;
        channel.until(&key).await;
        let slot = cluster
            .cli_words(&["CLUSTER", "KEYSLOT", &key])
            .await
            .unwrap();
        // The slot moves without its key. The claim of the second server outweighs the earlier one of the first.
        let id = cluster.id(1).await.unwrap();
        let words = ["CLUSTER", "SETSLOT", &slot, "NODE", &id];
        assert_eq!(cluster.nodes[1].cli(words).await.unwrap(), "OK");
        channel.until_event(&EVERYTHING).await;
        assert_eq!(cluster.cli_words(&["GET", &key]).await.unwrap(), "");
    }
}

#[tokio::test]
async fn where_all_keys_have_one_slot_only_its_server_is_needed() {
    let mut cluster = RedisCluster::start(RedisVersion::Debian).await.unwrap();
    let holder = cluster.holder("{app}").await.unwrap();
    let channel = TestChannel::connected(&RedisSettings {
        key_prefix: "{app}auth:".to_owned(),
        sessions: Some("{app}better-auth:".to_owned()),
        ..tracked(&cluster.url())
    })
    .await;
    let other = (holder + 1) % RedisCluster::PRIMARIES;
    let address = cluster.nodes[other].address();
    cluster.nodes[other].stop();
    set(&cluster, "{app}better-auth:1").await;
    channel.until("{app}better-auth:1").await;
    cluster.nodes[holder].stop();
    channel.until_down(&cluster.nodes[holder].address()).await;
    assert_ne!(address, cluster.nodes[holder].address());
}

#[tokio::test]
async fn a_user_needs_two_more_permissions_on_each_server() {
    for version in BOTH {
        let cluster = RedisCluster::start(version).await.unwrap();
        let allow = async |node: usize, rights: &[&str]| {
            let words = [&["ACL", "SETUSER", "gate", "reset", "on", ">pw"], rights].concat();
            assert_eq!(cluster.nodes[node].cli_words(&words).await.unwrap(), "OK");
        };
        let tracking = ["+client|tracking", "+getrange", "+set", "~auth:*"];
        let slots = [&tracking[..], &["+cluster|slots"]].concat();
        let nodes = [&slots[..], &["+cluster|nodes"]].concat();
        for node in 0..3 {
            allow(node, &tracking).await;
        }
        let channel = TestChannel::open(&tracked(&cluster.url_of("gate:pw@")));
        channel.until_down("refused CLUSTER SLOTS: NOPERM").await;
        for node in 0..3 {
            allow(node, &slots).await;
        }
        channel.until_down("refused CLUSTER NODES: NOPERM").await;
        for node in 0..2 {
            allow(node, &nodes).await;
        }
        channel.until_down(&cluster.nodes[2].address()).await;
        allow(2, &nodes).await;
        channel.until_up().await;
    }
}

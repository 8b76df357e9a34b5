//! A cluster of Redis servers behind the gate: sessions that it holds end at once wherever they are, and the documented rights are
//! enough.

use anyhow::{Context as _, Result};
use harness::{Echo, Postgres, Redis, RedisCluster, RedisVersion, poll};

use crate::hearing::{Heard, key, value};
use crate::redis_rights::{CACHE, USERS, cached, caching, logged};

/// Tokens of sessions, a third of them on each server.
fn tokens() -> Vec<String> {
    (10..22)
        .map(|number| format!("abcdefghijklmnopqrstuvwxyz0123{number}"))
        .collect()
}

async fn sign_in(cluster: &RedisCluster, token: &str) -> Result<()> {
    let words = ["SET", &key(token), &value(token)];
    assert_eq!(cluster.say(&words).await?, "OK");
    Ok(())
}

async fn sign_out(cluster: &RedisCluster, token: &str) -> Result<()> {
    assert_eq!(cluster.say(&["DEL", &key(token)]).await?, "1");
    Ok(())
}

#[tokio::test]
async fn sessions_end_wherever_they_are_also_after_a_failover() -> Result<()> {
    let in_part = Redis::options().set("cluster-require-full-coverage", "no");
    let mut cluster = RedisCluster::of(in_part, 1).await?;
    for token in tokens() {
        sign_in(&cluster, &token).await?;
    }
    let heard = Heard::start(&cluster.url()).await?;
    let (first, later) = (tokens().split_off(6), tokens()[..6].to_vec());
    for token in tokens() {
        heard.remembered(&token).await?;
    }
    for token in &first {
        sign_out(&cluster, token).await?;
        heard.refused(token).await?;
    }
    // Not the server that holds `revoked-sessions-before-ada`, without which none of them enters. Which one holds what is asked,
    // because on a slow machine a replica may have taken over before.
    let needed = cluster.holder(&key("revoked-sessions-before-ada")).await?;
    let mut holders = Vec::new();
    for token in &later {
        holders.push(cluster.holder(&key(token)).await?);
    }
    let stopped = holders.iter().copied().find(|holder| *holder != needed);
    let stopped = stopped.context("there is a session on each server")?;
    cluster.nodes[stopped].stop();
    heard.logged("Redis does not say what changes").await?;
    // Memory vouches for nobody, and the others still answer for their own.
    for (token, holder) in later.iter().zip(holders) {
        poll("the session to be answered for", async || {
            let status = heard.status(token).await.ok()?;
            assert!([200, 503].contains(&status), "{token}: {status}");
            // The stopped one's replica may have taken over by now, or not.
            (status == 200 || holder == stopped).then_some(())
        })
        .await?;
    }
    for token in &later {
        let remembered = heard.remembered(token).await;
        remembered.with_context(|| heard.told("after the failover"))?;
    }
    for token in &later {
        sign_out(&cluster, token).await?;
        let refused = heard.refused(token).await;
        refused.with_context(|| heard.told("after the failover"))?;
    }
    Ok(())
}

#[tokio::test]
async fn nobody_enters_by_what_was_true_before_a_slot_moved() -> Result<()> {
    let mut cluster = RedisCluster::start(RedisVersion::Debian).await?;
    for token in tokens() {
        sign_in(&cluster, &token).await?;
    }
    let heard = Heard::start(&cluster.url()).await?;
    let new = cluster.add().await?;
    for token in tokens() {
        heard.remembered(&token).await?;
        let slot = cluster.say(&["CLUSTER", "KEYSLOT", &key(&token)]).await?;
        cluster.move_slot(slot.parse()?, new).await?;
        sign_out(&cluster, &token).await?;
        heard.refused(&token).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_documented_rights_are_enough_in_a_cluster() -> Result<()> {
    let cluster = RedisCluster::with_replicas(RedisVersion::Debian).await?;
    let postgres = Postgres::start().await?;
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    let url = cluster.url_of("gate:gate-password@");
    let restrict = async |rights: &[&str]| {
        for node in &cluster.nodes {
            let user = ["ACL", "SETUSER", "gate", "reset", "on", ">gate-password"];
            node.say(&[&user, rights].concat()).await?;
            node.cli(["ACL", "LOG", "RESET"]).await?;
        }
        anyhow::Ok(())
    };
    let nothing_was_refused = async || {
        for node in &cluster.nodes {
            assert_eq!(node.cli(["ACL", "LOG"]).await?, "");
        }
        anyhow::Ok(())
    };
    restrict(CACHE).await?;
    let gate = caching(&echo, &postgres, &url).start().await?;
    logged(&gate, "refused CLUSTER SLOTS: NOPERM").await?;
    restrict(&[CACHE, &["+cluster|slots"]].concat()).await?;
    let gate = caching(&echo, &postgres, &url).start().await?;
    cached(&gate, "ada").await?;
    nothing_was_refused().await?;
    let hearing = ["+client|tracking", "+cluster|slots", "+cluster|nodes"];
    restrict(&[CACHE, &hearing].concat()).await?;
    let hearing = caching(&echo, &postgres, &url).env("REDIS_TRACKING", "true");
    let gate = hearing.start().await?;
    logged(&gate, "Redis says what changes").await?;
    cached(&gate, "ada").await?;
    nothing_was_refused().await
}

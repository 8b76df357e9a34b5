//! A cluster of Redis servers behind the gate: sessions that it holds end at once wherever they are, and the documented rights are
//! enough.

use anyhow::Result;
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
    let mut cluster = RedisCluster::with_replicas(RedisVersion::Debian).await?;
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
    let mut lost = Vec::new();
    for token in &later {
        if cluster.holder(&key(token)).await? == 0 {
            lost.push(token.clone());
        }
    }
    assert!(!lost.is_empty(), "there is a session on each server");
    cluster.nodes[0].stop();
    heard.logged("Redis does not say what changes").await?;
    // Memory vouches for nobody, and the others still answer for their own.
    for token in &later {
        let expected = if lost.contains(token) { 503 } else { 200 };
        assert_eq!(heard.status(token).await?, expected, "{token}");
    }
    cluster.took_over(3).await?;
    for token in &later {
        heard.remembered(token).await?;
    }
    for token in &later {
        sign_out(&cluster, token).await?;
        heard.refused(token).await?;
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

#[tokio::test]
async fn a_cluster_is_reached_over_tls() -> Result<()> {
    let cluster = RedisCluster::of(Redis::options().tls(), 0).await?;
    let (folder, postgres) = (tempfile::tempdir()?, Postgres::start().await?);
    postgres.execute(USERS).await?;
    let authorities = folder.path().join("authorities.pem");
    let mut texts = String::new();
    for node in &cluster.nodes {
        texts += &std::fs::read_to_string(node.authority())?;
    }
    std::fs::write(&authorities, texts)?;
    let ports = cluster.nodes.iter().map(Redis::tls_url);
    let hosts: Vec<_> = ports.map(|url| url.replace("rediss://", "")).collect();
    let echo = Echo::start().await?;
    let url = format!("rediss+cluster://{}", hosts.join(","));
    let gate = caching(&echo, &postgres, &url)
        .env("REDIS_CA_FILE", authorities.display().to_string())
        .env("REDIS_TRACKING", "true")
        .start()
        .await?;
    logged(&gate, "Redis says what changes").await?;
    cached(&gate, "ada").await?;
    let connections = poll("no connection to be in the clear", async || {
        let clients = cluster.nodes[0].cli(["CLIENT", "LIST"]).await.ok()?;
        let plain = format!("laddr={}", cluster.nodes[0].address());
        let gates = clients.lines().filter(|line| line.contains(&plain));
        // The one that asks.
        (gates.count() == 1).then_some(())
    });
    connections.await
}

//! A Redis cluster behind the gate: sessions end at once on whichever server they are, and the documented rights suffice.

use std::path::Path;

use anyhow::{Context as _, Result};
use harness::{
    Authority, CertificateKind, Certificates, Echo, Postgres, Redis, RedisCluster, RedisOptions,
    RedisVersion, poll,
};
use tempfile::TempDir;

use crate::redis_rights::{CACHE, USERS, cached, caching, logged};
use crate::support::signed_in;
use crate::tracking::{Tracking, key, value};

/// Returns session tokens, a third of them on each server.
fn tokens() -> Vec<String> {
    (10..22)
        .map(|number| format!("abcdefghijklmnopqrstuvwxyz0123{number}"))
        .collect()
}

async fn sign_in(cluster: &RedisCluster, token: &str) -> Result<()> {
    let words = ["SET", &key(token), &value(token)];
    assert_eq!(cluster.cli_words(&words).await?, "OK");
    Ok(())
}

async fn sign_out(cluster: &RedisCluster, token: &str) -> Result<()> {
    assert_eq!(cluster.cli_words(&["DEL", &key(token)]).await?, "1");
    Ok(())
}

#[tokio::test]
async fn sessions_end_on_every_server_and_after_a_failover() -> Result<()> {
    let in_part = Redis::options().set("cluster-require-full-coverage", "no");
    let mut cluster = RedisCluster::of(in_part, 1).await?;
    for token in tokens() {
        sign_in(&cluster, &token).await?;
    }
    let tracking = Tracking::start(&cluster.url()).await?;
    let (first, later) = (tokens().split_off(6), tokens()[..6].to_vec());
    for token in tokens() {
        tracking.wait_until_in_memory(&token).await?;
    }
    for token in &first {
        sign_out(&cluster, token).await?;
        tracking.wait_until_refused(token).await?;
    }
    // The test must not stop the server that holds `revoked-sessions-before-ada`, without which no session enters. It asks the
    // cluster for the holders, because on a slow machine a replica may already have taken over.
    let needed = cluster.holder(&key("revoked-sessions-before-ada")).await?;
    let mut holders = Vec::new();
    for token in &later {
        holders.push(cluster.holder(&key(token)).await?);
    }
    let stopped = holders.iter().copied().find(|holder| *holder != needed);
    let stopped = stopped.context("each server has a session")?;
    cluster.nodes[stopped].stop();
    tracking
        .wait_for_log("change notifications from Redis are not working")
        .await?;
    // Nothing is answered from memory, and the other servers still answer for their keys.
    for (token, holder) in later.iter().zip(holders) {
        poll("the session to be found", async || {
            let status = tracking.status(token).await.ok()?;
            assert!([200, 503].contains(&status), "{token}: {status}");
            // The replica of the stopped server may or may not have taken over by now.
            (status == 200 || holder == stopped).then_some(())
        })
        .await?;
    }
    for token in &later {
        let remembered = tracking.wait_until_in_memory(token).await;
        remembered.with_context(|| tracking.failure_at("after the failover"))?;
    }
    for token in &later {
        sign_out(&cluster, token).await?;
        let refused = tracking.wait_until_refused(token).await;
        refused.with_context(|| tracking.failure_at("after the failover"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_session_deleted_after_its_slot_moved_is_refused() -> Result<()> {
    let mut cluster = RedisCluster::start(RedisVersion::Debian).await?;
    for token in tokens() {
        sign_in(&cluster, &token).await?;
    }
    let tracking = Tracking::start(&cluster.url()).await?;
    let new = cluster.add().await?;
    for token in tokens() {
        tracking.wait_until_in_memory(&token).await?;
        let slot = cluster
            .cli_words(&["CLUSTER", "KEYSLOT", &key(&token)])
            .await?;
        cluster.move_slot(slot.parse()?, new).await?;
        sign_out(&cluster, &token).await?;
        tracking.wait_until_refused(&token).await?;
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
            node.cli_words(&[&user, rights].concat()).await?;
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
    let rights = ["+client|tracking", "+cluster|slots", "+cluster|nodes"];
    restrict(&[CACHE, &rights].concat()).await?;
    let settings = caching(&echo, &postgres, &url).env("REDIS_TRACKING", "true");
    let gate = settings.start().await?;
    logged(&gate, "change notifications from Redis are working").await?;
    cached(&gate, "ada").await?;
    nothing_was_refused().await
}

/// Returns options for servers with one certificate for these names, signed by an authority created in this folder.
async fn with_tls(folder: &TempDir, names: &str) -> Result<RedisOptions> {
    let authority = Authority::make(folder.path()).await?;
    let made = authority.peer("redis", names).await?;
    Ok(Redis::options().tls_of(&Certificates {
        authority: authority.certificate,
        certificate: made.certificate,
        key: made.key,
    }))
}

/// Returns the URL of the primaries at this host, with the CA file.
fn tls_url(cluster: &RedisCluster, host: &str, authority: &Path) -> String {
    let url = cluster.tls_url_at(host);
    format!("{url}?ssl_ca_certs={}", authority.display())
}

#[tokio::test]
async fn sessions_end_on_every_server_over_tls() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let servers = with_tls(&folder, "IP:127.0.0.1").await?;
    let mut cluster = RedisCluster::of(servers, 1).await?;
    for token in tokens() {
        sign_in(&cluster, &token).await?;
    }
    let url = tls_url(&cluster, "127.0.0.1", &folder.path().join("authority.pem"));
    let tracking = Tracking::start(&url).await?;
    let (first, rest) = (tokens().split_off(8), tokens()[..8].to_vec());
    let (second, third) = rest.split_at(4);
    for token in tokens() {
        tracking.wait_until_in_memory(&token).await?;
    }
    for token in &first {
        sign_out(&cluster, token).await?;
        tracking.wait_until_refused(token).await?;
    }
    // The gate listens to all servers, including replicas, and only over TLS.
    for node in &cluster.nodes {
        let clients = node.cli(["CLIENT", "LIST"]).await?;
        let at_tls = format!("laddr=127.0.0.1:{} ", node.tls_port().unwrap_or(0));
        let mut listening_clients = clients.lines().filter(|line| {
            let flags = line.split(' ').find_map(|word| word.strip_prefix("flags="));
            flags.is_some_and(|flags| flags.contains('B'))
        });
        assert!(listening_clients.clone().next().is_some(), "{clients}");
        assert!(
            listening_clients.all(|line| line.contains(&at_tls)),
            "{clients}"
        );
    }
    cluster.fail_over_to(RedisCluster::PRIMARIES).await?;
    for token in second {
        tracking.wait_until_in_memory(token).await?;
        sign_out(&cluster, token).await?;
        tracking.wait_until_refused(token).await?;
    }
    let new = cluster.add().await?;
    for token in third {
        tracking.wait_until_in_memory(token).await?;
        let slot = cluster
            .cli_words(&["CLUSTER", "KEYSLOT", &key(token)])
            .await?;
        cluster.move_slot(slot.parse()?, new).await?;
        sign_out(&cluster, token).await?;
        tracking.wait_until_refused(token).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_cache_is_kept_over_tls_at_the_names_that_servers_announce() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let servers = with_tls(&folder, "DNS:localhost").await?;
    let servers = servers
        .set("cluster-announce-hostname", "localhost")
        .set("cluster-preferred-endpoint-type", "hostname");
    let cluster = RedisCluster::of(servers, 0).await?;
    let postgres = Postgres::start().await?;
    postgres.execute(MANY_USERS).await?;
    let echo = Echo::start().await?;
    let url = tls_url(&cluster, "localhost", &folder.path().join("authority.pem"));
    let gate = caching(&echo, &postgres, &url).start().await?;
    for number in 0..9 {
        cached(&gate, &format!("user-{number}")).await?;
    }
    for node in &cluster.nodes {
        assert_ne!(node.cli(["DBSIZE"]).await?, "0");
    }
    Ok(())
}

const MANY_USERS: &str =
    "CREATE TABLE users AS SELECT 'user-' || n AS id FROM generate_series(0, 99) AS n";

#[tokio::test]
async fn an_unverifiable_certificate_is_refused_and_the_server_named() -> Result<()> {
    let (folder, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    // An authority of the same name, and one of another name.
    let namesake = Authority::make(other.path()).await?.certificate;
    let stranger = Certificates::make_kind(other.path(), CertificateKind::OwnAuthority).await?;
    // The servers announce their addresses.
    let servers = with_tls(&folder, "DNS:localhost").await?;
    let signer = folder.path().join("authority.pem");
    let cluster = RedisCluster::of(servers, 0).await?;
    let postgres = Postgres::start().await?;
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    let refused_with = async |url: &str, server: &str, advice: &str| {
        let gate = caching(&echo, &postgres, url).start().await?;
        let stderr = gate.stderr();
        let refused_with = stderr.wait_for(|line| {
            let is_it = line.contains(server) && line.contains(advice);
            is_it.then_some(())
        });
        refused_with.await?;
        // Requests enter without the cache, and nothing is sent to a server that is not trusted.
        assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);
        let tracking = caching(&echo, &postgres, url).env("REDIS_TRACKING", "true");
        let tracking = tracking.start().await?;
        let stderr = tracking.stderr();
        let refused_with = stderr.wait_for(|line| {
            let is_it = line.contains("change notifications from Redis are not working")
                && line.contains(server)
                && line.contains(advice);
            is_it.then_some(())
        });
        refused_with.await?;
        let checked = caching(&echo, &postgres, url)
            .args(["doctor"])
            .run()
            .await?;
        // The output has wrapped lines.
        let text = checked.stdout.split_whitespace();
        let text = text.collect::<Vec<_>>().join(" ");
        assert!(text.contains(server) && text.contains(advice), "{text}");
        anyhow::Ok(())
    };
    let unknown = "no trusted authority signed the server's certificate; give the certificate of the authority that did as the CA file";
    let url = tls_url(&cluster, "localhost", &stranger.authority);
    refused_with(&url, "rediss://localhost:", unknown).await?;
    let anew = "the trusted authority of this name has another key than the one that signed the server's certificate";
    let url = tls_url(&cluster, "localhost", &namesake);
    refused_with(&url, "rediss://localhost:", anew).await?;
    let misnamed = "the server's certificate is for other hosts; its subjectAltName must name the host as it is configured here, or as \
         the servers of a cluster (cluster-preferred-endpoint-type) or the sentinels announce it";
    let url = tls_url(&cluster, "localhost", &signer);
    refused_with(&url, "rediss://127.0.0.1:", misnamed).await?;
    let url = tls_url(&cluster, "127.0.0.1", &signer);
    refused_with(&url, "rediss://127.0.0.1:", misnamed).await?;
    for node in &cluster.nodes {
        assert_eq!(node.cli(["DBSIZE"]).await?, "0");
    }
    Ok(())
}

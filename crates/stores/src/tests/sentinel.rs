//! A Redis whose primary is found by sentinels.

use ::redis::RedisConnectionInfo;
use harness::Sentinels;

use super::tracking::TestChannel;
use super::*;

/// A primary, two replicas, and three sentinels.
struct Group {
    servers: Vec<Redis>,
    sentinels: Sentinels,
}

impl Group {
    async fn start() -> Self {
        Self::of(Redis::start().await.unwrap()).await
    }

    async fn of(primary: Redis) -> Self {
        let of_primary = format!("127.0.0.1 {}", primary.port());
        let mut servers = vec![primary];
        for _ in 0..2 {
            // The server starts as a replica of the primary.
            let replica = Redis::options().set("replicaof", &of_primary);
            servers.push(replica.start().await.unwrap());
        }
        let sentinels = Sentinels::start(&servers[0], 2).await.unwrap();
        Self { servers, sentinels }
    }

    fn settings(&self) -> RedisSettings {
        let ports = self.sentinels.ports().iter();
        let address = RedisAddress::Sentinels(Box::new(crate::Sentinels {
            hosts: ports.map(|port| ("127.0.0.1".to_owned(), *port)).collect(),
            name: Sentinels::NAME.to_owned(),
            tls: false,
            login: RedisConnectionInfo::default(),
        }));
        let server = RedisServer {
            address,
            login: RedisConnectionInfo::default(),
        };
        RedisSettings {
            server,
            tracking: true,
            ..redis("redis://nowhere")
        }
    }

    fn at(&mut self, port: u16) -> &mut Redis {
        let mut servers = self.servers.iter_mut();
        servers.find(|server| server.port() == port).unwrap()
    }
}

#[tokio::test]
async fn connections_and_channel_follow_a_failover() {
    let (mut group, database) = (Group::start().await, with_users().await);
    let more = "INSERT INTO users SELECT generate_series(8, 100000)";
    database.execute(more).await.unwrap();
    let channel = TestChannel::connected(&group.settings()).await;
    let mut chain = settings(postgres(&database), "users");
    chain.redis = Some(group.settings());
    let (stores, _) = open(chain);
    until(&stores, LookupSource::Redis, true).await;

    let former = group.servers[0].port();
    group.servers[0].stop();
    channel.until_down("").await;
    let new = group.sentinels.follow(former).await.unwrap();
    channel.until_up().await;
    until(&stores, LookupSource::Redis, true).await;
    let server = group.at(new);
    server.cli(["SET", "auth:1", "x"]).await.unwrap();
    channel.until("auth:1").await;
    // Until the connection is probed next, the store is reported as up, and answers are not written over the broken
    // connection. So the test looks up one user after another until an answer is written.
    let written = async {
        for user in 7.. {
            assert!(exists(&stores, &user.to_string()).await);
            let key = format!("auth:{user}");
            if !server.cli(["GET", &key]).await.unwrap().is_empty() {
                break;
            }
        }
    };
    timeout(TIMEOUT, written).await.unwrap();

    // The former primary comes back, and does not know yet that it was demoted.
    group.servers[0].start_again().await.unwrap();
    group.at(new).cli(["SET", "auth:2", "x"]).await.unwrap();
    channel.until("auth:2").await;
}

#[tokio::test]
async fn a_former_primary_that_was_not_demoted_is_not_trusted() {
    // The sentinels cannot demote this server.
    let not_demotable = Redis::options().set("rename-command", "SLAVEOF nobody-says-this");
    let mut group = Group::of(not_demotable.start().await.unwrap()).await;
    let channel = TestChannel::connected(&group.settings()).await;
    let new = group.sentinels.fail_over().await.unwrap();
    assert_ne!(new, group.servers[0].port());
    // The former primary would have accepted and announced every heartbeat.
    channel
        .until_down("a sentinel says that the primary is")
        .await;
    let role = group.servers[0].cli(["ROLE"]).await.unwrap();
    assert!(role.starts_with("master"), "{role}");
    channel.until_up().await;
    group.at(new).cli(["SET", "auth:1", "x"]).await.unwrap();
    channel.until("auth:1").await;
}

#[tokio::test]
async fn without_a_majority_of_sentinels_a_primary_is_used_and_its_channel_is_not() {
    let (mut group, database) = (Group::start().await, with_users().await);
    group.sentinels.stop(0);
    let channel = TestChannel::connected(&group.settings()).await;
    group.sentinels.stop(1);
    channel.until_down("too few sentinels answer").await;
    let mut chain = settings(postgres(&database), "users");
    chain.redis = Some(group.settings());
    let (stores, _) = open(chain);
    until(&stores, LookupSource::Redis, true).await;
    group.sentinels.stop(2);
    let settings = group.settings();
    let uses = RedisUses {
        caches: true,
        counts: false,
    };
    let none = survey_redis(&settings, uses).await.unwrap_err();
    assert!(none.contains("sentinel 127.0.0.1"), "{none}");
}

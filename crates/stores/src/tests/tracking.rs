//! Changes that Redis and Valkey announce, and when the gate no longer trusts the channel.

use harness::RedisVersion;
use tokio::sync::watch;

use super::*;
use crate::channel::{Channel, ChannelState, ChannelSubscriber, Invalidation};
use crate::pools::Lease;
use crate::redis::{Tracking, TrackingTarget};

/// The versions of servers with which most tests run.
pub(super) const BOTH: [RedisVersion; 2] = [RedisVersion::Debian, RedisVersion::Valkey];

/// A call of a subscriber.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RedisEvent {
    Down,
    Up,
    Invalidation(Invalidation),
}

/// A subscriber that records every call.
#[derive(Default)]
pub(super) struct RedisRecorder(watch::Sender<Vec<RedisEvent>>);

impl RedisRecorder {
    fn record(&self, event: RedisEvent) {
        self.0.send_modify(|events| events.push(event));
    }
}

impl ChannelSubscriber for RedisRecorder {
    fn receive(&self, channel: Channel, invalidation: &Invalidation) {
        assert_eq!(channel, Channel::Redis);
        // Heartbeats of other connections are announced too, and heartbeats of former connections when they expire.
        let is_heartbeat = |key: &[u8]| key.starts_with(b"auth:sessiongate:heartbeat:");
        if !matches!(invalidation, Invalidation::RedisKey(key) if is_heartbeat(key)) {
            self.record(RedisEvent::Invalidation(invalidation.clone()));
        }
    }

    fn channel_down(&self, _: Channel) {
        self.record(RedisEvent::Down);
    }

    fn channel_up(&self, _: Channel) {
        self.record(RedisEvent::Up);
    }
}

/// A channel, and the events on it.
pub(super) struct TestChannel {
    recorder: Arc<RedisRecorder>,
    _subscriber: Arc<dyn ChannelSubscriber>,
    lease: Lease<TrackingTarget, Tracking>,
}

impl TestChannel {
    /// Opens a channel, and waits until it is received.
    pub(super) async fn connected(settings: &RedisSettings) -> Self {
        let channel = Self::open(settings);
        channel.until_up().await;
        channel
    }

    pub(super) fn open(settings: &RedisSettings) -> Self {
        let lease = pools().tracking(settings).expect("tracking is on");
        let recorder = Arc::new(RedisRecorder::default());
        let subscriber = Arc::clone(&recorder) as Arc<dyn ChannelSubscriber>;
        lease.resource.publisher().subscribe(&subscriber);
        Self {
            recorder,
            _subscriber: subscriber,
            lease,
        }
    }

    pub(super) async fn until_up(&self) {
        self.state(|state| *state == ChannelState::Up).await;
    }

    /// Waits until the channel is down for a reason that contains `words`.
    pub(super) async fn until_down(&self, words: &str) {
        self.state(|state| matches!(state, ChannelState::Down(why) if why.contains(words)))
            .await;
    }

    async fn state(&self, wanted: impl FnMut(&ChannelState) -> bool) {
        let mut state = self.lease.resource.publisher().watch();
        let waiting = timeout(TIMEOUT, state.wait_for(wanted));
        if waiting.await.is_err() {
            panic!(
                "it is {:?}",
                self.lease.resource.publisher().watch().borrow()
            );
        }
    }

    /// Returns the events up to the announcement of `key`, and removes them.
    pub(super) async fn until(&self, key: &str) -> Vec<RedisEvent> {
        self.until_event(&invalidation_of(key)).await
    }

    pub(super) async fn until_event(&self, last: &RedisEvent) -> Vec<RedisEvent> {
        let mut events = self.recorder.0.subscribe();
        let waiting = timeout(TIMEOUT, events.wait_for(|events| events.contains(last)));
        match waiting.await {
            Ok(found) => drop(found.unwrap()),
            Err(_) => panic!("no {last:?} in {:?}", self.recorder.0.borrow()),
        }
        let mut received = Vec::new();
        self.recorder.0.send_modify(|events| {
            let end = events.iter().position(|event| event == last).unwrap();
            received.extend(events.drain(..=end));
        });
        received
    }

    /// Returns the events so far: all that come before an announcement that this function causes.
    async fn events_so_far(&self, server: &Redis) -> Vec<RedisEvent> {
        server.cli(["SET", "auth:marker", ""]).await.unwrap();
        let mut received = self.until("auth:marker").await;
        received.pop();
        received
    }
}

fn invalidation_of(key: &str) -> RedisEvent {
    RedisEvent::Invalidation(Invalidation::RedisKey(key.as_bytes().into()))
}

pub(super) fn tracked(url: &str) -> RedisSettings {
    RedisSettings {
        tracking: true,
        ..redis(url)
    }
}

async fn started(version: RedisVersion) -> Redis {
    with_debug(version).start().await.unwrap()
}

fn with_debug(version: RedisVersion) -> harness::RedisOptions {
    let options = Redis::options().version(version);
    options.set("enable-debug-command", "yes")
}

#[tokio::test]
async fn every_change_under_the_prefixes_is_announced_and_no_other() {
    for version in BOTH {
        let server = started(version).await;
        let both = RedisSettings {
            sessions: Some("better-auth:".to_owned()),
            ..tracked(&format!("{}/3", server.url()))
        };
        let channel = TestChannel::connected(&both).await;
        for (command, announced) in [
            (&["SET", "auth:1", "x"][..], &["auth:1"][..]),
            // A write is announced although the value stays the same.
            (&["SET", "auth:1", "x"], &["auth:1"]),
            (&["EXPIRE", "auth:1", "100"], &["auth:1"]),
            (&["GETEX", "auth:1", "EX", "100"], &["auth:1"]),
            (&["PERSIST", "auth:1"], &["auth:1"]),
            (&["APPEND", "auth:1", "y"], &["auth:1"]),
            (&["SET", "better-auth:t", "{}"], &["better-auth:t"]),
            (&["SET", "other", "x"], &[]),
            (&["SET", "auth", "x"], &[]),
            // Only keys under a prefix are announced.
            (&["RENAME", "other", "auth:2"], &["auth:2"]),
            (&["RENAME", "auth:2", "other"], &["auth:2"]),
            (&["COPY", "other", "auth:3"], &["auth:3"]),
            (&["MOVE", "auth:3", "5"], &["auth:3"]),
            // Announcements do not name the database: a key of the same name in another database is announced, too.
            (&["-n", "7", "SET", "auth:1", "x"], &["auth:1"]),
            // One push has both keys, in Redis' order.
            (&["MSET", "auth:9", "", "auth:8", ""], &["auth:8", "auth:9"]),
            (&["DEL", "auth:1"], &["auth:1"]),
            // The key does not exist, so nothing has changed.
            (&["DEL", "auth:1"], &[]),
            (&["SADD", "auth:set", "x"], &["auth:set"]),
            (&["SADD", "auth:set", "x"], &[]),
            // The writes of a script are announced like those of commands.
            (
                &["EVAL", "redis.call('SET', KEYS[1], '')", "1", "auth:4"],
                &["auth:4"],
            ),
        ] {
            // `redis-cli` uses the last `-n`, so a command can name another database.
            let words = [&["-n", "3"], command].concat();
            server.cli_words(&words).await.unwrap();
            let announced: Vec<_> = announced.iter().map(|key| invalidation_of(key)).collect();
            let received = channel.events_so_far(&server).await;
            let is_invalidation = |event: &RedisEvent| matches!(event, RedisEvent::Invalidation(_));
            let received: Vec<_> = received.into_iter().filter(is_invalidation).collect();
            assert_eq!(received, announced, "{version:?}: {words:?}");
        }
    }
}

#[tokio::test]
async fn restored_and_evicted_keys_are_announced() {
    for version in BOTH {
        let options = with_debug(version).set("maxmemory-policy", "allkeys-random");
        let server = options.set("maxmemory", "6mb").start().await.unwrap();
        let channel = TestChannel::connected(&tracked(&server.url())).await;
        let script = "redis.call('RESTORE', 'auth:2', 0, redis.call('DUMP', KEYS[1]))";
        server.cli(["SET", "other", "x"]).await.unwrap();
        server.cli(["EVAL", script, "1", "other"]).await.unwrap();
        channel.until("auth:2").await;

        server.cli(["SET", "auth:evicted", "x"]).await.unwrap();
        channel.until("auth:evicted").await;
        // The server evicts the key sooner or later, to make room for others.
        let script =
            "for n = 1, 2000 do redis.call('SET', ARGV[1] .. n, string.rep('x', 5000)) end";
        let evicted = async {
            for round in 0.. {
                let keys = format!("other:{round}:");
                server.cli(["EVAL", script, "0", &keys]).await.unwrap();
                if server.cli(["EXISTS", "auth:evicted"]).await.unwrap() == "0" {
                    break;
                }
            }
        };
        timeout(TIMEOUT, evicted).await.unwrap();
        channel.until("auth:evicted").await;
    }
}

#[tokio::test]
async fn flushes_and_reloads_invalidate_everything_and_swapped_databases_are_not_announced() {
    for version in BOTH {
        let server = started(version).await;
        let channel = TestChannel::connected(&tracked(&server.url())).await;
        let everything = RedisEvent::Invalidation(Invalidation::Everything);
        for command in [
            &["-n", "9", "FLUSHALL"][..],
            &["-n", "9", "FLUSHDB"],
            &["FLUSHALL", "ASYNC"],
            &["DEBUG", "RELOAD"],
        ] {
            server.cli_words(command).await.unwrap();
            channel.until_event(&everything).await;
        }
        channel.events_so_far(&server).await;
        server.cli(["SWAPDB", "0", "1"]).await.unwrap();
        // Each of our keys may have another value, without an announcement.
        assert_eq!(channel.events_so_far(&server).await, [], "{version:?}");
    }
}

#[tokio::test]
async fn an_expired_key_is_announced_when_the_server_finds_it() {
    for version in BOTH {
        let server = started(version).await;
        let channel = TestChannel::connected(&tracked(&server.url())).await;
        let no_search = ["DEBUG", "SET-ACTIVE-EXPIRE", "0"];
        server.cli(no_search).await.unwrap();
        server.cli(["SET", "auth:1", "x", "PX", "1"]).await.unwrap();
        channel.until("auth:1").await;
        sleep(Duration::from_millis(20)).await;
        assert_eq!(channel.events_so_far(&server).await, [], "{version:?}");
        assert_eq!(server.cli(["GET", "auth:1"]).await.unwrap(), "");
        channel.until("auth:1").await;
    }
}

#[tokio::test]
async fn a_suspended_paused_or_busy_server_takes_the_channel_down() {
    for version in BOTH {
        let server = with_debug(version).set("busy-reply-threshold", "50");
        let server = server.start().await.unwrap();
        let channel = TestChannel::connected(&tracked(&server.url())).await;
        server.suspend().unwrap();
        channel.until_down("").await;
        // The server accepts new connections, but does not answer.
        channel.until_down("did not answer within").await;
        server.resume().unwrap();
        channel.until_up().await;
        let turns = channel.events_so_far(&server).await;
        let expected = [
            RedisEvent::Down,
            RedisEvent::Up,
            RedisEvent::Down,
            RedisEvent::Up,
        ];
        assert_eq!(turns, expected, "{version:?}");

        for kind in ["ALL", "WRITE"] {
            server.cli(["CLIENT", "PAUSE", "3000", kind]).await.unwrap();
            channel.until_down("").await;
            channel.until_up().await;
        }

        let endless = tokio::join!(server.cli(["EVAL", "while true do end", "0"]), async {
            channel.until_down("BUSY").await;
            server.cli(["SCRIPT", "KILL"]).await.unwrap();
        });
        // redis-cli prints the error and succeeds.
        let error = endless.0.unwrap();
        assert!(error.contains("killed"), "{error}");
        channel.until_up().await;
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_or_silent_takes_the_channel_down() {
    let mut server = started(RedisVersion::Debian).await;
    let proxy = CutProxy::start(&server.address()).await.unwrap();
    let channel = TestChannel::connected(&tracked(&format!("redis://{}", proxy.address()))).await;
    proxy.cut().await.unwrap();
    channel.until_down("").await;
    proxy.restore().await.unwrap();
    channel.until_up().await;
    // The connection stays open, but delivers nothing.
    proxy.stall();
    channel
        .until_down("accepted no heartbeat within 1100 ms")
        .await;
    proxy.restore().await.unwrap();
    channel.until_up().await;
    server.stop();
    channel.until_down("").await;
    server.start_again().await.unwrap();
    channel.until_up().await;
    server.cli(["SET", "auth:1", "x"]).await.unwrap();
    channel.until("auth:1").await;
    let id = server
        .cli(["CLIENT", "LIST", "TYPE", "NORMAL"])
        .await
        .unwrap();
    let is_push_connection = |line: &&str| line.contains("resp=3") && line.contains("flags=tB");
    let listener = id
        .lines()
        .find(is_push_connection)
        .unwrap_or_else(|| panic!("{id}"));
    let id = listener
        .split(' ')
        .find_map(|word| word.strip_prefix("id="))
        .unwrap();
    server.cli(["CLIENT", "KILL", "ID", id]).await.unwrap();
    channel.until_down("the connection was closed").await;
    channel.until_up().await;
}

#[tokio::test]
async fn a_server_to_which_the_address_no_longer_leads_takes_the_channel_down() {
    let (former, primary) = (
        started(RedisVersion::Debian).await,
        started(RedisVersion::Debian).await,
    );
    let proxy = CutProxy::start(&former.address()).await.unwrap();
    let channel = TestChannel::connected(&tracked(&format!("redis://{}", proxy.address()))).await;
    // The former server keeps running, and answers everything.
    proxy.set_target(&primary.address()).unwrap();
    channel.until_down("leads to another server").await;
    channel.until_up().await;
    primary.cli(["SET", "auth:1", "x"]).await.unwrap();
    channel.until("auth:1").await;
}

#[tokio::test]
async fn a_replica_keeps_the_channel_down() {
    for version in BOTH {
        let (primary, replica) = (started(version).await, started(version).await);
        let channel = TestChannel::connected(&tracked(&replica.url())).await;
        let port = primary.port().to_string();
        replica
            .cli(["REPLICAOF", "127.0.0.1", &port])
            .await
            .unwrap();
        channel.until_down("READONLY").await;
        replica.cli(["REPLICAOF", "NO", "ONE"]).await.unwrap();
        channel.until_up().await;
    }
}

#[tokio::test]
async fn a_user_needs_the_documented_permissions() {
    for version in BOTH {
        let server = started(version).await;
        let set = async |rights: &[&str]| {
            let words = [&["ACL", "SETUSER", "gate", "reset", "on", ">pw"], rights].concat();
            assert_eq!(server.cli_words(&words).await.unwrap(), "OK");
        };
        let settings = tracked(&server.url_of("gate", "pw"));
        set(&["+getrange", "+set", "~auth:*"]).await;
        let channel = TestChannel::open(&settings);
        channel.until_down("refused CLIENT TRACKING: NOPERM").await;
        set(&["+client|tracking", "+getrange", "%R~auth:*"]).await;
        channel.until_down("refused SET: NOPERM").await;
        set(&["+client|tracking", "+getrange", "+set", "~auth:*"]).await;
        channel.until_up().await;
        // The open connections would still receive announcements.
        server.cli(["ACL", "SETUSER", "gate", "off"]).await.unwrap();
        channel.until_down("AUTH").await;
        server.cli(["ACL", "SETUSER", "gate", "on"]).await.unwrap();
        channel.until_up().await;
        server.cli(["ACL", "DELUSER", "gate"]).await.unwrap();
        channel.until_down("").await;
        channel.until_down("refused HELLO: WRONGPASS").await;
    }
}

#[tokio::test]
async fn the_reason_is_reported_for_a_server_that_cannot_announce_changes() {
    for version in BOTH {
        let server = with_debug(version).set("rename-command", "HELLO  nobody-says-this");
        let server = server.start().await.unwrap();
        let channel = TestChannel::open(&tracked(&server.url()));
        channel.until_down("does not support RESP3").await;
        let full = Redis::options().version(version).maxmemory("1");
        let full = full.start().await.unwrap();
        let channel = TestChannel::open(&tracked(&full.url()));
        channel.until_down("refused SET: OOM").await;
    }
}

#[tokio::test]
async fn many_changes_at_once_invalidate_everything() {
    for version in BOTH {
        let server = started(version).await;
        let channel = TestChannel::connected(&tracked(&server.url())).await;
        let script = "for n = 1, 10000 do redis.call('SET', 'auth:' .. n, '') end";
        server.cli(["EVAL", script, "0"]).await.unwrap();
        let everything = RedisEvent::Invalidation(Invalidation::Everything);
        let events = channel.until_event(&everything).await;
        assert_eq!(
            events,
            [RedisEvent::Down, RedisEvent::Up, everything],
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn the_channel_works_over_tls_and_is_shared() {
    let server = Redis::options().tls().start().await.unwrap();
    let settings = RedisSettings {
        ca_file: Some(server.authority()),
        ..tracked(&server.tls_url())
    };
    let pools = pools();
    let [first, second] = [(); 2].map(|()| pools.tracking(&settings).unwrap());
    assert!(Arc::ptr_eq(&first.resource, &second.resource));
    assert!(pools.tracking(&redis(&server.url())).is_none());
    let mut state = first.resource.publisher().watch();
    let up = state.wait_for(|state| *state == ChannelState::Up);
    timeout(TIMEOUT, up).await.unwrap().unwrap();
    assert!(first.give_back().is_none());
    let last = second.give_back().unwrap();
    last.close().await;
    assert!(matches!(&*state.borrow(), ChannelState::Down(why) if why.contains("closed")));
}

#[tokio::test]
async fn a_new_revocation_is_announced_at_once() {
    let server = started(RedisVersion::Debian).await;
    let place = RevocationPlace::Redis(tracked(&server.url()));
    let pools = pools();
    let store = RevocationStore::open(&place, &pools);
    let mut news = RevocationNewsReceiver::from_now_on();
    // The first news is that the channel has opened.
    timeout(TIMEOUT, news.changed()).await.unwrap();
    let key = "auth:sessiongate:revocations";
    server.cli(["ZADD", key, "1", "x"]).await.unwrap();
    // Other tests in this process cause news as well.
    let changed = async { while !news.changed().await.in_redis {} };
    timeout(TIMEOUT, changed).await.unwrap();
    store.close().await;
}

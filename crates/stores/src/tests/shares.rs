//! The cost of servers that hang or are slow, and which requests pay for it.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinSet;

use super::sessions::{tables, token};
use super::*;

/// Puts the database behind a proxy that can be stalled or slowed.
async fn behind_proxy(server: &Postgres) -> (CutProxy, Settings) {
    let proxy = CutProxy::start(&server.address()).await.unwrap();
    let url = server.url_through(&proxy.address(), Postgres::DATABASE);
    (proxy, settings(postgres_at(&url), "users"))
}

#[tokio::test]
async fn a_database_that_hangs_costs_one_timeout_and_not_one_for_each_lookup() {
    let server = with_users().await;
    let (proxy, mut chain) = behind_proxy(&server).await;
    database(&mut chain).timeout = Duration::from_millis(500);
    let (stores, _) = open(chain);
    until(&stores, LookupSource::Postgres, true).await;
    proxy.stall();
    let mut outcomes = [0; 2];
    for subject in 0..500 {
        match stores.find(&subject.to_string()).await.unwrap_err() {
            StoreError::TimedOut { .. } => outcomes[0] += 1,
            StoreError::Failed { detail, .. } => {
                assert!(
                    detail.contains("lookups fail until it answers a health probe"),
                    "{detail}"
                );
                outcomes[1] += 1;
            }
        }
    }
    // The health probe may have timed out before any of these.
    assert!(outcomes[0] <= 1, "{outcomes:?}");
    // No lookup waits during the outage, through several attempts of the health probe.
    for _ in 0..40 {
        let error = stores.find("7").await.unwrap_err();
        assert!(matches!(error, StoreError::Failed { .. }), "{error}");
        sleep(Duration::from_millis(50)).await;
    }
    proxy.restore().await.unwrap();
    until(&stores, LookupSource::Postgres, true).await;
    assert!(exists(&stores, "7").await);
}

#[tokio::test]
async fn a_slow_database_is_still_queried() {
    let server = with_users().await;
    let (proxy, mut chain) = behind_proxy(&server).await;
    database(&mut chain).timeout = TIMEOUT;
    let (stores, outcomes) = open(chain);
    until(&stores, LookupSource::Postgres, true).await;
    proxy.delay(Duration::from_millis(300));
    let mut asking = JoinSet::new();
    for subject in 0..8 {
        let stores = stores.clone();
        asking.spawn(async move { stores.find(&subject.to_string()).await.is_ok() });
    }
    assert!(asking.join_all().await.into_iter().all(|answered| answered));
    assert_eq!(outcomes.count(LookupSource::Postgres, Outcome::Failed), 0);
}

#[tokio::test]
async fn made_up_tokens_leave_flights_and_connections_to_known_sessions() {
    let server = Postgres::start().await.unwrap();
    let create = "CREATE TABLE users (id int PRIMARY KEY, email text, name text); \
                  CREATE TABLE sessions (token text, \"userId\" int, expires timestamptz); \
                  INSERT INTO users VALUES (7); INSERT INTO sessions VALUES ('known', 7, now() + '1 hour')";
    server.execute(create).await.unwrap();
    let (proxy, mut chain) = behind_proxy(&server).await;
    let names = ["sessions", "token", "userId", "expires", "", "users"];
    database(&mut chain).sessions = Some(tables(names));
    // Waiting lookups of the flood must not time out before the test ends.
    database(&mut chain).timeout = MINUTE;
    // The session is known from the first lookup on, and still looked up each time.
    chain.memory.ttl = Duration::from_nanos(1);
    chain.absent_ttl = Duration::ZERO;
    let (stores, _) = open(chain);
    let is_known =
        async |stores: &TestNode| stores.look_up(&token("known")).await.map(|it| it.found);
    assert!(is_known(&stores).await.unwrap().is_some());
    // Each lookup takes so long that all of them would take minutes.
    proxy.delay(Duration::from_millis(200));
    let guesses: Vec<_> = (0..2000)
        .map(|guess| token(&format!("guess-{guess}")))
        .collect();
    let mut flood: FuturesUnordered<_> =
        guesses.iter().map(|guess| stores.look_up(guess)).collect();
    // Wait until lookups of unknown tokens have taken their share.
    assert!(flood.next().await.unwrap().is_ok(), "a lookup is answered");
    for _ in 0..5 {
        let mut known = pin!(is_known(&stores));
        let answer = loop {
            tokio::select! {
                answer = &mut known => break answer,
                guess = flood.next() => assert!(guess.is_some(), "the flood was over before"),
            }
        };
        assert!(answer.unwrap().is_some());
    }
}

#[tokio::test]
async fn known_users_are_let_in_for_a_while_when_the_database_is_down() {
    let mut server = with_users().await;
    let mut chain = settings(postgres(&server), "users");
    chain.memory.ttl = Duration::from_millis(1);
    chain.absent_ttl = Duration::ZERO;
    let without = open(chain.clone()).0;
    chain.stale_if_down = Duration::from_millis(1);
    let shortly = open(chain.clone()).0;
    chain.stale_if_down = MINUTE;
    let (stores, outcomes) = open(chain);
    for node in [&stores, &without, &shortly] {
        assert!(exists(node, "7").await);
        assert!(!exists(node, "8").await);
    }
    server.stop().await.unwrap();
    let error = async |node: &TestNode, subject| node.find(subject).await.unwrap_err();
    let is_stale = async { while source(&stores, "7").await != LookupSource::Stale {} };
    timeout(TIMEOUT, is_stale).await.unwrap();
    assert!(exists(&stores, "7").await);
    assert!(outcomes.count(LookupSource::Stale, Outcome::Present) > 1);
    // There is no stale answer about a user who did not exist, or was never looked up.
    for subject in ["8", "9"] {
        error(&stores, subject).await;
    }
    let ends =
        async { while without.find("7").await.is_ok() || shortly.find("7").await.is_ok() {} };
    timeout(TIMEOUT, ends).await.unwrap();
    // As soon as the database answers, its answer is used.
    server.start_again().await.unwrap();
    assert_eq!(source(&stores, "7").await, LookupSource::Postgres);
    server.execute("DELETE FROM users").await.unwrap();
    let ends = async { while exists(&stores, "7").await {} };
    timeout(TIMEOUT, ends).await.unwrap();
    server.stop().await.unwrap();
    error(&stores, "7").await;
}

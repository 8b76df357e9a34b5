//! Limits that nodes share, against a real Redis.

use futures_util::future::join_all;

use super::*;
use crate::redis::SharedCells;
use crate::{SharedCell, SharedChange, SharedRates};

/// A cell with an interval of an hour, under a key of this number.
fn cells(key: u8, burst: u32) -> SharedCells {
    vec![SharedCell {
        key: [key; 16],
        interval: 3600.0 * 1e6,
        change: SharedChange::Count { burst },
    }]
}

/// Reads how often Redis has run the script.
async fn runs(redis: &Redis) -> u32 {
    let stats = redis.cli(["INFO", "commandstats"]).await.unwrap();
    let calls = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(name))?;
        let calls = line.strip_prefix(":calls=")?.split(',').next()?;
        calls.parse::<u32>().ok()
    };
    calls("cmdstat_evalsha").unwrap_or(0)
}

#[tokio::test]
async fn waiting_requests_are_counted_exactly_and_in_one_round_trip() {
    let server = Redis::start().await.unwrap();
    let proxy = CutProxy::start(&server.address()).await.unwrap();
    let url = format!("redis://{}", proxy.address());
    let rates = SharedRates::open(redis(&url), &pools());
    // From now on Redis knows the script.
    assert_eq!(rates.count(cells(1, 1)).await, Some(Ok(())));
    let before = runs(&server).await;
    proxy.stall();
    let count = |_| rates.count(cells(2, 7));
    let counting = join_all((0..100).map(count));
    let restoring = proxy.restore();
    // `biased`, so that all requests wait to be counted before the connection is restored.
    let (counted, restored) = tokio::join!(biased; counting, restoring);
    restored.unwrap();
    let allowed = counted.iter().filter(|one| **one == Some(Ok(())));
    assert_eq!(allowed.count(), 7);
    let refused = counted.iter().filter(|one| matches!(one, Some(Err(_))));
    assert_eq!(refused.count(), 93);
    // The first request may have been sent before the others.
    let after = runs(&server).await;
    assert!((1..=2).contains(&(after - before)), "{before} to {after}");
    rates.close().await;
}

#[tokio::test]
async fn a_refusal_names_the_limit_and_the_wait_and_changes_nothing() {
    let server = Redis::start().await.unwrap();
    let rates = SharedRates::open(redis(&server.url()), &pools());
    let two = || [cells(1, 5), cells(2, 1)].concat();
    assert_eq!(rates.count(two()).await, Some(Ok(())));
    let over = rates.count(two()).await.unwrap().unwrap_err();
    assert_eq!(over.cell, 1);
    assert!((3590..=3600).contains(&over.wait.as_secs()), "{over:?}");
    // The cell before the refused one was counted twice, as when a single node counts.
    for _ in 0..3 {
        assert_eq!(rates.count(cells(1, 5)).await, Some(Ok(())));
    }
    assert!(rates.count(cells(1, 5)).await.unwrap().is_err());
    // A key expires when its limit is fully restored.
    let key = format!("auth:limit:{}", "02".repeat(16));
    let left: u64 = server.cli(["TTL", &key]).await.unwrap().parse().unwrap();
    assert!((3590..=3600).contains(&left), "{left}");
    rates.close().await;
    assert_eq!(rates.count(cells(1, 5)).await, None);
}

#[tokio::test]
async fn a_count_that_is_given_back_allows_one_more_request() {
    let server = Redis::start().await.unwrap();
    let rates = SharedRates::open(redis(&server.url()), &pools());
    let given_back = || SharedCell {
        change: SharedChange::GiveBack,
        ..cells(1, 2)[0]
    };
    // Giving back a count that does not exist changes nothing.
    rates.give_back(given_back());
    for _ in 0..2 {
        assert_eq!(rates.count(cells(1, 2)).await, Some(Ok(())));
    }
    assert!(rates.count(cells(1, 2)).await.unwrap().is_err());
    rates.give_back(given_back());
    assert_eq!(rates.count(cells(1, 2)).await, Some(Ok(())));
    assert!(rates.count(cells(1, 2)).await.unwrap().is_err());
    assert!(rates.are_shared());
    rates.close().await;
}

//! Notifications that revocations may have changed, and which ones.

use std::collections::{BTreeSet, VecDeque};
use std::sync::LazyLock;

use tokio::sync::watch;

use super::entry::RevocationKey;

/// News about revocations. It says which entries to read and never what they hold, so an attacker who can send news
/// causes extra lookups and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RevocationNews {
    /// Whether anything may have changed, so that the whole list must be read.
    pub everything: bool,
    /// Whether the revocations in Redis have changed. It is not known how.
    pub in_redis: bool,
    /// The revocations under these keys may have changed.
    pub keys: BTreeSet<RevocationKey>,
}

impl RevocationNews {
    /// Creates news about one key, for any kind of store.
    pub fn of(key: RevocationKey) -> Self {
        Self {
            everything: false,
            in_redis: true,
            keys: [key].into(),
        }
    }

    /// Whether there is no news.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Announces that any revocation may have changed since the list was last read. It can be called on any thread and does
/// not block.
pub fn reload_soon() {
    NEWS.send_modify(|log| {
        log.count += 1;
        log.everything = log.count;
    });
}

/// Announces that the revocations in Redis have changed. It does not block.
pub(in super::super) fn changed_in_redis() {
    NEWS.send_modify(|log| {
        log.count += 1;
        log.in_redis = log.count;
    });
}

/// Announces that the revocation under this key may have changed. It does not block.
pub(in super::super) fn changed(key: RevocationKey) {
    NEWS.send_modify(|log| {
        log.count += 1;
        log.keys.push_back((log.count, key));
        if log.keys.len() > MAX_KEYS {
            // A receiver that has not received the first of them must read everything.
            let first = log.keys.pop_front();
            log.everything = first.map_or(log.count, |(number, _)| number.max(log.everything));
        }
    });
}

/// Receives news about revocations. It also receives news that arrives between two calls.
#[derive(Debug)]
pub struct RevocationNewsReceiver {
    log: watch::Receiver<NewsLog>,
    /// The number of the last news that was received.
    seen: u64,
}

impl RevocationNewsReceiver {
    /// Creates a receiver of all news from now on.
    pub fn from_now_on() -> Self {
        let log = NEWS.subscribe();
        let seen = log.borrow().count;
        Self { log, seen }
    }

    /// Waits for news, and returns all news since the last call.
    pub async fn changed(&mut self) -> RevocationNews {
        let seen = self.seen;
        // Cannot fail: the sender lives as long as the process.
        let log = self.log.wait_for(|log| log.count > seen).await;
        log.map_or_else(
            |_| RevocationNews::default(),
            |log| {
                self.seen = log.count;
                log.after(seen)
            },
        )
    }
}

/// The latest news, which is numbered from 1.
#[derive(Debug, Default)]
struct NewsLog {
    count: u64,
    /// The number of the last news that may concern any revocation.
    everything: u64,
    in_redis: u64,
    keys: VecDeque<(u64, RevocationKey)>,
}

impl NewsLog {
    fn after(&self, seen: u64) -> RevocationNews {
        let keys = self.keys.iter().rev();
        let keys = keys.take_while(|(number, _)| *number > seen);
        RevocationNews {
            everything: self.everything > seen,
            in_redis: self.in_redis > seen,
            keys: keys.map(|(_, key)| key.clone()).collect(),
        }
    }
}

static NEWS: LazyLock<watch::Sender<NewsLog>> = LazyLock::new(watch::Sender::default);

/// The most keys whose news is kept for receivers.
const MAX_KEYS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_missed_dropped_news_reads_everything() {
        let key = |number: u64| RevocationKey::read(&format!("r:user:{number}")).unwrap();
        let mut log = NewsLog {
            everything: 5,
            count: 9,
            ..NewsLog::default()
        };
        log.keys = (6..10).map(|number| (number, key(number))).collect();
        let keys = |range: std::ops::Range<u64>| range.map(key).collect();
        let news = |everything, keys| RevocationNews {
            everything,
            in_redis: false,
            keys,
        };
        assert_eq!(log.after(4), news(true, keys(6..10)));
        assert_eq!(log.after(5), news(false, keys(6..10)));
        assert_eq!(log.after(7), news(false, keys(8..10)));
        assert!(log.after(9).is_empty());
    }
}

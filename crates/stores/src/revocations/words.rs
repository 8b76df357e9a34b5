//! News that there may be other revocations, and which.

use std::collections::{BTreeSet, VecDeque};
use std::sync::LazyLock;

use tokio::sync::watch;

use super::entry::RevocationKey;

/// What was said about revocations. A word says where to look, and never what is there: whoever can say one costs a question, and
/// no more.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RevocationNews {
    /// Anything may be other than it was, so the whole list has to be read.
    pub everything: bool,
    /// What Redis keeps has changed, and nobody has said how.
    pub in_redis: bool,
    /// The revocations of these may be other than they were.
    pub keys: BTreeSet<RevocationKey>,
}

impl RevocationNews {
    /// What is to be looked at after this was changed, wherever revocations are kept.
    pub fn of(key: RevocationKey) -> Self {
        Self {
            everything: false,
            in_redis: true,
            keys: [key].into(),
        }
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Says that there may be any other revocations than those that were read last. To be called by whoever hears so, from any thread;
/// it does not wait. The others here likewise.
pub fn reload_soon() {
    SAID.send_modify(|said| {
        said.count += 1;
        said.everything = said.count;
    });
}

/// Says that what Redis keeps has changed.
pub(in super::super) fn changed_in_redis() {
    SAID.send_modify(|said| {
        said.count += 1;
        said.in_redis = said.count;
    });
}

/// Says that the revocation of this may have changed.
pub(in super::super) fn changed(key: RevocationKey) {
    SAID.send_modify(|said| {
        said.count += 1;
        said.keys.push_back((said.count, key));
        if said.keys.len() > MOST_KEYS {
            // Those who have not heard the first of them look at everything.
            let first = said.keys.pop_front();
            said.everything = first.map_or(said.count, |(number, _)| number.max(said.everything));
        }
    });
}

/// Hears such news. What is said between two waits is not missed.
#[derive(Debug)]
pub struct RevocationNewsReceiver {
    said: watch::Receiver<Said>,
    /// What was heard last.
    heard: u64,
}

impl RevocationNewsReceiver {
    /// Of all that is said from now on.
    pub fn from_now_on() -> Self {
        let said = SAID.subscribe();
        let heard = said.borrow().count;
        Self { said, heard }
    }

    /// Returns all that was said since the last time, once there is something.
    pub async fn changed(&mut self) -> RevocationNews {
        let heard = self.heard;
        // The sender is as old as the process.
        let said = self.said.wait_for(|said| said.count > heard).await;
        said.map_or_else(
            |_| RevocationNews::default(),
            |said| {
                self.heard = said.count;
                said.after(heard)
            },
        )
    }
}

/// Everything that was said lately. Each word has a number, from 1 on.
#[derive(Debug, Default)]
struct Said {
    count: u64,
    /// The last word that may concern all.
    everything: u64,
    in_redis: u64,
    keys: VecDeque<(u64, RevocationKey)>,
}

impl Said {
    fn after(&self, heard: u64) -> RevocationNews {
        let keys = self.keys.iter().rev();
        let keys = keys.take_while(|(number, _)| *number > heard);
        RevocationNews {
            everything: self.everything > heard,
            in_redis: self.in_redis > heard,
            keys: keys.map(|(_, key)| key.clone()).collect(),
        }
    }
}

static SAID: LazyLock<watch::Sender<Said>> = LazyLock::new(watch::Sender::default);

/// How many words with names are kept until somebody hears them.
const MOST_KEYS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_to_be_kept_is_news_of_everything_for_those_who_have_missed_it() {
        let key = |number: u64| RevocationKey::read(&format!("r:user:{number}")).unwrap();
        let mut said = Said {
            everything: 5,
            count: 9,
            ..Said::default()
        };
        said.keys = (6..10).map(|number| (number, key(number))).collect();
        let keys = |range: std::ops::Range<u64>| range.map(key).collect();
        let news = |everything, keys| RevocationNews {
            everything,
            in_redis: false,
            keys,
        };
        assert_eq!(said.after(4), news(true, keys(6..10)));
        assert_eq!(said.after(5), news(false, keys(6..10)));
        assert_eq!(said.after(7), news(false, keys(8..10)));
        assert!(said.after(9).is_empty());
    }
}

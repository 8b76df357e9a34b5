//! A queue of the messages that Redis has pushed and that were not passed on yet.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;

/// The queue of pushes. The task that reads the connection fills it, and must not wait.
pub(super) struct Inbox {
    /// The prefix of the keys of our heartbeats.
    heartbeat_prefix: Box<[u8]>,
    waiting: Mutex<Waiting>,
    filled: Notify,
}

/// The pushes that wait to be passed on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    /// The keys that have changed.
    pub(super) keys: Vec<Box<[u8]>>,
    /// Whether any key may have changed.
    pub(super) everything: bool,
    /// The highest number of our heartbeats that were announced.
    pub(super) heartbeat: Option<u64>,
    /// Whether the connection has ended.
    pub(super) ended: bool,
    bytes: usize,
}

impl Inbox {
    /// Creates an empty inbox. The key of a heartbeat is `heartbeat_prefix` and a number.
    pub(super) fn new(heartbeat_prefix: &str) -> Self {
        Self {
            heartbeat_prefix: heartbeat_prefix.as_bytes().into(),
            waiting: Mutex::default(),
            filled: Notify::new(),
        }
    }

    /// Queues a push that the driver of the connection passes on.
    pub(super) fn receive(&self, push: PushInfo) {
        let mut waiting = self.waiting();
        match (push.kind, push.data.into_iter().next()) {
            (PushKind::Disconnection, _) => waiting.ended = true,
            (PushKind::Invalidate, Some(Value::Array(keys))) => {
                for key in keys {
                    if let Value::BulkString(key) = key {
                        self.receive_key(&mut waiting, key);
                    } else {
                        // No version of Redis names a key in another way, so this may mean any key.
                        waiting.add_everything();
                    }
                }
            }
            // Null, which stands for every key, or a message that no version of Redis has sent so far.
            (PushKind::Invalidate, _) => waiting.add_everything(),
            // No other pushes were requested.
            _ => return,
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// Waits until something is queued, and takes all of it.
    pub(super) async fn take_all(&self) -> Waiting {
        loop {
            let waiting = mem::take(&mut *self.waiting());
            if waiting != Waiting::default() {
                return waiting;
            }
            self.filled.notified().await;
        }
    }

    fn receive_key(&self, waiting: &mut Waiting, key: Vec<u8>) {
        match self.heartbeat_number(&key) {
            Some(number) => waiting.heartbeat = waiting.heartbeat.max(Some(number)),
            None => waiting.add(key),
        }
    }

    fn heartbeat_number(&self, key: &[u8]) -> Option<u64> {
        let number = key.strip_prefix(&*self.heartbeat_prefix)?;
        str::from_utf8(number).ok()?.parse().ok()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn add(&mut self, key: Vec<u8>) {
        if self.everything {
            return;
        }
        self.bytes += key.len();
        if self.keys.len() == MAX_KEYS || self.bytes > MAX_BYTES {
            self.add_everything();
        } else {
            self.keys.push(key.into());
        }
    }

    fn add_everything(&mut self) {
        self.everything = true;
        self.keys = Vec::new();
    }
}

/// The most keys that are queued one by one. The queue is emptied as soon as the runtime is free, so more keys are a
/// flood, and invalidating everything is cheaper than looking up each key.
const MAX_KEYS: usize = 4096;

/// The most bytes that queued keys may have together. One of our keys has a few dozen bytes.
const MAX_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn invalidate(data: Vec<Value>) -> PushInfo {
        PushInfo {
            kind: PushKind::Invalidate,
            data,
        }
    }

    fn keys(keys: &[&str]) -> PushInfo {
        let keys = keys.iter().map(|key| Value::BulkString((*key).into()));
        invalidate(vec![Value::Array(keys.collect())])
    }

    fn taken(inbox: &Inbox) -> Waiting {
        mem::take(&mut *inbox.waiting())
    }

    #[test]
    fn keys_are_queued_in_order_and_heartbeats_separately() {
        let inbox = Inbox::new("auth:own:");
        inbox.receive(keys(&["auth:2", "auth:own:7", "auth:1"]));
        inbox.receive(keys(&["auth:own:6", "auth:own:", "auth:own:x"]));
        let waiting = taken(&inbox);
        let named: Vec<_> = waiting.keys.iter().map(|key| str::from_utf8(key)).collect();
        let expected = ["auth:2", "auth:1", "auth:own:", "auth:own:x"];
        assert_eq!(named, expected.map(Ok));
        assert_eq!((waiting.heartbeat, waiting.everything), (Some(7), false));
    }

    #[test]
    fn null_and_unknown_pushes_invalidate_everything() {
        for data in [
            vec![Value::Nil],
            vec![],
            vec![Value::Int(1)],
            vec![Value::Array(vec![Value::Nil])],
        ] {
            let inbox = Inbox::new("own:");
            inbox.receive(invalidate(data));
            assert!(taken(&inbox).everything);
        }
    }

    #[test]
    fn a_flood_invalidates_everything_and_keeps_the_heartbeat() {
        let inbox = Inbox::new("own:");
        for key in 0..=MAX_KEYS {
            inbox.receive(keys(&[&key.to_string()]));
        }
        inbox.receive(keys(&["own:3", "later"]));
        let waiting = taken(&inbox);
        assert!(waiting.everything && waiting.keys.is_empty());
        assert_eq!(waiting.heartbeat, Some(3));
        inbox.receive(keys(&[&"x".repeat(MAX_BYTES + 1)]));
        assert!(taken(&inbox).everything);
    }

    #[tokio::test]
    async fn the_end_of_the_connection_is_reported() {
        let inbox = Inbox::new("own:");
        inbox.receive(PushInfo {
            kind: PushKind::Disconnection,
            data: Vec::new(),
        });
        assert!(inbox.take_all().await.ended);
    }
}

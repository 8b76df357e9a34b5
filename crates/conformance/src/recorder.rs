//! An upstream that records, byte for byte, what the gateway sends.
//!
//! It notes everything in a request that is not canonical, because a laxer upstream could read it in another way.

mod reading;
mod replies;

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::latin::values;

pub(crate) use replies::{BODY, Reply};

/// One request, or a piece of garbage, as the upstream received it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// Its position among the requests on its connection, counted from 0.
    pub(crate) number: usize,
    pub(crate) head: String,
    pub(crate) raw_body: String,
    /// The body without chunk sizes.
    pub(crate) body: String,
    /// What arrived after a change of protocol.
    pub(crate) tunnel: String,
    /// Whether it is complete, up to its declared end.
    pub(crate) complete: bool,
    pub(crate) anomalies: Vec<String>,
    /// Whether it is not a request.
    pub(crate) garbage: bool,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Record {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        values(&self.fields, name)
    }

    /// Returns all of its bytes.
    pub(crate) fn raw(&self) -> String {
        [&self.head, &self.raw_body, &self.tunnel]
            .map(String::as_str)
            .concat()
    }

    pub(crate) fn brief(&self) -> String {
        crate::latin::excerpt(&format!("{} {}", self.method, self.target), 90)
    }
}

/// The recording upstream. It listens until the process ends.
#[derive(Debug)]
pub(crate) struct Recorder(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    records: Mutex<Vec<Record>>,
    /// How to answer requests that contain a token.
    replies: Mutex<HashMap<String, Reply>>,
}

impl Recorder {
    /// Starts to listen and record.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub(crate) fn start(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let shared = Arc::new(Shared::default());
        let recorder = Self(Arc::clone(&shared));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // The peer may close connections at any time.
                thread::spawn(move || reading::serve(&stream, &shared).ok());
            }
        });
        Ok(recorder)
    }

    /// Returns the number of records.
    pub(crate) fn count(&self) -> usize {
        locked(&self.0.records).len()
    }

    /// Returns the records after the first `count`.
    pub(crate) fn since(&self, count: usize) -> Vec<Record> {
        locked(&self.0.records).split_at(count).1.to_vec()
    }

    /// Sets how requests that contain this token are answered.
    pub(crate) fn reply(&self, token: &str, reply: Reply) {
        locked(&self.0.replies).insert(token.to_owned(), reply);
    }
}

impl Shared {
    /// Keeps a record and returns its position.
    fn add(&self, record: Record) -> usize {
        let mut records = locked(&self.records);
        records.push(record);
        records.len() - 1
    }

    fn update(&self, number: usize, change: impl FnOnce(&mut Record)) {
        locked(&self.records).get_mut(number).map(change);
    }

    fn reply_to(&self, head: &str) -> Reply {
        let replies = locked(&self.replies);
        let known = tokens(head).find_map(|token| replies.get(token).copied());
        known.unwrap_or(Reply::Ordinary)
    }
}

/// Locks a mutex, also after a thread panicked: the list of records is still valid.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the tokens in a text, by which requests are matched to their cases: `n`, ten hexadecimal digits, `z`.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('n').filter_map(|(at, _)| {
        let token = text.get(at..at + 12)?;
        let digits = token.strip_prefix('n')?.strip_suffix('z')?;
        let lower = |char: char| char.is_ascii_digit() || ('a'..='f').contains(&char);
        digits.chars().all(lower).then_some(token)
    })
}

#[cfg(test)]
mod tests {
    use super::tokens;

    #[test]
    fn a_token_is_found_wherever_it_stands() {
        let text = "GET /n?c=n0123456789z&n00000000zz evil-nabcdefabcdz";
        assert_eq!(
            tokens(text).collect::<Vec<_>>(),
            ["n0123456789z", "nabcdefabcdz"]
        );
    }
}

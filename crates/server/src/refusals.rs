//! The last refusals, to look up by request id. They are kept in memory only, and their number is bounded.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::{Serialize, Serializer};
use session::UnixTime;

use crate::clock::timestamp;

/// The last refusals of all runtimes.
#[derive(Debug, Default)]
pub(crate) struct RecentRefusals(Mutex<VecDeque<Box<RecentRefusal>>>);

/// A refusal, without cookies, tokens, the query and the values of claims. Texts are cut to a fixed length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RecentRefusal {
    pub(crate) request_id: Box<str>,
    #[serde(serialize_with = "as_timestamp")]
    pub(crate) time: UnixTime,
    pub(crate) method: Box<str>,
    pub(crate) host: Box<str>,
    /// The path without its query.
    pub(crate) path: Box<str>,
    /// The name of the route, if one governed the request.
    pub(crate) route: Option<Box<str>>,
    /// The reason, as in the audit log.
    pub(crate) reason: &'static str,
    /// The reason in words.
    pub(crate) message: Box<str>,
    /// The session's subject, once the session was opened.
    pub(crate) user_id: Option<Box<str>>,
    /// The conditions that a known user did not meet.
    pub(crate) lacking: Vec<Box<str>>,
}

impl RecentRefusals {
    /// Keeps a refusal, in place of the oldest if there are [`MOST_KEPT`].
    pub(crate) fn keep_refusal(&self, refusal: RecentRefusal) {
        let refusal = Box::new(refusal);
        let oldest = {
            let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let oldest = match ring.len() < MOST_KEPT {
                true => None,
                false => ring.pop_front(),
            };
            ring.push_back(refusal);
            oldest
        };
        // Dropped after the lock is released.
        drop(oldest);
    }

    /// The refusal of the request with this id, the last one if there are several.
    pub(crate) fn find(&self, request_id: &str) -> Option<RecentRefusal> {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest_first = ring.iter().rev();
        let found = newest_first.find(|refusal| *refusal.request_id == *request_id);
        found.map(|refusal| RecentRefusal::clone(refusal))
    }
}

impl RecentRefusal {
    /// The refusal as text for people.
    pub(crate) fn text(&self) -> String {
        let Self {
            request_id,
            time,
            method,
            host,
            path,
            reason,
            message,
            ..
        } = self;
        let time = timestamp(*time);
        let mut text = format!("{method} {host}{path} at {time}, request {request_id}\n");
        text += &match &self.route {
            Some(route) => format!("Route     {route}\n"),
            None => "Route     none\n".to_owned(),
        };
        if let Some(user) = &self.user_id {
            text += &format!("User      {user}\n");
        }
        for condition in &self.lacking {
            text += &format!("Lacking   {condition}\n");
        }
        let colon = if message.is_empty() { "" } else { ": " };
        text + &format!("Refused   {reason}{colon}{message}\n")
    }
}

fn as_timestamp<S: Serializer>(time: &UnixTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&timestamp(*time))
}

/// Returns the text, cut to at most this many bytes.
pub(crate) fn capped(text: &str, most: usize) -> Box<str> {
    if text.len() <= most {
        return text.into();
    }
    let mut ends = text.char_indices().map(|(at, _)| at);
    let end = ends.rfind(|at| *at <= most).unwrap_or_default();
    text[..end].into()
}

/// How many refusals are kept. With the caps of their texts that is at most 3 MiB.
pub(crate) const MOST_KEPT: usize = 1_000;

/// How much is kept of a text that a client chooses, in bytes.
pub(crate) const LONGEST_TEXT: usize = 256;
pub(crate) const LONGEST_PATH: usize = 512;

/// How many unmet conditions are kept.
pub(crate) const MOST_CONDITIONS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(id: usize) -> RecentRefusal {
        RecentRefusal {
            request_id: id.to_string().into(),
            time: UnixTime::from_secs(0),
            method: "GET".into(),
            host: "".into(),
            path: "/".into(),
            route: None,
            reason: "no_credential",
            message: "".into(),
            user_id: None,
            lacking: Vec::new(),
        }
    }

    #[test]
    fn last_thousand_refusals_are_kept() {
        let refusals = RecentRefusals::default();
        for id in 0..=MOST_KEPT {
            refusals.keep_refusal(refusal(id));
        }
        assert_eq!(refusals.find("0"), None);
        assert_eq!(refusals.find("1"), Some(refusal(1)));
        assert_eq!(refusals.find("1000"), Some(refusal(1000)));
        let ring = refusals.0.lock().unwrap();
        assert_eq!(ring.len(), MOST_KEPT);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(&*capped("abc", 3), "abc");
        assert_eq!(&*capped("abcd", 3), "abc");
        assert_eq!(&*capped("aää", 4), "aä");
        assert_eq!(&*capped("ä", 1), "");
    }
}

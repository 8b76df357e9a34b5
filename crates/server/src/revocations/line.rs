//! The audit line about a revocation that takes effect on this node, or is lifted.

use std::io::Write;

use gate::{Revocation, Revoked};
use serde::Serialize;
use session::UnixTime;

use crate::clock::timestamp;
use crate::config::LogFormat;
use stores::RevocationEntry;

/// A change of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RevocationChange {
    /// This revocation takes effect.
    Added(RevocationEntry),
    /// This revocation was lifted.
    Removed(RevocationEntry),
}

/// A revocation as in audit lines and in the list for operators.
#[derive(Debug, Serialize)]
pub(crate) struct RevocationFields<'e> {
    pub(crate) realm: &'e str,
    /// `all`, `session` or `user`.
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session_id: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issued_before: Option<String>,
    pub(crate) expires: String,
    pub(crate) made: String,
    pub(crate) by: &'e str,
    pub(crate) source: &'e str,
    pub(crate) why: &'e str,
}

#[derive(Serialize)]
struct Line<'e> {
    ts: String,
    event: &'static str,
    action: &'static str,
    #[serde(flatten)]
    fields: RevocationFields<'e>,
}

impl<'e> RevocationFields<'e> {
    pub(crate) fn of(entry: &'e RevocationEntry) -> Self {
        let before = || Some(time(entry.revocation.before));
        let (kind, user_id, session_id, issued_before) = match &entry.revocation.what {
            Revoked::All => ("all", None, None, before()),
            Revoked::Session(id) => ("session", None, Some(&**id), None),
            Revoked::User(id) => ("user", Some(&**id), None, before()),
        };
        Self {
            realm: &entry.realm,
            kind,
            user_id,
            session_id,
            issued_before,
            expires: time(entry.revocation.until),
            made: time(entry.made),
            by: &entry.by,
            source: &entry.source,
            why: &entry.reason,
        }
    }

    /// The revocation as text for people.
    pub(crate) fn what(&self) -> String {
        let before = self.issued_before.as_deref().unwrap_or_default();
        match (self.user_id, self.session_id) {
            (Some(user), _) => format!(
                "user {}: everything issued before {before}",
                user.escape_debug()
            ),
            (None, Some(session)) => format!("session {}", session.escape_debug()),
            (None, None) => format!("everything issued before {before}"),
        }
    }
}

impl RevocationChange {
    pub(crate) fn entry(&self) -> &RevocationEntry {
        match self {
            Self::Added(entry) | Self::Removed(entry) => entry,
        }
    }

    /// Returns the key of the changed revocation, and its new state; `None` if it was lifted.
    pub(crate) fn effect(&self) -> (&Revoked, Option<&Revocation>) {
        let revocation = &self.entry().revocation;
        match self {
            Self::Added(_) => (&revocation.what, Some(revocation)),
            Self::Removed(_) => (&revocation.what, None),
        }
    }

    /// Writes the audit line.
    pub(crate) fn write(&self, out: &mut Vec<u8>, now: UnixTime, format: LogFormat) {
        let action = match self {
            Self::Added(_) => "added",
            Self::Removed(_) => "removed",
        };
        let fields = RevocationFields::of(self.entry());
        // Writing to memory cannot fail.
        match format {
            LogFormat::Json => {
                let line = Line {
                    ts: time(now),
                    event: "revocation",
                    action,
                    fields,
                };
                let _ = serde_json::to_writer(&mut *out, &line);
                out.push(b'\n');
            }
            LogFormat::Text => {
                let clock = timestamp(now).strftime("%H:%M:%S");
                let (realm, what) = (fields.realm.escape_debug(), fields.what());
                let (by, why) = (fields.by.escape_debug(), fields.why.escape_debug());
                let _ = writeln!(
                    out,
                    "{clock} revocation {action} realm={realm} {what}; by={by} why={why}"
                );
            }
        }
    }
}

/// A time as in RFC 3339, in UTC, to the millisecond.
fn time(time: UnixTime) -> String {
    format!("{:.3}", timestamp(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_operator_target_and_reason_and_values_cannot_break_it() {
        let change = RevocationChange::Added(RevocationEntry {
            realm: "default".to_owned(),
            revocation: Revocation {
                what: Revoked::User("a\n\"b".into()),
                before: UnixTime::from_millis(1_900_000_000_000),
                until: UnixTime::from_millis(1_900_000_001_000),
            },
            made: UnixTime::from_millis(1_900_000_000_005),
            by: "ops\r\n".to_owned(),
            source: "cli".to_owned(),
            reason: "stolen\nlaptop".to_owned(),
        });
        let written = |format| {
            let mut out = Vec::new();
            change.write(&mut out, UnixTime::from_millis(1_900_000_000_123), format);
            String::from_utf8(out).unwrap()
        };
        let line = written(LogFormat::Json);
        assert_eq!(line.matches('\n').count(), 1);
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "ts": "2030-03-17T17:46:40.123Z", "event": "revocation", "action": "added",
                "realm": "default", "kind": "user", "user_id": "a\n\"b",
                "issued_before": "2030-03-17T17:46:40.000Z", "expires": "2030-03-17T17:46:41.000Z",
                "made": "2030-03-17T17:46:40.005Z", "by": "ops\r\n", "source": "cli", "why": "stolen\nlaptop",
            })
        );
        let text = written(LogFormat::Text);
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text.contains(r"by=ops\r\n why=stolen\nlaptop"), "{text}");
    }
}

//! A request to revoke, from the command line or the admin listener: it is checked and becomes an entry of the list.

use std::time::Duration;

use gate::{Revocation, Revoked};
use jiff::Timestamp;
use session::UnixTime;

use stores::RevocationEntry;

/// A requested revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RevocationRequest {
    pub(crate) realm: String,
    pub(crate) what: Revoked,
    /// Sessions issued before this time are revoked; `None` is now. It has no effect for a single session.
    pub(crate) before: Option<UnixTime>,
    pub(crate) by: String,
    /// `admin` or `cli`.
    pub(crate) source: &'static str,
    pub(crate) reason: String,
}

impl RevocationRequest {
    /// Converts the request into an entry that is kept for the time `keep`.
    ///
    /// # Errors
    /// A message that says what is wrong, and what to do.
    pub(crate) fn entry(self, now: UnixTime, keep: Duration) -> Result<RevocationEntry, String> {
        check_text("the reason", &self.reason, LONGEST_REASON)?;
        check_text("the name of the operator", &self.by, LONGEST_NAME)?;
        let before = self.before.unwrap_or(now);
        if before > now.saturating_add(CLOCKS_DIFFER) {
            return Err(
                "the time is in the future, and no user could sign in until then; give a past time, or `now`"
                    .to_owned(),
            );
        }
        Ok(RevocationEntry {
            realm: self.realm,
            revocation: Revocation {
                what: self.what,
                before,
                until: now.max(before).saturating_add(keep),
            },
            made: now,
            by: self.by,
            source: self.source.to_owned(),
            reason: self.reason,
        })
    }
}

/// Returns what to revoke. Exactly one of `user`, `session` and `all` must be given.
///
/// # Errors
/// A message that says what is wrong. `names` lists the three as the caller calls them.
pub(crate) fn read_key(
    user: Option<String>,
    session: Option<String>,
    all: bool,
    names: &str,
) -> Result<Revoked, String> {
    match (user, session, all) {
        (Some(user), None, false) => {
            check_id("a user", &user)?;
            Ok(Revoked::User(user.into()))
        }
        (None, Some(session), false) => {
            check_id("a session", &session)?;
            Ok(Revoked::Session(session.into()))
        }
        (None, None, true) => Ok(Revoked::All),
        (..) => Err(format!("give exactly one of {names}")),
    }
}

/// Checks an id: it must not be empty, longer than the longest ids that sessions have, or contain control characters.
fn check_id(of: &str, id: &str) -> Result<(), String> {
    match id {
        "" => Err(format!("the id of {of} is empty")),
        id if id.len() > LONGEST_ID => Err(format!(
            "the id of {of} has more than {LONGEST_ID} bytes, and no session has such an id"
        )),
        id if id.contains(char::is_control) => Err(format!(
            "the id of {of} contains a control character, and no session has such an id"
        )),
        _ => Ok(()),
    }
}

fn check_text(what: &str, text: &str, longest: usize) -> Result<(), String> {
    if text.len() > longest {
        return Err(format!("{what} has more than {longest} bytes"));
    }
    if text.contains(char::is_control) {
        return Err(format!("{what} contains a control character"));
    }
    Ok(())
}

/// Parses a time: `now`, seconds since 1970, or RFC 3339.
///
/// # Errors
/// A message with the accepted forms.
pub(crate) fn time_of(text: &str, now: UnixTime) -> Result<UnixTime, String> {
    if text == "now" {
        return Ok(now);
    }
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(UnixTime::from_secs(seconds));
    }
    let time: Timestamp = text.parse().map_err(|_| {
        "not a time: write `now`, 2026-03-02T09:41:07Z, or seconds since 1970".to_owned()
    })?;
    let millis = u64::try_from(time.as_millisecond()).unwrap_or(0);
    Ok(UnixTime::from_millis(millis))
}

/// The longest id of a session or user, in bytes.
const LONGEST_ID: usize = 1024;
const LONGEST_REASON: usize = 500;
const LONGEST_NAME: usize = 200;

/// How far the clocks of two machines may differ.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);
    const KEEP: Duration = Duration::from_secs(60);

    fn request(before: Option<UnixTime>) -> RevocationRequest {
        RevocationRequest {
            realm: "default".to_owned(),
            what: Revoked::All,
            before,
            by: "ops".to_owned(),
            source: "cli",
            reason: String::new(),
        }
    }

    #[test]
    fn revocation_lasts_as_long_as_the_revoked_sessions_can() {
        let entry = request(None).entry(NOW, KEEP).unwrap();
        assert_eq!(entry.revocation.before, NOW);
        assert_eq!(entry.revocation.until.secs(), NOW.secs() + 60);
        let early = Some(UnixTime::from_secs(1));
        let entry = request(early).entry(NOW, KEEP).unwrap();
        assert_eq!(entry.revocation.until.secs(), NOW.secs() + 60);
        let ahead = Some(UnixTime::from_secs(NOW.secs() + 3600));
        let error = request(ahead).entry(NOW, KEEP).unwrap_err();
        assert!(error.contains("is in the future"), "{error}");
    }

    #[test]
    fn ids_that_no_session_can_have_are_refused() {
        let key = |user: Option<&str>, session: Option<&str>, all| {
            let own = |text: &str| text.to_owned();
            read_key(user.map(own), session.map(own), all, "--user, --session")
        };
        assert_eq!(
            key(Some("ada"), None, false),
            Ok(Revoked::User("ada".into()))
        );
        assert_eq!(
            key(None, Some("s"), false),
            Ok(Revoked::Session("s".into()))
        );
        assert_eq!(key(None, None, true), Ok(Revoked::All));
        let long = "a".repeat(1025);
        for (user, session, all) in [
            (None, None, false),
            (Some("a"), Some("b"), false),
            (Some("a"), None, true),
            (Some(""), None, false),
            (Some("a\n"), None, false),
            (None, Some(long.as_str()), false),
        ] {
            assert!(key(user, session, all).is_err(), "{user:?} {session:?}");
        }
        let reason = RevocationRequest {
            reason: "a\nb".to_owned(),
            ..request(None)
        };
        assert!(reason.entry(NOW, KEEP).is_err());
    }

    #[test]
    fn times_have_three_forms() {
        let read = |text| time_of(text, NOW);
        assert_eq!(read("now"), Ok(NOW));
        assert_eq!(read("1900000000"), Ok(NOW));
        assert_eq!(read("2030-03-17T17:46:40Z"), Ok(NOW));
        assert_eq!(read("2030-03-17T18:46:40.000+01:00"), Ok(NOW));
        for text in ["", "yesterday", "2030-03-17", "-1", "2030-03-17 17:46"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

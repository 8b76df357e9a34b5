//! Examines a given session with the gate's keys.

use session::{ClaimDemands, KeyRing, Opened, SealedSession, UnixTime};

use super::attributes;
use super::catalogue::cookies as checks;
use super::cookie::SetCookie;
use super::finding::Finding;

/// The keys of a realm, and its requirements on claims.
#[derive(Clone, Copy, Debug)]
pub(super) struct RealmKeys<'a> {
    pub(super) keys: &'a KeyRing,
    pub(super) demands: &'a ClaimDemands,
}

/// The findings about the value of a `Cookie` header. Without realms, only about its length.
pub(super) fn assess(
    header: &[u8],
    realms: &[RealmKeys<'_>],
    read: &[String],
    now: UnixTime,
) -> Vec<Finding> {
    let cookies: Vec<_> = header
        .split(|byte| *byte == b';')
        .filter_map(SetCookie::parse)
        .collect();
    let mut findings: Vec<_> = attributes::size(&cookies, read).into_iter().collect();
    let mut reasons = Vec::new();
    for realm in realms {
        match open(header, *realm, now) {
            Ok(finding) => {
                findings.extend(finding);
                return findings;
            }
            Err(reason) => reasons.push(reason),
        }
    }
    // With several realms, the one that recognizes the cookie decides.
    let first = reasons.iter().flatten().next();
    if !reasons.is_empty() {
        let seen = first.map_or_else(
            || "it has no session cookie that the gate reads".to_owned(),
            |reason| format!("the gate says: {reason}"),
        );
        findings.push(Finding::new(&checks::SESSION_DOES_NOT_OPEN, SUBJECT, seen));
    }
    findings
}

/// Returns the finding about a session that opens, or why it does not open: `None` if this realm has no such cookie.
fn open(
    header: &[u8],
    realm: RealmKeys<'_>,
    now: UnixTime,
) -> Result<Option<Finding>, Option<String>> {
    let message = |error: session::OpenError| Some(error.to_string());
    let sealed = SealedSession::find(realm.keys, [header], None).map_err(message)?;
    let opened = sealed.ok_or(None)?.open(realm.keys, realm.demands, now);
    match opened.map_err(message)? {
        Opened::Session(session) => {
            let since = session.issued_at().unwrap_or(now);
            let life = session.expires_at().saturating_since(since);
            let days = life.as_secs() / DAY;
            let lives_long = life.as_secs() > 30 * DAY + 60 * 60;
            let seen = format!("it is valid for {days} days");
            Ok(lives_long.then(|| Finding::new(&checks::SESSION_LIVES_LONG, SUBJECT, seen)))
        }
        // Only the app's store knows when it expires.
        Opened::Lookup { .. } => Ok(None),
    }
}

pub(super) const SUBJECT: &str = "the session in --cookie-file";

const DAY: u64 = 24 * 60 * 60;

//! Log messages about users, each limited to once in the life of a process or once a minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, Once, PoisonError};

use gate::{Admission, Refusal};
use session::UnixTime;

/// Logs, once for each process, that a guest was admitted, and that an e-mail address was not written.
pub(super) fn log_admission(admission: &Admission, request_id: &str) {
    static GUEST: Once = Once::new();
    static UNVERIFIED: Once = Once::new();
    if admission
        .session()
        .is_some_and(session::Session::is_anonymous)
    {
        GUEST.call_once(|| log_guest(request_id));
    }
    if admission.withholds_email() {
        UNVERIFIED.call_once(|| log_unverified(request_id));
    }
}

#[cold]
fn log_guest(request_id: &str) {
    tracing::warn!(
        request_id,
        "a guest was admitted: the app made a session for a user who has never signed up (isAnonymous). \
         ALLOW_ANONYMOUS=false refuses guests; the audit log marks them with `anonymous`. This is logged once"
    );
}

#[cold]
fn log_unverified(request_id: &str) {
    tracing::warn!(
        request_id,
        "an e-mail address was not forwarded: the session says that it is unverified. EMAIL_HEADER=always forwards \
         such addresses too. This is logged once"
    );
}

/// Logs which value cannot be compared with the route's rule, at most once a minute for each: every request of a user with such a
/// value causes it.
#[cold]
pub(super) fn log_incomparable(
    refusal: &Refusal,
    rule: Option<&str>,
    now: UnixTime,
    request_id: &str,
) {
    /// The minute in which each message was logged last.
    static LOGGED: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());
    let Refusal::Incomparable(found) = refusal else {
        return;
    };
    let (what, rule) = (&found.what, rule.unwrap_or_default());
    let minute = now.secs() / 60;
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    if logged.len() >= MOST_LOGGED {
        logged.clear();
    }
    if logged.insert(format!("{rule}: {what}"), minute) != Some(minute) {
        tracing::warn!(
            request_id,
            rule,
            "a request was refused because a value cannot be compared with the route's condition: {what}"
        );
    }
}

/// A configuration has few conditions, and there are few kinds of values.
const MOST_LOGGED: usize = 1000;

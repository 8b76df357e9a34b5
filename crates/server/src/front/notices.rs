//! What an operator should hear once about the users that enter.

use std::sync::Once;

use gate::Admission;

/// Says once per process that a guest has entered, and once that an address was not written.
pub(super) fn of(admission: &Admission, request_id: &str) {
    static GUEST: Once = Once::new();
    static UNVERIFIED: Once = Once::new();
    if admission
        .session()
        .is_some_and(session::Session::is_anonymous)
    {
        GUEST.call_once(|| {
            tracing::warn!(
                request_id,
                "a guest has entered: the app made a session for somebody who has never signed up (isAnonymous). \
                 ALLOW_ANONYMOUS=false refuses guests; the audit log marks them with `anonymous`. This is said once"
            );
        });
    }
    if admission.withholds_email() {
        UNVERIFIED.call_once(|| {
            tracing::warn!(
                request_id,
                "an e-mail address was not written as identity: the session says that nobody has verified it. \
                 EMAIL_HEADER=always writes such addresses too. This is said once"
            );
        });
    }
}

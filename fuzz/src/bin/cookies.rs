//! Fuzzes the removal of sessions from any `Cookie` header: no session is left, and a header without a session stays as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session::cookies::{contains_session, without_session};
use sessiongate_fuzz::{Kind, case};

fuzz_target!(|data: &[u8]| {
    for kind in Kind::ALL {
        let ring = &case::known(kind).ring;
        let rest = without_session(ring, data).unwrap_or_default();
        assert!(rest.len() <= data.len() && !contains_session(ring, &rest));
        assert!(rest.is_empty() || rest == data || contains_session(ring, data));
        let nothing = case::cookie(kind, &[&rest]);
        assert!(nothing.token.is_none() && nothing.session.is_none());
        case::cookie(kind, &[data]);
    }
});

//! Fuzzes the claims of an encrypted session: any bytes, sealed with a genuine key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sessiongate_fuzz::{Kind, case, keys::Key};

fuzz_target!(|data: &[u8]| {
    let token = Key::nextauth(case::SECRET).seal(br#"{"alg":"dir","enc":"A256GCM"}"#, data);
    let outcome = case::cookie(
        Kind::NextAuth,
        &[b"next-auth.session-token=", token.as_bytes()],
    );
    if let Some(session) = outcome.session {
        assert!((1..=1024).contains(&session.subject.len()));
        assert!(!session.subject.contains(char::is_control));
        assert!(session.ends > (case::NOW - 15) * 1000);
    }
});

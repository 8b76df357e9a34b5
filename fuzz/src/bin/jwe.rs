//! Fuzzes encrypted sessions, in a cookie and as a Bearer value: any text, and genuine claims sealed with any header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sessiongate_fuzz::{Kind, case, keys::Key};

fuzz_target!(|data: &[u8]| {
    let sealed = Key::nextauth(case::SECRET).seal(data, br#"{"sub":"u","exp":1893456060}"#);
    for token in [data, sealed.as_bytes()] {
        case::cookie(Kind::AuthJs, &[b"authjs.session-token=", token]);
        case::cookie(Kind::NextAuth, &[b"next-auth.session-token=", token]);
        case::bearer(Kind::NextAuth, token);
    }
});

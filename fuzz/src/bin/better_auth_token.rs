//! Fuzzes Better Auth's signed token: any text, and any text under a valid signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sessiongate_fuzz::{Kind, case, keys};

fuzz_target!(|data: &[u8]| {
    let signed = keys::sign_token(case::SECRET, &String::from_utf8_lossy(data));
    for value in [data, signed.as_bytes()] {
        case::bearer(Kind::BetterAuth, value);
        let outcome = case::cookie(Kind::BetterAuth, &[b"better-auth.session_token=", value]);
        let token = outcome.token.unwrap_or_else(|| case::TOKEN.to_owned());
        assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
});

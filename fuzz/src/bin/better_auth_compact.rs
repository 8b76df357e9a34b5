//! Fuzzes Better Auth's cookie cache as JSON with a signature: any text, and any expiry (the first line) and session (the rest)
//! under a valid signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sessiongate_fuzz::{Kind, case, keys};

fuzz_target!(|data: &[u8]| {
    let (line, rest) = case::line(data);
    let signed = keys::sign_compact(case::SECRET, rest, line);
    let token = keys::sign_token(case::SECRET, case::TOKEN);
    let token = format!("better-auth.session_token={token}; better-auth.session_data=");
    for cache in [data, signed.as_bytes()] {
        case::cookie(Kind::BetterAuth, &[token.as_bytes(), cache]);
    }
});

//! Fuzzes signed tokens of an issuer: any Bearer value, and any header (the first line) and claims (the rest) under a valid
//! signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session::{Jwt, JwtDemands, JwtKeys, Secret, UnixTime};
use sessiongate_fuzz::{case, keys};

fuzz_target!(|data: &[u8]| {
    let keys = JwtKeys::new(Some(&Secret::new(case::SECRET)), None).expect("one key");
    let (demands, now) = (JwtDemands::new("i", "a"), UnixTime::from_secs(case::NOW));
    let (header, claims) = case::line(data);
    let signed = keys::sign_jwt(case::SECRET, header, claims);
    for (token, genuine) in [(data, false), (signed.as_bytes(), true)] {
        let value = [b"Bearer ", token].concat();
        let Ok(Some(jwt)) = Jwt::find([value.as_slice()]) else {
            continue;
        };
        let Ok(session) = jwt.open(&keys, &demands, now) else {
            continue;
        };
        assert!(genuine && session.claims()["iss"] == "i" && !session.subject().is_empty());
    }
});

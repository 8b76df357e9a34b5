//! Fuzzes a request with genuine sessions anywhere in it (see [`case::read`]): whatever the session crate opens, the reference
//! implementation opens too. First, both are compared on every session that the real libraries wrote.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sessiongate_fuzz::{case, compare, vectors};

fuzz_target!(
    init: vectors::check(),
    |data: &[u8]| {
        if let Some((known, request)) = case::read(data) {
            compare(&known.app, &known.ring, &request);
        }
    }
);

//! Fuzzes the reader of requests: it reads the same from a client's bytes in whatever pieces they arrive, and what is forwarded
//! is read the same by others.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sessiongate_fuzz::messages::{requests, splits};

fuzz_target!(|data: &[u8]| {
    let Some((size, bytes)) = data.split_first() else {
        return;
    };
    let [whole, cut, pieces] = splits(bytes, *size).map(|pieces| requests(&pieces));
    // In pieces, the first line is checked before the rest arrives, so the violation can be another one. Only whether there is
    // one is compared.
    for (seen, violation) in [cut, pieces] {
        assert_eq!(whole.0, seen);
        assert_eq!(whole.1.is_some(), violation.is_some());
    }
});

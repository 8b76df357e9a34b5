//! A client's bytes: understood alike in whatever pieces they come, and written so that others understand the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sessiongate_fuzz::messages::{requests, ways};

fuzz_target!(|data: &[u8]| {
    let Some((size, bytes)) = data.split_first() else {
        return;
    };
    let [whole, cut, pieces] = ways(bytes, *size).map(|pieces| requests(&pieces));
    // A violation can show earlier in pieces, with a line that the whole shows to be another one's fault.
    for (seen, violation) in [cut, pieces] {
        assert_eq!(whole.0, seen);
        assert_eq!(whole.1.is_some(), violation.is_some());
    }
});

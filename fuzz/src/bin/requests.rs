//! A client's bytes: understood alike in whatever pieces they come, and written so that others understand the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sessiongate_fuzz::messages::requests;

fuzz_target!(|data: &[u8]| {
    let Some((size, bytes)) = data.split_first() else {
        return;
    };
    let whole = requests(bytes, bytes.len());
    let pieces = requests(bytes, usize::from(*size));
    // A violation can show earlier in pieces, with a line that the whole shows to be another one's fault.
    assert_eq!(whole.0, pieces.0);
    assert_eq!(whole.1.is_some(), pieces.1.is_some());
});

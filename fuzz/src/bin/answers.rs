//! Fuzzes the reader of responses: it reads the same from an upstream's bytes in whatever pieces they arrive.
#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use sessiongate_fuzz::messages::{answers, splits};

fuzz_target!(|data: &[u8]| {
    let Some((size, bytes)) = data.split_first() else {
        return;
    };
    for method in [Method::GET, Method::HEAD] {
        let [whole, cut, pieces] = splits(bytes, *size).map(|pieces| answers(&pieces, &method));
        assert_eq!(whole, cut);
        assert_eq!(whole, pieces);
    }
});

//! Fuzzes the scanners of HTTP/2 and WebSocket frames: they find the same in whatever pieces the bytes arrive, and the same as a
//! second reader that has all bytes at once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{flood, websocket};

fuzz_target!(|data: &[u8]| {
    let Some((size, bytes)) = data.split_first() else {
        return;
    };
    let size = usize::from(*size).max(1);
    // A flood takes more than a thousand frames, so the input is repeated.
    http2(&bytes.repeat(16), size);
    websockets(bytes, size);
});

fn http2(bytes: &[u8], size: usize) {
    let mut frames = flood::FrameCounter::default();
    frames.exceeds_limit(&[0; PREFACE]);
    let mut last = false;
    for piece in bytes.chunks(size) {
        last = frames.exceeds_limit(piece);
        assert_eq!(last, frames.exceeds_limit(&[]), "nothing has come");
    }
    assert_eq!(last, floods(bytes));
    // Bytes that are sent to the client can only allow more frames.
    frames.sent(bytes.len());
    assert!(last || !frames.exceeds_limit(&[]));
}

/// Whether more frames carry nothing than are allowed (see `wire::flood`).
fn floods(bytes: &[u8]) -> bool {
    let (mut at, mut empty, mut streams, mut data) = (0, 0, 0, 0);
    while let Some([high, middle, low, kind, flags, ..]) = bytes.get(at..at + 9) {
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        match (kind, length, flags & 1) {
            (0, 0, 1) => {}
            (0, 0, _) => empty += 1,
            (0, _, _) => data += length,
            (1, _, _) => streams += 1,
            _ => empty += 1,
        }
        at += 9 + length;
    }
    empty > 1000 + streams * 20 + data / 1024
}

fn websockets(bytes: &[u8], size: usize) {
    let mut frames = websocket::FrameScanner::default();
    for piece in bytes.chunks(size) {
        frames.scan(piece);
    }
    let (closes, is_whole) = reference(bytes);
    assert_eq!(
        (frames.has_close(), frames.is_at_frame_end()),
        (closes, is_whole)
    );
    let reason: String = bytes
        .iter()
        .take(123)
        .map(|byte| char::from(byte & 0x7f))
        .collect();
    let close = websocket::closing(1000, &reason);
    assert_eq!(reference(&close), (true, true));
    assert_eq!(reference(&close[..close.len() - 1]).1, false);
}

/// Whether a Close frame has begun in these bytes, and whether they end where a frame does (RFC 6455 §5.2).
fn reference(bytes: &[u8]) -> (bool, bool) {
    let (mut at, mut closes) = (0_u128, false);
    loop {
        let Some(rest) = usize::try_from(at).ok().and_then(|at| bytes.get(at..)) else {
            return (closes, false);
        };
        let [first, second, more @ ..] = rest else {
            return (closes, rest.is_empty());
        };
        let wide = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0x80 { 4 } else { 0 };
        if more.len() < wide + mask {
            return (closes, false);
        }
        let length = match wide {
            0 => u128::from(second & 0x7f),
            _ => more[..wide]
                .iter()
                .fold(0, |sum, byte| sum * 256 + u128::from(*byte)),
        };
        closes |= first & 0x0f == 8;
        at += (2 + wide + mask) as u128 + length;
    }
}

/// The length of HTTP/2's connection preface, in bytes.
const PREFACE: usize = 24;

//! What the gate reads from the head of a service's answer.

use http1::{Length, ResponseHead};

/// Whether an answer is an endless stream: server-sent events, or the pictures of a camera.
pub(super) fn is_stream(answer: &ResponseHead) -> bool {
    let is_stream = |kind: &[u8]| {
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
        let kind = kind.trim_ascii();
        STREAMS
            .iter()
            .any(|stream| kind.eq_ignore_ascii_case(stream))
    };
    // An answer of a known length ends by itself.
    !matches!(answer.length, Length::Exactly(_)) && answer.values("content-type").any(is_stream)
}

const STREAMS: [&[u8]; 2] = [b"text/event-stream", b"multipart/x-mixed-replace"];

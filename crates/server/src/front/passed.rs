//! What is read of a service's answer.

use http1::{Answered, Length};

/// Whether an answer goes on for as long as somebody listens: server-sent events, and the pictures of a camera.
pub(super) fn is_stream(answer: &Answered) -> bool {
    let is_stream = |kind: &[u8]| {
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
        let kind = kind.trim_ascii();
        STREAMS
            .iter()
            .any(|stream| kind.eq_ignore_ascii_case(stream))
    };
    // What says how long it is ends by itself.
    !matches!(answer.length, Length::Exactly(_)) && answer.values("content-type").any(is_stream)
}

/// Whether it is an answer of gRPC, which may be a stream of messages, and may not: nothing in its head says which.
pub(super) fn is_grpc(answer: &Answered) -> bool {
    let is_grpc = |kind: &[u8]| {
        let start = kind.get(..GRPC.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
    };
    answer.values("content-type").any(is_grpc)
}

const GRPC: &[u8] = b"application/grpc";

const STREAMS: [&[u8]; 2] = [b"text/event-stream", b"multipart/x-mixed-replace"];

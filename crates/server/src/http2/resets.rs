//! Detects streams that `h2` refuses because their frames break the rules.
//!
//! `h2` (0.4.20) resets such a stream by itself, or answers with a bare status if the head is much too large, and does not
//! report either. Only the frames that it sends show it, so they are parsed here, for the audit log.

use wire::flood::{FrameHeads, HEAD};

/// Parses the frames that are sent to a client.
#[derive(Debug)]
pub(super) struct Resets {
    heads: FrameHeads,
    /// The stream of a RST_STREAM frame that is being parsed, and the error code so far.
    reset: Option<(u32, u32)>,
    /// Streams whose answers have begun and not ended.
    answered: Vec<u32>,
}

impl Resets {
    /// A parser for a new connection.
    pub(super) fn new() -> Self {
        Self {
            heads: FrameHeads::after(0),
            reset: None,
            answered: Vec::new(),
        }
    }

    /// Parses the next bytes to the client. Calls `broke` for each stream that is refused because the client broke the
    /// rules.
    pub(super) fn follow(&mut self, mut bytes: &[u8], mut broke: impl FnMut(u32)) {
        loop {
            let payload = self.heads.payload(&mut bytes);
            if let Some((stream, code)) = &mut self.reset {
                for byte in payload {
                    *code = (*code << 8) | u32::from(*byte);
                }
                if self.heads.payload_is_complete() {
                    if *code == PROTOCOL_ERROR {
                        broke(*stream);
                    }
                    self.reset = None;
                }
            }
            let Some(head) = self.heads.next(&mut bytes) else {
                return;
            };
            let [high, middle, low, kind, flags, stream @ ..] = head;
            let length = u32::from_be_bytes([0, high, middle, low]);
            let stream = u32::from_be_bytes(stream);
            self.reset = (kind == RST_STREAM).then_some((stream, 0));
            let place = self.answered.iter().position(|other| *other == stream);
            match (kind, flags & END_STREAM != 0, place) {
                (HEADERS, false, None) => self.answered.push(stream),
                // The gate's own answers have an id and a date, so they are longer.
                (HEADERS, true, None) if length <= MOST_OF_BARE_STATUS => broke(stream),
                (DATA | HEADERS, true, Some(place)) | (RST_STREAM, _, Some(place)) => {
                    self.answered.swap_remove(place);
                }
                _ => {}
            }
        }
    }
}

const _: () = assert!(HEAD == 9, "a head ends with the number of its stream");

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;

/// In bytes: a status that is not in the static table takes six.
const MOST_OF_BARE_STATUS: u32 = 8;

const PROTOCOL_ERROR: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        flagged(kind, 0, stream, payload)
    }

    fn flagged(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        let head = [0, 0, length, kind, flags, 0, 0, 0, stream];
        [&head, payload].concat()
    }

    #[test]
    fn bare_status_is_recognized_as_an_answer_of_h2() {
        let sent = [
            // With trailers, with data, and without a body.
            flagged(HEADERS, 0, 1, &[0; 40]),
            flagged(HEADERS, END_STREAM, 1, &[0xbe]),
            flagged(HEADERS, 0, 3, &[0; 40]),
            flagged(DATA, END_STREAM, 3, &[]),
            flagged(HEADERS, END_STREAM, 5, &[0; 40]),
            // A bare status, as `h2` sends it.
            flagged(HEADERS, END_STREAM, 7, &[0x48, 2, 0x68, 0x41]),
        ]
        .concat();
        for size in [1, 7, 1000] {
            let (mut resets, mut found) = (Resets::new(), Vec::new());
            for piece in sent.chunks(size) {
                resets.follow(piece, |stream| found.push(stream));
            }
            assert_eq!(found, [7], "{size}");
            assert!(resets.answered.is_empty());
        }
    }

    #[test]
    fn resets_are_found_in_one_write_and_in_many() {
        let sent = [
            frame(4, 0, &[0; 12]),
            frame(RST_STREAM, 1, &[0, 0, 0, 1]),
            frame(0, 3, &frame(RST_STREAM, 9, &[0, 0, 0, 1])),
            frame(RST_STREAM, 3, &[0, 0, 0, 8]),
            frame(6, 0, &[0; 8]),
            frame(RST_STREAM, 5, &[0, 0, 0, 1]),
            frame(RST_STREAM, 7, &[0, 0, 1, 1]),
        ]
        .concat();
        for size in [1, 2, 3, 5, 13, 1000] {
            let (mut resets, mut found) = (Resets::new(), Vec::new());
            for piece in sent.chunks(size) {
                resets.follow(piece, |stream| found.push(stream));
            }
            assert_eq!(found, [1, 5], "{size}");
        }
    }
}

//! WebSocket frames: tells whether a peer closed the WebSocket, or only the connection ended.

/// Follows the frames of one direction (RFC 6455 §5.2), and notes a Close frame.
#[derive(Debug, Default)]
pub struct FrameScanner {
    /// The beginning of the next frame, as far as it has arrived.
    head: [u8; LONGEST_HEAD],
    here: usize,
    /// How many bytes of the current frame are still missing.
    left: u64,
    has_close: bool,
}

impl FrameScanner {
    /// Whether a Close frame has begun.
    pub fn has_close(&self) -> bool {
        self.has_close
    }

    /// Whether the last frame is complete, so that another one may follow.
    pub fn is_at_frame_end(&self) -> bool {
        self.left == 0 && self.here == 0
    }

    /// Takes the next bytes.
    pub fn scan(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let there = usize::try_from(self.left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                self.left -= there as u64;
                bytes = &bytes[there..];
                continue;
            }
            self.head[self.here] = *first;
            self.here += 1;
            bytes = rest;
            if let Some((opcode, payload)) = head(&self.head[..self.here]) {
                self.has_close |= opcode == CLOSE;
                self.left = payload;
                self.here = 0;
            }
        }
    }
}

/// The opcode of a frame, and the length of its payload; `None` when the head is incomplete.
fn head(bytes: &[u8]) -> Option<(u8, u64)> {
    let [first, second, more @ ..] = bytes else {
        return None;
    };
    let (extended, length) = match second & 0x7f {
        126 => (2, u64::from(u16::from_be_bytes(*more.first_chunk()?))),
        127 => (8, u64::from_be_bytes(*more.first_chunk()?)),
        length => (0, u64::from(length)),
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    (more.len() == extended + mask).then_some((first & 0x0f, length))
}

/// A Close frame as a server sends it, without a mask (RFC 6455 §5.5.1).
pub fn closing(code: u16, reason: &str) -> Vec<u8> {
    debug_assert!(reason.len() <= 123, "a control frame has 125 bytes");
    let length = u8::try_from(2 + reason.len()).unwrap_or(2);
    let mut frame = vec![FINAL | CLOSE, length];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason.as_bytes());
    frame
}

const CLOSE: u8 = 8;

/// The bit of a message's last frame. Control frames always have it.
const FINAL: u8 = 0x80;

/// The longest head of a frame, in bytes: two, a length of eight, a mask of four.
const LONGEST_HEAD: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_close_frames_are_found_in_one_read_and_in_many() {
        let long = [&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0][..], &[0x88; 65536]].concat();
        let masked = [&[0x81, 0x80 | 126, 0, 200, 1, 2, 3, 4][..], &[0x88; 200]].concat();
        let frames_without_close = [&[0x81, 2, 0x88, 0x88][..], &masked, &long].concat();
        for size in [1, 3, 1000, frames_without_close.len()] {
            let mut frames = FrameScanner::default();
            frames_without_close
                .chunks(size)
                .for_each(|bytes| frames.scan(bytes));
            assert!(!frames.has_close() && frames.is_at_frame_end(), "{size}");
            [0x88, 0x82, 1, 2, 3, 4, 5, 6]
                .chunks(size)
                .for_each(|bytes| frames.scan(bytes));
            assert!(frames.has_close() && frames.is_at_frame_end(), "{size}");
        }
    }

    #[test]
    fn a_frame_ends_only_after_its_last_byte() {
        let frame = [0x82, 0x80 | 126, 0, 3, 1, 2, 3, 4, 9, 9, 9];
        let mut frames = FrameScanner::default();
        for byte in &frame[..frame.len() - 1] {
            frames.scan(&[*byte]);
            assert!(!frames.is_at_frame_end());
        }
        frames.scan(&[9]);
        assert!(frames.is_at_frame_end());
        assert_eq!(closing(1001, "ab"), [0x88, 4, 3, 0xe9, b'a', b'b']);
    }
}

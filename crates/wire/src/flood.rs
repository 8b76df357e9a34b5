//! Detects floods of HTTP/2 frames that carry nothing.
//!
//! PING and SETTINGS must be answered, RST_STREAM, PRIORITY and WINDOW_UPDATE must be processed, and a DATA frame may be empty: a
//! client that sends only these can occupy a core (CVE-2019-9511 to CVE-2019-9518, "Data Dribble" to "Empty Frames Flood"; RFC
//! 9113 §10.5). `h2` bounds the memory that they take, but not their number. So they are counted here, and compared with what a
//! client needs them for: streams, and bytes in either direction.
//!
//! The caller, which has a clock, decides when a new counting window begins.

/// Finds the frame heads in the bytes of one direction (RFC 9113 §4.1).
#[derive(Debug)]
pub struct FrameHeads {
    /// The head of the next frame, as far as it has arrived.
    head: [u8; HEAD],
    here: usize,
    /// How many bytes precede it: the rest of the preface, or of the previous frame's payload.
    left: usize,
}

impl FrameHeads {
    /// A scanner for a direction in which this many bytes precede the first frame.
    pub fn after(preface: usize) -> Self {
        Self {
            head: [0; HEAD],
            here: 0,
            left: preface,
        }
    }

    /// Takes the part of the current payload that has arrived.
    pub fn payload<'b>(&mut self, bytes: &mut &'b [u8]) -> &'b [u8] {
        let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
        self.left -= payload.len();
        *bytes = rest;
        payload
    }

    /// Takes the head of the next frame, after the current payload. `None` when it is incomplete.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<[u8; HEAD]> {
        self.payload(bytes);
        let (head, rest) = bytes.split_at((HEAD - self.here).min(bytes.len()));
        self.head[self.here..self.here + head.len()].copy_from_slice(head);
        self.here += head.len();
        *bytes = rest;
        if self.here < HEAD {
            return None;
        }
        self.here = 0;
        let [high, middle, low, ..] = self.head;
        self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
        Some(self.head)
    }

    /// Whether the current payload is complete.
    pub fn payload_is_complete(&self) -> bool {
        self.left == 0
    }
}

/// Counts the frames of a client that carry nothing.
#[derive(Debug)]
pub struct FrameCounter {
    heads: FrameHeads,
    /// How many frames of the current counting window carry nothing.
    empty: u64,
    /// How many such frames are allowed.
    allowed: u64,
    /// Bytes of bodies that do not yet suffice for another allowed frame.
    uncounted: u64,
}

impl Default for FrameCounter {
    /// A counter for a new connection.
    fn default() -> Self {
        Self {
            heads: FrameHeads::after(PREFACE),
            empty: 0,
            allowed: ALWAYS,
            uncounted: 0,
        }
    }
}

impl FrameCounter {
    /// Takes the next bytes. Returns whether too many frames of the current counting window carry nothing.
    pub fn exceeds_limit(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(head) = self.heads.next(&mut bytes) {
            self.count(head);
        }
        self.empty > self.allowed
    }

    /// Notes bytes that were sent to the client, which it acknowledges with WINDOW_UPDATE frames.
    pub fn sent(&mut self, bytes: usize) {
        self.earn(bytes as u64);
    }

    fn count(&mut self, [_, _, _, kind, flags, ..]: [u8; HEAD]) {
        let length = self.heads.left as u64;
        match kind {
            DATA if length > 0 => self.earn(length),
            DATA if flags & END_STREAM != 0 => {}
            HEADERS => self.allowed += FOR_STREAM,
            _ => self.empty += 1,
        }
    }

    fn earn(&mut self, bytes: u64) {
        self.uncounted += bytes;
        self.allowed += self.uncounted / FOR_BYTES;
        self.uncounted %= FOR_BYTES;
    }

    /// Begins a new counting window at the current position in the stream.
    pub fn begin_window(&mut self) {
        (self.empty, self.allowed) = (0, ALWAYS);
    }
}

/// The size of a frame's head, in bytes.
pub const HEAD: usize = 9;
const PREFACE: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;

/// How many frames that carry nothing are allowed in every counting window.
const ALWAYS: u64 = 1000;

/// How many more are allowed for each request: for its priority, window updates for the response, or a reset.
const FOR_STREAM: u64 = 20;

/// One more is allowed for this many bytes of bodies: clients send a window update for 16 KiB or more of a response at a time.
const FOR_BYTES: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let size = u32::try_from(length).unwrap().to_be_bytes();
        let mut bytes = size[1..].to_vec();
        bytes.extend([kind, flags, 0, 0, 0, 1]);
        bytes.resize(HEAD + length, 0);
        bytes
    }

    fn floods(bytes: &[u8], piece: usize) -> bool {
        let mut frames = FrameCounter::default();
        let mut pieces = bytes.chunks(piece);
        frames.exceeds_limit(&[0; PREFACE]) | pieces.any(|piece| frames.exceeds_limit(piece))
    }

    #[test]
    fn frames_without_content_are_counted_in_one_read_and_in_many() {
        let (ping, settings, reset) = (frame(6, 0, 8), frame(4, 0, 6), frame(3, 0, 4));
        let empty = frame(DATA, 0, 0);
        for flood in [&ping, &settings, &reset, &empty] {
            for piece in [1, 7, 4096] {
                assert!(!floods(&flood.repeat(1000), piece));
                assert!(floods(&flood.repeat(1001), piece));
            }
        }
    }

    #[test]
    fn requests_and_bodies_are_not_a_flood() {
        let request = [frame(HEADERS, 5, 300), frame(8, 0, 4), frame(2, 0, 5)].concat();
        assert!(!floods(&request.repeat(10_000), 4096));
        let upload = [frame(DATA, 0, 1024), frame(6, 0, 8)].concat();
        assert!(!floods(&upload.repeat(10_000), 4096));
        let ends = [frame(HEADERS, 4, 300), frame(DATA, END_STREAM, 0)].concat();
        assert!(!floods(&ends.repeat(10_000), 4096));
    }

    #[test]
    fn a_download_allows_its_window_updates() {
        let mut frames = FrameCounter::default();
        let mut floods = frames.exceeds_limit(&[0; PREFACE]);
        for _ in 0..10_000 {
            frames.sent(16 * 1024);
            floods |= frames.exceeds_limit(&frame(8, 0, 4).repeat(2));
        }
        assert!(!floods);
    }

    #[test]
    fn a_counting_window_can_begin_inside_a_frame() {
        let ping = frame(6, 0, 8);
        let mut frames = FrameCounter::default();
        let mut floods = frames.exceeds_limit(&[0; PREFACE]);
        for _ in 0..3 {
            floods |= frames.exceeds_limit(&ping.repeat(999));
            floods |= frames.exceeds_limit(&ping[..10]);
            frames.begin_window();
            floods |= frames.exceeds_limit(&ping[10..]);
        }
        assert!(!floods);
        assert!(frames.exceeds_limit(&ping.repeat(1001)));
    }
}

//! Which streams of HTTP/2 ask for a `:path` with a `#` in it.
//!
//! No client may send one (RFC 9113 §8.3.1, RFC 3986 §3.3), and over HTTP/1.1 such a target is refused. `h2` (0.4.20) makes a
//! `http::uri::PathAndQuery` (1.5.0) of it, which drops the `#` and all that stands behind it, and tells nobody: what is asked for
//! there and what is decided on would be two things. So the heads are followed here before `h2` reads them: their frames (RFC 9113
//! §6.2, §6.10) and their fields (HPACK, RFC 7541), of which nothing is kept but what it takes to know a path.

use std::collections::VecDeque;

use crate::flood::{HEAD, Heads};

/// Follows what a client sends, and names the streams whose `:path` has a `#`.
#[derive(Debug)]
pub struct Fragments {
    heads: Heads,
    /// The frame of a head that is being read, and what is here of its payload.
    frame: Option<Frame>,
    payload: Vec<u8>,
    /// What is here of a head that goes on in another frame.
    block: Vec<u8>,
    /// In bytes: `h2` ends a connection on which a head is longer.
    longest: usize,
    table: Table,
    /// Whether something came that cannot be followed, and that `h2` ends the connection for.
    is_lost: bool,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Fragments {
    /// Of a connection that begins with the preface, and whose heads `h2` takes up to about this many bytes.
    pub fn new(longest: usize) -> Self {
        Self {
            heads: Heads::after(PREFACE),
            frame: None,
            payload: Vec::new(),
            block: Vec::new(),
            longest: longest.saturating_mul(2).saturating_add(SLACK),
            table: Table::default(),
            is_lost: false,
        }
    }

    /// Takes the bytes that come next, and names each stream whose `:path` has a `#`.
    pub fn follow(&mut self, mut bytes: &[u8], mut found: impl FnMut(u32)) {
        while !self.is_lost {
            let came = self.heads.payload(&mut bytes);
            if let Some(frame) = self.frame {
                self.payload.extend_from_slice(came);
                if self.payload.len() > self.longest {
                    self.is_lost = true;
                }
                if self.heads.are_between_frames() {
                    self.frame = None;
                    if self.ends_with_fragment(frame) {
                        found(frame.stream);
                    }
                }
            }
            let Some(head) = self.heads.next(&mut bytes) else {
                return;
            };
            let [_, _, _, kind, flags, stream @ ..] = head;
            if matches!(kind, HEADERS | CONTINUATION) {
                let stream = u32::from_be_bytes(stream) & STREAM;
                self.frame = Some(Frame {
                    kind,
                    flags,
                    stream,
                });
            }
        }
    }

    /// Whether something came that cannot be followed. Then `h2` ends the connection, and nothing is known of what comes after it.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Takes a whole frame. Says whether it is the last of a head with such a path.
    fn ends_with_fragment(&mut self, frame: Frame) -> bool {
        let payload = std::mem::take(&mut self.payload);
        let part = match frame.kind {
            HEADERS => {
                self.block.clear();
                of_headers(&payload, frame.flags)
            }
            _ => Some(&payload[..]),
        };
        let has_fragment = match part {
            // What goes on is kept; most heads are one frame, and are read where they are.
            Some(part) if frame.flags & END_HEADERS == 0 => {
                self.block.extend_from_slice(part);
                self.is_lost |= self.block.len() > self.longest;
                Some(false)
            }
            Some(part) if self.block.is_empty() => self.table.has_fragment(part),
            Some(part) => {
                self.block.extend_from_slice(part);
                let block = std::mem::take(&mut self.block);
                self.table.has_fragment(&block)
            }
            None => None,
        };
        self.is_lost |= has_fragment.is_none();
        self.payload = payload;
        self.payload.clear();
        self.payload.shrink_to(MOST_KEPT);
        has_fragment == Some(true)
    }
}

/// The part of a HEADERS frame that holds fields. `None` when its padding is longer than it.
fn of_headers(payload: &[u8], flags: u8) -> Option<&[u8]> {
    let (padding, rest) = match flags & PADDED != 0 {
        true => payload
            .split_first()
            .map(|(length, rest)| (usize::from(*length), rest))?,
        false => (0, payload),
    };
    let rest = match flags & PRIORITY != 0 {
        true => rest.get(OF_PRIORITY..)?,
        false => rest,
    };
    rest.get(..rest.len().checked_sub(padding)?)
}

/// The dynamic table of HPACK (RFC 7541 §2.3.2), of which the names and values are left out.
#[derive(Debug)]
struct Table {
    /// The newest first.
    entries: VecDeque<Known>,
    size: usize,
    /// How large it may be.
    limit: usize,
}

/// What is known of a field.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// In bytes.
    name: usize,
    value: usize,
    is_path: bool,
    has_fragment: bool,
}

impl Default for Table {
    /// Of a connection that has just begun.
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            limit: LARGEST_TABLE,
        }
    }
}

impl Table {
    /// Whether a `:path` among these fields has a `#`. `None` when they cannot be read.
    fn has_fragment(&mut self, mut fields: &[u8]) -> Option<bool> {
        let mut has_fragment = false;
        while let Some(first) = fields.first() {
            let field = match first {
                0x80.. => {
                    let index = integer(&mut fields, 7)?;
                    self.entry(index)?
                }
                0x40..=0x7f => {
                    let field = self.literal(&mut fields, 6, true)?;
                    self.insert(field);
                    field
                }
                0x20..=0x3f => {
                    let limit = integer(&mut fields, 5)?;
                    if limit > LARGEST_TABLE {
                        return None;
                    }
                    self.limit = limit;
                    self.evict();
                    continue;
                }
                0x00..=0x1f => self.literal(&mut fields, 4, false)?,
            };
            has_fragment |= field.has_fragment;
        }
        Some(has_fragment)
    }

    /// A field whose value stands there, and perhaps its name. Lengths are only counted where it is `kept`.
    fn literal(&self, fields: &mut &[u8], prefix: u8, is_kept: bool) -> Option<Known> {
        let index = integer(fields, prefix)?;
        let (name, is_path) = match index {
            0 => {
                let name = Text::read(fields)?;
                let mut seen = Prefix::default();
                let length = name.each(|byte| seen.take(byte))?;
                (length, length == PATH.len() && seen.is_path())
            }
            index => {
                let known = self.entry(index)?;
                (known.name, known.is_path)
            }
        };
        let text = Text::read(fields)?;
        let mut has_fragment = false;
        let value = match is_path || is_kept {
            true => text.each(|byte| has_fragment |= byte == b'#')?,
            false => 0,
        };
        Some(Known {
            name,
            value,
            is_path,
            has_fragment: has_fragment && is_path,
        })
    }

    /// The field of this number, in the static table or behind it (RFC 7541 §2.3.3).
    fn entry(&self, index: usize) -> Option<Known> {
        let place = index.checked_sub(1)?;
        if let Some(length) = STATIC_NAMES.get(place) {
            return Some(Known {
                name: usize::from(*length),
                value: 0,
                is_path: STATIC_PATHS.contains(&index),
                has_fragment: false,
            });
        }
        self.entries.get(place - STATIC_NAMES.len()).copied()
    }

    fn insert(&mut self, field: Known) {
        self.size += field.size();
        self.entries.push_front(field);
        self.evict();
    }

    /// Drops the oldest fields for which there is no room (RFC 7541 §4.3, §4.4).
    fn evict(&mut self) {
        while self.size > self.limit
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size();
        }
    }
}

impl Known {
    /// In bytes, as RFC 7541 §4.1 counts them.
    fn size(&self) -> usize {
        self.name + self.value + 32
    }
}

/// A text as it stands among fields (RFC 7541 §5.2).
#[derive(Clone, Copy)]
struct Text<'t> {
    bytes: &'t [u8],
    is_huffman: bool,
}

impl<'t> Text<'t> {
    fn read(fields: &mut &'t [u8]) -> Option<Self> {
        let is_huffman = fields.first()? & 0x80 != 0;
        let length = integer(fields, 7)?;
        let (bytes, rest) = fields.split_at_checked(length)?;
        *fields = rest;
        Some(Self { bytes, is_huffman })
    }

    /// Calls `each` with every byte that it stands for, and counts them.
    fn each(self, mut each: impl FnMut(u8)) -> Option<usize> {
        if !self.is_huffman {
            self.bytes.iter().for_each(|byte| each(*byte));
            return Some(self.bytes.len());
        }
        let (mut bits, mut there, mut count) = (0_u64, 0_u32, 0);
        for byte in self.bytes {
            bits = (bits << 8) | u64::from(*byte);
            there += 8;
            while let Some((symbol, length)) = CODE.first(bits, there) {
                // The end of the text must not be among its codes (RFC 7541 §5.2).
                each(u8::try_from(symbol).ok()?);
                there -= length;
                count += 1;
            }
            bits &= (1 << there) - 1;
        }
        Some(count)
    }
}

/// Whether what comes is `:path`, byte for byte.
#[derive(Default)]
struct Prefix(usize);

impl Prefix {
    fn take(&mut self, byte: u8) {
        self.0 = match PATH.get(self.0) {
            Some(wanted) if *wanted == byte => self.0 + 1,
            Some(_) | None => usize::MAX,
        };
    }

    fn is_path(&self) -> bool {
        self.0 == PATH.len()
    }
}

/// A number whose first byte has so many bits of it (RFC 7541 §5.1). `None` when it is not whole, or larger than anything here.
fn integer(fields: &mut &[u8], prefix: u8) -> Option<usize> {
    let (first, mut rest) = fields.split_first()?;
    let most = (1 << prefix) - 1;
    let mut number = usize::from(*first) & most;
    if number == most {
        for shift in (0..=21).step_by(7) {
            let (next, behind) = rest.split_first()?;
            rest = behind;
            number += usize::from(next & 0x7f) << shift;
            if next & 0x80 == 0 {
                *fields = rest;
                return Some(number);
            }
        }
        return None;
    }
    *fields = rest;
    Some(number)
}

/// The code of RFC 7541 Appendix B, which is canonical: codes of a length follow each other in the order of their symbols.
struct Code {
    /// The first code of each length, how many there are, and where their symbols begin.
    lengths: [(u32, u32, usize); LONGEST_CODE + 1],
    symbols: [u16; SYMBOLS],
}

impl Code {
    const fn new() -> Self {
        let mut code = Self {
            lengths: [(0, 0, 0); LONGEST_CODE + 1],
            symbols: [0; SYMBOLS],
        };
        let (mut next, mut place, mut length) = (0, 0, 1);
        while length <= LONGEST_CODE {
            next <<= 1;
            let (first, begin) = (next, place);
            let mut symbol = 0;
            while symbol < SYMBOLS {
                if CODE_LENGTHS[symbol] as usize == length {
                    code.symbols[place] = symbol as u16;
                    place += 1;
                    next += 1;
                }
                symbol += 1;
            }
            code.lengths[length] = (first, next - first, begin);
            length += 1;
        }
        code
    }

    /// The symbol with which the last `there` bits begin, and how many of them it takes.
    fn first(&self, bits: u64, there: u32) -> Option<(u16, u32)> {
        let lengths = (SHORTEST_CODE..=LONGEST_CODE as u32).take_while(|length| *length <= there);
        for length in lengths {
            let code = (bits >> (there - length)) & ((1 << length) - 1);
            let (first, count, begin) = self.lengths[length as usize];
            let place = u32::try_from(code).ok()?.checked_sub(first)?;
            if place < count {
                return Some((self.symbols[begin + place as usize], length));
            }
        }
        None
    }
}

static CODE: Code = Code::new();

const _: () = assert!(HEAD == 9, "a head ends with the number of its stream");

const PREFACE: usize = 24;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;
/// In bytes: what a frame says of the stream's priority.
const OF_PRIORITY: usize = 5;
/// The bits of a stream's number; the first is reserved.
const STREAM: u32 = 0x7fff_ffff;

/// In bytes: more of a head than its limit may come in the last frames before `h2` ends the connection.
const SLACK: usize = 256 * 1024;

/// In bytes, of the room for a frame, kept for the next one.
const MOST_KEPT: usize = 16 * 1024;

/// In bytes: what we let clients keep, by saying nothing else (RFC 9113 §6.5.2).
const LARGEST_TABLE: usize = 4096;

const PATH: &[u8] = b":path";

/// The numbers of `:path` in the static table.
const STATIC_PATHS: [usize; 2] = [4, 5];

/// In bytes: the names of the static table (RFC 7541 Appendix A), from `:authority` to `www-authenticate`.
const STATIC_NAMES: [u8; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14,
    16, 13, 12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10,
    25, 17, 10, 4, 3, 16,
];

/// The bytes, and the end of a text.
const SYMBOLS: usize = 257;
const SHORTEST_CODE: u32 = 5;
const LONGEST_CODE: usize = 30;

/// In bits, by symbol (RFC 7541 Appendix B).
const CODE_LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a dump in hexadecimal.
    fn bytes(dump: &str) -> Vec<u8> {
        let digits: Vec<_> = dump.chars().filter_map(|char| char.to_digit(16)).collect();
        let pairs = digits.chunks(2);
        pairs
            .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
            .collect()
    }

    fn text(dump: &str) -> String {
        let (dump, mut text) = (bytes(dump), Vec::new());
        let read = Text::read(&mut &dump[..]).unwrap();
        let count = read.each(|byte| text.push(byte)).unwrap();
        assert_eq!(count, text.len());
        String::from_utf8(text).unwrap()
    }

    /// A text without Huffman's code.
    fn plain(text: &str) -> Vec<u8> {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 127);
        [&[length][..], text.as_bytes()].concat()
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 7541 C.4.1, C.6.1 and C.6.3.
        assert_eq!(text("8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"), "www.example.com");
        assert_eq!(
            text("96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff"),
            "Mon, 21 Oct 2013 20:13:21 GMT"
        );
        assert_eq!(
            text(
                "ad94 e782 1dd7 f2e6 c7b3 35df dfcd 5b39 60d5 af27 087f 3672 c1ab 270f b529 1f95 8731 6065 c003 ed4e e5b1 063d 5007"
            ),
            "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
        );
        for number in [10, 30, 31, 1337, 100_000] {
            let mut encoded = vec![0x1f_u8];
            match u8::try_from(number).ok().filter(|number| *number < 31) {
                Some(number) => encoded = vec![number],
                None => {
                    let mut rest = number - 31;
                    while rest >= 128 {
                        encoded.push(u8::try_from(rest % 128).unwrap() | 128);
                        rest /= 128;
                    }
                    encoded.push(u8::try_from(rest).unwrap());
                }
            }
            let mut left = &encoded[..];
            assert_eq!(integer(&mut left, 5), Some(number));
            assert!(left.is_empty());
        }
        assert_eq!(integer(&mut &bytes("1fffffffffff")[..], 5), None);
    }

    #[test]
    fn the_table_is_as_large_as_in_the_examples_of_the_rfc() {
        // RFC 7541 C.4: three requests on one connection.
        let mut table = Table::default();
        for (dump, size, entries) in [
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", 57, 1),
            ("8286 84be 5886 a8eb 1064 9cbf", 110, 2),
            (
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
                164,
                3,
            ),
        ] {
            assert_eq!(table.has_fragment(&bytes(dump)), Some(false));
            assert_eq!((table.size, table.entries.len()), (size, entries));
        }
        // It may be made smaller, and no larger than we have said.
        assert_eq!(table.has_fragment(&bytes("20")), Some(false));
        assert_eq!((table.size, table.entries.len()), (0, 0));
        assert_eq!(table.has_fragment(&bytes("3fe11f")), Some(false));
        assert_eq!(table.limit, LARGEST_TABLE);
        assert_eq!(table.has_fragment(&bytes("3fe21f")), None);
    }

    #[test]
    fn a_path_with_a_fragment_is_known_however_it_is_written() {
        let mut table = Table::default();
        let named = [&bytes("00")[..], &plain(":path"), &plain("/a#b")].concat();
        // `:path` by Huffman's code, as an encoder without tables writes it.
        let coded = [&bytes("1084 b958 d33f")[..], &plain("/#")].concat();
        for block in [
            [&bytes("04")[..], &plain("/a#b")].concat(),
            [&bytes("15")[..], &plain("#")].concat(),
            [&bytes("44")[..], &plain("/a?b#")].concat(),
            // `/a#` in Huffman's code: 011000 00011 111111111010, and ones.
            bytes("0483 60 7f f5"),
            named,
            coded,
        ] {
            let block = [&bytes("8286")[..], &block].concat();
            assert_eq!(table.has_fragment(&block), Some(true), "{block:x?}");
        }
        // The third was kept, and counts again; its name too.
        assert_eq!(table.has_fragment(&bytes("8286 be")), Some(true));
        let other = [&bytes("7e")[..], &plain("/c")].concat();
        assert_eq!(table.has_fragment(&other), Some(false));
        assert_eq!(table.has_fragment(&bytes("be")), Some(false));
        assert_eq!(table.has_fragment(&bytes("bf")), Some(true));
        let with_its_name = [&bytes("0f2f")[..], &plain("/d#")].concat();
        assert_eq!(table.has_fragment(&with_its_name), Some(true));
        for block in [
            [&bytes("04")[..], &plain("/a%23b")].concat(),
            // A referer, and fields of other names.
            [&bytes("0f24")[..], &plain("/a#b")].concat(),
            [&bytes("00")[..], &plain("path"), &plain("/a#b")].concat(),
            [&bytes("40")[..], &plain(":paths"), &plain("/a#b")].concat(),
            [&bytes("40")[..], &plain(":pat"), &plain("/a#b")].concat(),
        ] {
            assert_eq!(table.has_fragment(&block), Some(false), "{block:x?}");
        }
        for lost in [
            "80",
            "ff80 01",
            "7f80 01",
            "04",
            "0485 2f",
            "04ff",
            "0484 ffff ffff",
        ] {
            assert_eq!(Table::default().has_fragment(&bytes(lost)), None, "{lost}");
        }
    }

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    #[test]
    fn heads_are_put_together_from_their_frames() {
        let (good, bad) = (
            [&bytes("44")[..], &plain("/good")].concat(),
            [&bytes("44")[..], &plain("/bad#")].concat(),
        );
        let padded = [&[3][..], &[0; 5], &bad, &[0; 3]].concat();
        let sent = [
            vec![b'x'; PREFACE],
            frame(4, 0, 0, &[]),
            frame(HEADERS, END_HEADERS, 1, &good),
            // What stands in bodies does not count.
            frame(0, 1, 1, &bad),
            frame(HEADERS, END_HEADERS, 3, &bad),
            frame(HEADERS, END_HEADERS | PADDED | PRIORITY, 5, &padded),
            frame(HEADERS, 0, 7, &bad[..2]),
            frame(CONTINUATION, 0, 7, &bad[2..5]),
            frame(CONTINUATION, END_HEADERS, 7, &bad[5..]),
            frame(HEADERS, 0, 9, &[]),
            frame(CONTINUATION, END_HEADERS, 9, &good),
            frame(HEADERS, END_HEADERS, 11, &bytes("c1")),
            frame(HEADERS, END_HEADERS, 13, &bytes("be")),
        ]
        .concat();
        for piece in [1, 2, 7, 64, sent.len()] {
            let (mut fragments, mut found) = (Fragments::new(1024), Vec::new());
            for bytes in sent.chunks(piece) {
                fragments.follow(bytes, |stream| found.push(stream));
            }
            assert_eq!(found, [3, 5, 7, 11], "{piece}");
            assert!(!fragments.is_lost());
        }
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        for bytes in [
            frame(HEADERS, END_HEADERS | PADDED, 1, &[9, 0]),
            frame(HEADERS, END_HEADERS | PRIORITY, 1, &[0; 4]),
            frame(HEADERS, END_HEADERS, 1, &[0xfe]),
        ] {
            let mut fragments = Fragments::new(1024);
            fragments.follow(&[0; PREFACE], |_| ());
            fragments.follow(&bytes, |stream| panic!("{stream}"));
            assert!(fragments.is_lost(), "{bytes:?}");
        }
        let mut fragments = Fragments::new(1024);
        fragments.follow(&[0; PREFACE], |_| ());
        for _ in 0..SLACK / 200 + 20 {
            fragments.follow(&frame(CONTINUATION, 0, 1, &[0; 200]), |_| ());
        }
        assert!(fragments.is_lost());
    }
}

//! The other paths that an upstream could read in a path.
//!
//! Between the gate and the code that answers, a path is decoded, cleaned and cut, in an order that every server chooses for
//! itself: percent escapes are undone once, or once more by the next one; dot segments are removed (RFC 3986 section
//! 5.2.4), slashes folded, backslashes taken for slashes (IIS, WHATWG URL), path parameters cut (`;jsessionid=`, Java),
//! fragments and queries found where they were encoded, overlong UTF-8 and characters of Unicode that normalise to
//! delimiters taken for those, characters without a shape left out, dots and blanks at the ends of names dropped, though nothing
//! else is left of the name, and streams of files cut (`admin.`, `admin::$DATA`, Windows). Each is a step here, and a reading is
//! what any steps in any order make of the path.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use smallvec::SmallVec;

use crate::is_ignorable;

/// Whether the path has one reading alone, itself.
pub(crate) fn is_plain(path: &str) -> bool {
    let path = path.as_bytes();
    let is_special = |byte: u8| is_read_otherwise(byte) | matches!(byte, b'%' | b' ');
    let meets_oddly = |one: u8, next: u8| {
        (one == b'/') & matches!(next, b'/' | b'.') | (one == b'.') & (next == b'/')
    };
    // Without a way out of the loops it is done for many bytes at a time.
    let has_special = path.iter().fold(false, |any, byte| any | is_special(*byte));
    let pairs = path.iter().zip(path.get(1..).unwrap_or_default());
    let has_odd = pairs.fold(false, |any, (one, next)| any | meets_oddly(*one, *next));
    let has_odd = has_odd | path.ends_with(b".");
    !has_special && (!has_odd || has_plain_names(path))
}

/// Whether a byte alone gives a path other readings: a delimiter of one of the steps, or no ASCII. A dot, a blank and a slash do so where
/// they stand at the ends of segments, an escape by what it stands for.
const fn is_read_otherwise(byte: u8) -> bool {
    matches!(byte, b'\\' | b';' | b'#' | b'?' | b'$') | !byte.is_ascii()
}

/// Whether no segment is empty, a dot segment, or ends in a dot.
fn has_plain_names(path: &[u8]) -> bool {
    let ends_in_dot = |segment: &[u8]| segment.ends_with(b".");
    let has_dot = path.split(|byte| *byte == b'/').any(ends_in_dot);
    !has_empty_segment(path) && !has_dot
}

/// Whether the path has no other readings than itself and what its escapes stand for, which has the same segments: nothing in
/// it is special but escapes of ordinary characters, as in `/My%20File.pdf`.
pub(crate) fn has_harmless_escapes_alone(path: &str) -> bool {
    let mut rest = path;
    let mut parts = std::iter::from_fn(|| {
        let (part, after) = rest.split_once('%')?;
        rest = after.get(2..).unwrap_or(after);
        Some((part, after.as_bytes()))
    });
    let is_harmless = |after: &[u8]| {
        let decoded = match after {
            [high @ b'2'..=b'7', low, ..] => char::from(*low)
                .to_digit(16)
                .map(|low| (u32::from(high - b'0') << 4) + low),
            _ => None,
        };
        let decoded = decoded.and_then(|code| u8::try_from(code).ok());
        decoded.is_some_and(|byte| {
            !is_read_otherwise(byte) && !matches!(byte, b'/' | b'.' | b'%' | b'\x7f')
        })
    };
    let is_ordinary = |text: &str| {
        let mut bytes = text.bytes();
        bytes.all(|byte| !is_read_otherwise(byte) && byte != b' ')
    };
    let is_trimmed = |segment: &str| segment.starts_with("%20") || segment.ends_with("%20");
    let only_harmless = parts.all(|(part, after)| is_ordinary(part) && is_harmless(after));
    only_harmless
        && is_ordinary(rest)
        && has_plain_names(path.as_bytes())
        && !path.split('/').any(is_trimmed)
}

/// Whether no segment is empty, climbs or can be cut, nor does so once dots and blanks are dropped.
pub(crate) fn has_plain_segments(path: &[u8]) -> bool {
    let is_cut = |byte: &u8| matches!(byte, b'\\' | b';' | b'#' | b'?');
    let is_nothing = |segment: &[u8]| {
        let mut bytes = segment.iter();
        !segment.is_empty() && bytes.all(|byte| matches!(byte, b'.' | b' '))
    };
    !path.iter().any(is_cut)
        && !has_empty_segment(path)
        && !path.split(|byte| *byte == b'/').any(is_nothing)
}

/// Whether two slashes follow each other.
fn has_empty_segment(path: &[u8]) -> bool {
    path.windows(2).any(|pair| pair == b"//")
}

fn has_dot_segment(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(is_dot_segment)
}

fn is_dot_segment(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..")
}

/// The path with all escapes undone and every character taken for the delimiter that it could be. A name that stands
/// between two slashes in any reading stands here too, if it has no `%`.
pub(crate) fn plainest(path: &str) -> Vec<u8> {
    let mut text = path.as_bytes().to_vec();
    for _ in 0..MAX_DECODES {
        text = read_characters(&text).unwrap_or(text);
        text = decode(&text).unwrap_or(text);
    }
    text = read_characters(&text).unwrap_or(text);
    drop_ignorable(&text).unwrap_or(text)
}

/// Every reading of the path, itself among them; `None` when there are too many to look at, which no honest path has.
///
/// `budget` is how many bytes all readings may have together.
pub(crate) fn all(path: &str, budget: usize) -> Option<Vec<Vec<u8>>> {
    let mut readings = vec![(path.as_bytes().to_vec(), 0)];
    let (mut next, mut spent) = (0, 0);
    while let Some((text, decodes)) = readings.get(next) {
        next += 1;
        let decodes = *decodes;
        let decoded = (decodes < MAX_DECODES).then(|| decode(text)).flatten();
        let others = STEPS.iter().filter_map(|step| step(text));
        let mut found: SmallVec<[(Vec<u8>, usize); 10]> =
            others.map(|other| (other, decodes)).collect();
        found.extend(decoded.map(|text| (text, decodes + 1)));
        for reading in found {
            if readings.contains(&reading) {
                continue;
            }
            spent += reading.0.len();
            if spent > budget {
                return None;
            }
            readings.push(reading);
        }
    }
    Some(readings.into_iter().map(|(text, _)| text).collect())
}

/// A step that changes the text; `None` when it does not.
type Step = fn(&[u8]) -> Option<Vec<u8>>;

const STEPS: [Step; 13] = [
    cut_authority,
    decode_dots,
    read_backslashes,
    read_characters,
    drop_ignorable,
    fold_slashes,
    remove_dot_segments,
    cut_parameters,
    cut_at_parameter,
    cut_at_end_of_path,
    cut_streams,
    trim_blanks,
    trim_names,
];

/// So many servers in a row undo escapes: the one that routes, and the one that answers.
const MAX_DECODES: usize = 2;

/// Cuts what parsers of URLs take for a host: the beginning of `//host/path` (RFC 3986 section 4.2). However many slashes
/// there are, WHATWG URL looks for the host behind all of them ("special authority ignore slashes state").
fn cut_authority(text: &[u8]) -> Option<Vec<u8>> {
    let mut authority = text.strip_prefix(b"//")?;
    while let [b'/', rest @ ..] = authority {
        authority = rest;
    }
    let end = authority.iter().position(|byte| *byte == b'/');
    Some(end.map_or(&b"/"[..], |end| &authority[end..]).to_vec())
}

/// Undoes the escapes of dots alone: WHATWG URL and RFC 3986 (section 6.2.2.2) remove `%2e%2e` as a dot segment, and leave
/// `%2f` in other segments as it is.
fn decode_dots(text: &[u8]) -> Option<Vec<u8>> {
    let is_dot = |triple: &[u8]| matches!(triple, b"%2e" | b"%2E");
    if !text.windows(3).any(is_dot) {
        return None;
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let is_escape = rest.get(..3).is_some_and(is_dot);
        decoded.push(if is_escape { b'.' } else { *first });
        rest = if is_escape { &rest[3..] } else { after };
    }
    Some(decoded)
}

/// Undoes percent escapes, those of IIS among them (`%u002f`). A broken one stays as it is.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if !text.contains(&b'%') {
        return None;
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest
        .windows(2)
        .position(|pair| matches!(pair, b"%u" | b"%U"))
    {
        decoded.extend(percent_decode(&rest[..at]));
        let character = rest.get(at + 2..at + 6).and_then(hexadecimal);
        match character {
            Some(character) => {
                let mut buffer = [0; 4];
                decoded.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                rest = &rest[at + 6..];
            }
            None => {
                decoded.extend_from_slice(&rest[at..at + 2]);
                rest = &rest[at + 2..];
            }
        }
    }
    decoded.extend(percent_decode(rest));
    (decoded != text).then_some(decoded)
}

fn hexadecimal(digits: &[u8]) -> Option<char> {
    let digits = digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)?;
    char::from_u32(u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?)
}

fn read_backslashes(text: &[u8]) -> Option<Vec<u8>> {
    let slash = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
    text.contains(&b'\\')
        .then(|| text.iter().map(slash).collect())
}

/// Takes overlong UTF-8, and characters that look like delimiters, for what they stand for.
fn read_characters(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_ascii() {
        return None;
    }
    let short = shorten_overlong(text);
    let mut read = Vec::with_capacity(short.len());
    for chunk in short.utf8_chunks() {
        for character in chunk.valid().chars() {
            match look_alike(character) {
                Some(delimiter) => read.extend_from_slice(delimiter.as_bytes()),
                None => read.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        read.extend_from_slice(chunk.invalid());
    }
    (read != text).then_some(read)
}

/// `C0 AE` and longer forms of ASCII, which UTF-8 forbids (RFC 3629 section 3) and lenient decoders read. They ask little
/// of the bytes that follow.
fn shorten_overlong(text: &[u8]) -> Cow<'_, [u8]> {
    if !text
        .iter()
        .any(|byte| matches!(byte, 0xc0 | 0xc1 | 0xe0 | 0xf0))
    {
        return Cow::Borrowed(text);
    }
    let mut short = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let (byte, len) = match rest {
            [0xc0 | 0xc1, second, ..] => ((first & 1) << 6 | second & 0x3f, 2),
            [0xe0, 0x80 | 0x81, third, ..] => ((rest[1] & 1) << 6 | third & 0x3f, 3),
            [0xf0, 0x80, 0x80 | 0x81, fourth, ..] => ((rest[2] & 1) << 6 | fourth & 0x3f, 4),
            _ => (*first, 1),
        };
        short.push(byte);
        rest = after.get(len - 1..).unwrap_or_default();
    }
    Cow::Owned(short)
}

/// What compatibility normalisation (NFKC), or the best fit of an old character set, makes of a character, where that has a
/// delimiter of paths in it; and a blank for what programs trim as one (`White_Space` of Unicode).
pub(crate) fn look_alike(character: char) -> Option<&'static str> {
    Some(match character {
        '\u{85}'
        | '\u{a0}'
        | '\u{1680}'
        | '\u{2000}'..='\u{200a}'
        | '\u{2028}'..='\u{2029}'
        | '\u{202f}'
        | '\u{205f}'
        | '\u{3000}' => " ",
        '\u{37e}' | '\u{fe14}' | '\u{fe54}' | '\u{ff1b}' => ";",
        '\u{2024}' | '\u{3002}' | '\u{fe12}' | '\u{fe52}' | '\u{ff0e}' | '\u{ff61}' => ".",
        '\u{2025}' | '\u{fe30}' => "..",
        '\u{2026}' | '\u{fe19}' => "...",
        '\u{2044}' | '\u{2215}' | '\u{ff0f}' => "/",
        '\u{2047}' => "??",
        '\u{2048}' => "?!",
        '\u{2049}' => "!?",
        '\u{2100}' => "a/c",
        '\u{2101}' => "a/s",
        '\u{2105}' => "c/o",
        '\u{2106}' => "c/u",
        '\u{2216}' | '\u{fe68}' | '\u{ff3c}' => "\\",
        '\u{fe16}' | '\u{fe56}' | '\u{ff1f}' => "?",
        '\u{fe5f}' | '\u{ff03}' => "#",
        '\u{fe6a}' | '\u{ff05}' => "%",
        _ => return None,
    })
}

fn fold_slashes(text: &[u8]) -> Option<Vec<u8>> {
    if !has_empty_segment(text) {
        return None;
    }
    let mut folded = text.to_vec();
    folded.dedup_by(|one, other| *one == b'/' && *other == b'/');
    Some(folded)
}

/// RFC 3986 section 5.2.4.
fn remove_dot_segments(text: &[u8]) -> Option<Vec<u8>> {
    if !has_dot_segment(text) {
        return None;
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = text
        .strip_prefix(b"/")
        .unwrap_or(text)
        .split(|byte| *byte == b'/')
        .peekable();
    while let Some(segment) = segments.next() {
        match segment {
            b".." => drop(kept.pop()),
            b"." => {}
            segment => {
                kept.push(segment);
                continue;
            }
        }
        // A dot segment at the end names the folder.
        if segments.peek().is_none() {
            kept.push(b"");
        }
    }
    let mut removed = Vec::with_capacity(text.len());
    for segment in kept {
        removed.push(b'/');
        removed.extend_from_slice(segment);
    }
    Some(removed)
}

/// Cuts the parameters of every segment.
fn cut_parameters(text: &[u8]) -> Option<Vec<u8>> {
    if !text.contains(&b';') {
        return None;
    }
    let mut cut = Vec::with_capacity(text.len());
    let mut in_parameter = false;
    for byte in text {
        in_parameter = match byte {
            b'/' => false,
            b';' => true,
            _ => in_parameter,
        };
        if !in_parameter {
            cut.push(*byte);
        }
    }
    Some(cut)
}

/// Cuts everything behind the first parameter.
fn cut_at_parameter(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().position(|byte| *byte == b';')?;
    Some(text[..end].to_vec())
}

/// Cuts what would be a query or a fragment, or lies behind the end of a C string.
fn cut_at_end_of_path(text: &[u8]) -> Option<Vec<u8>> {
    let end = text
        .iter()
        .position(|byte| matches!(byte, b'?' | b'#' | 0))?;
    Some(text[..end].to_vec())
}

/// Cuts the stream of a file off its name: `admin::$INDEX_ALLOCATION` is the folder `admin` on NTFS, and `a.txt::$DATA` the file
/// (Microsoft, "File Streams").
fn cut_streams(text: &[u8]) -> Option<Vec<u8>> {
    if !text.contains(&b'$') {
        return None;
    }
    let has_stream = |segment: &[u8]| segment.contains(&b':') && segment.contains(&b'$');
    changed(text, |segment| match has_stream(segment) {
        true => segment
            .split(|byte| *byte == b':')
            .next()
            .unwrap_or_default(),
        false => segment,
    })
}

/// Leaves out characters that have no shape, as file systems of macOS do, and browsers in hosts.
fn drop_ignorable(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_ascii() {
        return None;
    }
    let mut kept = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        let characters = chunk.valid().chars().filter(|it| !is_ignorable(*it));
        kept.extend(characters.collect::<String>().into_bytes());
        kept.extend_from_slice(chunk.invalid());
    }
    (kept != text).then_some(kept)
}

/// Drops blanks at both ends of names, as those do that trim what they divide (Spring before 4.3, CVE-2016-5007). What is left
/// may climb, or be nothing.
fn trim_blanks(text: &[u8]) -> Option<Vec<u8>> {
    changed(text, |segment| {
        let is_kept = |byte: &u8| *byte != b' ';
        match (
            segment.iter().position(is_kept),
            segment.iter().rposition(is_kept),
        ) {
            (Some(first), Some(last)) => &segment[first..=last],
            _ => &[],
        }
    })
}

/// Drops dots and blanks at the end of names, as Windows does (Microsoft, "Naming Files, Paths, and Namespaces"), and blanks at
/// their beginning. A name of nothing else is none, but a dot segment is one to all.
fn trim_names(text: &[u8]) -> Option<Vec<u8>> {
    changed(text, |segment| {
        let blanks = segment.iter().take_while(|byte| **byte == b' ').count();
        let kept = segment
            .iter()
            .rposition(|byte| !matches!(byte, b'.' | b' '));
        match kept {
            Some(last) => &segment[blanks..=last],
            None if is_dot_segment(segment) => segment,
            None => &[],
        }
    })
}

/// The text with every segment cut to a part of itself; `None` when all are whole.
fn changed<'t>(text: &'t [u8], part: impl Fn(&'t [u8]) -> &'t [u8]) -> Option<Vec<u8>> {
    let mut segments = text.split(|byte| *byte == b'/');
    // Most readings have none to cut, and are not copied.
    if segments.all(|segment| part(segment).len() == segment.len()) {
        return None;
    }
    let parts = text.split(|byte| *byte == b'/').map(part);
    Some(parts.collect::<Vec<_>>().join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(path: &str, reading: &str) -> bool {
        let readings = all(path, usize::MAX).expect("there is no limit");
        readings.iter().any(|text| text == reading.as_bytes())
    }

    #[test]
    fn ordinary_paths_have_one_reading() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b.css",
            "/a/.well-known/x",
            "/..a/b",
            "/a:b@c,d+e=f&g!h~i",
            "/v1.2/a.b.c",
        ] {
            assert!(is_plain(path), "{path}");
            assert_eq!(all(path, 0), Some(vec![path.into()]), "{path}");
        }
    }

    #[test]
    fn every_step_is_taken_and_combined_with_the_others() {
        for (path, reading) in [
            ("/a%2fb", "/a/b"),
            ("/a%252fb", "/a/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/%252e%252e/b", "/b"),
            ("/a/..;x=1/b", "/b"),
            ("/a/..\\b", "/b"),
            ("/a%5c..%5cb", "/b"),
            ("//a", "/a"),
            ("/a//../b", "/b"),
            ("/a//../b", "/a/b"),
            ("/a;x/b", "/a/b"),
            ("/a;x/b", "/a"),
            ("/a%3bx/b", "/a/b"),
            ("/a#b", "/a"),
            ("/a%23b", "/a"),
            ("/a%3fb", "/a"),
            ("/a%2500b", "/a"),
            ("/a/%c0%ae%c0%ae/b", "/b"),
            ("/a/%c0%2e%c0%2e/b", "/b"),
            ("/a/%e0%80%ae%e0%80%ae/b", "/b"),
            ("/a/%ef%bc%8e%ef%bc%8e/b", "/b"),
            ("/a/%e2%80%a5/b", "/b"),
            ("/a/\u{ff0e}\u{ff0e}/b", "/b"),
            ("/a/%u002e%u002e/b", "/b"),
            ("/a/%%32%65%%32%65/b", "/b"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/../../a", "/a"),
            ("//host/a", "/a"),
            ("///host/a", "/a"),
            ("/\\/host/a", "/a"),
            ("/a%2fb/%2e%2E/c", "/c"),
            ("/%5chost/a", "/a"),
            ("/a./b", "/a/b"),
            ("/a/b.", "/a/b"),
            ("/a%2e/b", "/a/b"),
            ("/a.%20./b", "/a/b"),
            ("/a%20/b", "/a/b"),
            ("/%20a/b", "/a/b"),
            ("/a::$INDEX_ALLOCATION/b", "/a/b"),
            ("/a:$i30:$INDEX_ALLOCATION/b", "/a/b"),
            ("/a%3a%3a%24DATA", "/a"),
            ("/%20/a", "/a"),
            ("/%20/a", "//a"),
            ("/.../a", "/a"),
            ("/x/..%20/a", "/a"),
            ("/x/%20../a", "/a"),
            ("/x/.%20/a", "/x/a"),
            ("/....%5ca", "/a"),
            ("/a/%20", "/a/"),
            ("/a/%c2%a0/b", "/a/b"),
            ("/a%e3%80%80/b", "/a/b"),
            ("/x/%e2%80%8b../a", "/a"),
            ("/x/.%e2%80%8b./a", "/a"),
            ("/%e2%80%8b/a", "/a"),
            ("/x/%c2%ad%2e/a", "/x/a"),
            ("/%ef%b8%8f\u{ff0f}a", "/a"),
        ] {
            assert!(reads(path, reading), "{path} {reading}");
            assert!(!is_plain(path), "{path}");
        }
    }

    #[test]
    fn harmless_escapes_stand_for_ordinary_characters() {
        for path in ["/My%20File.pdf", "/%61%7e/b", "/"] {
            assert!(has_harmless_escapes_alone(path), "{path}");
            let decoded = percent_decode(path.as_bytes()).collect::<Vec<_>>();
            let all = all(path, usize::MAX).unwrap();
            let is_known = |reading: &Vec<u8>| reading == path.as_bytes() || *reading == decoded;
            assert!(all.iter().all(is_known), "{path}");
        }
        for path in [
            "/a%2fb",
            "/a%2e",
            "/a%5cb",
            "/a%25",
            "/a%3b",
            "/a%23",
            "/a%3f",
            "/a%7f",
            "/a%00",
            "/a%C3%A9",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%u0041",
            "/a%20",
            "/%20a/b",
            "/a%20/b",
            "/a%24",
            "/a%20b.",
            "/a%20;b",
            "/a%20\\",
            "/a%20//b",
            "/a%20/../b",
            "/%20\u{e9}",
        ] {
            assert!(!has_harmless_escapes_alone(path), "{path}");
        }
    }

    #[test]
    fn escapes_are_undone_twice_and_not_more() {
        assert!(!reads("/a%25252fb", "/a/b"));
    }

    #[test]
    fn a_path_with_too_many_readings_has_none() {
        let path = "/a/..;x//%2e%2e\\b%2f..#".repeat(20);
        assert!(all(&path, 4 * path.len()).is_none());
    }
}

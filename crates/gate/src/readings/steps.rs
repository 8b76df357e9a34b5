//! The steps by which a server or a file system may change a path, in any order.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::{has_dot_segment, has_empty_segment, is_dot_segment};
use crate::is_ignorable;

/// A step: returns the changed text, or `None` when it does not change the text.
pub(super) type Step = fn(&[u8]) -> Option<Vec<u8>>;

pub(super) const STEPS: [Step; 13] = [
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

/// Cuts what URL parsers read as a host: the beginning of `//host/path` (RFC 3986 section 4.2). However many slashes
/// there are, WHATWG URL looks for the host after all of them ("special authority ignore slashes state").
fn cut_authority(text: &[u8]) -> Option<Vec<u8>> {
    let mut authority = text.strip_prefix(b"//")?;
    while let [b'/', rest @ ..] = authority {
        authority = rest;
    }
    let end = authority.iter().position(|byte| *byte == b'/');
    Some(end.map_or(&b"/"[..], |end| &authority[end..]).to_vec())
}

/// Decodes only the escapes of dots: WHATWG URL and RFC 3986 (section 6.2.2.2) remove `%2e%2e` as a dot segment, and leave
/// `%2f` in other segments unchanged.
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

/// Decodes percent escapes, including those of IIS (`%u002f`). A broken escape stays unchanged.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
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

/// Reads overlong UTF-8, and characters that look like delimiters, as the characters that they stand for.
pub(super) fn read_characters(text: &[u8]) -> Option<Vec<u8>> {
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

/// Replaces `C0 AE` and longer forms of ASCII, which UTF-8 forbids (RFC 3629 section 3) and lenient decoders read. Such decoders
/// hardly check the bytes that follow.
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

/// Returns what compatibility normalization (NFKC), or the best fit of an old character set, makes of a character, if that
/// contains a delimiter of paths; and a blank for characters that programs trim (`White_Space` of Unicode).
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

/// Removes dot segments (RFC 3986 section 5.2.4).
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

/// Cuts everything from the first parameter on.
fn cut_at_parameter(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().position(|byte| *byte == b';')?;
    Some(text[..end].to_vec())
}

/// Cuts what would be a query or a fragment, or follows the end of a C string.
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

/// Drops ignorable characters, as file systems of macOS do, and browsers in hosts.
pub(super) fn drop_ignorable(text: &[u8]) -> Option<Vec<u8>> {
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

/// Drops blanks at both ends of names, as programs do that trim what they split (Spring before 4.3, CVE-2016-5007). What is left
/// of a name may climb to the parent, or be empty.
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
/// their beginning. A name that has nothing else becomes empty, but a dot segment stays.
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

/// Returns the text with every segment cut to a part of itself; `None` when no segment is cut.
fn changed<'t>(text: &'t [u8], part: impl Fn(&'t [u8]) -> &'t [u8]) -> Option<Vec<u8>> {
    let mut segments = text.split(|byte| *byte == b'/');
    // Most readings have nothing to cut, and are not copied.
    if segments.all(|segment| part(segment).len() == segment.len()) {
        return None;
    }
    let parts = text.split(|byte| *byte == b'/').map(part);
    Some(parts.collect::<Vec<_>>().join(&b'/'))
}

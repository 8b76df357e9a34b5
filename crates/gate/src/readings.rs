//! The readings of a path: the other paths for which an upstream could take it.
//!
//! Between the gate and the code that answers, servers decode, clean and cut a path, each in its own order: they decode percent
//! escapes once, or again at the next server; remove dot segments (RFC 3986 section 5.2.4); merge slashes; read backslashes as
//! slashes (IIS, WHATWG URL); cut path parameters (`;jsessionid=`, Java); find fragments and queries that were encoded; read
//! overlong UTF-8, and characters of Unicode that normalize to delimiters, as those; drop ignorable characters; drop dots and
//! blanks at the ends of names, even if nothing is left; and cut streams of files (`admin.`, `admin::$DATA`, Windows). Each of
//! these is a step here, and a reading is the result of any steps in any order.

mod steps;

use smallvec::SmallVec;

pub(crate) use self::steps::look_alike;
use self::steps::{STEPS, decode, drop_ignorable, read_characters};

/// Whether the path clearly has only one reading, itself. `false` also for some paths whose other readings turn out to be equal,
/// such as `/100%`.
pub(crate) fn has_one_reading(path: &str) -> bool {
    let path = path.as_bytes();
    let is_special = |byte: u8| has_other_readings(byte) | matches!(byte, b'%' | b' ');
    let is_special_pair = |one: u8, next: u8| {
        (one == b'/') & matches!(next, b'/' | b'.') | (one == b'.') & (next == b'/')
    };
    // The loops have no early exit, so that they vectorize.
    let has_special = path.iter().fold(false, |any, byte| any | is_special(*byte));
    let pairs = path.iter().zip(path.get(1..).unwrap_or_default());
    let has_odd = pairs.fold(false, |any, (one, next)| any | is_special_pair(*one, *next));
    let has_odd = has_odd | path.ends_with(b".");
    !has_special && (!has_odd || has_plain_names(path))
}

/// Whether a byte by itself gives a path other readings: a delimiter of one of the steps, or not ASCII. (A dot, a blank and a
/// slash do so only at the ends of segments; whether an escape does depends on its character.)
const fn has_other_readings(byte: u8) -> bool {
    matches!(byte, b'\\' | b';' | b'#' | b'?' | b'$') | !byte.is_ascii()
}

/// Whether no segment is empty, a dot segment, or ends in a dot.
fn has_plain_names(path: &[u8]) -> bool {
    let ends_in_dot = |segment: &[u8]| segment.ends_with(b".");
    let has_dot = path.split(|byte| *byte == b'/').any(ends_in_dot);
    !has_empty_segment(path) && !has_dot
}

/// Whether the path has no other readings than itself and its decoded form, which has the same segments: only escapes of ordinary
/// characters are special in it, as in `/My%20File.pdf`.
pub(crate) fn has_only_harmless_escapes(path: &str) -> bool {
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
            !has_other_readings(byte) && !matches!(byte, b'/' | b'.' | b'%' | b'\x7f')
        })
    };
    let is_ordinary = |text: &str| {
        let mut bytes = text.bytes();
        bytes.all(|byte| !has_other_readings(byte) && byte != b' ')
    };
    let is_trimmed = |segment: &str| segment.starts_with("%20") || segment.ends_with("%20");
    let all_harmless = parts.all(|(part, after)| is_ordinary(part) && is_harmless(after));
    all_harmless
        && is_ordinary(rest)
        && has_plain_names(path.as_bytes())
        && !path.split('/').any(is_trimmed)
}

/// Whether an upstream would keep every segment whole: none is empty, a dot segment or nothing but dots and blanks, and none
/// contains a delimiter at which it could be cut.
pub(crate) fn has_plain_segments(path: &[u8]) -> bool {
    let is_cut = |byte: &u8| matches!(byte, b'\\' | b';' | b'#' | b'?');
    let is_empty_name = |segment: &[u8]| {
        let mut bytes = segment.iter();
        !segment.is_empty() && bytes.all(|byte| matches!(byte, b'.' | b' '))
    };
    !path.iter().any(is_cut)
        && !has_empty_segment(path)
        && !path.split(|byte| *byte == b'/').any(is_empty_name)
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

/// Returns the path with all escapes decoded, as often as servers do, every character read as the delimiter that it could be, and
/// ignorable characters dropped. A name that is between two slashes in any reading is also between two here, unless it has a `%`.
pub(crate) fn fully_decoded(path: &str) -> Vec<u8> {
    let mut text = path.as_bytes().to_vec();
    for _ in 0..MAX_DECODES {
        text = read_characters(&text).unwrap_or(text);
        text = decode(&text).unwrap_or(text);
    }
    text = read_characters(&text).unwrap_or(text);
    drop_ignorable(&text).unwrap_or(text)
}

/// Returns every reading of the path, including the path itself; `None` when there are too many, which no honest path has.
///
/// `budget` limits the bytes of all readings together.
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

/// The number of servers in a row that decode escapes: the one that routes, and the one that answers.
const MAX_DECODES: usize = 2;

#[cfg(test)]
mod tests;

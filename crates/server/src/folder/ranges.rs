//! Range requests (RFC 9110 §14).
//!
//! `http-range` (0.1.6) parses the field by RFC 2616, and leaves most decisions open: overlapping ranges, their number, and the
//! errors that make the field invalid.

use http::HeaderMap;
use http::header::RANGE;
use smallvec::SmallVec;

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileRange {
    pub(super) start: u64,
    /// The length in bytes. A part that a request asks for has at least one.
    pub(super) length: u64,
}

/// The parts of a file that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RequestedParts {
    /// Several parts, in this order, without overlaps.
    Parts(SmallVec<[FileRange; 4]>),
    /// One part.
    One(FileRange),
    /// Only parts that the file does not have: 416.
    Unsatisfiable,
    /// The whole file.
    Whole,
}

/// Returns the parts that a GET with these fields asks for, of a file of this length. A field is ignored if it is invalid, if its
/// ranges overlap, or if it has more than [`MOST_PARTS`].
pub(super) fn wanted(headers: &HeaderMap, length: u64) -> RequestedParts {
    let mut values = headers.get_all(RANGE).iter();
    let value = values.next().filter(|_| values.next().is_none());
    let value = value.and_then(|value| value.to_str().ok());
    let set = value.and_then(|value| {
        let (unit, set) = value.split_once('=')?;
        unit.trim().eq_ignore_ascii_case("bytes").then_some(set)
    });
    let Some(set) = set.filter(|_| length > 0) else {
        return RequestedParts::Whole;
    };
    let mut parts = SmallVec::<[FileRange; 4]>::new();
    let mut has_any = false;
    // Empty list entries are ignored (RFC 9110 §5.6.1.2).
    for range in set.split(',').map(|range| range.trim_matches([' ', '\t'])) {
        if range.is_empty() {
            continue;
        }
        has_any = true;
        match part(range, length) {
            None => return RequestedParts::Whole,
            Some(None) => {}
            Some(Some(part)) => parts.push(part),
        }
        if parts.len() > MOST_PARTS {
            return RequestedParts::Whole;
        }
    }
    match parts[..] {
        [] if has_any => RequestedParts::Unsatisfiable,
        [] => RequestedParts::Whole,
        [one] => RequestedParts::One(one),
        _ if overlap(&parts) => RequestedParts::Whole,
        [..] => RequestedParts::Parts(parts),
    }
}

/// Parses one range: `None` if it is invalid, `Some(None)` if the file has none of it.
fn part(range: &str, length: u64) -> Option<Option<FileRange>> {
    let (first, last) = range.split_once('-')?;
    if first.is_empty() {
        let count = number(last)?.min(length);
        let part = FileRange {
            start: length - count,
            length: count,
        };
        return Some((count > 0).then_some(part));
    }
    let start = number(first)?;
    let end = match last {
        "" => u64::MAX,
        last => number(last)?,
    };
    if end < start {
        return None;
    }
    let part = |end: u64| FileRange {
        start,
        length: end - start + 1,
    };
    Some((start < length).then(|| part(end.min(length - 1))))
}

/// Parses digits only. Numbers beyond the type's range become its maximum.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Whether ranges overlap, which is an attack or a mistake (RFC 9110 §17.15).
fn overlap(parts: &[FileRange]) -> bool {
    let mut sorted: SmallVec<[FileRange; 4]> = parts.iter().copied().collect();
    sorted.sort_by_key(|part| part.start);
    let mut pairs = sorted.windows(2);
    pairs.any(|pair| pair[0].start + pair[0].length > pair[1].start)
}

/// How many parts an answer may have. Each has a head of its own.
const MOST_PARTS: usize = 16;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(value: &str, length: u64) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_str(value).unwrap());
        let text = |part: &FileRange| format!("{}+{}", part.start, part.length);
        match wanted(&headers, length) {
            RequestedParts::Parts(parts) => parts.iter().map(text).collect::<Vec<_>>().join(" "),
            RequestedParts::One(part) => text(&part),
            RequestedParts::Unsatisfiable => "none".to_owned(),
            RequestedParts::Whole => "whole".to_owned(),
        }
    }

    #[test]
    fn every_form_of_range_is_read_as_in_the_rfc() {
        for (value, expected) in [
            ("bytes=0-4", "0+5"),
            ("bytes=5-", "5+95"),
            ("bytes=-5", "95+5"),
            ("bytes=-500", "0+100"),
            ("bytes=90-500", "90+10"),
            ("bytes=99-99", "99+1"),
            ("bytes=0-99999999999999999999999", "0+100"),
            ("Bytes = 0-4", "0+5"),
            ("bytes=0-0,-1", "0+1 99+1"),
            ("bytes=50-59, 0-9 ,,20-29", "50+10 0+10 20+10"),
            ("bytes=0-4,200-300", "0+5"),
            ("bytes=100-", "none"),
            ("bytes=100-200,300-", "none"),
            ("bytes=99999999999999999999999-", "none"),
            ("bytes=-0", "none"),
            ("bytes=5-4", "whole"),
            ("bytes=", "whole"),
            ("bytes=,", "whole"),
            ("bytes=a-b", "whole"),
            ("bytes=1", "whole"),
            ("bytes=-", "whole"),
            ("bytes=--1", "whole"),
            ("bytes=0-4,x", "whole"),
            ("bytes=+1-4", "whole"),
            ("lines=0-4", "whole"),
            ("0-4", "whole"),
            ("bytes=0-9,5-14", "whole"),
            ("bytes=5-14,0-9", "whole"),
            ("bytes=0-,0-", "whole"),
        ] {
            assert_eq!(of(value, 100), expected, "{value}");
        }
        assert_eq!(of("bytes=0-", 0), "whole");
        assert_eq!(of("bytes=-1", 0), "whole");
        let many: Vec<_> = (0..17).map(|at| format!("{0}-{0}", at * 2)).collect();
        assert_eq!(of(&format!("bytes={}", many.join(",")), 100), "whole");
    }

    #[test]
    fn two_range_fields_are_ignored() {
        let mut headers = HeaderMap::new();
        headers.append(RANGE, HeaderValue::from_static("bytes=0-1"));
        headers.append(RANGE, HeaderValue::from_static("bytes=2-3"));
        assert_eq!(wanted(&headers, 100), RequestedParts::Whole);
        assert_eq!(wanted(&HeaderMap::new(), 100), RequestedParts::Whole);
    }
}

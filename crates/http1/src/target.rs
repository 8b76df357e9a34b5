//! Request targets that are not URIs, but that clients send and services accept.

use std::borrow::Cow;

use bytes::Bytes;
use http::Uri;
use memchr::{memchr, memchr_iter, memchr2};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};

/// A request's target byte for byte, where a [`Uri`] cannot represent it: with bytes beyond ASCII, or with one of `` " < > ` ``.
/// Browsers encode these, but other clients do not, and nginx, Apache and Node accept them. It is stored in the extensions of the
/// request. The request's URI has these bytes percent-encoded, so that paths can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawTarget(Bytes);

impl RawTarget {
    /// The target as it was received.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path and query, also of an absolute URL; `None` where there is no path.
    pub fn in_origin_form(&self) -> Option<Self> {
        if self.0.starts_with(b"/") {
            return Some(self.clone());
        }
        let scheme = memchr(b':', &self.0)?;
        let rest = self.0[scheme..].strip_prefix(b"://")?;
        let path = memchr2(b'/', b'?', rest).filter(|at| rest[*at] == b'/')?;
        Some(Self(self.0.slice_ref(&rest[path..])))
    }

    /// The target without the first `segments` segments of its path.
    pub fn without_segments(&self, segments: usize) -> Cow<'_, [u8]> {
        let end = memchr(b'?', &self.0).unwrap_or(self.0.len());
        match memchr_iter(b'/', &self.0[..end]).nth(segments) {
            Some(slash) => Cow::Borrowed(&self.0[slash..]),
            None => Cow::Owned([b"/", &self.0[end..]].concat()),
        }
    }
}

/// Reads a target as a URI; the second value is the target as received, if it is not the URI's own text. `None` for bytes that
/// are not a target.
pub fn read_target(target: &Bytes) -> Option<(Uri, Option<RawTarget>)> {
    read(target, target)
}

/// Reads `target`, a slice of `head`, as [`read_target`] does.
pub(crate) fn read(head: &Bytes, target: &[u8]) -> Option<(Uri, Option<RawTarget>)> {
    if target.is_ascii()
        && let Ok(uri) = Uri::from_maybe_shared(head.slice_ref(target))
    {
        return Some((uri, None));
    }
    match encoded_target(target)? {
        // Nothing had to be encoded, so the target is invalid for another reason.
        Cow::Borrowed(_) => None,
        Cow::Owned(encoded) => {
            let uri = Uri::try_from(encoded).ok()?;
            Some((uri, Some(RawTarget(head.slice_ref(target)))))
        }
    }
}

/// Percent-encodes the bytes of a target that a [`Uri`] cannot contain; `None` for a target that is invalid, with a control byte,
/// a blank or a `#`.
pub fn encoded_target(target: &[u8]) -> Option<Cow<'_, str>> {
    let is_fine = target.iter().all(is_target_byte);
    is_fine.then(|| percent_encode(target, NOT_IN_URIS).into())
}

/// Percent-encodes everything but the unreserved characters of RFC 3986 §2.3, for a component of a URL such as the value of a
/// query parameter.
pub fn encoded_component(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, NOT_UNRESERVED).into()
}

/// Whether a target may contain a byte.
pub(crate) fn is_target_byte(byte: &u8) -> bool {
    !matches!(byte, 0..=b' ' | b'#' | 0x7f)
}

/// The characters that [`Uri`] refuses in a path or a query. Bytes beyond ASCII are always encoded.
const NOT_IN_URIS: &AsciiSet = &CONTROLS.add(b'"').add(b'<').add(b'>').add(b'`');

const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_except_control_characters_is_kept() {
        for byte in 0..=u8::MAX {
            for target in [vec![b'/', byte, b'a'], vec![b'/', b'?', byte]] {
                let head = Bytes::from(target);
                assert_eq!(encoded_target(&head).is_some(), is_target_byte(&byte));
                if !is_target_byte(&byte) {
                    continue;
                }
                let (uri, raw) = read(&head, &head).unwrap();
                match raw {
                    Some(raw) => assert_eq!(raw.as_bytes(), head),
                    None => assert_eq!(uri.to_string().as_bytes(), head),
                }
                assert!(uri.to_string().is_ascii());
            }
        }
    }

    #[test]
    fn a_target_in_another_form_has_the_same_path() {
        let raw = |text: &str| RawTarget(Bytes::copy_from_slice(text.as_bytes()));
        for (target, path) in [
            ("/ä", Some("/ä")),
            ("http://b/ä?/", Some("/ä?/")),
            ("http://b?ä/", None),
            ("http:/ä", None),
            ("ä", None),
        ] {
            assert_eq!(raw(target).in_origin_form(), path.map(raw), "{target}");
        }
        for (target, segments, rest) in [
            ("/ä/b?c/d", 1, "/b?c/d"),
            ("/ä?c/d", 1, "/?c/d"),
            ("/ä/", 1, "/"),
            ("/a/b/ä", 2, "/ä"),
        ] {
            let raw = raw(target);
            assert_eq!(
                *raw.without_segments(segments),
                *rest.as_bytes(),
                "{target}"
            );
        }
    }
}

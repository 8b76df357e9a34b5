//! The file that a request's path names.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

/// A file name below the folder, read like the path of a route: by segments, percent-decoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The decoded path without a slash at either end; empty for the folder itself.
    bytes: Vec<u8>,
    /// Whether the path ends with a slash.
    is_folder: bool,
}

impl Name {
    /// The file that a path names; `None` if it names none that may be served. Names with a leading dot are hidden, except
    /// `/.well-known/` (RFC 8615) if that is allowed.
    pub(super) fn of(path: &str, well_known: bool) -> Option<Self> {
        let segments = path.strip_prefix('/')?;
        if segments.is_empty() {
            return Some(Self {
                bytes: Vec::new(),
                is_folder: true,
            });
        }
        let (segments, is_folder) = match segments.strip_suffix('/') {
            Some(segments) => (segments, true),
            None => (segments, false),
        };
        let mut bytes = Vec::with_capacity(segments.len());
        for (place, segment) in segments.split('/').enumerate() {
            let segment: Cow<'_, [u8]> = percent_decode_str(segment).into();
            let is_well_known = well_known && place == 0 && *segment == *b".well-known";
            if !is_plain(&segment) || (segment.starts_with(b".") && !is_well_known) {
                return None;
            }
            if place > 0 {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(&segment);
        }
        Some(Self { bytes, is_folder })
    }

    /// Whether this names a folder. The name of a file has no slash at its end.
    pub(super) fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// The path below the folder.
    pub(super) fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.bytes))
    }

    /// The path of a file in this folder.
    pub(super) fn join(&self, file: &str) -> PathBuf {
        self.path().join(file)
    }
}

/// Whether a decoded segment has only one reading. Other programs treat empty segments, slashes, backslashes and control
/// characters differently.
fn is_plain(segment: &[u8]) -> bool {
    let is_odd = |byte: &u8| matches!(byte, b'/' | b'\\') || byte.is_ascii_control();
    !segment.is_empty() && !segment.iter().any(is_odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_files_and_folders() {
        for (path, name, is_folder) in [
            ("/", "", true),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("/a/b.css", "a/b.css", false),
            ("/My%20File.pdf", "My File.pdf", false),
            ("/%61", "a", false),
            ("/100%25.txt", "100%.txt", false),
            ("/a;b?c", "a;b?c", false),
            ("/a..b/c.", "a..b/c.", false),
            (
                "/.well-known/security.txt",
                ".well-known/security.txt",
                false,
            ),
            ("/%c3%a9", "é", false),
        ] {
            let found = Name::of(path, true).expect(path);
            assert_eq!(found.path(), Path::new(name), "{path}");
            assert_eq!(found.is_folder(), is_folder, "{path}");
        }
    }

    #[test]
    fn hidden_climbing_and_ambiguous_paths_name_nothing() {
        for path in [
            "",
            "a",
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/.",
            "/..",
            "/../a",
            "/a/../b",
            "/a/..",
            "/./a",
            "/%2e%2e/a",
            "/%2e/a",
            "/a%2fb",
            "/a%2f..%2fb",
            "/a\\b",
            "/..\\a",
            "/a%5cb",
            "/a%00",
            "/a%0ab",
            "/a%7f",
            "/.env",
            "/.git/config",
            "/a/.htpasswd",
            "/%2egit/config",
            "/..data/a",
            "/a/.well-known/b",
            "/.well-known/.b",
        ] {
            assert_eq!(Name::of(path, true), None, "{path}");
        }
        assert_eq!(Name::of("/.well-known/security.txt", false), None);
    }
}

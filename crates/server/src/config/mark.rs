//! The byte-order mark.

/// What begins a file that Windows programs write in UTF-8.
pub(crate) const MARK: char = '\u{feff}';

//! The byte-order mark.

/// The byte-order mark with which Windows programs begin UTF-8 files.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

//! The user's id: which claims can be one.

use std::borrow::Cow;

use crate::error::OpenError;
use crate::json::Kept;

/// The user's id from a claim, safe to write into a header or a log line.
pub(crate) fn subject<'c>(
    claim: Option<Kept<'c>>,
    name: &'static str,
) -> Result<Cow<'c, str>, OpenError> {
    match claim {
        None => Err(OpenError::MissingSubject),
        Some(Kept::Text(sub)) if sub.is_empty() => Err(OpenError::MissingSubject),
        Some(Kept::Text(sub)) if is_subject(&sub) => Ok(sub),
        Some(_) => Err(OpenError::MalformedClaim { claim: name }),
    }
}

/// The user's id from a claim that may be a number, which is read as its decimal text: an integer that JavaScript represents
/// exactly, up to 2^53 in either direction, and that is written as an integer. Other numbers (`7.0`, `7e0`, `-0`, more digits)
/// are read as another number, or another text, by some readers.
pub(crate) fn numbered_subject<'c>(
    claim: Option<Kept<'c>>,
    name: &'static str,
) -> Result<Cow<'c, str>, OpenError> {
    match claim {
        Some(Kept::Integer(id)) if id.unsigned_abs() <= LARGEST_EXACT => Ok(id.to_string().into()),
        claim => subject(claim, name),
    }
}

/// Whether a text can be the id of a user or of a session.
pub(crate) fn is_subject(text: &str) -> bool {
    // Nearly every id is visible ASCII. The loop has no early exit, so that it vectorizes.
    let visible = text
        .bytes()
        .fold(true, |visible, byte| visible & byte.is_ascii_graphic());
    let without_control = visible || !text.contains(char::is_control);
    !text.is_empty() && text.len() <= MAX_SUBJECT_LEN && without_control
}

/// 2^53: up to here a float represents every integer exactly.
const LARGEST_EXACT: u64 = 1 << 53;

/// The longest id, in bytes: far more than any database uses for an id, and little enough for a header field.
const MAX_SUBJECT_LEN: usize = 1024;

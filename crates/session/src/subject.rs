//! What can say who somebody is.

use std::borrow::Cow;

use crate::error::OpenError;
use crate::json::Kept;

/// The claim that says who, fit to be written into a header or a log line.
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

/// As [`subject`], but a number counts as its decimal text: an integer that JavaScript holds exactly, up to 2^53 in either
/// direction, and written as one. Anything else (`7.0`, `7e0`, `-0`, more digits) has readers that see another number, or
/// another text.
pub(crate) fn numbered_subject<'c>(
    claim: Option<Kept<'c>>,
    name: &'static str,
) -> Result<Cow<'c, str>, OpenError> {
    match claim {
        Some(Kept::Integer(id)) if id.unsigned_abs() <= LARGEST_EXACT => Ok(id.to_string().into()),
        claim => subject(claim, name),
    }
}

/// Whether a text can say who somebody is, or which session it is.
pub(crate) fn is_subject(text: &str) -> bool {
    // Nearly every id is visible ASCII. Without a way out of the loop it is done for many bytes at a time.
    let visible = text
        .bytes()
        .fold(true, |visible, byte| visible & byte.is_ascii_graphic());
    let without_control = visible || !text.contains(char::is_control);
    !text.is_empty() && text.len() <= MAX_SUBJECT_LEN && without_control
}

/// 2^53: up to here a float holds every integer.
const LARGEST_EXACT: u64 = 1 << 53;

/// Far more than any database uses for an id, and little enough for a header field.
const MAX_SUBJECT_LEN: usize = 1024;

//! The `Cookie` header: finding the session in it, and taking it out.
//!
//! A value that does not fit into one cookie is split into chunks, `name.0`, `name.1` and so on (`@auth/core`
//! `src/lib/utils/cookie.ts`, Better Auth `dist/cookies/session-store.mjs`). The frameworks join every cookie whose name merely
//! begins with the session cookie's name, even with chunks missing. Here a chunk is the name, a dot and decimal digits, and a
//! session is the plain cookie or all chunks from 0 on.

use std::borrow::Cow;

use crate::{CookieName, KeyRing};

/// Removes every session from a `Cookie` header value. That is: the session cookies of the ring, plain or in chunks; for Better
/// Auth also the sessions of other accounts in the same browser (`session_token_multi-…`) and of an admin who impersonates
/// another user (`admin_session`), with any prefix; and every other cookie whose value opens or verifies as a session, because no
/// signature of Better Auth covers the cookie's name.
///
/// The other cookies stay byte for byte as they are, including the separators between them. Returns `None` when nothing is
/// left, so that the header can be left out.
#[must_use]
pub fn without_session(keys: &KeyRing, header: &[u8]) -> Option<Vec<u8>> {
    let mut rest = Vec::new();
    let (mut kept_any, mut removed_any) = (false, false);
    for pair in pairs(header) {
        if is_session(keys, pair) {
            removed_any = true;
            continue;
        }
        // The pair after a removed first pair begins with the space of the separator.
        let follows_removed = removed_any && !kept_any;
        let pair = if follows_removed {
            trim_start(pair)
        } else {
            pair
        };
        if kept_any {
            rest.push(b';');
        } else {
            // Reserved only now, because often no other cookie is left.
            rest.reserve(header.len());
        }
        rest.extend_from_slice(pair);
        kept_any = true;
    }
    let empty = rest.iter().all(|byte| b"; \t".contains(byte));
    (!empty).then_some(rest)
}

/// Whether a `Cookie` header value holds a session that [`without_session`] would remove.
#[must_use]
pub fn contains_session(keys: &KeyRing, header: &[u8]) -> bool {
    pairs(header).any(|pair| is_session(keys, pair))
}

/// Whether a `Cookie` header value holds one of the ring's cookies that is not empty, and so takes precedence over a Bearer
/// value. Allocates nothing.
#[must_use]
pub fn precedes_bearer(keys: &KeyRing, header: &[u8]) -> bool {
    let is_own = |own: &[u8]| {
        keys.cookies()
            .any(|cookie| recognize(own, cookie.name()).is_some())
    };
    pairs(header)
        .filter_map(name_and_value)
        .any(|(own, value)| !value.is_empty() && is_own(own))
}

/// The largest session, in bytes, all chunks together. Eight full chunks are 31 KiB.
pub(crate) const MAX_TOKEN_LEN: usize = 64 * 1024;

/// The largest number of chunks in a session.
pub(crate) const MAX_CHUNKS: usize = 100;

/// The pairs of a `Cookie` header value, with the white space around them.
pub(crate) fn pairs(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(header);
    core::iter::from_fn(move || {
        let text = rest?;
        match memchr::memchr(b';', text) {
            Some(at) => {
                rest = Some(&text[at + 1..]);
                Some(&text[..at])
            }
            None => rest.take(),
        }
    })
}

/// How a cookie's name relates to the name of a session cookie.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NameRelation {
    /// The cookie is this chunk of the session cookie.
    Chunk(usize),
    /// A chunk whose number is [`MAX_CHUNKS`] or more.
    ChunkBeyondLimit,
    /// A chunk whose number has a leading zero, which no framework writes but all would read.
    MisnumberedChunk,
    /// The cookie is the session cookie itself.
    Whole,
}

/// How a cookie called `own` relates to the session cookie `name`; `None` when they are unrelated.
pub(crate) fn recognize(own: &[u8], name: &CookieName) -> Option<NameRelation> {
    recognize_text(own, name.as_str().as_bytes())
}

/// How a cookie called `own` relates to the session cookie `name`, as [`recognize`] says, for names without their prefixes.
pub(crate) fn recognize_text(own: &[u8], name: &[u8]) -> Option<NameRelation> {
    let suffix = own.strip_prefix(name)?;
    match suffix {
        [] => Some(NameRelation::Whole),
        [b'.', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            Some(match digits {
                [one] => NameRelation::Chunk(usize::from(one - b'0')),
                [b'0', ..] => NameRelation::MisnumberedChunk,
                [ten, one] => {
                    NameRelation::Chunk(usize::from(ten - b'0') * 10 + usize::from(one - b'0'))
                }
                _ => NameRelation::ChunkBeyondLimit,
            })
        }
        _ => None,
    }
}

fn is_session(keys: &KeyRing, pair: &[u8]) -> bool {
    name_and_value(pair).is_some_and(|(own, value)| {
        keys.is_session_name(own) || keys.is_session_value(&decode(value, Quotes::Removed))
    })
}

/// Splits a pair at its first `=`, without the white space around name and value.
pub(crate) fn name_and_value(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', pair)?;
    Some((trim(&pair[..at]), trim(&pair[at + 1..])))
}

/// How a framework's cookie parser treats double quotes around a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// The quotes are part of the value: Auth.js v5.
    Kept,
    /// The quotes are removed: the `cookie` package of NextAuth v4, and `better-call` of Better Auth.
    Removed,
}

/// The value as the framework's cookie parser returns it. All of them undo percent-encoding. They leave a value with a broken
/// escape as it is, which then is not base64.
pub(crate) fn decode(value: &[u8], quotes: Quotes) -> Cow<'_, [u8]> {
    let value = match (quotes, value) {
        (Quotes::Removed, [b'"', quoted @ .., b'"']) => quoted,
        (Quotes::Kept | Quotes::Removed, _) => value,
    };
    percent_decode(value)
}

/// Undoes percent-encoding; returns `value` as it is when an escape is broken: `decodeURIComponent` decodes all or nothing, and
/// the frameworks then keep the text. The frameworks write no `%`, and looking for one with memchr takes a tenth of the time
/// of decoding.
pub(crate) fn percent_decode(value: &[u8]) -> Cow<'_, [u8]> {
    match memchr::memchr(b'%', value) {
        Some(_) if !has_broken_escape(value) => {
            // The iterator's size hint is too low for `collect` to allocate only once.
            let mut decoded = Vec::with_capacity(value.len());
            decoded.extend(percent_encoding::percent_decode(value));
            Cow::Owned(decoded)
        }
        Some(_) | None => Cow::Borrowed(value),
    }
}

pub(crate) fn has_broken_escape(text: &[u8]) -> bool {
    memchr::memchr_iter(b'%', text).any(|at| {
        let digits = text.get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Removes space and tab from both ends: the only white space that a `Cookie` header may have.
fn trim(text: &[u8]) -> &[u8] {
    let mut text = trim_start(text);
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

const _: () = assert!(MAX_CHUNKS == 100, "recognize() counts two digits");

//! Diagnoses a value from its text: for example that its end is missing, or that it is not an encrypted session.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use percent_encoding::percent_decode;
use session::CookieName;

use super::super::pasted::Pasted;
use super::keys::{FailedPart, FailedSession, header};

/// The likely reason why the value does not have the expected form.
pub(super) fn of(
    failed: &FailedSession<'_>,
    pasted: &Pasted<'_>,
    name: Option<&CookieName>,
) -> Option<String> {
    cut(failed, pasted, name).or_else(|| {
        let value = value(failed, pasted, name);
        match (failed.is_better_auth(), &failed.part) {
            (true, FailedPart::Whole) => signed_token(&value),
            (true, FailedPart::Cache(_)) => None,
            (false, _) => other_kind(&value),
        }
    })
}

/// The stable name of the format that a value resembles. A bare session token has none, because it could be anything.
pub(super) fn format(value: &[u8]) -> Option<&'static str> {
    let value: Cow<'_, [u8]> = percent_decode(value).into();
    let parts: Vec<&[u8]> = value.split(|byte| *byte == b'.').collect();
    let member = |name| Some(header(&value)?.get(name)?.as_str()?.to_owned());
    let has_members_of_better_auth = |payload: &[u8]| {
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok();
        let payload = payload.and_then(|text| serde_json::from_slice(&text).ok());
        payload.is_some_and(|payload: serde_json::Map<String, serde_json::Value>| {
            payload.contains_key("session") && payload.contains_key("user")
        })
    };
    match parts[..] {
        [_, _, _, _, _] => match member("enc")?.as_str() {
            "A256CBC-HS512" => Some("authjs-v5"),
            "A256GCM" => Some("nextauth-v4"),
            _ => None,
        },
        [_, payload, _] if member("alg").is_some() => match has_members_of_better_auth(payload) {
            true => Some("better-auth-jwt"),
            false => Some("jwt"),
        },
        [token, signature]
            if token.len() == 32
                && token.iter().all(u8::is_ascii_alphanumeric)
                && signature.len() == 44
                && BASE64_STANDARD.decode(signature).is_ok() =>
        {
            Some("better-auth-signed-token")
        }
        [text] if text.starts_with(COMPACT_START) => Some("better-auth-compact"),
        _ => None,
    }
}

/// Describes a value whose end is missing, or that has a chunk too many.
pub(super) fn cut(
    failed: &FailedSession<'_>,
    pasted: &Pasted<'_>,
    name: Option<&CookieName>,
) -> Option<String> {
    let value = value(failed, pasted, name);
    if value.ends_with("…".as_bytes()) || value.ends_with(b"...") {
        return Some(
            "the value ends with an ellipsis: it was copied from a place that shows it shortened"
                .to_owned(),
        );
    }
    if failed.inspection.cookie_header.len() == TERMINAL_LINE {
        return Some(format!(
            "the header has exactly {TERMINAL_LINE} bytes, which is where a terminal cuts a pasted line; save it to a \
             file, and give that: `sessiongate open < cookie.txt`"
        ));
    }
    name.and_then(|name| cut_chunks(failed, pasted, name))
        .or_else(|| cut_token(&value))
}

/// Describes a chunk that is missing or left over.
fn cut_chunks(
    failed: &FailedSession<'_>,
    pasted: &Pasted<'_>,
    name: &CookieName,
) -> Option<String> {
    let chunks = pasted.chunks(name);
    for count in (1..chunks.len()).rev() {
        let fewer: Vec<_> = chunks[..count]
            .iter()
            .flat_map(|(_, value)| *value)
            .copied()
            .collect();
        if failed.opens_with(&pasted.with(name, &fewer)) {
            return Some(format!(
                "without the cookie {name}.{count} it opens: that chunk is left over from a longer session; delete it in \
                 the browser"
            ));
        }
    }
    let [(_, first), .., _] = &*chunks else {
        return None;
    };
    let count = chunks.len();
    let all_full = chunks.iter().all(|(_, chunk)| chunk.len() == first.len());
    all_full.then(|| {
        format!(
            "the last of the {count} chunks of {name} is as long as the others, which is very rare: {name}.{count} is \
             probably missing"
        )
    })
}

/// Describes a token that is shorter than its header implies.
fn cut_token(value: &[u8]) -> Option<String> {
    let parts: Vec<&[u8]> = value.split(|byte| *byte == b'.').collect();
    let last = parts.last().map_or(0, |part| part.len());
    let missing = |whole| {
        (last < whole).then(|| {
            format!("the last part has {last} characters instead of {whole}: the end of the value is missing")
        })
    };
    let member = |name| Some(header(value)?.get(name)?.as_str()?.to_owned());
    match (
        parts.len(),
        member("enc").as_deref(),
        member("alg").as_deref(),
    ) {
        (5, Some("A256CBC-HS512"), _) => missing(43),
        (5, Some("A256GCM"), _) => missing(22),
        (count @ 1..5, enc, _) if enc.is_some() || value.starts_with(JWE_START) => Some(format!(
            "the value has only {count} of its 5 parts: its end is missing"
        )),
        (3, None, Some("HS256")) => missing(43),
        (1, None, _) if value.starts_with(COMPACT_START) => {
            let whole = value.len() - value.len() % 4;
            let text = BASE64_URL_SAFE_NO_PAD.decode(value).ok();
            let text = text.or_else(|| BASE64_URL_SAFE_NO_PAD.decode(&value[..whole]).ok())?;
            (!text.ends_with(b"}")).then(|| {
                "the JSON in the value does not end as it should: its end is missing".to_owned()
            })
        }
        _ => None,
    }
}

/// Diagnoses a value that should be Better Auth's signed token.
fn signed_token(value: &[u8]) -> Option<String> {
    let dots = value.iter().filter(|byte| **byte == b'.').count();
    let again: Cow<'_, [u8]> = percent_decode(value).into();
    if *again != *value {
        return Some("the value is percent-encoded more than once".to_owned());
    }
    match dots {
        0 => Some(
            "the value has no signature: it is the bare token from the app's database, not the value of the cookie"
                .to_owned(),
        ),
        2 | 4 => Some(
            "the value is a signed or encrypted token, as in Better Auth's `session_data` cookie or the session cookie \
             of Auth.js"
                .to_owned(),
        ),
        _ => {
            let signature = value.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
            (signature.len() < 44).then(|| {
                format!(
                    "the signature has {} characters instead of 44: the end of the value is missing",
                    signature.len()
                )
            })
        }
    }
}

/// Diagnoses a value that is not an encrypted session.
fn other_kind(value: &[u8]) -> Option<String> {
    let dots = value.iter().filter(|byte| **byte == b'.').count();
    let header = header(value);
    let algorithm = header.and_then(|header| Some(header.get("alg")?.as_str()?.to_owned()));
    let of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_~+/=".contains(byte);
    match (dots, algorithm) {
        (_, None) if value.starts_with(b"\"") => Some(
            "the value is in double quotes, which Auth.js treats as part of it: copy it without them".to_owned(),
        ),
        (0, _) if !value.starts_with(b"eyJ") && value.iter().all(of_token) => Some(
            "the value has no dots, so it is not an encrypted session: the app stores its sessions in a database, as \
             Auth.js does with an adapter, and the value is a token (SESSION_FORMAT=authjs-database)"
                .to_owned(),
        ),
        (2, Some(algorithm)) => Some(format!(
            "the value is a signed token (JWT, {}), not an encrypted one: the app has an `encode` of its own",
            algorithm.escape_debug()
        )),
        (1, None) => Some("the value looks like the signed token of Better Auth".to_owned()),
        _ => None,
    }
}

/// The value of the cookie, or the bearer token, without percent-encoding.
fn value(failed: &FailedSession<'_>, pasted: &Pasted<'_>, name: Option<&CookieName>) -> Vec<u8> {
    let value = match (name, failed.inspection.authorization) {
        (Some(name), _) => pasted.value(name),
        (None, Some(authorization)) => {
            let word = authorization.get("Bearer ".len()..).unwrap_or_default();
            word.trim_ascii().to_vec()
        }
        (None, None) => Vec::new(),
    };
    percent_decode(&value).collect()
}

/// The beginning of an encrypted session: `{"alg":"dir"` in base64url.
const JWE_START: &[u8] = b"eyJhbGciOiJkaXIi";

/// The beginning of Better Auth's compact cache: `{"session` in base64url.
const COMPACT_START: &[u8] = b"eyJzZXNzaW9u";

/// The longest line that Linux reads from a terminal, in bytes without its newline.
const TERMINAL_LINE: usize = 4095;

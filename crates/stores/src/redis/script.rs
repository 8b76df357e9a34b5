//! Lua scripts, which Redis caches by the digests of their texts.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::super::hex;

/// The command that runs a script by its [`sha`]. The server refuses it with `NOSCRIPT` when it does not know the script.
pub(super) const EVALSHA: &str = "EVALSHA";

/// The command that runs a script by its text.
pub(super) const EVAL: &str = "EVAL";

/// The name of a script in Redis: its SHA-1 in hexadecimal.
pub(super) fn sha(script: &str) -> String {
    hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, script.as_bytes()).as_ref())
}

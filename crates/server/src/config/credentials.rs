//! Finds the part of a value that may be a password, so that no message repeats it.
//!
//! That is the part before the last `@`, in a URL after the scheme: `https://user:password@host`. Excerpts of files are
//! masked separately (`mask.rs`), because a value there may not even be in quotes.

use std::borrow::Cow;

/// The text with any password in `value` hidden. The text may repeat the value or parts of it.
pub(super) fn without<'t>(text: &'t str, value: &str) -> Cow<'t, str> {
    // Most values contain no password.
    if !value.contains('@') {
        return text.into();
    }
    let mut shown = Cow::Borrowed(text);
    let mut replace = |hidden: &str, by: &str| {
        if shown.contains(hidden) {
            shown = shown.replace(hidden, by).into();
        }
    };
    for part in [value].into_iter().chain(value.split(',')) {
        let Some(credentials) = of(part) else {
            continue;
        };
        // A short user name may be part of any word of the message; where the value is repeated, an `@` follows.
        match credentials.len() < 4 && !credentials.contains(':') {
            true => replace(&format!("{credentials}@"), &format!("{HIDDEN}@")),
            false => replace(credentials, HIDDEN),
        }
        // A comma in a password splits a list of one URL into several entries.
        let pieces = credentials.split(',').map(str::trim);
        pieces
            .filter(|piece| piece.len() >= 4)
            .for_each(|piece| replace(piece, HIDDEN));
    }
    shown
}

/// The value in displayable form, with any password hidden.
pub(super) fn shown(value: &str) -> Cow<'_, str> {
    without(value, value)
}

/// The user name and password of a URL. An e-mail address or a path may contain an `@` too, but has no credentials.
fn of(value: &str) -> Option<&str> {
    let before = &value[..value.rfind('@')?];
    let is_scheme = |text: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        !text.is_empty() && text.bytes().all(is_part)
    };
    if let Some((scheme, rest)) = before.split_once("://")
        && is_scheme(scheme.trim_start())
    {
        return (!rest.is_empty()).then_some(rest);
    }
    let mut prefixes = ["dir:", "unix:"].iter();
    let bare = prefixes.find_map(|prefix| before.strip_prefix(prefix));
    let bare = bare.unwrap_or(before);
    (bare.contains(':') || bare.contains("//")).then_some(bare)
}

const HIDDEN: &str = "***";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_user_name_is_hidden_only_before_an_at_sign() {
        let value = "postgres://u@h/d?sslmode=nope";
        for (text, shown) in [
            ("require, verify-full", "require, verify-full"),
            ("`postgres://u@h/d` is full", "`postgres://***@h/d` is full"),
        ] {
            assert_eq!(without(text, value), shown);
        }
    }

    #[test]
    fn possible_passwords_are_hidden() {
        for (value, expected) in [
            ("https://u:p@x/y", "https://***@x/y"),
            ("https://token@x", "https://***@x"),
            ("https://u:a//b@c@x", "https://***@x"),
            ("u:p@127.0.0.1:1", "***@127.0.0.1:1"),
            ("https//u:p@x", "***@x"),
            ("dir:https://u:p@x", "dir:***@x"),
            ("/a,https://u:p@x", "***@x"),
            ("https://a, https://u:p@x", "https://***@x"),
        ] {
            assert_eq!(shown(value), expected);
        }
        assert_eq!(without("no file /etc/u:p@x", "u:p@x"), "no file /etc/***@x");
        let list = "https://user:a1,b2c3@x,c";
        for (entry, expected) in [
            ("`https://user:a1`", "`https://***`"),
            ("`b2c3@x`", "`***@x`"),
            ("c", "c"),
        ] {
            assert_eq!(without(entry, list), expected);
        }
    }

    #[test]
    fn email_addresses_and_paths_are_shown() {
        for value in ["ops@example.com", "/@scope/", "unix:/run/a@1.sock", "a"] {
            assert_eq!(shown(value), value);
        }
    }
}

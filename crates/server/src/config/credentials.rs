//! What of a value may be a password, so that nothing that people read repeats it.
//!
//! It stands before the last `@`, in a URL behind the scheme: `https://user:password@host`. Excerpts of files are masked by
//! themselves (`mask.rs`), because there a value need not even be in quotes.

use std::borrow::Cow;

/// The text without what may be a password in this value, which the text may repeat whole or in part.
pub(super) fn without<'t>(text: &'t str, value: &str) -> Cow<'t, str> {
    // In most values there is none.
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
        // A short name may be a part of any word of ours; where the value is repeated, its `@` follows.
        match credentials.len() < 4 && !credentials.contains(':') {
            true => replace(&format!("{credentials}@"), &format!("{HIDDEN}@")),
            false => replace(credentials, HIDDEN),
        }
        // A comma in a password has made several entries of a list of one.
        let pieces = credentials.split(',').map(str::trim);
        pieces
            .filter(|piece| piece.len() >= 4)
            .for_each(|piece| replace(piece, HIDDEN));
    }
    shown
}

/// The value as it may be shown.
pub(super) fn shown(value: &str) -> Cow<'_, str> {
    without(value, value)
}

/// Name and password. A mail address and a path have an `@` too, and neither.
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
    fn a_short_name_is_hidden_where_it_is_one() {
        let value = "postgres://u@h/d?sslmode=nope";
        for (text, shown) in [
            ("require, verify-full", "require, verify-full"),
            ("`postgres://u@h/d` is full", "`postgres://***@h/d` is full"),
        ] {
            assert_eq!(without(text, value), shown);
        }
    }

    #[test]
    fn what_may_be_a_password_is_left_out() {
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
    fn an_address_of_mail_and_a_path_are_shown() {
        for value in ["ops@example.com", "/@scope/", "unix:/run/a@1.sock", "a"] {
            assert_eq!(shown(value), value);
        }
    }
}

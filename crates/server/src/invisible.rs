//! Characters that are invisible, or change the direction of the following text: a path with one looks like another path.

use std::borrow::Cow;

/// The text with invisible characters, and control characters beyond ASCII, as `\u{200b}`. ASCII is kept, because colors need
/// escape sequences.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return text.into();
    }
    let mut shown = String::with_capacity(2 * text.len());
    for char in text.chars() {
        match is_hidden(char) {
            true => shown.extend(char.escape_unicode()),
            false => shown.push(char),
        }
    }
    shown.into()
}

fn is_hidden(char: char) -> bool {
    !char.is_ascii() && (char.is_control() || is_invisible(char))
}

/// Whether a character is invisible: ignorable characters, line and paragraph separators, annotation marks, and blanks that
/// look like others.
pub(crate) fn is_invisible(char: char) -> bool {
    let is_unseen = matches!(
        char,
        '\u{a0}' | '\u{2028}'..='\u{2029}' | '\u{fff9}'..='\u{fffb}'
    );
    is_unseen || gate::is_ignorable(char)
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn invisible_and_direction_changing_characters_are_escaped() {
        for (text, expected) in [
            ("/admin\u{200b}/x", "/admin\\u{200b}/x"),
            ("\u{202e}a\u{2066}b\u{ad}", "\\u{202e}a\\u{2066}b\\u{ad}"),
            ("\u{85}\u{a0}\u{2028}", "\\u{85}\\u{a0}\\u{2028}"),
            ("\u{e0061}\u{3164}", "\\u{e0061}\\u{3164}"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn visible_characters_are_unchanged() {
        for text in [
            "/admin",
            "Zo\u{eb} M\u{fc}ller",
            "e\u{301}",
            "\u{915}\u{93f}",
            "\u{1b}[1mx\u{1b}[0m\n",
        ] {
            assert_eq!(shown(text), text);
        }
    }
}

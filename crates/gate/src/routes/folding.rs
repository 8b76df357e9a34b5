//! Which texts are treated as the same path segment.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use crate::is_ignorable;

/// Which differences between letters are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folding {
    /// No difference is ignored.
    Exact,
    /// The case of ASCII letters is ignored.
    Ascii,
    /// Everything is ignored that some upstream ignores: case in all of Unicode, compatibility characters (`ａ`, `ﬁ`), the
    /// composition of accents, and ignorable characters.
    Unicode,
}

impl Folding {
    /// Returns the common form of all texts that are treated as the same.
    pub(super) fn fold(self, segment: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
        let is_upper = |byte: &u8| byte.is_ascii_uppercase();
        match self {
            Self::Exact => segment,
            Self::Unicode if !segment.is_ascii() => Cow::Owned(fold_unicode(&segment)),
            Self::Ascii | Self::Unicode if segment.iter().any(is_upper) => {
                Cow::Owned(segment.to_ascii_lowercase())
            }
            Self::Ascii | Self::Unicode => segment,
        }
    }
}

/// Folds roughly like `NFKC_Casefold` (Unicode, chapter 3.13, and UAX #31), and also folds the Turkish letters `ı` and `İ` to
/// `i`. Programs that compare like this: `re.IGNORECASE` of Python 3.11 takes `ı`, `İ`, `ſ` and `K` (Kelvin) for
/// ASCII letters, `equalsIgnoreCase` of Java 17 the first three, `/iu` of JavaScript `ſ` and `K`; file systems of macOS compose
/// accents and drop ignorable characters.
fn fold_unicode(text: &[u8]) -> Vec<u8> {
    let mut folded = String::with_capacity(text.len());
    let mut bytes = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        folded.clear();
        let characters = chunk.valid().nfkc().filter(|it| !is_ignorable(*it));
        // First to capitals, since several small letters share one; and to small letters before that, for a capital that has no
        // pair (`ẞ`).
        let upper = characters
            .flat_map(char::to_lowercase)
            .flat_map(char::to_uppercase);
        for character in upper.flat_map(char::to_lowercase) {
            let is_dot_of_i = character == '\u{307}' && folded.ends_with('i');
            if !is_dot_of_i {
                folded.push(character);
            }
        }
        // Capitals of some characters compose with what follows them, or are compatibility characters themselves.
        bytes.extend(folded.nfkc().collect::<String>().into_bytes());
        bytes.extend_from_slice(chunk.invalid());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str, folding: Folding) -> String {
        let text = folding.fold(Cow::Borrowed(text.as_bytes())).into_owned();
        String::from_utf8(text).expect("UTF-8 stays UTF-8")
    }

    #[test]
    fn characters_that_an_upstream_equates_fold_to_one() {
        for (text, same) in [
            ("admin", "ADMIN"),
            ("admin", "adm\u{131}n"),
            ("admin", "adm\u{130}n"),
            ("admin", "admi\u{307}n"),
            ("settings", "\u{17f}ettings"),
            ("keys", "\u{212a}eys"),
            ("admin", "\u{ff41}\u{ff24}min"),
            ("admin", "\u{1d41a}dmin"),
            ("files", "\u{fb01}les"),
            ("strasse", "stra\u{df}e"),
            ("strasse", "STRA\u{1e9e}E"),
            ("admin", "ad\u{200b}min"),
            ("admin", "ad\u{ad}min"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("caf\u{e9}", "CAF\u{c9}"),
            ("caf\u{e9}", "CAFE\u{301}"),
            ("\u{3c3}", "\u{3c2}"),
        ] {
            let [one, other] = [text, same].map(|text| folded(text, Folding::Unicode));
            assert_eq!(one, other, "{text} {same}");
        }
        let distinct = ["cafe", "caf\u{e9}", "kafe", "i", "j", "\u{e4}", "a", "ae"];
        for (at, text) in distinct.iter().enumerate() {
            for other in &distinct[at + 1..] {
                let [one, other] = [text, other].map(|text| folded(text, Folding::Unicode));
                assert_ne!(one, other);
            }
        }
    }

    #[test]
    fn invalid_utf_8_is_kept() {
        let text = b"A\xff\xc3\x84";
        let folded = Folding::Unicode.fold(Cow::Borrowed(text));
        assert_eq!(&*folded, b"a\xff\xc3\xa4");
        assert_eq!(&*Folding::Exact.fold(Cow::Borrowed(text)), text);
        assert_eq!(&*Folding::Ascii.fold(Cow::Borrowed(text)), b"a\xff\xc3\x84");
    }
}

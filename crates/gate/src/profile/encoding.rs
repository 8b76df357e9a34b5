//! How text becomes the value of a header.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::Unwritable;
use crate::hygiene::field_value;

/// How text is encoded in the value of a header, which holds only visible characters of Latin-1 (RFC 9110 section 5.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Base64 of the UTF-8 (RFC 4648 section 4).
    Base64,
    /// Unchanged, one byte per character. A user with a character outside Latin-1 cannot enter.
    Latin1,
    /// Unchanged if it is visible ASCII without `%`, otherwise percent-encoded as UTF-8.
    #[default]
    Percent,
    /// Visible ASCII unchanged, every other byte of the UTF-8 and `=` in the form `=C3`, as Grafana reads it with
    /// `headers_encoded = true` (RFC 2045 section 6.7, without line breaks).
    QuotedPrintable,
}

impl Encoding {
    /// The name of each encoding in a configuration.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("percent", Self::Percent),
        ("quoted-printable", Self::QuotedPrintable),
        ("base64", Self::Base64),
        ("latin-1", Self::Latin1),
    ];

    pub(super) fn can_refuse(self) -> bool {
        match self {
            Self::Latin1 => true,
            Self::Base64 | Self::Percent | Self::QuotedPrintable => false,
        }
    }

    /// Encodes a list. Each entry is encoded separately, so that a reader may split and decode in any order. Base64 encodes the
    /// whole list, and so does every encoding if the separator has a character that one of them would change.
    pub(super) fn encode_list(
        self,
        entries: &[Cow<'_, str>],
        separator: &str,
    ) -> Result<Cow<'static, [u8]>, Unwritable> {
        if self == Self::Base64 || !is_plain(separator) {
            let whole = self.encode(entries.join(separator).into())?;
            return Ok(Cow::Owned(whole.into_owned()));
        }
        let mut list = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            if at > 0 {
                list.extend_from_slice(separator.as_bytes());
            }
            list.extend_from_slice(&self.encode(Cow::Borrowed(entry))?);
        }
        Ok(Cow::Owned(list))
    }

    pub(super) fn encode(self, text: Cow<'_, str>) -> Result<Cow<'_, [u8]>, Unwritable> {
        Ok(match self {
            Self::Base64 => BASE64_STANDARD.encode(&*text).into_bytes().into(),
            Self::Latin1 => return latin_1(&text).map(Cow::Owned),
            Self::Percent => match text {
                Cow::Borrowed(text) => bytes(field_value(text)),
                Cow::Owned(text) => Cow::Owned(bytes(field_value(&text)).into_owned()),
            },
            Self::QuotedPrintable => quoted_printable(&text).into_bytes().into(),
        })
    }
}

/// Whether a text is unchanged inside a value in every encoding except Base64.
fn is_plain(text: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'%' | b'=');
    text.bytes().all(is_plain)
}

fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => text.as_bytes().into(),
        Cow::Owned(text) => text.into_bytes().into(),
    }
}

/// Encodes a text as Latin-1. Blanks at the ends are refused too: readers trim them, and ` root` is not `root`.
fn latin_1(text: &str) -> Result<Vec<u8>, Unwritable> {
    let byte = |character: char| match u8::try_from(u32::from(character)) {
        Ok(byte @ (0x20..=0x7e | 0xa0..=0xff)) => Ok(byte),
        Ok(_) | Err(_) => Err(Unwritable),
    };
    let bytes: Vec<u8> = text.chars().map(byte).collect::<Result<_, _>>()?;
    match bytes.trim_ascii().len() == bytes.len() {
        true => Ok(bytes),
        false => Err(Unwritable),
    }
}

fn quoted_printable(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b' ' if at > 0 && at < last => encoded.push(' '),
            b'!'..=b'~' if byte != b'=' => encoded.push(char::from(byte)),
            byte => encoded += &format!("={byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_has_its_form() {
        let table: [(Encoding, &str, Option<&[u8]>); 16] = [
            (Encoding::Percent, "Ada L.", Some(b"Ada L.")),
            (Encoding::Percent, "Zoë", Some(b"Zo%C3%AB")),
            (Encoding::Percent, "100%", Some(b"100%25")),
            (Encoding::Percent, " a", Some(b"%20a")),
            (Encoding::QuotedPrintable, "Ada L.", Some(b"Ada L.")),
            (Encoding::QuotedPrintable, "Zoë=1", Some(b"Zo=C3=AB=3D1")),
            (Encoding::QuotedPrintable, " a\r\n", Some(b"=20a=0D=0A")),
            (Encoding::QuotedPrintable, "", Some(b"")),
            (Encoding::Base64, "Zoë", Some(b"Wm/Dqw==")),
            (Encoding::Base64, "", Some(b"")),
            (Encoding::Latin1, "Zoë", Some(b"Zo\xeb")),
            (Encoding::Latin1, "", Some(b"")),
            (Encoding::Latin1, "日本", None),
            (Encoding::Latin1, "a\r\nX-User-Id: root", None),
            (Encoding::Latin1, " root", None),
            (Encoding::Latin1, "\u{7f}", None),
        ];
        for (encoding, text, value) in table {
            let encoded = encoding.encode(text.into());
            assert_eq!(encoded.ok().as_deref(), value, "{encoding:?} {text:?}");
        }
    }
}

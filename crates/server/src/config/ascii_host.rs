//! Hosts with letters outside ASCII, which no request has.

/// Such a host as DNS and browsers have it (UTS #46); `None` for anything else.
pub(super) fn of(text: &str) -> Option<String> {
    let (star, name) = match text.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", text),
    };
    if name.is_ascii() {
        return None;
    }
    let ascii = idna::domain_to_ascii_strict(name).ok()?;
    Some(format!("{star}{ascii}"))
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_name_is_shown_as_browsers_send_it() {
        for (text, ascii) in [
            ("m\u{fc}nchen.de", Some("xn--mnchen-3ya.de")),
            ("*.M\u{dc}NCHEN.de", Some("*.xn--mnchen-3ya.de")),
            ("example.com", None),
            ("m\u{fc}n chen.de", None),
            ("https://m\u{fc}nchen.de/", None),
        ] {
            assert_eq!(of(text).as_deref(), ascii, "{text}");
        }
    }
}

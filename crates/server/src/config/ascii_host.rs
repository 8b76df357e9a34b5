//! Hostnames with characters outside ASCII. Requests never contain them: browsers send the ASCII form.

/// The ASCII form of a hostname as DNS and browsers use it (UTS #46); `None` if the name is ASCII already or invalid.
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

/// Advice for a URL whose hostname has characters outside ASCII; `None` for any other URL.
pub(crate) fn advice(url: &str) -> Option<String> {
    let ascii = of_url(url)?;
    Some(format!(
        "DNS and browsers use the ASCII form of this hostname; write `{ascii}`"
    ))
}

/// The URL with its hostname in ASCII form; `None` if it is ASCII already or invalid.
fn of_url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    Some(format!("{scheme}://{}{rest}", of_authority(authority)?))
}

/// The ASCII form of a hostname with an optional port. Returns `None` if there are credentials, so that no message repeats them.
pub(super) fn of_authority(authority: &str) -> Option<String> {
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, format!(":{port}")),
        None => (authority, String::new()),
    };
    let ascii = of(host).filter(|_| !authority.contains('@'))?;
    Some(format!("{ascii}{port}"))
}

#[cfg(test)]
mod tests {
    use super::{advice, of};

    #[test]
    fn hostname_is_shown_in_ascii_form() {
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

    #[test]
    fn url_is_shown_with_the_ascii_hostname() {
        for (text, shown) in [
            ("https://m\u{fc}nchen.de", Some("https://xn--mnchen-3ya.de")),
            (
                "https://*.M\u{fc}nchen.de:8443/a?b#c",
                Some("https://*.xn--mnchen-3ya.de:8443/a?b#c"),
            ),
            ("https://example.com/\u{fc}", None),
            ("https://name:pass@m\u{fc}nchen.de", None),
            ("m\u{fc}nchen.de", None),
        ] {
            let ending = shown.map(|shown| format!("write `{shown}`"));
            let actual = advice(text);
            assert_eq!(actual.is_some(), ending.is_some(), "{text}");
            assert!(
                actual
                    .unwrap_or_default()
                    .ends_with(&ending.unwrap_or_default())
            );
        }
    }
}

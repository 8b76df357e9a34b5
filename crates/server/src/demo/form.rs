//! Reads forms and queries.

use percent_encoding::percent_decode_str;

/// Returns the first field of this name in a query or a form, decoded.
pub(super) fn field(form: &str, name: &str) -> Option<String> {
    let mut fields = form.split('&').filter_map(|field| field.split_once('='));
    let (_, value) = fields.find(|(key, _)| *key == name)?;
    Some(
        percent_decode_str(&value.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned(),
    )
}

/// Returns the path to redirect to: `callback` if no browser could take it for another site, otherwise `/`.
pub(super) fn local_path(callback: Option<String>) -> String {
    let is_local = |path: &String| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    callback.filter(is_local).unwrap_or_else(|| "/".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_site_are_followed() {
        for path in ["/", "/reports?year=2026&q=a%20b", "/a//b"] {
            assert_eq!(local_path(Some(path.to_owned())), path);
        }
        for elsewhere in [
            "",
            "https://example.com/",
            "//example.com",
            "/\\example.com",
            "/a\r\nX: y",
            "/ä",
            "reports",
        ] {
            assert_eq!(local_path(Some(elsewhere.to_owned())), "/", "{elsewhere:?}");
        }
        assert_eq!(local_path(None), "/");
    }

    #[test]
    fn form_fields_are_decoded() {
        let form = "user=zoe&callbackUrl=%2Fa%3Fb%3D1&note=a+b%C3%A4";
        assert_eq!(field(form, "callbackUrl").as_deref(), Some("/a?b=1"));
        assert_eq!(field(form, "note").as_deref(), Some("a bä"));
        assert_eq!(field(form, "absent"), None);
    }
}

//! Parses `HSTS`, the value of `Strict-Transport-Security` (RFC 6797 §6.1).

use http::HeaderValue;

/// Reads the value of the field, such as `max-age=31536000; includeSubDomains; preload`.
///
/// # Errors
/// The problem, and what to write instead.
pub(super) fn parse(text: &str) -> Result<HeaderValue, String> {
    let mut max_age = None;
    let (mut has_subdomains, mut has_preload) = (false, false);
    for directive in text.split(';').map(str::trim) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "max-age" => {
                let seconds = value.trim().trim_matches('"').parse::<u64>();
                max_age = Some(seconds.map_err(|_| {
                    format!("`{value}` is not a number of seconds; a year is max-age=31536000")
                })?);
            }
            "includesubdomains" => has_subdomains = true,
            "preload" => has_preload = true,
            "" => {}
            _ => {
                return Err(format!(
                    "`{directive}` is unknown; the directives are max-age=SECONDS, includeSubDomains and preload"
                ));
            }
        }
    }
    let max_age = max_age.ok_or("it has no max-age; a year is max-age=31536000")?;
    if has_preload && !(has_subdomains && max_age >= YEAR) {
        // https://hstspreload.org/#submission-requirements
        return Err("browsers accept `preload` only with includeSubDomains and a max-age of at least a year, 31536000".to_owned());
    }
    let mut value = format!("max-age={max_age}");
    if has_subdomains {
        value += "; includeSubDomains";
    }
    if has_preload {
        value += "; preload";
    }
    HeaderValue::try_from(value).map_err(|error| error.to_string())
}

/// A year in seconds, the shortest `max-age` for `preload`.
const YEAR: u64 = 31_536_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_browsers_ignore_are_refused() {
        for (text, value) in [
            ("max-age=300", "max-age=300"),
            ("max-age=0", "max-age=0"),
            (
                "Max-Age=\"31536000\" ; includesubdomains;",
                "max-age=31536000; includeSubDomains",
            ),
            (
                "max-age=31536000; preload; includeSubDomains",
                "max-age=31536000; includeSubDomains; preload",
            ),
        ] {
            assert_eq!(parse(text).unwrap(), value, "{text}");
        }
        for text in [
            "",
            "true",
            "31536000",
            "max-age=1y",
            "includeSubDomains",
            "max-age=300; includeSubDomains; preload",
            "max-age=31536000; preload",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

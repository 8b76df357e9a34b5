//! The timeout of a gRPC call, in the head of its request ("PROTOCOL-HTTP2.md" of grpc/grpc).

use std::time::Duration;

use http::{HeaderMap, HeaderName};

/// The timeout of the whole call in `grpc-timeout`, up to eight digits and a unit; `None` when it is absent or invalid.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number =
        matches!(digits.len(), 1..=8) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| is_number)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_timeouts_of_the_specified_form_are_read() {
        let read = |text: &'static str| {
            let value = HeaderValue::from_static(text);
            timeout(&HeaderMap::from_iter([(GRPC_TIMEOUT, value)]))
        };
        for (text, millis) in [
            ("2H", 7_200_000),
            ("3M", 180_000),
            ("4S", 4000),
            ("5m", 5),
            ("6000u", 6),
            ("7000000n", 7),
            ("99999999m", 99_999_999),
        ] {
            assert_eq!(read(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "S",
            "1",
            "1s",
            "-1S",
            "+1S",
            "1.5S",
            "123456789S",
            "1 S",
            "1S ",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}

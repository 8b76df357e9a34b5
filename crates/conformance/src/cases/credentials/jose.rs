//! Tokens that no gateway should open.

/// Returns the token with a character, its length, its case, a part or the order changed.
pub(super) fn changed(token: &str) -> Vec<String> {
    let flipped = |at: usize| {
        let mut bytes = token.as_bytes().to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = if *byte == b'A' { b'B' } else { b'A' };
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let length = token.len();
    let cut = |length: usize| token.get(..length).unwrap_or_default().to_owned();
    let mut all = vec![
        flipped(length / 2),
        flipped(length * 3 / 4),
        cut(length.saturating_sub(8)),
        cut(length / 2),
        format!("{token}AAAA"),
        format!("{token}."),
        format!("A{token}"),
        token.chars().rev().collect(),
        format!("{token}{token}"),
        token.to_ascii_uppercase(),
    ];
    if let [header, key, iv, text, tag] = token.split('.').collect::<Vec<_>>()[..] {
        all.push([header, key, iv, text].join("."));
        all.push([header, key, iv, text, tag, tag].join("."));
        all.push([header, key, text, iv, tag].join("."));
        all.push([header, tag, iv, text, key].join("."));
    }
    all
}

/// Returns the rest of the token behind other headers, and a JWT without a signature.
pub(super) fn hostile(token: &str) -> Vec<String> {
    let rest = match token.split_once('.') {
        Some((_, rest)) if rest.matches('.').count() == 3 => rest.to_owned(),
        _ => format!(
            ".AAAAAAAAAAAAAAAAAAAAAA.{}.{}",
            "A".repeat(64),
            "A".repeat(43)
        ),
    };
    let deep = "[".repeat(2500);
    let long = format!(
        r#"{{"alg":"dir","enc":"A256GCM","kid":"{}"}}"#,
        "k".repeat(2500)
    );
    let headers = [
        r#"{"alg":"none","enc":"A256GCM"}"#,
        r#"{"alg":"RSA1_5","enc":"A256CBC-HS512"}"#,
        r#"{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":2147483647,"p2s":"AAAA"}"#,
        r#"{"alg":"dir","enc":"A256GCM","zip":"DEF"}"#,
        r#"{"alg":"dir","enc":"A256GCM","crit":["x"],"x":1}"#,
        r#"{"alg":"dir","enc":"A256GCM","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"dir","enc":"A128CBC-HS256"}"#,
        r#"{"alg":"dir","alg":"none","enc":"A256GCM"}"#,
        r#"{"alg":"dir","enc":"A256GCM","jku":"http://127.0.0.1:1/"}"#,
        &deep,
        &long,
        r#"{"alg":1}"#,
        "{}",
        "\u{ff}\u{fe}",
        "null",
    ];
    let mut all: Vec<_> = headers
        .iter()
        .map(|header| format!("{}.{rest}", encoded(header)))
        .collect();
    all.push(unsigned());
    all
}

/// Returns the token with parts of other lengths.
pub(super) fn resized(token: &str) -> Vec<String> {
    let [header, key, iv, text, tag] = token.split('.').collect::<Vec<_>>()[..] else {
        return Vec::new();
    };
    let short = |part: &str| {
        part.get(..part.len().saturating_sub(4))
            .unwrap_or_default()
            .to_owned()
    };
    let joined = |parts: [&str; 5]| parts.join(".");
    vec![
        joined([header, key, iv, text, ""]),
        joined([header, key, iv, text, &short(tag)]),
        joined([header, key, iv, text, tag.get(..2).unwrap_or_default()]),
        joined([header, key, iv, text, &format!("{tag}AAAA")]),
        joined([header, key, "", text, tag]),
        joined([header, key, &short(iv), text, tag]),
        joined([header, key, &format!("{iv}AAAA"), text, tag]),
        joined([header, key, iv, "", tag]),
        joined([header, key, iv, &short(text), tag]),
        joined([header, "AAAA", iv, text, tag]),
        joined(["", key, iv, text, tag]),
    ]
}

/// Returns a JWT whose header says that it is not signed.
pub(super) fn unsigned() -> String {
    format!(
        "{}.{}.",
        encoded(r#"{"alg":"none"}"#),
        encoded(r#"{"sub":"admin"}"#)
    )
}

/// Base64 for URLs, without padding.
fn encoded(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let group = |bytes: &[u8]| {
        let byte = |at: usize| u32::from(bytes.get(at).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        let digit = move |at: usize| char::from(DIGITS[((bits >> (18 - 6 * at)) & 63) as usize]);
        (0..=bytes.len()).map(digit).collect::<String>()
    };
    crate::latin::bytes(text).chunks(3).map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn base64_follows_the_rfc() {
        for (text, code) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("\u{ff}\u{fe}", "__4"),
        ] {
            assert_eq!(encoded(text), code);
        }
    }
}

use super::*;

fn given(source: &str, bytes: &[u8], newline_removed: bool) -> Given {
    Given::new(
        source,
        Secret::new(bytes),
        newline_removed,
        SecretForm::Text,
    )
}

fn oddity(bytes: impl AsRef<[u8]>) -> String {
    let oddity = given("X", bytes.as_ref(), false).oddity();
    oddity.unwrap_or_default().replace("the secret ", "")
}

#[test]
fn only_odd_secrets_cause_warnings() {
    for plain in [
        "abc",
        "a b",
        "it's",
        "a,b;c",
        "q83vEjRWeJA=",
        "KEY==",
        "ABCDEF=",
        "$2a$10$abc",
        "C:\\new",
        "{a}",
    ] {
        assert_eq!(oddity(plain), "", "{plain}");
    }
    for (text, words) in [
        (" abc", "begins with a space"),
        ("abc ", "ends in a space"),
        ("abc\t", "ends in a tab"),
        ("abc\n", "ends in a newline"),
        ("abc\r", "ends in a carriage return"),
        ("abc\r\n", "ends in several characters of white space"),
        ("abc\u{a0}", "ends in white space, U+00A0"),
        ("\u{feff}abc", "begins with a byte-order mark (EF BB BF)"),
        ("abc,", "ends in a comma"),
        ("abc;", "ends in a semicolon"),
        (
            "abc\\n",
            "ends in a backslash and a letter, which is not a newline here",
        ),
        ("abc\ndef", "has several lines"),
        ("a\u{200b}bc", "contains an invisible character, U+200B"),
        ("a\u{7}bc", "contains an invisible character, U+0007"),
        ("\"abc", "has a quote at one end and none at the other"),
        (
            "AUTH_SECRET=abc",
            "begins with the name of a variable and `=`, like a line of an env file",
        ),
        (
            "export AUTH_SECRET=abc",
            "begins with the name of a variable and `=`, like a line of an env file",
        ),
    ] {
        assert_eq!(oddity(text), words, "{text:?}");
    }
    for (text, kind) in [
        ("\"abc\"", "is in double quotes"),
        ("'abc'", "is in single quotes"),
        ("`abc`", "is in back quotes"),
        ("\u{201c}abc\u{201d}", "is in typographic quotes"),
    ] {
        assert!(oddity(text).starts_with(kind), "{text}");
    }
    assert!(oddity(b"ab\xff").starts_with("is not UTF-8"));
    let both = oddity("\u{feff}abc \t");
    assert_eq!(
        both,
        "begins with a byte-order mark (EF BB BF), and ends in several characters of white space"
    );
}

#[test]
fn impossible_secrets_are_flaws() {
    let utf16 =
        |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let marked = [&b"\xff\xfe"[..], &utf16("secret")].concat();
    // A file that ends in a newline. Its last byte is NUL, so the newline is not removed.
    let cut = [&marked[..], b"\n\0"].concat();
    let big: Vec<u8> = "secret".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for bytes in [&marked[..], &cut, &utf16("secret"), &big] {
        let flaw = given("X", bytes, false).flaw();
        assert!(
            flaw.is_some_and(|flaw| flaw.contains("UTF-16")),
            "{bytes:?}"
        );
    }
    for (text, word) in [
        (&b"ab\0c"[..], "NUL"),
        (b"${AUTH_SECRET:?not set}", "`${NAME}`"),
        (b"$(openssl rand -base64 33)", "`${NAME}`"),
        (b"\"{{ .Values.secret }}\"", "`${NAME}`"),
    ] {
        let flaw = given("X", text, false).flaw();
        assert!(flaw.is_some_and(|flaw| flaw.contains(word)), "{word}");
    }
    let key = Given::new("X", Secret::new(b"ab\0c\xff"), false, SecretForm::Bytes);
    assert_eq!((key.flaw(), key.oddity()), (None, None));
}

#[test]
fn secrets_that_differ_only_at_their_ends_cause_a_warning() {
    let warning = |one: (&str, bool), other: (&str, bool)| {
        let (one, other) = (
            given("A_FILE", one.0.as_bytes(), one.1),
            given("B", other.0.as_bytes(), other.1),
        );
        difference(&one, &other).unwrap_or_default()
    };
    assert_eq!(warning(("abc", false), ("abc", false)), "");
    assert_eq!(warning(("abc", true), ("abd", false)), "");
    assert_eq!(warning(("", true), ("", false)), "");
    assert!(warning(("abc", true), ("abc", false)).starts_with("A_FILE ends in a newline"));
    assert!(warning(("abc", false), ("abc", true)).starts_with("B ends in a newline"));
    for other in ["abc\n", " abc", "\"abc\"", "\u{feff}abc", "' abc '\t"] {
        let warning = warning(("abc", true), (other, false));
        assert!(
            warning.starts_with("A_FILE and B contain secrets that differ only"),
            "{other:?}"
        );
    }
}

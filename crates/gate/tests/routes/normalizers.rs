//! How programs that route normalize a path, each written as plainly as its source allows.

/// A program that normalizes paths.
pub(crate) struct Normalizer {
    pub(crate) name: &'static str,
    /// Returns the normalized path, or `None` when the program refuses the path.
    pub(crate) normalize: fn(&str) -> Option<Vec<u8>>,
    /// Whether the normalized path keeps escapes, which then mean the characters that they stand for.
    pub(crate) leaves_escapes: bool,
}

pub(crate) const ALL: [Normalizer; 6] = [
    Normalizer {
        name: "WHATWG URL",
        normalize: whatwg,
        leaves_escapes: true,
    },
    Normalizer {
        name: "RFC 3986",
        normalize: rfc_3986,
        leaves_escapes: true,
    },
    Normalizer {
        name: "nginx",
        normalize: nginx,
        leaves_escapes: false,
    },
    Normalizer {
        name: "Tomcat",
        normalize: |path| tomcat(path, Solidus::Decode, false),
        leaves_escapes: false,
    },
    Normalizer {
        name: "Tomcat, encodedSolidusHandling=passthrough",
        normalize: |path| tomcat(path, Solidus::PassThrough, false),
        leaves_escapes: false,
    },
    Normalizer {
        name: "Tomcat, allowBackslash",
        normalize: |path| tomcat(path, Solidus::Decode, true),
        leaves_escapes: false,
    },
];

/// `new URL(request.url, "http://base.example").pathname`, as servers on Node.js write it.
fn whatwg(path: &str) -> Option<Vec<u8>> {
    let base = url::Url::parse("http://base.example/").expect("an address");
    let is_slash = |byte: &u8| matches!(byte, b'/' | b'\\');
    // Relative to a base, the crate `url` (2.5.8) finds no host behind three slashes, where Node.js finds one.
    let url = match path
        .as_bytes()
        .iter()
        .take_while(|byte| is_slash(byte))
        .count()
    {
        0 | 1 => base.join(path),
        _ => url::Url::parse(&format!("http:{path}")),
    };
    Some(url.ok()?.path().as_bytes().to_vec())
}

/// Section 6.2.2: escapes of unreserved characters are decoded, then dot segments are removed (section 5.2.4).
fn rfc_3986(path: &str) -> Option<Vec<u8>> {
    let path = path.split('#').next()?;
    let mut input = undo(path.as_bytes(), |byte| {
        byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
    })
    .unwrap_or_else(|broken| broken);
    let mut output: Vec<u8> = Vec::new();
    while !input.is_empty() {
        if input.starts_with(b"../") {
            input.drain(..3);
        } else if input.starts_with(b"./") || input.starts_with(b"/./") {
            input.drain(..2);
        } else if input == b"/." {
            input = b"/".to_vec();
        } else if input.starts_with(b"/../") || input == b"/.." {
            input.drain(..3);
            if input.is_empty() {
                input.push(b'/');
            }
            let end = output.iter().rposition(|byte| *byte == b'/');
            output.truncate(end.unwrap_or_default());
        } else if input == b"." || input == b".." {
            input.clear();
        } else {
            let slash = input.iter().skip(1).position(|byte| *byte == b'/');
            let end = slash.map_or(input.len(), |slash| slash + 1);
            output.extend(input.drain(..end));
        }
    }
    Some(output)
}

/// `ngx_http_parse_complex_uri()` of `src/http/ngx_http_parse.c` (nginx 1.28) with `merge_slashes on`: one pass over the bytes,
/// in which an escape is decoded and treated as the character that it stands for.
fn nginx(path: &str) -> Option<Vec<u8>> {
    let mut input = path.bytes();
    let mut uri: Vec<u8> = Vec::new();
    while let Some(byte) = input.next() {
        let mut byte = byte;
        let mut is_text = false;
        if byte == b'%' {
            let digits = [input.next()?, input.next()?];
            byte = digit(digits[0])? << 4 | digit(digits[1])?;
            // Escaped, these are ordinary text, and do not end the path.
            is_text = matches!(byte, b'%' | b'#' | b'?');
            if byte == 0 {
                return None;
            }
        }
        match byte {
            b'#' | b'?' if !is_text => break,
            b'/' => {
                leave_segment(&mut uri)?;
                if uri.last() != Some(&b'/') {
                    uri.push(b'/');
                }
            }
            byte => uri.push(byte),
        }
    }
    leave_segment(&mut uri)?;
    Some(uri)
}

/// Resolves a last segment that is `.` or `..`, at a slash or at the end. Returns `None` above the root.
fn leave_segment(uri: &mut Vec<u8>) -> Option<()> {
    if uri.ends_with(b"/.") {
        uri.pop();
    } else if uri.ends_with(b"/..") {
        uri.truncate(uri.len() - 3);
        let folder = uri.iter().rposition(|byte| *byte == b'/')?;
        uri.truncate(folder + 1);
    }
    Some(())
}

/// `encodedSolidusHandling` of a connector of Tomcat; its default refuses the path.
#[derive(Clone, Copy, PartialEq)]
enum Solidus {
    Decode,
    PassThrough,
}

/// `parsePathParameters()`, `URLDecoder` and `normalize()` of `org.apache.catalina.connector.CoyoteAdapter` (Tomcat 11), in
/// this order.
fn tomcat(path: &str, solidus: Solidus, allows_backslash: bool) -> Option<Vec<u8>> {
    // Parameters are found before escapes are decoded.
    let segments = path.split('/');
    let cut = segments.map(|segment| segment.split(';').next().unwrap_or_default());
    let cut = cut.collect::<Vec<_>>().join("/");
    let is_kept = |byte| byte == b'/' && solidus == Solidus::PassThrough;
    let mut text = undo(cut.as_bytes(), |byte| !is_kept(byte)).ok()?;
    if text.contains(&b'\\') && !allows_backslash || text.contains(&0) {
        return None;
    }
    for byte in &mut text {
        if *byte == b'\\' {
            *byte = b'/';
        }
    }
    text.dedup_by(|one, other| *one == b'/' && *other == b'/');
    if text.ends_with(b"/.") || text.ends_with(b"/..") {
        text.push(b'/');
    }
    while let Some(at) = find(&text, b"/./") {
        text.drain(at..at + 2);
    }
    while let Some(at) = find(&text, b"/../") {
        let above = text[..at].iter().rposition(|byte| *byte == b'/')?;
        text.drain(above..at + 3);
    }
    Some(text)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Decodes the escapes of these bytes. If an escape is broken, the error holds the text with the other escapes decoded.
fn undo(text: &[u8], is_undone: impl Fn(u8) -> bool) -> Result<Vec<u8>, Vec<u8>> {
    let mut undone = Vec::new();
    let mut is_broken = false;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let escaped = match (byte, text.get(at + 1..at + 3)) {
            (b'%', Some([high, low])) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match escaped.map(|(high, low)| high << 4 | low) {
            Some(escaped) if is_undone(escaped) => {
                undone.push(escaped);
                at += 3;
            }
            Some(_) => {
                undone.extend_from_slice(&text[at..at + 3]);
                at += 3;
            }
            None => {
                is_broken |= *byte == b'%';
                undone.push(*byte);
                at += 1;
            }
        }
    }
    match is_broken {
        true => Err(undone),
        false => Ok(undone),
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[test]
fn normalizers_match_their_sources() {
    for (name, path, normal) in [
        ("WHATWG URL", "/a/../b", Some("/b")),
        ("WHATWG URL", "/a%2fb/%2E%2e/c", Some("/c")),
        ("WHATWG URL", "//host/a", Some("/a")),
        ("WHATWG URL", "///host\\a", Some("/a")),
        ("WHATWG URL", "/a\\..\\b", Some("/b")),
        ("WHATWG URL", "/%61", Some("/%61")),
        ("RFC 3986", "/a/b/c/./../../g", Some("/a/g")),
        ("RFC 3986", "/%61%2f%2e%2E/b/..", Some("/a%2f../")),
        ("RFC 3986", "//a/..", Some("//")),
        ("RFC 3986", "/../a", Some("/a")),
        ("nginx", "/a//./b/..%2fc", Some("/a/c")),
        ("nginx", "/a%2525%3f", Some("/a%25?")),
        ("nginx", "/a/../../b", None),
        ("nginx", "/a/..", Some("/")),
        ("nginx", "/a%", None),
        ("nginx", "/a;x/..;/b", Some("/a;x/..;/b")),
        ("Tomcat", "/a;x=1/..;y/b", Some("/b")),
        ("Tomcat", "/a%3bx/b", Some("/a;x/b")),
        ("Tomcat", "/a\\b", None),
        ("Tomcat", "/a%2fb", Some("/a/b")),
        (
            "Tomcat, encodedSolidusHandling=passthrough",
            "/a%2fb",
            Some("/a%2fb"),
        ),
        ("Tomcat, allowBackslash", "/a\\..\\b", Some("/b")),
    ] {
        let mut all = ALL.iter();
        let normalizer = all.find(|normalizer| normalizer.name == name);
        let made = (normalizer.expect("one of them").normalize)(path);
        assert_eq!(made.as_deref(), normal.map(str::as_bytes), "{name} {path}");
    }
}

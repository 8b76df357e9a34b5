//! The resources for which an upstream could take a request target.

use std::collections::HashSet;

/// Returns a reading of `target` by which some upstream would serve `resource`, or something below it.
pub(crate) fn may_be(target: &str, resource: &str) -> Option<String> {
    let resource = resource.to_ascii_lowercase();
    readings(target).into_iter().find(|reading| {
        let reading = format!("/{}", reading.trim_start_matches('/')).to_ascii_lowercase();
        let Some(rest) = reading.strip_prefix(&resource) else {
            return false;
        };
        rest.is_empty() || rest.starts_with(['/', '?', ';', '#', '.', '\\'])
    })
}

/// Returns every path that results from the changes of some server to a path, in any order and any number of times.
fn readings(target: &str) -> HashSet<String> {
    let mut seen = HashSet::new();
    let path = without_authority(target);
    let mut waiting = vec![path.split('?').next().unwrap_or_default().to_owned()];
    while let Some(path) = waiting.pop() {
        if seen.len() < MOST && seen.insert(path.clone()) {
            waiting.extend(STEPS.iter().map(|step| step(&path)));
        }
    }
    seen
}

fn without_authority(target: &str) -> &str {
    match target.split_once("://") {
        Some((scheme, rest)) if scheme.chars().all(|char| char.is_ascii_alphanumeric()) => rest
            .find(['/', '?', '#'])
            .map_or("/", |at| rest.split_at(at).1),
        _ => target,
    }
}

/// The changes that servers make to paths.
const STEPS: &[fn(&str) -> String] = &[
    decoded,
    |path| before(path, '#'),
    |path| before(path, '?'),
    |path| before(path, '\0'),
    |path| path.replace('\\', "/"),
    without_parameters,
    merged_slashes,
    without_dots,
    str::to_ascii_lowercase,
    narrow,
    |path| {
        let printed = |char: &char| *char > ' ' && *char != '\x7f';
        path.chars().filter(printed).collect()
    },
    |path| path.replace("%u00", "%").replace("%U00", "%"),
];

fn before(path: &str, end: char) -> String {
    path.split(end).next().unwrap_or_default().to_owned()
}

/// Decodes percent-encoded bytes, once.
fn decoded(path: &str) -> String {
    let (mut out, mut rest) = (String::new(), path);
    while let Some((plain, encoded)) = rest.split_once('%') {
        out.push_str(plain);
        let digits = encoded.get(..2);
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|_| !encoded.starts_with('+')) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &encoded[2..];
            }
            None => {
                out.push('%');
                rest = encoded;
            }
        }
    }
    out + rest
}

fn without_parameters(path: &str) -> String {
    let segments = path.split('/').map(|segment| before(segment, ';'));
    segments.collect::<Vec<_>>().join("/")
}

fn merged_slashes(path: &str) -> String {
    let mut out = path.to_owned();
    while out.contains("//") {
        out = out.replace("//", "/");
    }
    out
}

/// Removes dot segments (RFC 3986 5.2.4).
fn without_dots(path: &str) -> String {
    let mut out = Vec::new();
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        match segment {
            "." => {}
            ".." => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    format!("/{}", out.join("/"))
}

/// Replaces overlong and full-width spellings of dot and slash by their plain form; these are UTF-8 read as Latin-1.
fn narrow(path: &str) -> String {
    let path = path
        .replace("\u{c0}\u{ae}", ".")
        .replace("\u{c0}\u{af}", "/");
    path.replace("\u{ef}\u{bc}\u{8e}", ".")
        .replace("\u{ef}\u{bc}\u{8f}", "/")
}

/// The limit on the readings that are examined: far more than any case has.
const MOST: usize = 400;

#[cfg(test)]
mod tests {
    use super::may_be;

    #[test]
    fn every_spelling_of_the_private_path_is_recognized() {
        for target in [
            "/private",
            "/private/x?y",
            "/public/../private",
            "/public/%2e%2e/private",
            "/public/..%2fprivate",
            "/public/..;/private",
            "/public/..\\private",
            "/public/%252e%252e/private",
            "/public/%c0%ae%c0%ae/private",
            "/public/%u002e%u002e/private",
            "//private",
            "/PRIVATE",
            "/%70rivate",
            "http://a.example/private",
            "/private%00/public/",
        ] {
            assert!(may_be(target, "/private").is_some(), "{target}");
        }
    }

    #[test]
    fn other_paths_are_not() {
        for target in [
            "/public/",
            "/public/private",
            "/privateer",
            "/?/private",
            "*",
            "",
        ] {
            assert!(may_be(target, "/private").is_none(), "{target}");
        }
    }
}

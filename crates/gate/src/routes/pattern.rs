//! What a route matches, as it is written in a configuration.

use std::cmp::Reverse;
use std::fmt;
use std::net::Ipv6Addr;
use std::str;

use http::Method;
use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::readings;

/// The hosts of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Every host, and requests that name none.
    #[default]
    Any,
    /// This host, in lower case, without a port.
    Exact(Box<str>),
    /// Every host that is this one with one label before it: `*.example.com` has `a.example.com`, and neither
    /// `example.com` nor `a.b.example.com`.
    OneLabelBelow(Box<str>),
}

/// Why a host was not accepted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum InvalidHost {
    /// It is something else than a name or an address.
    #[error(
        "give a host name such as `app.example.com`, or `*.example.com` for every name one label below"
    )]
    Malformed,
    /// It is a URL.
    #[error("give the host alone, such as `app.example.com`, without `https://` and a path")]
    Url,
    /// It has a port.
    #[error("give the host without a port: rules hold for every port")]
    Port,
    /// It is a star alone.
    #[error("leave `host` out for any host; `*.example.com` is every name one label below")]
    AnyHost,
    /// It has a star somewhere else than as the whole first label.
    #[error("a star stands for one whole label, the first: `*.example.com`")]
    Star,
}

impl HostPattern {
    /// Reads `app.example.com` or `*.example.com`. Case and a final dot do not count.
    ///
    /// # Errors
    /// [`InvalidHost`] says what is wrong.
    pub fn new(text: &str) -> Result<Self, InvalidHost> {
        if text.contains('/') {
            return Err(InvalidHost::Url);
        }
        if text == "*" {
            return Err(InvalidHost::AnyHost);
        }
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let (name, one_label_below) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text.as_str(), false),
        };
        if name.contains('*') {
            return Err(InvalidHost::Star);
        }
        if let Some(address) = address(name).filter(|_| !one_label_below) {
            return Ok(Self::Exact(address.to_string().into()));
        }
        if name.contains(':') && !name.starts_with('[') || name.contains("]:") {
            return Err(InvalidHost::Port);
        }
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_name = name
            .split('.')
            .all(|label| matches!(label.len(), 1..=63) && label.bytes().all(in_name));
        if !is_name || name.len() > LONGEST_HOST {
            return Err(InvalidHost::Malformed);
        }
        Ok(match one_label_below {
            true => Self::OneLabelBelow(name.into()),
            false => Self::Exact(name.into()),
        })
    }
}

/// An address of IPv6 in brackets, which has many forms, in the one that is compared (RFC 5952).
#[derive(Clone, Copy, Debug)]
pub(super) struct Bracketed(Ipv6Addr);

impl fmt::Display for Bracketed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.0)
    }
}

/// The address that a host is, if it is one of IPv6.
pub(super) fn address(host: &str) -> Option<Bracketed> {
    let address = host.strip_prefix('[')?.strip_suffix(']')?;
    address.parse().ok().map(Bracketed)
}

/// In bytes, without a final dot: no name that the DNS knows is longer (RFC 1035 section 2.3.4), and no label of one longer
/// than 63. Fronts refuse requests for other names, so that a route for one would never match.
pub(super) const LONGEST_HOST: usize = 253;

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any host"),
            Self::Exact(name) => f.write_str(name),
            Self::OneLabelBelow(name) => write!(f, "*.{name}"),
        }
    }
}

/// The paths of a route: one path, or a folder and everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: Box<str>,
    pub(super) segments: Vec<Segment>,
    /// Whether everything below is matched too.
    pub(super) is_folder: bool,
}

/// What a segment of a path must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    /// Anything but nothing.
    Any,
    /// These bytes, escapes undone.
    Literal(Box<[u8]>),
}

/// Why a path was not accepted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum InvalidPath {
    /// It holds something that two parsers read differently.
    #[error(r"it must not hold `//`, `\`, `;`, `#`, `.` or `..` segments or encoded delimiters")]
    Ambiguous,
    /// It holds a percent sign that begins no escape.
    #[error(
        "`%` must stand before two hexadecimal digits, as in `%20`; write `%25` for a percent sign"
    )]
    Escape,
    /// It does not begin with a slash.
    #[error("it must begin with `/`")]
    NotAbsolute,
    /// It holds white space or a character outside ASCII.
    #[error("it must be visible ASCII; percent-encode anything else")]
    NotAscii,
    /// A brace stands somewhere else than around a whole segment.
    #[error(
        "`{{name}}` stands for one whole segment, and `{{$}}` at the end for the folder itself; write `%7B` for a brace"
    )]
    Placeholder,
    /// It holds a query.
    #[error("it must not hold a query: rules look at the path alone")]
    Query,
    /// It holds a star.
    #[error("it must not hold `*`: a trailing slash already means everything below")]
    Wildcard,
}

impl PathPattern {
    /// Reads `/healthz` (that path alone), `/assets/` (the folder and everything below) or `/users/{id}` (any one segment
    /// for the name in braces). `/users/{$}` is the folder itself and nothing below it.
    ///
    /// # Errors
    /// [`InvalidPath`] says what is wrong.
    pub fn new(text: &str) -> Result<Self, InvalidPath> {
        check(text)?;
        let whole_folder = text.strip_suffix("{$}").filter(|rest| rest.ends_with('/'));
        let mut segments = Vec::new();
        for segment in whole_folder.unwrap_or(text).split('/').skip(1) {
            segments.push(match segment.strip_prefix('{') {
                None if segment.contains(['{', '}']) => return Err(InvalidPath::Placeholder),
                None => literal(segment),
                Some(rest) => match rest.strip_suffix('}') {
                    Some(name) if is_name(name) => Segment::Any,
                    Some(_) | None => return Err(InvalidPath::Placeholder),
                },
            });
        }
        Ok(Self::of(text, segments, whole_folder.is_none()))
    }

    /// Reads a path in which braces are letters like others: an entry of `PUBLIC_PATHS`.
    ///
    /// # Errors
    /// As [`PathPattern::new`].
    pub fn literal(text: &str) -> Result<Self, InvalidPath> {
        check(text)?;
        let segments = text.split('/').skip(1).map(literal).collect();
        Ok(Self::of(text, segments, true))
    }

    /// A final slash is an empty last segment: of a folder it is not kept.
    fn of(text: &str, mut segments: Vec<Segment>, may_be_folder: bool) -> Self {
        let is_folder = may_be_folder && text.ends_with('/');
        if is_folder {
            segments.pop();
        }
        Self {
            text: text.into(),
            segments,
            is_folder,
        }
    }

    /// The pattern as configured.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether everything that it matches is in the folder of the other one, or is that folder.
    pub fn begins_with(&self, folder: &Self) -> bool {
        self.segments.starts_with(&folder.segments)
    }

    /// How special it is, lowest first: a path before a folder, a longer folder before a shorter one, a named segment before
    /// any. Orders patterns that match the same path as the tree does; it is for lists, and decides nothing.
    pub(super) fn rank(&self) -> (bool, Reverse<usize>, Vec<bool>) {
        let is_any = |segment: &Segment| *segment == Segment::Any;
        let wild = self.segments.iter().map(is_any).collect();
        (self.is_folder, Reverse(self.segments.len()), wild)
    }

    /// How many segments it has; a final slash begins no other one.
    pub fn depth(&self) -> usize {
        self.segments.len()
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn literal(segment: &str) -> Segment {
    Segment::Literal(percent_decode_str(segment).collect())
}

fn is_name(name: &str) -> bool {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.bytes().all(in_name)
}

fn check(path: &str) -> Result<(), InvalidPath> {
    if !path.starts_with('/') {
        return Err(InvalidPath::NotAbsolute);
    }
    if path.contains('?') {
        return Err(InvalidPath::Query);
    }
    if path.contains('*') {
        return Err(InvalidPath::Wildcard);
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(InvalidPath::NotAscii);
    }
    if !has_whole_escapes(path) {
        return Err(InvalidPath::Escape);
    }
    if is_ambiguous(path) {
        return Err(InvalidPath::Ambiguous);
    }
    Ok(())
}

fn has_whole_escapes(path: &str) -> bool {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    path.split('%').skip(1).all(|rest| {
        let rest = rest.as_bytes();
        is_hex(rest.first()) && is_hex(rest.get(1))
    })
}

/// Whether an upstream could take this entry for another path, by removing dot segments, folding slashes, cutting path
/// parameters, or decoding once more than we did.
fn is_ambiguous(path: &str) -> bool {
    if path.bytes().any(|byte| matches!(byte, b'\\' | b';' | b'#')) || path.contains("//") {
        return true;
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return true;
    }
    path.contains('%') && has_ambiguous_escape(path)
}

/// An escape that hides a delimiter, is not UTF-8, or decodes to a character that normalisation (NFKC)
/// turns into a delimiter.
fn has_ambiguous_escape(path: &str) -> bool {
    let hidden = path.split('%').skip(1).any(|rest| {
        rest.get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .is_none_or(|byte| matches!(byte, b'/' | b'\\' | b'.' | b'%' | b'?' | b'#' | b';'))
    });
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    hidden
        || str::from_utf8(&decoded).map_or(true, |text| {
            // A blank between slashes is a name like others.
            let mut characters = text.chars().filter_map(readings::look_alike);
            characters.any(|delimiter| delimiter != " ")
        })
}

/// The methods of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Methods(Vec<Method>);

impl Methods {
    /// Every method.
    pub const ANY: Self = Self(Vec::new());

    /// These methods. `GET` brings `HEAD`, which asks for nothing that `GET` does not give (RFC 9110 section 9.3.2). None
    /// at all means every method.
    pub fn new(methods: impl IntoIterator<Item = Method>) -> Self {
        let mut methods: Vec<_> = methods.into_iter().collect();
        if methods.contains(&Method::GET) {
            methods.push(Method::HEAD);
        }
        methods.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        methods.dedup();
        Self(methods)
    }

    /// Whether a request with this method is matched.
    pub fn has(&self, method: &Method) -> bool {
        self.is_any() || self.0.contains(method)
    }

    /// Whether every method is.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// How special they are: fewer come first, with `HEAD` beside `GET` counted, and every method last.
    pub(super) fn rank(&self) -> usize {
        match self.0.len() {
            0 => usize::MAX,
            len => len,
        }
    }

    /// Whether there is a method that both have.
    pub(super) fn overlap(&self, other: &Self) -> bool {
        self.is_any() || other.is_any() || self.0.iter().any(|method| other.has(method))
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() {
            return f.write_str("any");
        }
        let is_brought = |method: &Method| *method == Method::HEAD && self.has(&Method::GET);
        let named = self.0.iter().filter(|method| !is_brought(method));
        let names: Vec<_> = named.map(Method::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_cannot_mean_one_thing_are_refused() {
        for (path, why) in [
            ("assets/", InvalidPath::NotAbsolute),
            ("", InvalidPath::NotAbsolute),
            ("/a?b=1", InvalidPath::Query),
            ("/a/*", InvalidPath::Wildcard),
            ("/a b", InvalidPath::NotAscii),
            ("/ä", InvalidPath::NotAscii),
            ("/a/../b", InvalidPath::Ambiguous),
            ("//a", InvalidPath::Ambiguous),
            ("/%zz", InvalidPath::Escape),
            ("/a%", InvalidPath::Escape),
            ("/a%2", InvalidPath::Escape),
            ("/a%+f", InvalidPath::Escape),
            ("/a%2fb", InvalidPath::Ambiguous),
            ("/a{b}", InvalidPath::Placeholder),
            ("/{a}b", InvalidPath::Placeholder),
            ("/{}", InvalidPath::Placeholder),
            ("/{a b}", InvalidPath::NotAscii),
            ("/{$}/a", InvalidPath::Placeholder),
            ("/a{$}", InvalidPath::Placeholder),
        ] {
            assert_eq!(PathPattern::new(path), Err(why), "{path}");
        }
        assert!(PathPattern::literal("/a{b}").is_ok());
    }

    #[test]
    fn paths_that_parsers_read_differently_are_ambiguous() {
        for path in [
            "/public/../private",
            "/./a",
            "/a/..",
            "//a",
            "/a//b",
            "/a\\b",
            "/a;v=1",
            "/a#b",
            "/%2e%2e/private",
            "/a%2Fb",
            "/a%5cb",
            "/%252e",
            "/a%3fb",
            "/a%23b",
            "/a%3bb",
            "/a%",
            "/a%2",
            "/%u002e",
            "/%c0%ae%c0%ae/b",
            "/%ef%bc%8e%ef%bc%8e/b",
            "/a%zz",
        ] {
            assert!(is_ambiguous(path), "{path}");
        }
    }

    #[test]
    fn ordinary_paths_are_not() {
        for path in [
            "/",
            "/a",
            "/a/b.css",
            "/a/.well-known/x",
            "/..a/b",
            "/a%20b",
            "/%C3%A4",
            "/a:b@c,d+e=f&g!h~i",
        ] {
            assert!(!is_ambiguous(path), "{path}");
        }
    }

    #[test]
    fn hosts_are_names_or_one_label_below() {
        let exact = |name: &str| Ok(HostPattern::Exact(name.into()));
        assert_eq!(
            HostPattern::new("App.Example.com."),
            exact("app.example.com")
        );
        assert_eq!(HostPattern::new("[::1]"), exact("[::1]"));
        assert_eq!(HostPattern::new("[0:0::0:ABCD]"), exact("[::abcd]"));
        assert_eq!(HostPattern::new("127.0.0.1"), exact("127.0.0.1"));
        let below = HostPattern::OneLabelBelow("example.com".into());
        assert_eq!(HostPattern::new("*.example.com"), Ok(below));
        for (text, why) in [
            ("", InvalidHost::Malformed),
            ("a..b", InvalidHost::Malformed),
            ("https://a", InvalidHost::Url),
            ("https://a/", InvalidHost::Url),
            ("a:80", InvalidHost::Port),
            ("[::1]:80", InvalidHost::Port),
            ("::1", InvalidHost::Port),
            ("[::g]", InvalidHost::Malformed),
            ("*.[::1]", InvalidHost::Malformed),
            ("a/b", InvalidHost::Url),
            ("*", InvalidHost::AnyHost),
            ("a.*.b", InvalidHost::Star),
            ("*a.b", InvalidHost::Star),
        ] {
            assert_eq!(HostPattern::new(text), Err(why), "{text}");
        }
    }
}

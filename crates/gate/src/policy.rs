//! Which rule governs a path, and which paths no rule can govern because an upstream could read one in them that another
//! rule governs.

use std::str;

use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::{Facts, Refusal, readings};

/// What a path demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Anyone may enter; no identity is stamped.
    Public,
    /// Only a session may enter.
    Session,
}

impl Rule {
    /// The rule's name in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::Public => "public",
            Rule::Session => "session",
        }
    }
}

/// The rules of the host. What no rule names demands a session.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    public: Vec<PublicPath>,
}

impl Policy {
    /// A policy with these public paths; everything else demands a session.
    pub fn new(public: Vec<PublicPath>) -> Self {
        Self { public }
    }

    /// The rule that governs this request.
    ///
    /// # Errors
    ///
    /// [`Refusal::AmbiguousPath`] for a path with an encoded control character, and for one that an upstream could read as
    /// a path of another rule: there the reading would change who may enter. Every other path goes on untouched, however
    /// many readings it has, because some upstreams need such paths (`/@scope%2fname`).
    ///
    /// A path that differs from a public one in the case of letters alone demands a session, whatever the upstream makes of
    /// it.
    pub fn rule_for(&self, facts: &Facts<'_>) -> Result<Rule, Refusal> {
        let Some(path) = facts.path else {
            return Ok(Rule::Session);
        };
        if has_encoded_control(path) {
            return Err(Refusal::AmbiguousPath);
        }
        let public = self.public.iter().any(|public| public.covers(path));
        let rule = if public { Rule::Public } else { Rule::Session };
        if !self.public.is_empty() && !readings::is_plain(path) && self.may_change(rule, path) {
            return Err(Refusal::AmbiguousPath);
        }
        Ok(rule)
    }

    /// Whether another rule governs a reading of the path than this one, its own.
    fn may_change(&self, rule: Rule, path: &str) -> bool {
        let plainest = readings::plainest(path);
        let budget = MOST_READINGS * path.len().max(SHORTEST_BUDGET);
        let readings = || readings::all(path, budget);
        match rule {
            // Only by climbing does a reading leave a folder.
            Rule::Public if plainest.windows(2).any(|pair| pair == b"..") => {
                readings().is_none_or(|readings| {
                    let mut readings = readings.iter();
                    !readings.all(|reading| {
                        self.public
                            .iter()
                            .any(|public| public.covers_reading(reading))
                    })
                })
            }
            Rule::Public => false,
            Rule::Session => {
                let named = self
                    .public
                    .iter()
                    .filter(|public| public.is_named_in(&plainest));
                let named: Vec<_> = named.collect();
                !named.is_empty()
                    && readings().is_none_or(|readings| {
                        let mut readings = readings.iter();
                        readings.any(|reading| named.iter().any(|public| public.resembles(reading)))
                    })
            }
        }
    }

    /// The public paths.
    pub fn public_paths(&self) -> &[PublicPath] {
        &self.public
    }
}

/// A path that needs no session: one path, or everything below a folder when it ends in a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicPath {
    text: String,
    /// Without escapes.
    decoded: Vec<u8>,
}

impl PublicPath {
    /// Reads an entry such as `/healthz` (that path alone) or `/assets/` (everything below).
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] says what is wrong with the entry.
    pub fn new(path: &str) -> Result<Self, InvalidPath> {
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
        if is_ambiguous(path) {
            return Err(InvalidPath::Ambiguous);
        }
        Ok(Self {
            text: path.to_owned(),
            decoded: percent_decode_str(path).collect(),
        })
    }

    /// The entry as configured.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whole segments, case-sensitively: `/assets/` covers `/assets/x`, neither `/assets` nor `/assetsx`.
    fn covers(&self, path: &str) -> bool {
        covers(self.text.as_bytes(), path.as_bytes(), <[u8]>::eq)
    }

    /// Whether it covers what a reading made of a path, in which escapes are undone or not.
    fn covers_reading(&self, reading: &[u8]) -> bool {
        let entries = [self.text.as_bytes(), &self.decoded];
        entries
            .iter()
            .any(|entry| covers(entry, reading, <[u8]>::eq))
    }

    /// Whether it covers a reading to an upstream that makes no difference between small letters and capitals.
    fn resembles(&self, reading: &[u8]) -> bool {
        let entries = [self.text.as_bytes(), &self.decoded];
        entries
            .iter()
            .any(|entry| covers(entry, reading, <[u8]>::eq_ignore_ascii_case))
    }

    /// Whether its longest segment is somewhere in the text. Where it is not, no reading is covered.
    fn is_named_in(&self, text: &[u8]) -> bool {
        let segments = self.decoded.split(|byte| *byte == b'/');
        let longest = segments
            .max_by_key(|segment| segment.len())
            .unwrap_or_default();
        longest.is_empty()
            || text
                .windows(longest.len())
                .any(|window| window.eq_ignore_ascii_case(longest))
    }
}

/// Whether the path is the entry, or below it when that ends in a slash.
fn covers(entry: &[u8], path: &[u8], same: fn(&[u8], &[u8]) -> bool) -> bool {
    if entry.ends_with(b"/") {
        path.get(..entry.len())
            .is_some_and(|start| same(start, entry))
    } else {
        same(path, entry)
    }
}

/// Why a public path was not accepted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum InvalidPath {
    /// It holds something that two parsers read differently.
    #[error(r"it must not hold `//`, `\`, `;`, `#`, `.` or `..` segments or encoded delimiters")]
    Ambiguous,
    /// It does not begin with a slash.
    #[error("it must begin with `/`")]
    NotAbsolute,
    /// It holds white space or a character outside ASCII.
    #[error("it must be visible ASCII; percent-encode anything else")]
    NotAscii,
    /// It holds a query.
    #[error("it must not hold a query: rules look at the path alone")]
    Query,
    /// It holds a star.
    #[error("it must not hold `*`: a trailing slash already means everything below")]
    Wildcard,
}

/// `%00`–`%1f` and `%7f`: no path needs them, and decoded they break logs, headers and files.
fn has_encoded_control(path: &str) -> bool {
    path.as_bytes().windows(3).any(|triple| match triple {
        [b'%', b'0' | b'1', low] => low.is_ascii_hexdigit(),
        [b'%', b'7', low] => low.eq_ignore_ascii_case(&b'f'),
        _ => false,
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

/// An escape that is malformed, hides a delimiter, is not UTF-8, or decodes to a character that normalisation (NFKC)
/// turns into a delimiter.
fn has_ambiguous_escape(path: &str) -> bool {
    let malformed = path.split('%').skip(1).any(|rest| {
        !matches!(rest.as_bytes(), [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    });
    if malformed {
        return true;
    }
    let hidden = path.split('%').skip(1).any(|rest| {
        rest.get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .is_none_or(|byte| matches!(byte, b'/' | b'\\' | b'.' | b'%' | b'?' | b'#' | b';'))
    });
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    hidden
        || str::from_utf8(&decoded).map_or(true, |text| {
            text.chars().any(|c| readings::look_alike(c).is_some())
        })
}

/// So many readings of its length may a path have, those of short paths more. Honest paths have a handful; what has more is
/// refused, so that no request is dear.
const MOST_READINGS: usize = 24;

/// In bytes: the length that a path counts as at least.
const SHORTEST_BUDGET: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(entry: &str, path: &str) -> bool {
        PublicPath::new(entry).unwrap().covers(path)
    }

    #[test]
    fn a_folder_covers_what_is_below_it() {
        assert!(covers("/assets/", "/assets/"));
        assert!(covers("/assets/", "/assets/site.css"));
        assert!(!covers("/assets/", "/assets"));
        assert!(!covers("/assets/", "/assetsx"));
        assert!(!covers("/assets/", "/Assets/site.css"));
    }

    #[test]
    fn anything_else_covers_itself_alone() {
        assert!(covers("/healthz", "/healthz"));
        assert!(!covers("/healthz", "/healthz/"));
        assert!(!covers("/healthz", "/healthz2"));
        assert!(!covers("/healthz", "/HEALTHZ"));
    }

    #[test]
    fn entries_that_cannot_mean_one_thing_are_refused() {
        for (entry, why) in [
            ("assets/", InvalidPath::NotAbsolute),
            ("", InvalidPath::NotAbsolute),
            ("/a?b=1", InvalidPath::Query),
            ("/a/*", InvalidPath::Wildcard),
            ("/a b", InvalidPath::NotAscii),
            ("/ä", InvalidPath::NotAscii),
            ("/a/../b", InvalidPath::Ambiguous),
            ("//a", InvalidPath::Ambiguous),
            ("/a%2fb", InvalidPath::Ambiguous),
        ] {
            assert_eq!(PublicPath::new(entry), Err(why), "{entry}");
        }
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

    const ENTRIES: [&str; 5] = [
        "/assets/",
        "/healthz",
        "/api/Auth/",
        "/caf%C3%A9/",
        "/-/ping",
    ];

    fn policy() -> Policy {
        Policy::new(ENTRIES.map(|entry| PublicPath::new(entry).unwrap()).into())
    }

    /// The rule of the path; `None` when it is refused.
    fn rule(path: &str) -> Option<Rule> {
        let headers = http::HeaderMap::new();
        let arrival = crate::Arrival {
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            client: std::net::Ipv4Addr::LOCALHOST.into(),
            trusted_peer: false,
            relayed: false,
            request_id: http::HeaderValue::from_static("id"),
        };
        let facts = Facts {
            method: &http::Method::GET,
            path: Some(path),
            headers: &headers,
            arrival: &arrival,
        };
        policy().rule_for(&facts).ok()
    }

    #[test]
    fn a_path_of_which_every_reading_has_one_rule_goes_on() {
        for path in [
            "/@scope%2fname",
            "/@scope%2Fname/-/name-1.0.0.tgz",
            "//",
            "//private",
            "/a//b",
            "/shop;jsessionid=1A2B",
            "/shop;jsessionid=1A2B/cart",
            "/./private",
            "/a/../b",
            "/a\\b",
            "/a%5cb",
            "/100%",
            "/a%zz",
            "/a%ff",
            "/files/a%252fb",
            "/a%3fassets",
            "/proxy/https://example.com/assets/x",
            "/browse/assets;v=1/x",
        ] {
            assert_eq!(rule(path), Some(Rule::Session), "{path}");
        }
        for path in [
            "/assets//x",
            "/assets/a%2fb",
            "/assets/a;v=1",
            "/assets/./x",
            "/assets/a/../x",
            "/assets/#/x",
            "/assets/v1..v2/%20",
            "/caf%C3%A9/x",
            "/caf%C3%A9/a%2fb",
        ] {
            assert_eq!(rule(path), Some(Rule::Public), "{path}");
        }
    }

    #[test]
    fn a_path_of_which_a_reading_has_another_rule_is_refused() {
        for path in [
            "/assets/../private",
            "/assets/..",
            "/assets/%2e%2e/private",
            "/assets/..%2fprivate",
            "/assets/..;/private",
            "/assets/..\\private",
            "/assets/%252e%252e/private",
            "/assets/..%00/private",
            "/assets/..%2500/private",
            "/assets/x/../../private",
            "/assets//../private",
            "/assets/../Assets/x",
            "/assets/%c0%ae%c0%ae/private",
            "/assets/%ef%bc%8e%ef%bc%8e/private",
            "/assets/%e2%80%a5/private",
            "/assets/%u002e%u002e/private",
            "/private/../assets/x",
            "/assets%2fx",
            "/assets%252fx",
            "/ASSETS%2fx",
            "//assets/x",
            "/./healthz",
            "/healthz;x",
            "/healthz;x/y",
            "/healthz%3fx",
            "/healthz#x",
            "/%68ealthz",
            "/HEALTH%5a",
            "/api%2fauth%2fx",
            "/caf%c3%a9/x",
            "/caf\u{e9}/x",
            "/-%2fping",
        ] {
            assert_eq!(rule(path), None, "{path}");
        }
    }

    #[test]
    fn the_case_of_letters_alone_demands_a_session() {
        for path in ["/Healthz", "/ASSETS/x", "/api/auth/x"] {
            assert_eq!(rule(path), Some(Rule::Session), "{path}");
        }
    }

    /// A slow and obvious enumeration: every reading is looked at, without any look before.
    #[test]
    fn the_quick_looks_change_nothing() {
        let pieces = [
            "/",
            "/",
            "assets",
            "ASSETS",
            "healthz",
            "x",
            "..",
            ".",
            "%2e",
            "%2f",
            "%252e",
            "%252F",
            ";",
            "\\",
            "#",
            "%",
            "%5c",
            "%3b",
            "%c0%ae",
            "%ef%bc%8f",
            "\u{ff0e}",
            "%61",
        ];
        let mut random = 0x5e55_1096_a7e0_0001_u64;
        let mut below = |end: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % end as u64).unwrap()
        };
        let (mut refused, mut many) = (0, 0);
        for _ in 0..20_000 {
            let starts = ["/", "/assets/", "/healthz", "/private/"];
            let mut path = starts[below(starts.len())].to_owned();
            for _ in 0..below(7) {
                path += pieces[below(pieces.len())];
            }
            let public = policy().public.iter().any(|public| public.covers(&path));
            let other = |reading: &Vec<u8>| {
                let policy = policy();
                let mut public_paths = policy.public.iter();
                if public {
                    !public_paths.any(|public| public.covers_reading(reading))
                } else {
                    public_paths.any(|public| public.resembles(reading))
                }
            };
            let differs = readings::all(&path, usize::MAX).unwrap().iter().any(other);
            let plain = readings::is_plain(&path);
            let budget = MOST_READINGS * path.len().max(SHORTEST_BUDGET);
            if rule(&path).is_none() && readings::all(&path, budget).is_none() {
                many += 1;
                continue;
            }
            refused += usize::from(differs);
            assert_eq!(rule(&path).is_none(), differs && !plain, "{path}");
        }
        assert!(refused > 1000 && many < 2000, "{refused} {many}");
    }

    #[test]
    fn encoded_controls_are_seen_in_any_spelling() {
        for path in ["/a%00", "/%0d%0aX", "/%1F", "/%7f", "/%7F"] {
            assert!(has_encoded_control(path), "{path}");
        }
        assert!(!has_encoded_control("/%20%70%0"));
    }
}

//! A slow and obvious implementation of the choice of a route: it tries every route, and compares how specific those are that
//! match.

use std::cmp::Reverse;

use http::Method;
use percent_encoding::percent_decode;

/// A route as a configuration has it.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// Empty for any.
    pub(crate) host: String,
    pub(crate) path: String,
    /// Empty for any.
    pub(crate) methods: Vec<Method>,
}

/// How specific a rule is; greater is more specific.
type Speciality = (usize, bool, usize, Vec<bool>, Reverse<usize>);

impl Rule {
    fn matches(&self, host: &str, path: &[Vec<u8>], method: &Method) -> bool {
        self.has_host(host) && self.has_path(path) && self.has_method(method)
    }

    fn has_host(&self, host: &str) -> bool {
        let host = host.to_lowercase();
        let name = host.split(':').next().unwrap_or_default();
        let name = name.strip_suffix('.').unwrap_or(name);
        match self.host.strip_prefix("*.") {
            _ if self.host.is_empty() => true,
            Some(above) => name
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && rest == above),
            None => self.host == name,
        }
    }

    fn has_path(&self, path: &[Vec<u8>]) -> bool {
        let (segments, is_folder) = self.segments();
        let is_long_enough = match is_folder {
            true => path.len() > segments.len(),
            false => path.len() == segments.len(),
        };
        let mut pairs = segments.iter().zip(path);
        is_long_enough
            && pairs.all(|(wanted, segment)| match wanted {
                Some(literal) => literal == segment,
                None => !segment.is_empty(),
            })
    }

    fn has_method(&self, method: &Method) -> bool {
        let names = |method: &Method| self.methods.contains(method);
        self.methods.is_empty() || names(method) || *method == Method::HEAD && names(&Method::GET)
    }

    /// Returns the segments, of which `None` is any, and whether everything below is matched.
    fn segments(&self) -> (Vec<Option<Vec<u8>>>, bool) {
        let (text, is_folder) = match self.path.strip_suffix("{$}") {
            Some(folder) => (folder, false),
            None => (self.path.as_str(), self.path.ends_with('/')),
        };
        let mut segments: Vec<_> = text
            .split('/')
            .skip(1)
            .map(|segment| match segment.starts_with('{') {
                true => None,
                false => Some(percent_decode(segment.as_bytes()).collect()),
            })
            .collect();
        if is_folder {
            segments.pop();
        }
        (segments, is_folder)
    }

    fn speciality(&self) -> Speciality {
        let host = match (self.host.is_empty(), self.host.starts_with('*')) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        };
        let (segments, is_folder) = self.segments();
        let names = segments.iter().map(Option::is_some).collect();
        let all = [Method::GET, Method::HEAD, Method::POST, Method::PUT];
        let methods = match self.methods.is_empty() {
            true => usize::MAX,
            false => all.iter().filter(|method| self.has_method(method)).count(),
        };
        (host, !is_folder, segments.len(), names, Reverse(methods))
    }

    /// Whether some requests match both rules with the same precedence.
    pub(crate) fn conflicts_with(&self, other: &Self) -> bool {
        let of = |rule: &Self, methods: &[Method]| {
            methods.is_empty() || methods.iter().any(|method| rule.has_method(method))
        };
        self.host == other.host
            && self.segments() == other.segments()
            && self.speciality() == other.speciality()
            && (of(self, &other.methods) || of(other, &self.methods))
    }
}

/// Returns the position of the route that a request has.
pub(crate) fn choose(
    rules: &[Rule],
    host: &str,
    path: &[u8],
    leaves_escapes: bool,
    method: &Method,
) -> Option<usize> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let segments = path.split(|byte| *byte == b'/');
    let segments: Vec<Vec<u8>> = segments
        .map(|segment| match leaves_escapes {
            true => percent_decode(segment).collect(),
            false => segment.to_vec(),
        })
        .collect();
    let all = rules.iter().enumerate();
    let matching = all.filter(|(_, rule)| rule.matches(host, &segments, method));
    let best = matching.max_by_key(|(_, rule)| rule.speciality());
    best.map(|(place, _)| place)
}

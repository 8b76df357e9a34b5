//! Which routes match a request, which nearly match it, and how its path is read: for `explain`.
//!
//! Nothing here decides. Whether a pattern matches, and which of several takes precedence, is looked up in the same kind of tree
//! as for a decision, filled with the patterns in question.

use thiserror::Error;

use super::folding::Folding;
use super::{HostPattern, Methods, PathPattern};
use super::{Hosts, Matched, Route, Routes, budget};
use crate::{Access, Facts, is_ignorable, readings};

/// The requests that a route matches.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The hosts; an empty list means every host.
    pub hosts: Vec<HostPattern>,
    /// The paths.
    pub paths: Vec<PathPattern>,
    /// The methods.
    pub methods: Methods,
}

impl Pattern {
    /// Splits a route from the requests that it matches.
    pub(super) fn split_route(matched: Matched) -> (Route, Self) {
        let Matched {
            hosts,
            paths,
            methods,
            route,
        } = matched;
        let pattern = Self {
            hosts,
            paths,
            methods,
        };
        (route, pattern)
    }
}

/// One host and one path of a route.
#[derive(Clone, Copy, Debug)]
pub struct RouteRow<'r> {
    /// The host.
    pub host: &'r HostPattern,
    /// The path.
    pub path: &'r PathPattern,
    /// The methods.
    pub methods: &'r Methods,
    /// The route.
    pub route: &'r Route,
}

/// A route that nearly matches a request.
#[derive(Clone, Copy, Debug)]
pub struct NearMiss<'r> {
    /// The route, with the host and the path that nearly match.
    pub row: RouteRow<'r>,
    /// What does not match.
    pub differs: Differs,
}

/// The one thing in which a request differs from those that a route matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Differs {
    /// The path, in the case of letters.
    Case,
    /// The path, in the slash at its end.
    FinalSlash,
    /// The host.
    Host,
    /// The method.
    Method,
}

/// How a path is read.
#[derive(Clone, Debug)]
pub struct PathReading<'r> {
    /// The segments as they are compared with those of routes: escapes decoded, and in lower case if case is ignored. The last
    /// is empty for a path with a final slash. Characters that cannot be displayed stay escaped.
    pub segments: Vec<String>,
    /// Why no route can govern it, if none can.
    pub ambiguity: Option<Ambiguity>,
    /// The other readings, with their routes. Empty when there is only one reading, or when there are too many.
    pub others: Vec<OtherReading<'r>>,
}

/// Another path for which an upstream could take the requested path.
#[derive(Clone, Debug)]
pub struct OtherReading<'r> {
    /// The path that it would read. Characters that cannot be displayed are escaped.
    pub path: String,
    /// The route of that path; `None` if none matches.
    pub route: Option<&'r Route>,
    /// The route of that path for an upstream that ignores case; `None` if none matches.
    pub folded: Option<&'r Route>,
}

/// Why no route can govern a path.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Ambiguity {
    /// The path is public and contains `/..;`, which an upstream that removes parameters first takes for the parent folder.
    #[error("`/..;` leads out of a public folder if an upstream removes parameters first")]
    LeavesPublicFolder,
    /// The path contains an encoded control character.
    #[error("it contains an encoded control character, which no path needs")]
    Control,
    /// The path contains a `#`.
    #[error("it contains a `#`, which no client sends")]
    Fragment,
    /// The method differs from that of another route only in case.
    #[error("its method has another route in upper case, and some upstreams ignore case")]
    OtherMethod,
    /// An upstream could read the path as that of another route.
    #[error("an upstream could read it as a path that another route governs")]
    OtherRoute,
    /// The route strips a prefix, and upstreams could differ about the segments of the path.
    #[error("the route strips a prefix, and an upstream could split the path into other segments")]
    Prefix,
    /// The path has more readings than any honest path.
    #[error("it can be read in more ways than any honest path")]
    TooMany,
}

impl Ambiguity {
    /// Returns a short description of what is wrong, for the log.
    pub(crate) fn summary(self) -> &'static str {
        match self {
            Self::Control => "the path contains an encoded control character",
            Self::Fragment => "the path contains a `#`",
            Self::OtherMethod => "the method can be read as another one",
            Self::LeavesPublicFolder | Self::OtherRoute | Self::Prefix | Self::TooMany => {
                "the path can be read in more than one way"
            }
        }
    }
}

impl Routes {
    /// Returns every host and path of every route, the most specific first.
    pub fn rows(&self) -> Vec<RouteRow<'_>> {
        let mut rows: Vec<_> = self.all_rows().collect();
        rows.sort_by_cached_key(|row| {
            let host = match row.host {
                HostPattern::Exact(name) => (0, name.to_string()),
                HostPattern::OneLabelBelow(name) => (1, name.to_string()),
                HostPattern::Any => (2, String::new()),
            };
            (host, row.path.rank(), row.path.as_str(), row.methods.rank())
        });
        rows
    }

    /// Returns the routes that match this request, the one that governs it first. Empty when the path is not known.
    pub fn candidates(&self, facts: &Facts<'_>) -> Vec<RouteRow<'_>> {
        let Some(probe) = self.probe(facts) else {
            return Vec::new();
        };
        let mut left: Vec<_> = self
            .all_rows()
            .filter(|row| probe.matches(row.host, row.path, row.methods))
            .collect();
        let mut ordered = Vec::with_capacity(left.len());
        while let Some(first) = probe.first_of(&left) {
            ordered.push(left.remove(first));
        }
        ordered
    }

    /// Returns the routes that would match if one thing about the request were different, ordered from another method to another
    /// host.
    pub fn near_misses(&self, facts: &Facts<'_>) -> Vec<NearMiss<'_>> {
        let Some(probe) = self.probe(facts) else {
            return Vec::new();
        };
        let other_slash = match probe.path.strip_suffix(b"/") {
            Some(rest) => rest.to_vec(),
            None => [probe.path, b"/"].concat(),
        };
        let of_other_slash = RouteProbe {
            path: &other_slash,
            ..probe
        };
        let folding = RouteProbe {
            folding: Folding::Unicode,
            ..probe
        };
        let differs = |row: &RouteRow<'_>| {
            let RouteRow {
                host,
                path,
                methods,
                ..
            } = row;
            if probe.matches(host, path, methods) {
                return None;
            }
            if probe.matches(host, path, &Methods::ANY) {
                return Some(Differs::Method);
            }
            if of_other_slash.matches(host, path, methods) {
                return Some(Differs::FinalSlash);
            }
            if folding.matches(host, path, methods) {
                return Some(Differs::Case);
            }
            let is_of_other_host = probe.matches(&HostPattern::Any, path, methods);
            is_of_other_host.then_some(Differs::Host)
        };
        let misses = self.rows().into_iter();
        let misses =
            misses.filter_map(|row| differs(&row).map(|differs| NearMiss { row, differs }));
        let mut misses: Vec<_> = misses.collect();
        misses.sort_by_key(|miss| match miss.differs {
            Differs::Method => 0,
            Differs::FinalSlash => 1,
            Differs::Case => 2,
            Differs::Host => 3,
        });
        misses
    }

    /// Returns how the path of this request is read.
    pub fn reading(&self, facts: &Facts<'_>) -> PathReading<'_> {
        let path = facts.path.unwrap_or_default();
        let segments = path.split('/').skip(1);
        let canonical = |segment: &str| shown(&self.hosts.any.canonical(segment.as_bytes()), "/%");
        let others = match readings::has_one_reading(path) {
            true => Vec::new(),
            false => readings::all(path, budget(path)).unwrap_or_default(),
        };
        let route = |hosts: &Hosts, reading: &[u8]| {
            let found = hosts.find(facts.host.unwrap_or_default(), reading, facts.method);
            found.map(|route| &self.routes[route])
        };
        let others = others.iter().filter(|reading| **reading != path.as_bytes());
        let others = others.map(|reading| OtherReading {
            path: shown(reading, ""),
            route: route(&self.hosts, reading),
            folded: route(&self.folded, reading),
        });
        PathReading {
            segments: segments.map(canonical).collect(),
            ambiguity: facts.path.and_then(|path| self.of_path(facts, path).err()),
            others: others.collect(),
        }
    }

    fn all_rows(&self) -> impl Iterator<Item = RouteRow<'_>> {
        let routes = self.routes.iter().zip(&*self.patterns);
        routes.flat_map(|(route, pattern)| {
            let hosts = match pattern.hosts.is_empty() {
                true => &[HostPattern::Any],
                false => &pattern.hosts[..],
            };
            hosts.iter().flat_map(move |host| {
                let row = move |path| RouteRow {
                    host,
                    path,
                    methods: &pattern.methods,
                    route,
                };
                pattern.paths.iter().map(row)
            })
        })
    }

    fn probe<'f>(&self, facts: &Facts<'f>) -> Option<RouteProbe<'f>> {
        Some(RouteProbe {
            host: facts.host.unwrap_or_default(),
            path: facts.path?.as_bytes(),
            method: facts.method,
            folding: self.hosts.any.folding(),
        })
    }
}

/// A request that is matched against a few routes.
#[derive(Clone, Copy)]
struct RouteProbe<'f> {
    host: &'f str,
    path: &'f [u8],
    method: &'f http::Method,
    folding: Folding,
}

impl RouteProbe<'_> {
    /// Whether a single route matches.
    fn matches(&self, host: &HostPattern, path: &PathPattern, methods: &Methods) -> bool {
        self.find([(host, path, methods)]).is_some()
    }

    /// Returns the position of the route among these that governs the request.
    fn first_of(&self, rows: &[RouteRow<'_>]) -> Option<usize> {
        self.find(rows.iter().map(|row| (row.host, row.path, row.methods)))
    }

    fn find<'p>(
        &self,
        patterns: impl IntoIterator<Item = (&'p HostPattern, &'p PathPattern, &'p Methods)>,
    ) -> Option<usize> {
        let mut hosts = Hosts::new(self.folding);
        for (id, (host, path, methods)) in patterns.into_iter().enumerate() {
            let matched = Matched {
                hosts: vec![host.clone()],
                paths: vec![path.clone()],
                methods: methods.clone(),
                route: nameless(id),
            };
            hosts.add(&matched, &mut Vec::new());
        }
        hosts.find(self.host, self.path, self.method)
    }
}

/// A route of which only the id matters.
fn nameless(id: usize) -> Route {
    Route {
        id,
        name: "".into(),
        access: Access::Deny,
        realm: 0,
        profile: 0,
        forwards_session: false,
        same_origin: false,
        strip_segments: 0,
    }
}

/// Returns the bytes of a path for display: characters that are invisible, not UTF-8 or in `escaped` are percent-encoded.
fn shown(bytes: &[u8], escaped: &str) -> String {
    let mut shown = String::with_capacity(bytes.len());
    let escape = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            *text += &format!("%{byte:02X}");
        }
    };
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            let is_blank = character.is_whitespace() && character != ' ';
            // Ignorable characters would hide a difference, or reverse the text on a terminal.
            let is_visible = !character.is_control() && !is_blank && !is_ignorable(character);
            match is_visible && !escaped.contains(character) {
                true => shown.push(character),
                false => escape(&mut shown, character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        escape(&mut shown, chunk.invalid());
    }
    shown
}

#[cfg(test)]
mod tests;

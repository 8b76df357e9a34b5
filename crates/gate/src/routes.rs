//! Which route governs a request, and which paths no route can govern because an upstream could read one in them that another
//! route governs.

mod explain;
mod folding;
mod host_pattern;
mod hosts;
mod left;
mod methods;
mod path_pattern;
mod tree;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};

pub use self::explain::{
    Ambiguity, Differs, NearMiss, OtherReading, PathReading, Pattern, RouteRow,
};
use self::folding::Folding;
use self::host_pattern::LONGEST_HOST;
pub use self::host_pattern::{HostPattern, InvalidHost};
use self::hosts::{Hosts, below, canonical};
pub use self::left::{Left, LeftRequests};
pub use self::methods::Methods;
pub use self::path_pattern::{InvalidPath, PathPattern};
use crate::{Arrival, Condition, Facts, Refusal, readings};

/// A rule, and what goes with it.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its place among the routes, which is how other parts of a configuration refer to it.
    pub id: usize,
    /// Its name in logs.
    pub name: Arc<str>,
    /// Who may enter.
    pub access: Access,
    /// The realm whose sessions count, by its place in [`Gate::realms`](crate::Gate::realms).
    pub realm: usize,
    /// Under which names an identity is written, by its place in [`Gate::profiles`](crate::Gate::profiles).
    pub profile: usize,
    /// Whether the session itself travels on.
    pub forwards_session: bool,
    /// Whether methods that change something must come from a page of the same origin.
    pub same_origin: bool,
    /// How many segments of the path are cut off before the request goes on.
    pub strip_segments: usize,
}

impl Route {
    /// The name that stands for the route of requests that none matches.
    pub const OF_NONE: &str = "none";
}

/// Who may enter.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// Nobody.
    Deny,
    /// Anyone; no identity is written.
    Public,
    /// Whoever has a session that meets the condition.
    Session(Condition),
    /// Nobody, because no route matches: people with a session are told so, others are asked to sign in, and learn nothing.
    Unknown,
}

impl Access {
    /// Every user with a session.
    pub const ANY_SESSION: Self = Self::Session(Condition::ALWAYS);
}

/// A route, and the requests that it is for.
#[derive(Clone, Debug)]
pub struct Matched {
    /// None at all means every host.
    pub hosts: Vec<HostPattern>,
    /// Any of these paths.
    pub paths: Vec<PathPattern>,
    /// Any of these methods.
    pub methods: Methods,
    /// The route. Its id must be its place in the list.
    pub route: Route,
}

/// Two routes that match the same requests equally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The id of the one.
    pub first: usize,
    /// The id of the other.
    pub second: usize,
    /// The host of both.
    pub host: HostPattern,
    /// The path of the other.
    pub path: PathPattern,
}

/// All routes. What none of them matches demands a session, and is not found.
#[derive(Clone, Debug)]
pub struct Routes {
    routes: Vec<Route>,
    /// The requests that each is for, for people who ask.
    patterns: Arc<[Pattern]>,
    /// What governs a request that no route matches.
    unknown: Route,
    hosts: Hosts,
    /// As upstreams see them that make no difference between letters which are alike.
    folded: Hosts,
    /// What governs a request whose path nobody says, if one route can.
    without_path: Option<usize>,
    /// Whether every request has the same route, whatever its path.
    is_single: bool,
    /// Whether some route is for some methods alone.
    name_methods: bool,
}

impl Routes {
    /// All of these. With `folds_case` the case of letters in paths does not count.
    ///
    /// # Errors
    /// Every pair of routes that match the same requests equally.
    pub fn new(all: Vec<Matched>, folds_case: bool) -> Result<Self, Vec<Conflict>> {
        let mut conflicts = Vec::new();
        let mut hosts = Hosts::new(match folds_case {
            true => Folding::Ascii,
            false => Folding::Exact,
        });
        let mut folded = Hosts::new(Folding::Unicode);
        for matched in &all {
            hosts.add(matched, &mut conflicts);
            // What only conflicts here has paths that differ in letters which are alike.
            folded.add(matched, &mut Vec::new());
        }
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        let mut needing_session = all.iter().filter(|all| all.route.access != Access::Public);
        let without_path = needing_session.next().map(|only| only.route.id);
        let is_everything = |all: &Matched| {
            all.hosts.is_empty()
                && all.methods.is_any()
                && all.paths.iter().any(|path| path.as_str() == "/")
        };
        // Where some path has no route, a path that nobody says could be that one.
        let without_path = without_path
            .filter(|_| needing_session.next().is_none() && all.iter().any(is_everything));
        let is_single = match &all[..] {
            [only] => is_everything(only) && only.paths.len() == 1,
            _ => false,
        };
        let name_methods = all.iter().any(|matched| !matched.methods.is_any());
        let unknown = Route {
            id: all.len(),
            name: Route::OF_NONE.into(),
            access: Access::Unknown,
            realm: 0,
            profile: 0,
            forwards_session: false,
            same_origin: false,
            strip_segments: 0,
        };
        let (routes, patterns): (_, Vec<_>) = all.into_iter().map(Pattern::beside_route).unzip();
        Ok(Self {
            routes,
            patterns: patterns.into(),
            unknown,
            hosts,
            folded,
            without_path,
            is_single,
            name_methods,
        })
    }

    /// The routes of one service: these paths are public, and everything else demands a session of the first realm.
    pub fn of_one_service(public: Vec<PathPattern>, forwards_session: bool) -> Self {
        let route = |id, name: &str, access| Route {
            id,
            name: name.into(),
            access,
            realm: 0,
            profile: 0,
            forwards_session,
            same_origin: false,
            strip_segments: 0,
        };
        let is_open = public.iter().any(|path| path.as_str() == "/");
        let all = PathPattern::new("/").ok().filter(|_| !is_open);
        let matched = |paths, route| Matched {
            hosts: Vec::new(),
            paths,
            methods: Methods::ANY,
            route,
        };
        let mut routes = vec![matched(
            all.into_iter().collect(),
            route(0, "session", Access::ANY_SESSION),
        )];
        if !public.is_empty() {
            routes.push(matched(public, route(1, "public", Access::Public)));
        }
        Self::new(routes, false).expect("one of them has every path that the other has not")
    }

    /// Every route, by its id.
    pub fn all(&self) -> &[Route] {
        &self.routes
    }

    /// Every host that this route names, also `*.example.com`. None at all means every host.
    pub fn hosts_of(&self, route: usize) -> impl Iterator<Item = String> {
        let names = self.patterns[route].hosts.iter();
        names.filter_map(|host| match host {
            HostPattern::Any => None,
            HostPattern::Exact(name) => Some(name.to_string()),
            HostPattern::OneLabelBelow(name) => Some(below(name)),
        })
    }

    /// Whether this path needs no session on some host that a route names, or on hosts that none does.
    pub fn are_open_at(&self, path: &str) -> bool {
        let names = self.hosts.one_label_below.keys();
        let names = names.map(|name| below(name));
        let exact = self.hosts.exact.keys().map(|name| name.to_string());
        let mut hosts = exact.chain(names).map(Some).chain([None]);
        hosts.any(|host| self.are_open_on(host.as_deref(), path))
    }

    /// Whether a route names this host, or all hosts one label below the rest of its name.
    pub fn name_host(&self, host: &str) -> bool {
        let mut buffer = [0; LONGEST_HOST];
        let Some(name) = canonical(host, &mut buffer) else {
            return false;
        };
        let above = name.split_once('.').map(|(_, above)| above);
        let is_below = |above: &str| self.hosts.one_label_below.contains_key(above);
        self.hosts.exact.contains_key(name) || above.is_some_and(is_below)
    }

    /// Whether this path needs no session on this host; without one, on hosts that no route names.
    pub fn are_open_on(&self, host: Option<&str>, path: &str) -> bool {
        let arrival = Arrival {
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            trusted_peer: false,
            relayed: false,
            secure: false,
            certificate: None,
            request_id: HeaderValue::from_static("-"),
        };
        let facts = Facts {
            method: &Method::GET,
            host,
            path: Some(path),
            headers: &HeaderMap::new(),
            arrival: &arrival,
        };
        self.of(&facts)
            .is_ok_and(|route| route.access == Access::Public)
    }

    /// The route of the request that a preflight announces (the Fetch standard, §4.8); `None` for every other request, and
    /// for one that announces nothing that can be decided.
    pub fn of_announced(&self, facts: &Facts<'_>) -> Option<&Route> {
        let method = facts.announced_method()?;
        let announced = Facts {
            method: &method,
            ..*facts
        };
        self.of(&announced).ok()
    }

    /// The route that governs this request.
    ///
    /// # Errors
    /// [`Refusal::AmbiguousPath`] for a path with an encoded control character, and for one that an upstream could read as
    /// a path of another route: there the reading would change who may enter, or where the request goes. Every other path
    /// goes on untouched, however many readings it has, because some upstreams need such paths (`/@scope%2fname`). Likewise for
    /// a method in small letters, which in capitals has another route.
    /// [`Refusal::UnknownPath`] when nobody says the path, and routes differ.
    pub fn of(&self, facts: &Facts<'_>) -> Result<&Route, Refusal> {
        let Some(path) = facts.path else {
            let route = self.without_path.ok_or(Refusal::UnknownPath)?;
            return Ok(&self.routes[route]);
        };
        self.of_path(facts, path).map_err(Refusal::AmbiguousPath)
    }

    /// The route that governs this request for this path; what keeps it from having one otherwise.
    fn of_path(&self, facts: &Facts<'_>, path: &str) -> Result<&Route, Ambiguity> {
        if has_encoded_control(path) {
            return Err(Ambiguity::Control);
        }
        let host = facts.host.unwrap_or_default();
        let found = self.hosts.find(host, path.as_bytes(), facts.method);
        if self.name_methods && has_small_letters(facts.method) {
            self.check_capitals(facts, path, host, found)?;
        }
        let route = found.map_or(&self.unknown, |route| &self.routes[route]);
        if !self.is_single && !readings::is_plain(path) {
            self.check_readings(facts, path, host, found)?;
        }
        if route.strip_segments > 0 && !has_plain_segments(path) {
            return Err(Ambiguity::Prefix);
        }
        Ok(route)
    }

    /// Sees that the method has this route in capitals too: methods are told apart by case (RFC 9110 section 9.1), but some
    /// services take `post` for `POST` (Werkzeug, `sansio/request.py`).
    fn check_capitals(
        &self,
        facts: &Facts<'_>,
        path: &str,
        host: &str,
        found: Option<usize>,
    ) -> Result<(), Ambiguity> {
        let capitals = facts.method.as_str().to_ascii_uppercase();
        let method = Method::from_bytes(capitals.as_bytes()).ok();
        let agrees = |method: Method| self.hosts.find(host, path.as_bytes(), &method) == found;
        match method.is_some_and(agrees) {
            true => Ok(()),
            false => Err(Ambiguity::OtherMethod),
        }
    }

    /// Sees that every reading of the path has this route. A path that no honest client sends counts as one that has not: one
    /// with a fragment (RFC 9112 section 3.2), or a public one that climbs with a parameter (`/..;/`).
    fn check_readings(
        &self,
        facts: &Facts<'_>,
        path: &str,
        host: &str,
        found: Option<usize>,
    ) -> Result<(), Ambiguity> {
        // What its escapes stand for has the route that they have themselves.
        if readings::has_harmless_escapes_alone(path) {
            let folded = self.folded.find(host, path.as_bytes(), facts.method);
            return match folded == found {
                true => Ok(()),
                false => Err(Ambiguity::OtherRoute),
            };
        }
        if path.contains('#') {
            return Err(Ambiguity::Fragment);
        }
        let is_public = found.is_some_and(|route| self.routes[route].access == Access::Public);
        if is_public && climbs_with_parameter(&readings::plainest(path)) {
            return Err(Ambiguity::Climbs);
        }
        let readings = readings::all(path, budget(path)).ok_or(Ambiguity::TooMany)?;
        // An upstream that folds case does so to what it reads in a path, whatever else it does.
        let agrees = |reading: &Vec<u8>| {
            self.hosts.find(host, reading, facts.method) == found
                && self.folded.find(host, reading, facts.method) == found
        };
        match readings.iter().all(agrees) {
            true => Ok(()),
            false => Err(Ambiguity::OtherRoute),
        }
    }
}

fn has_small_letters(method: &Method) -> bool {
    method
        .as_str()
        .bytes()
        .any(|byte| byte.is_ascii_lowercase())
}

fn climbs_with_parameter(text: &[u8]) -> bool {
    let climbs = |part: &[u8]| matches!(part, [b'/' | b'\\', b'.', b'.', b';']);
    text.windows(4).any(climbs)
}

/// Whether the path holds `%00`–`%1f` or `%7f`: no path needs them, and decoded they break logs, headers and files.
pub fn has_encoded_control(path: &str) -> bool {
    memchr::memchr_iter(b'%', path.as_bytes()).any(|at| match path.as_bytes()[at..] {
        [b'%', b'0' | b'1', low, ..] => low.is_ascii_hexdigit(),
        [b'%', b'7', low, ..] => low.eq_ignore_ascii_case(&b'f'),
        _ => false,
    })
}

/// Whether every reading of the path has the same segments, escapes aside: then the first few can be cut off.
fn has_plain_segments(path: &str) -> bool {
    if readings::is_plain(path) {
        return true;
    }
    let slashes = |text: &[u8]| text.iter().filter(|byte| **byte == b'/').count();
    let plainest = readings::plainest(path);
    slashes(&plainest) == slashes(path.as_bytes()) && readings::has_plain_segments(&plainest)
}

/// In bytes: how much all readings of a path may have together. Honest paths have a handful; what has more is refused, so
/// that no request is dear.
fn budget(path: &str) -> usize {
    (16 * path.len()).clamp(768, 8 * 1024)
}

#[cfg(test)]
mod tests;

//! Which route governs a request, and which paths no route can govern, because an upstream could read them as the path of another
//! route.
//!
//! The table and the search in it stay in one file, because each field of the table exists for one step of the search.

mod explain;
mod folding;
mod gaps;
mod host_pattern;
mod hosts;
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
pub use self::gaps::{GapRequests, RouteGap};
use self::host_pattern::LONGEST_HOST;
pub use self::host_pattern::{HostPattern, InvalidHost};
use self::hosts::{Hosts, below, canonical};
pub use self::methods::Methods;
pub use self::path_pattern::{InvalidPath, PathPattern};
use crate::{Arrival, Condition, Facts, Refusal, readings};

/// A route: who may enter, and how the request is forwarded.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its position among the routes, by which other parts of a configuration refer to it.
    pub id: usize,
    /// Its name in logs.
    pub name: Arc<str>,
    /// Who may enter.
    pub access: Access,
    /// The realm whose sessions are accepted, by its position in [`Gate::realms`](crate::Gate::realms).
    pub realm: usize,
    /// The header profile, by its position in [`Gate::profiles`](crate::Gate::profiles).
    pub profile: usize,
    /// Whether the session itself is forwarded.
    pub forwards_session: bool,
    /// Whether methods that change something must come from a page of the same origin.
    pub same_origin: bool,
    /// How many segments are cut off the beginning of the path before the request is forwarded.
    pub strip_segments: usize,
}

impl Route {
    /// The name of the route for requests that no route matches.
    pub const UNMATCHED: &str = "none";
}

/// Who may enter.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// Nobody.
    Deny,
    /// Everybody; no identity is written.
    Public,
    /// Users with a session that meets the condition.
    Session(Condition),
    /// Nobody, because no route matches: users with a session get 404; others are asked to sign in, and learn nothing.
    Unknown,
}

impl Access {
    /// Every user with a session.
    pub const ANY_SESSION: Self = Self::Session(Condition::ALWAYS);
}

/// A route, and the requests that it matches.
#[derive(Clone, Debug)]
pub struct Matched {
    /// The hosts; an empty list means every host.
    pub hosts: Vec<HostPattern>,
    /// The paths.
    pub paths: Vec<PathPattern>,
    /// The methods.
    pub methods: Methods,
    /// The route. Its id must be its position in the list.
    pub route: Route,
}

/// Two routes that match the same requests with the same precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The id of one route.
    pub first: usize,
    /// The id of the other route.
    pub second: usize,
    /// The host of both routes.
    pub host: HostPattern,
    /// The path of the other route.
    pub path: PathPattern,
}

/// All routes. A request that none of them matches needs a session, and then gets 404.
#[derive(Clone, Debug)]
pub struct Routes {
    routes: Vec<Route>,
    /// The requests that each route matches, for `explain`.
    patterns: Arc<[Pattern]>,
    /// The route for requests that no route matches.
    unknown: Route,
    hosts: Hosts,
    /// The routes as seen by an upstream that does not distinguish similar letters.
    folded: Hosts,
    /// The route for requests whose path is not known, if one route can govern them.
    without_path: Option<usize>,
    /// Whether one route matches every request.
    is_single: bool,
    /// Whether some route is limited to some methods.
    depends_on_method: bool,
}

impl Routes {
    /// Makes a table of all routes. With `folds_case`, the case of letters in paths is ignored.
    ///
    /// # Errors
    /// All pairs of routes that match the same requests with the same precedence.
    pub fn new(all: Vec<Matched>, folds_case: bool) -> Result<Self, Vec<Conflict>> {
        let mut conflicts = Vec::new();
        let mut hosts = Hosts::new(match folds_case {
            true => Folding::Ascii,
            false => Folding::Exact,
        });
        let mut folded = Hosts::new(Folding::Unicode);
        for matched in &all {
            hosts.add(matched, &mut conflicts);
            // Routes that conflict only here differ in similar letters, which is allowed.
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
        // If some path has no route, an unknown path could be that one.
        let without_path = without_path
            .filter(|_| needing_session.next().is_none() && all.iter().any(is_everything));
        let is_single = match &all[..] {
            [only] => is_everything(only) && only.paths.len() == 1,
            _ => false,
        };
        let depends_on_method = all.iter().any(|matched| !matched.methods.is_any());
        let unknown = Route {
            id: all.len(),
            name: Route::UNMATCHED.into(),
            access: Access::Unknown,
            realm: 0,
            profile: 0,
            forwards_session: false,
            same_origin: false,
            strip_segments: 0,
        };
        let (routes, patterns): (_, Vec<_>) = all.into_iter().map(Pattern::split_route).unzip();
        Ok(Self {
            routes,
            patterns: patterns.into(),
            unknown,
            hosts,
            folded,
            without_path,
            is_single,
            depends_on_method,
        })
    }

    /// Makes the routes of one service: these paths are public, and everything else needs a session of the first realm.
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
        Self::new(routes, false).expect("no path belongs to both routes")
    }

    /// Returns every route, by its id.
    pub fn all(&self) -> &[Route] {
        &self.routes
    }

    /// Returns every host that this route names, in the form `*.example.com` for one label below; nothing if it matches every
    /// host.
    pub fn hosts_of(&self, route: usize) -> impl Iterator<Item = String> {
        let names = self.patterns[route].hosts.iter();
        names.filter_map(|host| match host {
            HostPattern::Any => None,
            HostPattern::Exact(name) => Some(name.to_string()),
            HostPattern::OneLabelBelow(name) => Some(below(name)),
        })
    }

    /// Whether this path needs no session on some host that a route names, or on the hosts that no route names.
    pub fn is_public_somewhere(&self, path: &str) -> bool {
        let names = self.hosts.one_label_below.keys();
        let names = names.map(|name| below(name));
        let exact = self.hosts.exact.keys().map(|name| name.to_string());
        let mut hosts = exact.chain(names).map(Some).chain([None]);
        hosts.any(|host| self.is_public_on(host.as_deref(), path))
    }

    /// Whether a route names this host, either exactly or by `*.` and its parent domain.
    pub fn has_host(&self, host: &str) -> bool {
        let mut buffer = [0; LONGEST_HOST];
        let Some(name) = canonical(host, &mut buffer) else {
            return false;
        };
        let above = name.split_once('.').map(|(_, above)| above);
        let is_below = |above: &str| self.hosts.one_label_below.contains_key(above);
        self.hosts.exact.contains_key(name) || above.is_some_and(is_below)
    }

    /// Whether this path needs no session on this host; with `None`, on the hosts that no route names.
    pub fn is_public_on(&self, host: Option<&str>, path: &str) -> bool {
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

    /// Returns the route of the request that a CORS preflight announces (the Fetch standard, §4.8); `None` for other requests,
    /// and if no route can govern the announced one.
    pub fn of_announced(&self, facts: &Facts<'_>) -> Option<&Route> {
        let method = facts.announced_method()?;
        let announced = Facts {
            method: &method,
            ..*facts
        };
        self.of(&announced).ok()
    }

    /// Returns the route that governs this request.
    ///
    /// # Errors
    /// [`Refusal::AmbiguousPath`] in each of the cases of [`Ambiguity`]:
    ///
    /// - The path contains an encoded control character.
    /// - The method has lower-case letters, and in upper case it has another route.
    /// - The path contains a `#`.
    /// - The path is public, and contains `/..;` in some reading.
    /// - The path has too many readings to check.
    /// - An upstream could read the path as that of another route, which would change who may enter, or where the request goes.
    /// - The route strips a prefix, and upstreams could differ about the segments of the path.
    ///
    /// If one route governs every request, only control characters and stripped prefixes are checked. A path whose readings all
    /// have the same route is forwarded unchanged, because some upstreams need such paths (`/@scope%2fname`).
    ///
    /// [`Refusal::UnknownPath`] when the path is not known, and routes differ by path.
    pub fn of(&self, facts: &Facts<'_>) -> Result<&Route, Refusal> {
        let Some(path) = facts.path else {
            let route = self.without_path.ok_or(Refusal::UnknownPath)?;
            return Ok(&self.routes[route]);
        };
        self.of_path(facts, path).map_err(Refusal::AmbiguousPath)
    }

    /// Returns the route that governs this request with this path, or why none can.
    fn of_path(&self, facts: &Facts<'_>, path: &str) -> Result<&Route, Ambiguity> {
        if has_encoded_control(path) {
            return Err(Ambiguity::Control);
        }
        let host = facts.host.unwrap_or_default();
        let found = self.hosts.find(host, path.as_bytes(), facts.method);
        let has_lower_case = || {
            facts
                .method
                .as_str()
                .bytes()
                .any(|byte| byte.is_ascii_lowercase())
        };
        if self.depends_on_method && has_lower_case() {
            self.check_upper_case(facts, path, host, found)?;
        }
        let route = found.map_or(&self.unknown, |route| &self.routes[route]);
        if !self.is_single && !readings::has_one_reading(path) {
            self.check_readings(facts, path, host, found)?;
        }
        if route.strip_segments > 0 && !has_plain_segments(path) {
            return Err(Ambiguity::Prefix);
        }
        Ok(route)
    }

    /// Checks that the method has the same route in upper case: methods are case-sensitive (RFC 9110 section 9.1), but some
    /// services treat `post` as `POST` (Werkzeug, `sansio/request.py`).
    fn check_upper_case(
        &self,
        facts: &Facts<'_>,
        path: &str,
        host: &str,
        found: Option<usize>,
    ) -> Result<(), Ambiguity> {
        let upper_case = facts.method.as_str().to_ascii_uppercase();
        let method = Method::from_bytes(upper_case.as_bytes()).ok();
        let agrees = |method: Method| self.hosts.find(host, path.as_bytes(), &method) == found;
        match method.is_some_and(agrees) {
            true => Ok(()),
            false => Err(Ambiguity::OtherMethod),
        }
    }

    /// Checks that every reading of the path has the same route. Also refuses paths that no honest client sends: with a fragment
    /// (RFC 9112 section 3.2), or public ones with a parameter on a parent segment (`/..;/`).
    fn check_readings(
        &self,
        facts: &Facts<'_>,
        path: &str,
        host: &str,
        found: Option<usize>,
    ) -> Result<(), Ambiguity> {
        // Decoding these escapes does not change the route.
        if readings::has_only_harmless_escapes(path) {
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
        if is_public && has_parent_with_parameter(&readings::fully_decoded(path)) {
            return Err(Ambiguity::LeavesPublicFolder);
        }
        let readings = readings::all(path, budget(path)).ok_or(Ambiguity::TooMany)?;
        // An upstream that ignores case may do so for any reading.
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

/// Whether a segment is `..` with a parameter, as in `/a/..;/b`. Servers such as Tomcat remove the parameter, and then the folder
/// `a`.
fn has_parent_with_parameter(text: &[u8]) -> bool {
    let is_it = |part: &[u8]| matches!(part, [b'/' | b'\\', b'.', b'.', b';']);
    text.windows(4).any(is_it)
}

/// Whether the path holds `%00`–`%1f` or `%7f`: no path needs them, and decoded they break logs, headers and files.
pub fn has_encoded_control(path: &str) -> bool {
    memchr::memchr_iter(b'%', path.as_bytes()).any(|at| match path.as_bytes()[at..] {
        [b'%', b'0' | b'1', low, ..] => low.is_ascii_hexdigit(),
        [b'%', b'7', low, ..] => low.eq_ignore_ascii_case(&b'f'),
        _ => false,
    })
}

/// Whether every reading of the path has the same segments, apart from escapes, so that a prefix can be cut off.
fn has_plain_segments(path: &str) -> bool {
    if readings::has_one_reading(path) {
        return true;
    }
    let slashes = |text: &[u8]| text.iter().filter(|byte| **byte == b'/').count();
    let decoded = readings::fully_decoded(path);
    slashes(&decoded) == slashes(path.as_bytes()) && readings::has_plain_segments(&decoded)
}

/// Returns the limit for all readings of a path together, in bytes. Honest paths have a handful of readings; paths with more are
/// refused, so that no request is expensive.
fn budget(path: &str) -> usize {
    (16 * path.len()).clamp(768, 8 * 1024)
}

#[cfg(test)]
mod tests;

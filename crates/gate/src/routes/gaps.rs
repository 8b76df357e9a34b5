//! Requests that a strict route nearly matches, but that a less strict route gets: a check for authors of routes.

use std::collections::HashSet;

use http::Method;

use super::HostPattern;
use super::{Route, RouteRow, Routes};
use crate::{Access, Condition};

/// Requests close to those of a strict route that another, less strict route gets.
#[derive(Clone, Debug)]
pub struct RouteGap<'r> {
    /// The strict route, with the host and the path in question.
    pub row: RouteRow<'r>,
    /// The route that gets the requests.
    pub to: &'r Route,
    /// The requests that the less strict route gets.
    pub what: GapRequests,
}

/// Requests that a route does not match, although its author may think that it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GapRequests {
    /// Requests below a path, when the route matches only the path itself.
    Below,
    /// The folder without the final slash, which many services treat as the folder.
    Folder,
    /// Requests for the same path with other methods.
    Methods {
        /// The usual methods among them.
        named: Vec<Method>,
        /// Whether unknown methods are among them.
        and_others: bool,
    },
}

impl Routes {
    /// Finds requests that routes leave to less strict routes, probably by mistake, once for each route: other methods, if the
    /// route matches `GET` or `HEAD`, or several of the methods that write; paths below a path that is matched exactly, unless a
    /// route is for that folder; and a folder's path without the final slash, unless a route is for that path.
    pub fn gaps_to_weaker_routes(&self) -> Vec<RouteGap<'_>> {
        let rows = self.rows();
        let folders = rows.iter().filter(|row| row.path.is_folder);
        let folders: HashSet<_> = folders.map(|row| &row.path.segments[..]).collect();
        let alone = rows.iter().filter(|row| !row.path.is_folder);
        let alone: HashSet<_> = alone.map(|row| &row.path.segments[..]).collect();
        let mut seen_routes = HashSet::new();
        let mut found = Vec::new();
        for row in rows {
            if seen_routes.contains(&row.route.id) {
                continue;
            }
            let below = || match folders.contains(&row.path.segments[..]) {
                true => None,
                false => self.below_gap(row),
            };
            let folder = || match alone.contains(&row.path.segments[..]) {
                true => None,
                false => self.folder_gap(row),
            };
            let gap = self.methods_gap(row).or_else(below).or_else(folder);
            if let Some(gap) = gap {
                seen_routes.insert(row.route.id);
                found.push(gap);
            }
        }
        found
    }

    fn methods_gap<'r>(&'r self, row: RouteRow<'r>) -> Option<RouteGap<'r>> {
        if row.methods.is_any() {
            return None;
        }
        let reads = row.methods.has(&Method::GET) || row.methods.has(&Method::HEAD);
        let writing = WRITING
            .iter()
            .filter(|method| row.methods.has(method))
            .count();
        // A route that denies some methods that write, or matches only one of them, is meant for only these.
        let is_partial = writing > 1 && row.route.access != Access::Deny;
        if !reads && !is_partial {
            return None;
        }
        let path = sample(&row);
        let weaker = |method: &Method| self.weaker(&row, &path, method);
        let usual: &[Method] = match reads {
            true => &USUAL,
            false => &WRITING,
        };
        let left = usual.iter().filter(|method| !row.methods.has(method));
        let left: Vec<_> = left
            .filter_map(|method| Some((method, weaker(method)?)))
            .collect();
        let other = Method::from_bytes(UNKNOWN_METHOD).expect("a token");
        let other = weaker(&other).filter(|_| reads);
        let (_, to) = left
            .first()
            .copied()
            .or(other.map(|to| (&Method::GET, to)))?;
        let named = left.iter().filter(|(_, route)| route.id == to.id);
        Some(RouteGap {
            row,
            to,
            what: GapRequests::Methods {
                named: named.map(|(method, _)| (*method).clone()).collect(),
                and_others: other.is_some_and(|other| other.id == to.id),
            },
        })
    }

    fn below_gap<'r>(&'r self, row: RouteRow<'r>) -> Option<RouteGap<'r>> {
        let path = row.path;
        if path.is_folder || path.as_str().ends_with('/') || path.as_str().ends_with("{$}") {
            return None;
        }
        let method = match row.methods.has(&Method::GET) {
            true => &Method::GET,
            false => USUAL.iter().find(|method| row.methods.has(method))?,
        };
        let to = self.weaker(&row, &format!("{}/x", sample(&row)), method)?;
        Some(RouteGap {
            row,
            to,
            what: GapRequests::Below,
        })
    }

    fn folder_gap<'r>(&'r self, row: RouteRow<'r>) -> Option<RouteGap<'r>> {
        if !row.path.is_folder {
            return None;
        }
        let sample = sample(&row);
        let path = sample.strip_suffix('/').filter(|path| !path.is_empty())?;
        let method = USUAL.iter().find(|method| row.methods.has(method))?;
        let to = self.weaker(&row, path, method)?;
        Some(RouteGap {
            row,
            to,
            what: GapRequests::Folder,
        })
    }

    /// Returns the route of this path on the row's host, if it demands less than the row's route.
    fn weaker(&self, row: &RouteRow<'_>, path: &str, method: &Method) -> Option<&Route> {
        let host = match row.host {
            HostPattern::Any => String::new(),
            HostPattern::Exact(name) => name.to_string(),
            HostPattern::OneLabelBelow(name) => format!("any.{name}"),
        };
        let route = &self.routes[self.hosts.find(&host, path.as_bytes(), method)?];
        (strictness(&route.access) < strictness(&row.route.access)).then_some(route)
    }
}

/// Returns a path that the row matches.
fn sample(row: &RouteRow<'_>) -> String {
    let segments = row.path.as_str().split('/');
    let segments = segments.map(|segment| match segment {
        "{$}" => "",
        any if any.starts_with('{') => "x",
        literal => literal,
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Returns roughly how much access demands; more is stricter.
fn strictness(access: &Access) -> u8 {
    match access {
        Access::Public => 0,
        Access::Session(condition) if *condition == Condition::ALWAYS => 1,
        Access::Session(_) => 2,
        Access::Deny | Access::Unknown => 3,
    }
}

const WRITING: [Method; 4] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

const USUAL: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// A method that no service implements.
const UNKNOWN_METHOD: &[u8] = b"X-UNKNOWN";

//! Builds the rules from the file's routes: resolves every name, and parses every text.

use std::collections::{HashMap, HashSet};
use std::net::Ipv6Addr;

use gate::{Access, HostPattern, Matched, Methods, PathPattern, Route, Routes};
use http::HeaderValue;

use super::columns::RuleColumns;
use super::conditions::{self, method, parsed};
use super::profiles::Profiles;
use super::services::Services;
use super::{Handling, RouteDefaults, Rules};
use crate::config::ascii_host;
use crate::config::cors::AllowedOrigin;
use crate::config::limits;
use crate::config::problem::Problem;
use crate::config::raw_tables::{RawRoute, RawTables, Spanned};
use crate::config::sign_in::{SignIn, SourceHosts};
use crate::config::words::known_words;

/// The part of a realm that routes need.
#[derive(Debug)]
pub(in crate::config) struct RealmColumns {
    pub(in crate::config) name: String,
    pub(in crate::config) columns: RuleColumns,
}

/// The rules built from the routes of a file.
#[derive(Debug)]
pub(in crate::config) struct BuiltRoutes {
    pub(in crate::config) rules: Rules,
    /// The index of each route's realm.
    pub(in crate::config) realms: Vec<usize>,
    /// The URL of each route's own sign-in page, if it has one.
    pub(in crate::config) sign_in_urls: Vec<Option<Spanned<String>>>,
}

/// Builds the rules from the file's routes. `None` if two routes match the same requests.
pub(in crate::config) fn build(
    raw_tables: &RawTables,
    defaults: &RouteDefaults,
    mut services: Services,
    realms: &mut [RealmColumns],
    problems: &mut Vec<Problem>,
) -> Option<BuiltRoutes> {
    let mut profiles = Profiles::new(&raw_tables.profiles, defaults.is_partial, problems);
    let mut names: HashMap<String, &Spanned<String>> = HashMap::new();
    // The columns for routes whose realm does not exist.
    let mut unknown = RuleColumns::accepting_any();
    let (mut matched, mut handling, mut of_realms) = (Vec::new(), Vec::new(), Vec::new());
    for (id, raw) in raw_tables.routes.iter().enumerate() {
        if let Some(name) = &raw.name
            && let Some(first) = names.insert(name.value.clone(), name)
        {
            let what = format!("two routes have the name `{}`", name.value);
            let problem = Problem::with(name, what);
            let problem = problem.with_related(first.place.clone(), "the other one");
            problems.push(problem.with_help("logs identify routes by name, so give each its own"));
        }
        check_name(raw.name.as_ref(), problems);
        let known = realm(raw.realm.as_ref(), realms, defaults, problems);
        let realm = known.unwrap_or_default();
        let of_profiles = known.unwrap_or(realms.len());
        let columns = match known {
            Some(realm) => &mut realms[realm].columns,
            None => &mut unknown,
        };
        let access = access(raw, columns, problems);
        let profile = profiles.place(raw.headers.as_ref(), of_profiles, columns, problems);
        let service = services.of_route(raw, &access, defaults, problems);
        handling.push(Handling {
            service,
            realm,
            host: raw
                .rewrite_host
                .as_ref()
                .and_then(|text| parsed(text, problems, host_value)),
            body_limit: raw
                .body_limit
                .as_ref()
                .and_then(|limit| bytes(limit, problems)),
            rates: {
                let rates = raw.rate_limit.iter();
                let read = rates.filter_map(|text| parsed(text, problems, limits::rate));
                read.collect()
            },
            cors_origins: match &raw.cors_origins {
                None => defaults.cors_origins.clone(),
                Some(origins) => {
                    let origins = origins.iter();
                    let read =
                        origins.filter_map(|text| parsed(text, problems, AllowedOrigin::parse));
                    read.collect()
                }
            },
            sign_in: None,
            via: defaults.via,
            keeps_private: access != Access::Public
                && !raw.shared_cache.as_ref().is_some_and(|switch| switch.value),
        });
        let paths = raw.paths.iter();
        let mut paths: Vec<_> = paths
            .filter_map(|text| parsed(text, problems, PathPattern::new))
            .collect();
        let mut known = HashSet::new();
        paths.retain(|path| known.insert(path.as_str().to_owned()));
        let forwards = raw
            .forward_session_cookie
            .as_ref()
            .map(|switch| switch.value);
        let route = Route {
            id,
            name: name(raw).into(),
            access,
            realm,
            profile,
            forwards_session: forwards.unwrap_or(defaults.forwards_session),
            same_origin: raw.csrf.as_ref().is_some_and(|csrf| csrf.value),
            strip_segments: strip(raw, &paths, problems),
        };
        let hosts = raw.hosts.iter();
        let hosts = hosts.filter_map(|text| parsed(text, problems, host_pattern));
        let mut hosts: Vec<_> = hosts.collect();
        // The same host may be written in several ways.
        let mut known = HashSet::new();
        hosts.retain(|host| known.insert(host.clone()));
        let methods = raw.methods.iter();
        let methods = methods.filter_map(|text| parsed(text, problems, method));
        matched.push(Matched {
            hosts,
            paths,
            methods: Methods::new(methods),
            route,
        });
        of_realms.push(realm);
    }
    // Routes with problems may only seem to conflict.
    let is_sound = problems.is_empty();
    let routes = Routes::new(matched, raw_tables.case_insensitive);
    let routes = routes.map_err(|conflicts| {
        for conflict in conflicts.into_iter().filter(|_| is_sound) {
            let [first, second] = [conflict.first, conflict.second].map(|id| &raw_tables.routes[id]);
            let problem = Problem::at(second.place.clone(), format!(
                "two routes match the same requests: {} {}", conflict.host, conflict.path
            ));
            let problem = problem.with_related(first.place.clone(), "the other one");
            problems.push(problem.with_help(
                "the order in the file does not matter; change the host, the path or the methods of one of them",
            ));
        }
    });
    handling.push(Handling {
        cors_origins: defaults.cors_origins.clone(),
        ..Handling::default()
    });
    let profiles = profiles.finish(problems);
    let rules = Rules {
        routes: routes.ok()?,
        profiles,
        handling,
        services: services.finish(),
    };
    let sign_in_urls = raw_tables.routes.iter().map(|raw| raw.sign_in_url.clone());
    Some(BuiltRoutes {
        rules,
        realms: of_realms,
        sign_in_urls: sign_in_urls.collect(),
    })
}

impl BuiltRoutes {
    /// The hosts from which browsers are redirected to the sign-in page of a realm.
    pub(in crate::config) fn sources(&self, realm: usize) -> SourceHosts {
        let routes = &self.rules.routes;
        let sends = |id: &usize| {
            self.realms[*id] == realm
                && self.sign_in_urls[*id].is_none()
                && routes.all()[*id].access != Access::Public
        };
        SourceHosts::of_routes(routes, (0..self.realms.len()).filter(sends))
    }

    /// Sets the sign-in page of each route: its own, which `own` reads given the indexes of the route and its realm, or that
    /// of the realm.
    pub(in crate::config) fn set_sign_in_pages(
        &mut self,
        of_realms: &[Option<SignIn>],
        mut own: impl FnMut(usize, usize, &Spanned<String>) -> Option<SignIn>,
    ) {
        let default = of_realms.first().cloned().flatten();
        let routes = self.realms.iter().zip(&self.sign_in_urls).enumerate();
        let pages = routes.map(|(id, (realm, url))| match url {
            Some(url) => own(id, *realm, url),
            None => of_realms[*realm].clone(),
        });
        let pages: Vec<_> = pages.chain([default]).collect();
        for (handling, page) in self.rules.handling.iter_mut().zip(pages) {
            handling.sign_in = page;
        }
    }
}

/// The index of the realm that a route names; `None` if it does not exist.
fn realm(
    name: Option<&Spanned<String>>,
    realms: &[RealmColumns],
    defaults: &RouteDefaults,
    problems: &mut Vec<Problem>,
) -> Option<usize> {
    let Some(name) = name else {
        return Some(0);
    };
    let place = realms.iter().position(|realm| realm.name == name.value);
    if place.is_none() && !defaults.is_partial {
        let known = realms.iter().map(|realm| realm.name.as_str());
        let help = known_words(&name.value, known);
        let what = format!("there is no realm `{}`", name.value);
        problems.push(Problem::with(name, what).with_help(help));
    }
    place
}

fn access(raw: &RawRoute, columns: &mut RuleColumns, problems: &mut Vec<Problem>) -> Access {
    let word = raw.access.as_ref();
    let access = match word.map(|word| word.value.as_str()) {
        None | Some("session") => {
            return Access::Session(conditions::all(&raw.require, columns, problems));
        }
        Some("deny") => Access::Deny,
        Some("public") => Access::Public,
        Some(other) => {
            let what = format!("`{other}` is not a valid value of `access`");
            let help = known_words(other, ["session", "public", "deny"]);
            let problem = word.map(|word| Problem::with(word, what).with_help(help));
            problems.extend(problem);
            Access::Deny
        }
    };
    if let Some(first) = raw.require.first() {
        let what = "conditions need a session, which this route does not require";
        let help = "remove `require`, or `access`";
        problems.push(Problem::at(first.place.clone(), what).with_help(help));
    }
    access
}

/// Checks that a name is not empty.
fn check_name(name: Option<&Spanned<String>>, problems: &mut Vec<Problem>) {
    let empty = name.filter(|name| name.value.trim().is_empty());
    problems.extend(empty.map(|name| {
        let problem = Problem::at(name.place.clone(), "this name is empty");
        problem.with_help("give a name for logs, or remove `name` to use host and path")
    }));
}

/// The name of a route in logs.
fn name(raw: &RawRoute) -> String {
    if let Some(name) = &raw.name {
        return name.value.clone();
    }
    let joined = |texts: &[Spanned<String>]| {
        let texts: Vec<_> = texts.iter().map(|text| text.value.as_str()).collect();
        texts.join(",")
    };
    let methods = match raw.methods.is_empty() {
        true => String::new(),
        false => joined(&raw.methods) + " ",
    };
    format!("{methods}{}{}", joined(&raw.hosts), joined(&raw.paths))
}

/// The number of segments that `strip_prefix` removes.
fn strip(raw: &RawRoute, paths: &[PathPattern], problems: &mut Vec<Problem>) -> usize {
    let Some(text) = &raw.strip_prefix else {
        return 0;
    };
    let Some(prefix) = parsed(text, problems, PathPattern::new) else {
        return 0;
    };
    if prefix.depth() == 0 {
        let problem = Problem::with(text, "`/` removes nothing from the path");
        problems.push(problem.with_help(
            "remove it, or give the segments that the service does not expect, such as `/admin`",
        ));
    }
    if !paths.iter().all(|path| path.begins_with(&prefix)) {
        let what = format!(
            "not all paths of this route begin with the segments of `{}`",
            text.value
        );
        problems.push(Problem::with(text, what));
    }
    prefix.depth()
}

/// Reads the host of a route.
fn host_pattern(text: &str) -> Result<HostPattern, String> {
    HostPattern::new(text).map_err(|error| match text.parse::<Ipv6Addr>() {
        Ok(address) => format!("write an IPv6 address in brackets, as in `[{address}]`"),
        Err(_) => ascii_host::of(text).map_or_else(
            || error.to_string(),
            |ascii| format!("browsers send this hostname as `{ascii}`; write it that way"),
        ),
    })
}

fn host_value(text: &str) -> Result<HeaderValue, String> {
    let ascii = ascii_host::of_authority(text);
    let help = ascii.map_or_else(
        || {
            "give a value for the `Host` header, such as `wiki.internal` or `wiki.internal:8080`"
                .to_owned()
        },
        |ascii| format!("services expect this hostname as `{ascii}`; write it that way"),
    );
    let Ok(authority) = text.parse::<http::uri::Authority>() else {
        return Err(help);
    };
    let has_port = authority.as_str().len() > authority.host().len();
    let is_host = !text.contains('@') && (!has_port || authority.port_u16().is_some());
    match is_host {
        true => HeaderValue::from_str(text).map_err(|_| help),
        false => Err(help),
    }
}

fn bytes(limit: &Spanned<i64>, problems: &mut Vec<Problem>) -> Option<u64> {
    let bytes = u64::try_from(limit.value).ok();
    if bytes.is_none() {
        let what = "it must be a number of bytes, 0 to refuse all bodies";
        problems.push(Problem::at(limit.place.clone(), what));
    }
    bytes
}

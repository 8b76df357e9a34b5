//! Collects the services, each once: routes with the same servers and settings share connections.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gate::Access;

use super::conditions::parsed;
use super::pool_keys::{
    ConnectionDefaults, default_pool, pool, report_keys_for_servers,
    report_keys_for_several_servers, weighted,
};
use super::{
    RouteDefaults, ServerAddress, ServerSettings, ServiceSettings, Timeouts, UpstreamSettings,
};
use crate::config::credentials;
use crate::config::folder::{CacheControl, ErrorPages, FolderOptions, FolderSettings, file_in};
use crate::config::problem::Problem;
use crate::config::raw_tables::{RawFolder, RawRoute, RawService, Spanned};
use crate::config::upstream as url;
use crate::config::words::known_words;

/// The services that routes use.
#[derive(Debug)]
pub(in crate::config) struct Services {
    /// The defined services by name; the one of the top level is `default`.
    named: Vec<(String, ServiceSettings)>,
    /// The index of each name in `named`. There may be thousands.
    names: HashMap<String, usize>,
    /// The default timeouts.
    defaults: Timeouts,
    /// The defaults for connections.
    connections: ConnectionDefaults,
    /// The services that some route uses.
    used: Vec<ServiceSettings>,
    /// The index of each service in `used`.
    places: HashMap<ServiceSettings, usize>,
}

impl Services {
    /// Reads `[service.NAME]`, in addition to the service of the top level.
    pub(in crate::config) fn read(
        raw: &[RawService],
        default: Option<ServiceSettings>,
        (defaults, connections): (Timeouts, ConnectionDefaults),
        is_used: impl Fn(&str) -> bool,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut all = Self {
            named: Vec::new(),
            names: HashMap::new(),
            defaults,
            connections,
            used: Vec::new(),
            places: HashMap::new(),
        };
        if let Some(default) = default {
            all.define(DEFAULT.to_owned(), default);
        }
        for raw in raw {
            if all.names.contains_key(&raw.name.value) {
                let what = "`upstream` at the top level already defines the service `default`";
                problems.push(Problem::at(raw.name.place.clone(), what));
            }
            let service = match is_used(&raw.name.value) {
                true => of_table(raw, defaults, &all.connections, problems),
                // An unused service has its own warning, and the files and folders that it names need not exist.
                false => of_table(raw, defaults, &all.connections, &mut Vec::new()),
            };
            all.define(raw.name.value.clone(), service);
        }
        all
    }

    /// Adds a service. If there are two with the same name, the first is used, and the caller reports the second.
    fn define(&mut self, name: String, service: ServiceSettings) {
        let place = self.named.len();
        self.names.entry(name.clone()).or_insert(place);
        self.named.push((name, service));
    }

    fn named(&self, name: &str) -> Option<&ServiceSettings> {
        let place = self.names.get(name)?;
        Some(&self.named[*place].1)
    }

    /// The index of the service of a route.
    pub(super) fn of_route(
        &mut self,
        raw: &RawRoute,
        access: &Access,
        defaults: &RouteDefaults,
        problems: &mut Vec<Problem>,
    ) -> Option<usize> {
        let named = self.named_by(raw, access, defaults, problems);
        let own = (raw.connect_timeout.as_ref(), raw.timeout.as_ref());
        let settings = match named {
            // Report problems of the timeouts anyway.
            None => {
                timeouts(own, self.defaults, problems);
                return None;
            }
            Some(ServiceSettings::Folder(folder)) => {
                report_unused(own.0, FOLDER_WITHOUT_CONNECTIONS, problems);
                report_unused(raw.rewrite_host.as_ref(), FOLDER_WITHOUT_HOST, problems);
                // A route may have no service if calling proxies ask for decisions.
                if !defaults.decides_for_others {
                    report_unused(raw.headers.as_ref(), FOLDER_WITHOUT_HEADERS, problems);
                    report_unused(
                        raw.forward_session_cookie.as_ref(),
                        FOLDER_WITHOUT_HEADERS,
                        problems,
                    );
                }
                let defaults = Timeouts {
                    connect: self.defaults.connect,
                    answer: folder.timeout,
                };
                let timeout = timeouts((None, own.1), defaults, problems).answer;
                ServiceSettings::Folder(FolderSettings { timeout, ..folder })
            }
            Some(ServiceSettings::Upstream(settings)) => {
                let defaults = Timeouts {
                    connect: settings.connect_timeout,
                    answer: settings.timeout,
                };
                let own = timeouts(own, defaults, problems);
                ServiceSettings::Upstream(UpstreamSettings {
                    connect_timeout: own.connect,
                    timeout: own.answer,
                    ..settings
                })
            }
        };
        Some(self.place(settings))
    }

    /// The service that a route names, or that of the top level.
    fn named_by(
        &self,
        raw: &RawRoute,
        access: &Access,
        defaults: &RouteDefaults,
        problems: &mut Vec<Problem>,
    ) -> Option<ServiceSettings> {
        let own = raw.upstreams.first().map(|first| {
            let own = service(&raw.upstreams, self.defaults, &self.connections, problems);
            (own, first)
        });
        let Some(service) = &raw.service else {
            let default = || self.named(DEFAULT).cloned();
            let found = own.map(|(own, _)| own).or_else(default);
            // An invalid service is reported already, and is not a missing one.
            let needs_none = *access == Access::Deny
                || raw.seems_to_name_service
                || defaults.decides_for_others
                || defaults.has_invalid_upstream
                || defaults.is_partial;
            if found.is_none() && !needs_none {
                let what = "this route has no service";
                let help = "set `upstream = \"http://127.0.0.1:3000\"`, a `service`, or an `upstream` at the top level \
                     for all routes; without a service the gate can only make decisions for calling proxies \
                     (`auth_listen`)";
                problems.push(Problem::at(raw.place.clone(), what).with_help(help));
            }
            return found;
        };
        if let Some((_, first)) = own {
            let problem = Problem::at(first.place.clone(), "this route also has `service`");
            let problem = problem.with_related(service.place.clone(), "here");
            problems.push(problem.with_help("keep one of them"));
        }
        let named = self.named(&service.value).cloned();
        let is_reported =
            defaults.is_partial || (defaults.has_invalid_upstream && service.value == DEFAULT);
        if named.is_none() && !is_reported {
            problems.push(self.unknown(service));
        }
        named
    }

    fn place(&mut self, settings: ServiceSettings) -> usize {
        if let Some(place) = self.places.get(&settings) {
            return *place;
        }
        let place = self.used.len();
        self.used.push(settings.clone());
        self.places.insert(settings, place);
        place
    }

    fn unknown(&self, service: &Spanned<String>) -> Problem {
        let known: Vec<_> = self.named.iter().map(|(name, _)| name.as_str()).collect();
        let what = format!("there is no service `{}`", service.value);
        let problem = Problem::with(service, what);
        match known.is_empty() {
            true => problem.with_help(format!(
                "define it: [service.{}] with `upstream = \"http://127.0.0.1:3000\"`",
                credentials::shown(&service.value)
            )),
            false => problem.with_help(known_words(&service.value, known)),
        }
    }

    pub(super) fn finish(self) -> Vec<ServiceSettings> {
        self.used
    }
}

/// Builds a service from its table.
fn of_table(
    raw: &RawService,
    defaults: Timeouts,
    connections: &ConnectionDefaults,
    problems: &mut Vec<Problem>,
) -> ServiceSettings {
    let own = (raw.connect_timeout.as_ref(), raw.timeout.as_ref());
    let timeouts = timeouts(own, defaults, problems);
    let service = service(&raw.upstreams, timeouts, connections, problems);
    // An invalid value may have been meant as a folder.
    match service {
        ServiceSettings::Folder(mut folder) => {
            folder.options = folder_options(&raw.folder, &folder.path, problems);
            report_unused(
                raw.connect_timeout.as_ref(),
                FOLDER_WITHOUT_CONNECTIONS,
                problems,
            );
            report_keys_for_servers(&raw.pool, problems);
            ServiceSettings::Folder(folder)
        }
        ServiceSettings::Upstream(upstream) if upstream.servers.is_empty() => {
            ServiceSettings::Upstream(upstream)
        }
        ServiceSettings::Upstream(mut upstream) => {
            report_keys_for_folders(&raw.folder, problems);
            // Invalid entries are counted too, because they are meant as servers.
            if raw.upstreams.len() < 2 {
                report_keys_for_several_servers(&raw.pool, problems);
            }
            upstream.pool = pool(&raw.pool, &upstream.servers, connections, problems);
            ServiceSettings::Upstream(upstream)
        }
    }
}

/// Reads a folder, or servers that share requests. Reports each invalid entry.
fn service(
    upstreams: &[Spanned<String>],
    timeouts: Timeouts,
    connections: &ConnectionDefaults,
    problems: &mut Vec<Problem>,
) -> ServiceSettings {
    let (mut servers, mut folder) = (Vec::new(), None);
    for text in upstreams {
        match FolderSettings::located(&text.value, Some(&text.place)) {
            None => servers.extend(parsed(text, problems, server)),
            Some(_) if upstreams.len() > 1 => {
                let problem = Problem::at(
                    text.place.clone(),
                    "a folder cannot be combined with other entries",
                );
                problems.push(problem.with_help("give one folder, or one or more servers"));
            }
            Some(located) => {
                let located = located.map_err(|what| Problem::with(text, what));
                folder = located.map_err(|problem| problems.push(problem)).ok();
            }
        }
    }
    match folder {
        Some(path) => ServiceSettings::Folder(FolderSettings {
            path,
            timeout: timeouts.answer,
            options: FolderOptions::default(),
        }),
        None => of_servers(servers, timeouts, connections),
    }
}

/// A service with one server and default settings.
pub(in crate::config) fn of_one_server(
    address: ServerAddress,
    timeouts: Timeouts,
    connections: &ConnectionDefaults,
) -> ServiceSettings {
    let servers = vec![ServerSettings { address, weight: 1 }];
    of_servers(servers, timeouts, connections)
}

fn of_servers(
    servers: Vec<ServerSettings>,
    timeouts: Timeouts,
    connections: &ConnectionDefaults,
) -> ServiceSettings {
    ServiceSettings::Upstream(UpstreamSettings {
        pool: default_pool(&servers, connections),
        servers,
        connect_timeout: timeouts.connect,
        timeout: timeouts.answer,
    })
}

/// Reads the keys of a service for the folder at this path.
fn folder_options(raw: &RawFolder, path: &Path, problems: &mut Vec<Problem>) -> FolderOptions {
    let fallback = raw.fallback.as_ref();
    let error_pages = raw.error_pages.as_ref();
    let cache_control = raw.cache_control.as_ref();
    FolderOptions {
        fallback: fallback.and_then(|text| parsed(text, problems, |text| file_in(path, text))),
        error_pages: error_pages
            .and_then(|text| parsed(text, problems, |text| ErrorPages::read(path, text))),
        cache_control: cache_control
            .and_then(|text| parsed(text, problems, CacheControl::read))
            .unwrap_or_default(),
        well_known: raw.well_known.as_ref().is_some_and(|switch| switch.value),
    }
}

/// Reports keys for folders, in a service that has servers.
fn report_keys_for_folders(raw: &RawFolder, problems: &mut Vec<Problem>) {
    let why = "it applies only to folders, such as `upstream = \"dir:./public\"`";
    report_unused(raw.fallback.as_ref(), why, problems);
    report_unused(raw.error_pages.as_ref(), why, problems);
    report_unused(raw.cache_control.as_ref(), why, problems);
    report_unused(raw.well_known.as_ref(), why, problems);
}

/// Reports a value that cannot have an effect.
fn report_unused<T>(value: Option<&Spanned<T>>, why: &str, problems: &mut Vec<Problem>) {
    let problem = value.map(|value| Problem::at(value.place.clone(), "this has no effect"));
    problems.extend(problem.map(|problem| problem.with_help(why)));
}

fn server(text: &str) -> Result<ServerSettings, String> {
    let (text, weight) = weighted(text)?;
    let address = match text.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => ServerAddress::Unix(PathBuf::from(path)),
        Some(_) => {
            return Err(
                "give the absolute path of the socket, such as unix:/run/app.sock".to_owned(),
            );
        }
        None => url::server(text)?,
    };
    Ok(ServerSettings { address, weight })
}

fn timeouts(
    (connect, answer): (Option<&Spanned<i64>>, Option<&Spanned<i64>>),
    defaults: Timeouts,
    problems: &mut Vec<Problem>,
) -> Timeouts {
    let mut seconds = |limit: Option<&Spanned<i64>>, default| {
        let Some(limit) = limit else {
            return default;
        };
        match u32::try_from(limit.value) {
            Ok(seconds) if seconds > 0 => Duration::from_secs(u64::from(seconds)),
            Ok(_) | Err(_) => {
                let what = "it must be a whole number of seconds, at least 1";
                problems.push(Problem::at(limit.place.clone(), what));
                default
            }
        }
    };
    Timeouts {
        connect: seconds(connect, defaults.connect),
        answer: seconds(answer, defaults.answer),
    }
}

const FOLDER_WITHOUT_CONNECTIONS: &str =
    "the service is a folder, so there are no connections to it; remove it";
const FOLDER_WITHOUT_HOST: &str = "the service is a folder, which has no host; remove it";
const FOLDER_WITHOUT_HEADERS: &str =
    "the service is a folder, which receives no headers; remove it";

const DEFAULT: &str = "default";

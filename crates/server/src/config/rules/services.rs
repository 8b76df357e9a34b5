//! Services, each once: two routes that send to the same servers in the same way share their connections.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use gate::Access;

use super::conditions::parsed;
use super::{ServerAddress, Timeouts, UpstreamSettings, Usual};
use crate::config::problem::Problem;
use crate::config::stack::{RawRoute, RawService, Spanned};
use crate::config::upstream as url;

/// The services that routes name.
#[derive(Debug)]
pub(in crate::config) struct Services {
    /// By the names that routes use; the one of the top level is `default`.
    named: Vec<(String, UpstreamSettings)>,
    /// Where each name is among them. There may be thousands.
    names: HashMap<String, usize>,
    /// How long they may take, where nothing else is said.
    usual: Timeouts,
    /// Those that some route sends to.
    used: Vec<UpstreamSettings>,
    /// Where each is among them.
    places: HashMap<UpstreamSettings, usize>,
}

impl Services {
    /// Reads `[service.NAME]`, beside the service of the top level.
    pub(in crate::config) fn read(
        raw: &[RawService],
        default: Option<UpstreamSettings>,
        usual: Timeouts,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut all = Self {
            named: Vec::new(),
            names: HashMap::new(),
            usual,
            used: Vec::new(),
            places: HashMap::new(),
        };
        if let Some(default) = default {
            all.define(DEFAULT.to_owned(), default);
        }
        for raw in raw {
            if all.names.contains_key(&raw.name.value) {
                let what = "`upstream` at the top level is the service `default` already";
                problems.push(Problem::at(raw.name.place.clone(), what));
            }
            let own = (raw.connect_timeout.as_ref(), raw.timeout.as_ref());
            let timeouts = timeouts(own, usual, problems);
            let service = upstream(&raw.upstreams, timeouts, problems);
            all.define(raw.name.value.clone(), service);
        }
        all
    }

    /// Notes a service. Of two with a name the first counts, and there is a problem.
    fn define(&mut self, name: String, service: UpstreamSettings) {
        let place = self.named.len();
        self.names.entry(name.clone()).or_insert(place);
        self.named.push((name, service));
    }

    fn named(&self, name: &str) -> Option<&UpstreamSettings> {
        let place = self.names.get(name)?;
        Some(&self.named[*place].1)
    }

    /// Where the requests of a route go, as a place among the services.
    pub(super) fn of_route(
        &mut self,
        raw: &RawRoute,
        access: &Access,
        usual: &Usual,
        problems: &mut Vec<Problem>,
    ) -> Option<usize> {
        let settings = self.named_by(raw, access, usual, problems);
        let usual = settings.as_ref().map_or(self.usual, |settings| Timeouts {
            connect: settings.connect_timeout,
            answer: settings.timeout,
        });
        let own = (raw.connect_timeout.as_ref(), raw.timeout.as_ref());
        let own = timeouts(own, usual, problems);
        Some(self.place(UpstreamSettings {
            connect_timeout: own.connect,
            timeout: own.answer,
            ..settings?
        }))
    }

    /// The service that a route names, or the one of the top level.
    fn named_by(
        &self,
        raw: &RawRoute,
        access: &Access,
        usual: &Usual,
        problems: &mut Vec<Problem>,
    ) -> Option<UpstreamSettings> {
        let own = raw.upstreams.first().map(|first| {
            let own = upstream(&raw.upstreams, self.usual, problems);
            (own, first)
        });
        let Some(service) = &raw.service else {
            let default = || self.named(DEFAULT).cloned();
            let found = own.map(|(own, _)| own).or_else(default);
            // What is wrong with a service has been told, and is no lack of one.
            let needs_none = *access == Access::Deny
                || raw.seems_to_name_service
                || usual.decides_for_others
                || usual.has_wrong_upstream
                || usual.is_partial;
            if found.is_none() && !needs_none {
                let what = "this route says nowhere where its requests go";
                let help = "give `upstream = \"http://127.0.0.1:3000\"`, a `service`, or an `upstream` at the top level \
                            for all routes; without a service a gate can only decide for others (`auth_listen`)";
                problems.push(Problem::at(raw.place.clone(), what).with_help(help));
            }
            return found;
        };
        if let Some((_, first)) = own {
            let problem = Problem::at(first.place.clone(), "this route has `service` too");
            let problem = problem.and_at(service.place.clone(), "here");
            problems.push(problem.with_help("keep one of them"));
        }
        let named = self.named(&service.value).cloned();
        let is_told = usual.is_partial || (usual.has_wrong_upstream && service.value == DEFAULT);
        if named.is_none() && !is_told {
            problems.push(self.unknown(service));
        }
        named
    }

    fn place(&mut self, settings: UpstreamSettings) -> usize {
        if let Some(place) = self.places.get(&settings) {
            return *place;
        }
        let place = self.used.len();
        self.used.push(settings.clone());
        self.places.insert(settings, place);
        place
    }

    fn unknown(&self, service: &Spanned<String>) -> Problem {
        let known: Vec<_> = self
            .named
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let what = format!("there is no service `{}`", service.value);
        let problem = Problem::at(service.place.clone(), what);
        match known.is_empty() {
            true => problem.with_help(format!(
                "define it: [service.{}] with `upstream = \"http://127.0.0.1:3000\"`",
                service.value
            )),
            false => problem.with_help(format!("there are {}", known.join(", "))),
        }
    }

    pub(super) fn finish(self) -> Vec<UpstreamSettings> {
        self.used
    }
}

/// Servers that take turns. Without any that can be read there is a problem.
fn upstream(
    servers: &[Spanned<String>],
    timeouts: Timeouts,
    problems: &mut Vec<Problem>,
) -> UpstreamSettings {
    let servers = servers.iter();
    let servers = servers.filter_map(|text| parsed(text, problems, server));
    UpstreamSettings {
        servers: servers.collect(),
        connect_timeout: timeouts.connect,
        timeout: timeouts.answer,
    }
}

fn server(text: &str) -> Result<ServerAddress, String> {
    match text.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => Ok(ServerAddress::Unix(PathBuf::from(path))),
        Some(_) => Err("give the whole path of the socket, such as unix:/run/app.sock".to_owned()),
        None => url::server(text),
    }
}

fn timeouts(
    (connect, answer): (Option<&Spanned<i64>>, Option<&Spanned<i64>>),
    usual: Timeouts,
    problems: &mut Vec<Problem>,
) -> Timeouts {
    let mut seconds = |limit: Option<&Spanned<i64>>, usual| {
        let Some(limit) = limit else {
            return usual;
        };
        match u32::try_from(limit.value) {
            Ok(seconds) if seconds > 0 => Duration::from_secs(u64::from(seconds)),
            Ok(_) | Err(_) => {
                let what = "give a whole number of seconds, at least 1";
                problems.push(Problem::at(limit.place.clone(), what));
                usual
            }
        }
    };
    Timeouts {
        connect: seconds(connect, usual.connect),
        answer: seconds(answer, usual.answer),
    }
}

const DEFAULT: &str = "default";

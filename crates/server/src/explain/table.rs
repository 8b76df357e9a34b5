//! Describes routes in words: who may enter, and where requests go.

use gate::{Access, Condition, HeaderProfile, Route, RouteRow, Routes};
use serde::Serialize;

use crate::config::{Config, DEFAULT_REALM, Handling, ServiceSettings};
use crate::live::Live;

/// The routes, and everything that they refer to.
pub(crate) struct RouteTable<'t> {
    routes: &'t Routes,
    profiles: &'t [HeaderProfile],
    handling: &'t [Handling],
    services: &'t [ServiceSettings],
    /// The name of each realm, and the condition on its users.
    realms: Vec<(&'t str, &'t Condition)>,
}

/// One host and path of a route, described in words.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RouteLine {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) methods: String,
    /// Who may enter.
    pub(crate) access: String,
    /// The name of the profile.
    pub(crate) headers: String,
    pub(crate) goes_to: String,
}

impl<'t> RouteTable<'t> {
    pub(crate) fn of_config(config: &'t Config) -> Self {
        Self {
            routes: &config.rules.routes,
            profiles: &config.rules.profiles,
            handling: &config.rules.handling,
            services: &config.rules.services,
            realms: config
                .realms
                .iter()
                .map(|realm| (&*realm.name, &realm.active))
                .collect(),
        }
    }

    pub(crate) fn of_live(live: &'t Live) -> Self {
        Self {
            routes: &live.gate.routes,
            profiles: &live.gate.profiles,
            handling: &live.handling,
            services: &live.services,
            realms: live
                .gate
                .realms
                .iter()
                .map(|realm| (&*realm.name, &realm.active))
                .collect(),
        }
    }

    /// Every host and path of every route, the most specific first.
    pub(crate) fn lines(&self) -> Vec<RouteLine> {
        self.routes
            .rows()
            .iter()
            .map(|row| self.line(row))
            .collect()
    }

    /// Whether one of the routes matches every request.
    pub(crate) fn is_complete(&self) -> bool {
        let is_all = |row: &RouteRow<'_>| {
            *row.host == gate::HostPattern::Any && row.path.as_str() == "/" && row.methods.is_any()
        };
        self.routes.rows().iter().any(is_all)
    }

    pub(super) fn line(&self, row: &RouteRow<'_>) -> RouteLine {
        let route = row.route;
        RouteLine {
            name: route.name.to_string(),
            host: row.host.to_string(),
            path: row.path.to_string(),
            methods: row.methods.to_string(),
            access: self.access(route),
            headers: self.profiles[route.profile].name.to_string(),
            goes_to: self.goes_to(row),
        }
    }

    /// The service of a route; `None` if it has none.
    pub(super) fn service(&self, route: &Route) -> Option<&'t ServiceSettings> {
        Some(&self.services[self.handling[route.id].service?])
    }

    fn access(&self, route: &Route) -> String {
        let who = match &route.access {
            Access::Deny | Access::Unknown => return "nobody".to_owned(),
            Access::Public => "everybody".to_owned(),
            Access::Session(condition) => {
                let (realm, active) = self.realms[route.realm];
                let demands = [active, condition];
                let mut demands = demands
                    .into_iter()
                    .filter(|demand| **demand != Condition::ALWAYS);
                let session = session_of(realm);
                match (demands.next(), demands.next()) {
                    (None, _) => session,
                    (Some(demand), None) => format!("{session} with {demand}"),
                    (Some(active), Some(condition)) => {
                        let both = Condition::All(vec![active.clone(), condition.clone()]);
                        format!("{session} with {both}")
                    }
                }
            }
        };
        match route.same_origin {
            true => who + ", from its own pages",
            false => who,
        }
    }

    fn goes_to(&self, row: &RouteRow<'_>) -> String {
        if let Access::Deny | Access::Unknown = row.route.access {
            return "nowhere".to_owned();
        }
        let Some(service) = self.service(row.route) else {
            return "the calling proxy's service".to_owned();
        };
        let mut words = places(service).join(", ");
        let stripped = row.path.as_str().split('/').skip(1);
        let stripped: Vec<_> = stripped.take(row.route.strip_segments).collect();
        if !stripped.is_empty() {
            words += &format!(" without /{}", stripped.join("/"));
        }
        if let Some(host) = &self.handling[row.route.id].host {
            words += &format!(" as {}", String::from_utf8_lossy(host.as_bytes()));
        }
        words
    }
}

/// A session of a realm, in words.
pub(super) fn session_of(realm: &str) -> String {
    match realm {
        DEFAULT_REALM => "a session".to_owned(),
        realm => format!("a session of {realm}"),
    }
}

/// The folder or the servers of a service, as configured.
pub(super) fn places(service: &ServiceSettings) -> Vec<String> {
    match service {
        ServiceSettings::Folder(folder) => vec![format!("dir:{}", folder.path.display())],
        ServiceSettings::Upstream(upstream) => {
            let servers = upstream.servers.iter();
            servers.map(|server| server.address.to_string()).collect()
        }
    }
}

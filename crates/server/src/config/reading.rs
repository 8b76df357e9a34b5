//! Reads the settings of a whole configuration in steps. Later steps are checked against the results of earlier ones.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use gate::{PathPattern, Routes, TrustedProxies};

use super::acme::{self, AcmeSettings};
use super::catalogue;
use super::cors::AllowedOrigin;
use super::https::HttpsSettings;
use super::limits::{self, LimitSettings};
use super::listeners::{self, ListenerSettings};
use super::problem::Problem;
use super::raw_tables::RawTables;
use super::reader::{Reader, Setting, Variables};
use super::realms::Realms;
use super::rules::{
    self, ConnectionDefaults, Handling, RouteDefaults, Rules, ServiceSettings, Services, Timeouts,
};
use super::sign_in::{self, PublicBy, SignIn, SignInCheck};
use super::unused_settings::{self, Uses};
use super::{AdminSettings, CONFIG_FILE, admin, listen, own_addresses, revocations, upstream};
use crate::listener::Address;
use crate::logging::LogFormat;
use ::stores::{RedisSettings, RevocationPlace, RevocationSettings};

/// The state of reading a configuration.
pub(super) struct Reading<'v> {
    pub(super) reader: Reader<'v>,
    pub(super) raw_tables: &'v RawTables,
    /// Whether part of a file could not be read.
    is_partial: bool,
    /// Problems of the file's tables.
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    /// Names that are probably misspelled, which may explain why a setting is missing.
    pub(super) probable_typos: Vec<String>,
}

/// The settings of listeners and threads.
pub(super) struct ListenSettings {
    pub(super) listeners: Vec<ListenerSettings>,
    pub(super) decisions: Option<Address>,
    /// Whether calling proxies ask for decisions, even if the address is invalid.
    pub(super) decides_for_others: bool,
    pub(super) admin: AdminSettings,
    pub(super) https: HttpsSettings,
    pub(super) workers: usize,
}

/// The service of the top level, and the defaults for other services.
pub(super) struct TopService {
    upstream: Option<ServiceSettings>,
    timeouts: Timeouts,
    connections: ConnectionDefaults,
}

/// The settings of limits and revocations.
pub(super) struct Bounds {
    pub(super) limits: LimitSettings,
    pub(super) shared: Option<RedisSettings>,
    pub(super) revocations: Option<RevocationSettings>,
}

/// The settings of logs, reloads and shutdown.
pub(super) struct ProcessSettings {
    pub(super) drain: Duration,
    pub(super) drain_delay: Duration,
    pub(super) log_format: LogFormat,
    pub(super) log_filter: Option<String>,
    pub(super) reload_interval: Duration,
    pub(super) audits: bool,
}

impl<'v> Reading<'v> {
    pub(super) fn new(
        variables: &'v Variables,
        raw_tables: &'v RawTables,
        is_partial: bool,
    ) -> Self {
        Self {
            reader: Reader::new(variables),
            raw_tables,
            is_partial,
            problems: Vec::new(),
            warnings: Vec::new(),
            probable_typos: Vec::new(),
        }
    }

    pub(super) fn listen_settings(&mut self) -> ListenSettings {
        let reader = &mut self.reader;
        let listeners = listeners::read(
            reader,
            self.raw_tables,
            &mut self.problems,
            &mut self.warnings,
        );
        let decisions = listen::decisions(reader);
        let admin = admin(reader);
        let https = HttpsSettings::read(reader);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers = reader
            .parsed("WORKERS", cores, "a number of threads")
            .clamp(1, 1024);
        ListenSettings {
            listeners,
            decides_for_others: decisions.is_some() || reader.is_given("AUTH_LISTEN"),
            decisions,
            admin,
            https,
            workers,
        }
    }

    pub(super) fn top_service(&mut self, listen: &ListenSettings) -> TopService {
        let reader = &mut self.reader;
        let timeouts = Timeouts {
            connect: reader.limit("UPSTREAM_CONNECT_TIMEOUT", 5),
            answer: reader.limit("UPSTREAM_TIMEOUT", 60),
        };
        // A table that could not be read may have been meant as a route.
        let is_required =
            !listen.decides_for_others && self.raw_tables.routes.is_empty() && !self.is_partial;
        let connections = ConnectionDefaults::read(reader);
        TopService {
            upstream: upstream::service(reader, timeouts, &connections, is_required),
            timeouts,
            connections,
        }
    }

    /// The defaults for routes.
    pub(super) fn route_defaults(
        &mut self,
        listen: &ListenSettings,
        top: &TopService,
    ) -> RouteDefaults {
        let reader = &mut self.reader;
        RouteDefaults {
            cors_origins: reader.list("CORS_ORIGINS", AllowedOrigin::parse),
            forwards_session: reader.switch("FORWARD_SESSION_COOKIE", true),
            via: reader.switch("VIA", true),
            decides_for_others: listen.decides_for_others,
            has_invalid_upstream: top.upstream.is_none() && reader.is_given("UPSTREAM"),
            is_partial: self.is_partial,
        }
    }

    /// Reads the rules and the sign-in page of a configuration without routes.
    pub(super) fn rules_of_one_service(
        &mut self,
        public: Vec<PathPattern>,
        top: TopService,
        defaults: RouteDefaults,
        listen: &ListenSettings,
    ) -> (Rules, Option<SignIn>) {
        self.raw_tables.warn_about_unused_tables(&mut self.warnings);
        let mut rules = Rules::of_one_service(public, top.upstream, defaults);
        let public_by = match rules.services.is_empty() && listen.decisions.is_some() {
            true => PublicBy::PathsForOthers,
            false => PublicBy::Paths,
        };
        let mut check = SignInCheck::of_one_service(&rules.routes, public_by);
        if self.is_partial {
            check.sources = None;
        }
        let sign_in = sign_in::settings(&mut self.reader, &check, &mut self.warnings);
        rules.set_sign_in_page(sign_in.as_ref());
        (rules, sign_in)
    }

    /// Reads the rules from the file's routes, if no two conflict, and the sign-in page of the top level.
    pub(super) fn rules_of_routes(
        &mut self,
        public: Vec<PathPattern>,
        top: TopService,
        defaults: &RouteDefaults,
        realms: &mut Realms<'v>,
    ) -> (Option<Rules>, Option<SignIn>) {
        if !public.is_empty() {
            self.reader
                .problem("PUBLIC_PATHS", PUBLIC_PATHS_BESIDE_ROUTES);
        }
        let (raw_tables, is_partial) = (self.raw_tables, self.is_partial);
        let named: HashSet<_> = raw_tables.services_of_routes().collect();
        let services = Services::read(
            &raw_tables.services,
            top.upstream,
            (top.timeouts, top.connections),
            |name: &str| is_partial || named.contains(name),
            &mut self.problems,
        );
        let built = rules::build(
            raw_tables,
            defaults,
            services,
            &mut realms.names,
            &mut self.problems,
        );
        let routes = built.as_ref().map(|built| built.rules.routes.clone());
        let routes = routes.unwrap_or_else(|| Routes::of_one_service(public, true));
        let check = SignInCheck {
            routes: &routes,
            public_by: PublicBy::Routes,
            sources: built.as_ref().map(|built| built.sources(0)),
        };
        let sign_in = sign_in::settings(&mut self.reader, &check, &mut self.warnings);
        let rules = built.map(|mut built| {
            let problems = &mut self.problems;
            realms.set_sign_in_pages(&mut built, &self.reader, sign_in.clone(), problems);
            built.rules.warnings(raw_tables, &mut self.warnings);
            built.rules
        });
        (rules, sign_in)
    }

    /// Reads the trusted proxies, and checks the listeners against them. Removes the listeners if there is no service. Also reads
    /// the settings of ACME.
    pub(super) fn proxies(
        &mut self,
        listen: &mut ListenSettings,
        rules: Option<&Rules>,
        realms: &Realms<'_>,
    ) -> (TrustedProxies, Option<AcmeSettings>) {
        let reader = &mut self.reader;
        let proxies = limits::proxies(reader, listen.decisions.is_some());
        let has_proxies = !proxies.networks().is_empty();
        if rules.is_some_and(|rules| rules.services.is_empty()) {
            listen.listeners.clear();
        }
        let listeners = &listen.listeners;
        let acme = acme::read(reader, listeners, realms.default().stores.as_ref());
        listen.https.check(reader, listeners, has_proxies);
        let has_bad_proxies = |problem: &Problem| problem.name == "TRUSTED_PROXIES";
        if !has_proxies && !reader.problems.iter().any(has_bad_proxies) {
            listeners::report_missing_proxies(listeners, &mut self.problems);
        }
        let (decisions, admin) = (listen.decisions.as_ref(), listen.admin.listen);
        own_addresses::report_duplicate_addresses(listeners, decisions, admin, reader);
        own_addresses::report_loops(listeners, self.raw_tables, reader, &mut self.problems);
        if self.problems.is_empty() && reader.problems.is_empty() {
            listeners::report_unrequested_certificates(
                listeners,
                self.raw_tables,
                &mut self.problems,
            );
        }
        let warnings = listen.https.warnings(listeners, has_proxies);
        self.warnings.extend(warnings);
        (proxies, acme)
    }

    pub(super) fn bounds(&mut self, rules: Option<&Rules>, realms: &Realms<'_>) -> Bounds {
        let reader = &mut self.reader;
        let limits = limits::settings(reader);
        let has_rate = |handling: &Handling| !handling.rates.is_empty();
        let is_limited = !limits.rates.is_empty()
            || limits.bad_sessions.is_some()
            || rules.is_none_or(|rules| rules.handling.iter().any(has_rate));
        let stores = realms.default().stores.as_ref();
        let shared = limits::shared(reader, is_limited, stores);
        let revocations = revocations::read(reader, stores);
        if let Some(settings) = &revocations {
            let warning = revocations::warning(settings, realms.stores());
            self.warnings.extend(warning);
        }
        Bounds {
            limits,
            shared,
            revocations,
        }
    }

    pub(super) fn process_settings(&mut self) -> ProcessSettings {
        let reader = &mut self.reader;
        let drain = reader.seconds("DRAIN_TIMEOUT", 30);
        let drain_delay = reader.seconds("DRAIN_DELAY", 0);
        let log_formats = [("json", LogFormat::Json), ("text", LogFormat::Text)];
        let log_format = reader.choice("LOG_FORMAT", LogFormat::Json, &log_formats);
        let audits = reader.switch("AUDIT_LOG", true);
        if !audits {
            let warning = "AUDIT_LOG is off: the gate does not record who was let in";
            self.warnings.push(warning.to_owned());
        }
        ProcessSettings {
            drain,
            drain_delay,
            log_format,
            audits,
            log_filter: reader.text("RUST_LOG"),
            reload_interval: reader.seconds("RELOAD_INTERVAL", 1),
        }
    }

    /// Warns about settings without effect, and about variables whose names resemble those of settings.
    pub(super) fn warn_about_unused(&mut self, uses: &Uses) {
        let reader = &mut self.reader;
        // If there are problems, the effect of a setting is not known.
        if reader.problems.is_empty() && self.raw_tables.routes.is_empty() {
            unused_settings::warn_about_unused(reader, uses);
        }
        reader.explain_problems();
        self.warnings.extend(reader.warnings());
        let mut others = unused_settings::names();
        others.push(CONFIG_FILE);
        reader.unreadable(&others);
        // If there are problems, some settings were not read that otherwise always are.
        others.extend(catalogue::entries().map(|entry| entry.name));
        self.probable_typos = reader.probable_typos(&others);
    }

    /// Returns the problems, the warnings, and every setting with its effective value.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<String>, Vec<Setting>) {
        let Reader {
            problems: mut all,
            settings,
            warnings: of_reader,
            ..
        } = self.reader;
        let mut warnings = self.warnings;
        warnings.extend(of_reader);
        all.extend(self.problems);
        (all, warnings, settings)
    }
}

impl TopService {
    /// The features of the service on which other settings depend.
    pub(super) fn uses(&self) -> TopUses {
        let upstream = self.upstream.as_ref();
        let of_one = upstream.and_then(ServiceSettings::upstream);
        TopUses {
            upstream: upstream.is_some(),
            folder: matches!(upstream, Some(ServiceSettings::Folder(_))),
            tls: of_one.is_some_and(|one| one.pool.tls.config.is_some()),
        }
    }
}

/// The features of the top level's service on which other settings depend.
#[derive(Clone, Copy)]
pub(super) struct TopUses {
    upstream: bool,
    folder: bool,
    tls: bool,
}

impl Uses {
    /// The features that a configuration uses, given its parts.
    pub(super) fn of_all(
        top: TopUses,
        listen: &ListenSettings,
        bounds: &Bounds,
        acme: Option<&AcmeSettings>,
        realms: &Realms<'_>,
    ) -> Self {
        let place = bounds.revocations.as_ref().map(|settings| &settings.place);
        Self {
            upstream: top.upstream,
            folder: top.folder,
            upstream_tls: top.tls,
            socket: matches!(listen.decisions, Some(Address::Unix { .. })),
            own_names: listen
                .listeners
                .iter()
                .any(ListenerSettings::needs_own_names),
            acme: acme::is_used(&listen.listeners),
            limits_in_redis: bounds.shared.is_some(),
            revocations: place.is_some(),
            revocations_in_database: matches!(place, Some(RevocationPlace::Postgres(_))),
            revocations_in_redis: matches!(place, Some(RevocationPlace::Redis(_))),
            acme_in_database: acme.is_some_and(AcmeSettings::uses_database),
            ..Self::of(realms.default())
        }
    }
}

/// The problem of `PUBLIC_PATHS` in a file with routes.
const PUBLIC_PATHS_BESIDE_ROUTES: &str = "the file has routes, which decide who may enter; write a [[route]] with \
     `access = \"public\"` instead";

//! Reads the settings of a whole configuration in steps. Later steps are checked against the results of earlier ones.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use gate::{PathPattern, Routes, TrustedProxies};

use super::acme::{self, AcmeSettings};
use super::catalogue;
use super::cors::AllowedOrigin;
use super::https::HttpsSettings;
use super::idle::{self, Uses};
use super::limits::{self, LimitSettings};
use super::listeners::{self, ListenerSettings};
use super::problem::Problem;
use super::reader::{Reader, Setting, Variables};
use super::realms::Realms;
use super::rules::{self, Handling, Rules, ServiceSettings, Services, Timeouts, Usual, UsualPool};
use super::sign_in::{self, PublicBy, SignIn, SignInCheck};
use super::stack::Stack;
use super::{AdminSettings, CONFIG_FILE, admin, listen, own_addresses, revocations, upstream};
use crate::listener::Address;
use crate::logging::LogFormat;
use ::stores::{RedisSettings, RevocationPlace, RevocationSettings};

/// The state of reading a configuration.
pub(super) struct Reading<'v> {
    pub(super) reader: Reader<'v>,
    pub(super) stack: &'v Stack,
    /// Whether part of a file could not be read.
    is_partial: bool,
    /// Problems of the file's tables.
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    /// Names that are probably misspelled, which may explain why a setting is missing.
    pub(super) slips: Vec<String>,
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
    connections: UsualPool,
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
    pub(super) fn new(variables: &'v Variables, stack: &'v Stack, is_partial: bool) -> Self {
        Self {
            reader: Reader::new(variables),
            stack,
            is_partial,
            problems: Vec::new(),
            warnings: Vec::new(),
            slips: Vec::new(),
        }
    }

    pub(super) fn front(&mut self) -> ListenSettings {
        let reader = &mut self.reader;
        let listeners = listeners::read(reader, self.stack, &mut self.problems, &mut self.warnings);
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

    pub(super) fn top_service(&mut self, front: &ListenSettings) -> TopService {
        let reader = &mut self.reader;
        let timeouts = Timeouts {
            connect: reader.limit("UPSTREAM_CONNECT_TIMEOUT", 5),
            answer: reader.limit("UPSTREAM_TIMEOUT", 60),
        };
        // A table that could not be read may have been meant as a route.
        let is_required =
            !front.decides_for_others && self.stack.routes.is_empty() && !self.is_partial;
        let connections = UsualPool::read(reader);
        TopService {
            upstream: upstream::service(reader, timeouts, &connections, is_required),
            timeouts,
            connections,
        }
    }

    /// The defaults for routes.
    pub(super) fn usual(&mut self, front: &ListenSettings, top: &TopService) -> Usual {
        let reader = &mut self.reader;
        Usual {
            cors_origins: reader.list("CORS_ORIGINS", AllowedOrigin::parse),
            forwards_session: reader.switch("FORWARD_SESSION_COOKIE", true),
            via: reader.switch("VIA", true),
            decides_for_others: front.decides_for_others,
            has_wrong_upstream: top.upstream.is_none() && reader.is_given("UPSTREAM"),
            is_partial: self.is_partial,
        }
    }

    /// Reads the rules and the sign-in page of a configuration without routes.
    pub(super) fn rules_of_one_service(
        &mut self,
        public: Vec<PathPattern>,
        top: TopService,
        usual: Usual,
        front: &ListenSettings,
    ) -> (Rules, Option<SignIn>) {
        self.stack.name_idle(&mut self.warnings);
        let mut rules = Rules::of_one_service(public, top.upstream, usual);
        let opened = match rules.services.is_empty() && front.decisions.is_some() {
            true => PublicBy::PathsForOthers,
            false => PublicBy::Paths,
        };
        let mut around = SignInCheck::of_one_service(&rules.routes, opened);
        if self.is_partial {
            around.sources = None;
        }
        let sign_in = sign_in::settings(&mut self.reader, &around, &mut self.warnings);
        rules.send_to_sign_in(sign_in.as_ref());
        (rules, sign_in)
    }

    /// Reads the rules from the file's routes, if no two conflict, and the sign-in page of the top level.
    pub(super) fn rules_of_routes(
        &mut self,
        public: Vec<PathPattern>,
        top: TopService,
        usual: &Usual,
        realms: &mut Realms<'v>,
    ) -> (Option<Rules>, Option<SignIn>) {
        if !public.is_empty() {
            self.reader
                .problem("PUBLIC_PATHS", PUBLIC_PATHS_BESIDE_ROUTES);
        }
        let (stack, is_partial) = (self.stack, self.is_partial);
        let named: HashSet<_> = stack.services_of_routes().collect();
        let services = Services::read(
            &stack.services,
            top.upstream,
            (top.timeouts, top.connections),
            |name: &str| is_partial || named.contains(name),
            &mut self.problems,
        );
        let made = rules::make(
            stack,
            usual,
            services,
            &mut realms.names,
            &mut self.problems,
        );
        let routes = made.as_ref().map(|made| made.rules.routes.clone());
        let routes = routes.unwrap_or_else(|| Routes::of_one_service(public, true));
        let around = SignInCheck {
            routes: &routes,
            opened: PublicBy::Routes,
            sources: made.as_ref().map(|made| made.sources(0)),
        };
        let sign_in = sign_in::settings(&mut self.reader, &around, &mut self.warnings);
        let rules = made.map(|mut made| {
            let problems = &mut self.problems;
            realms.send_to_sign_in(&mut made, &self.reader, sign_in.clone(), problems);
            made.rules.warnings(stack, &mut self.warnings);
            made.rules
        });
        (rules, sign_in)
    }

    /// Reads the trusted proxies, and checks the listeners against them. Removes the listeners if there is no service. Also reads
    /// the settings of ACME.
    pub(super) fn proxies(
        &mut self,
        front: &mut ListenSettings,
        rules: Option<&Rules>,
        realms: &Realms<'_>,
    ) -> (TrustedProxies, Option<AcmeSettings>) {
        let reader = &mut self.reader;
        let proxies = limits::proxies(reader, front.decisions.is_some());
        let has_proxies = !proxies.networks().is_empty();
        if rules.is_some_and(|rules| rules.services.is_empty()) {
            front.listeners.clear();
        }
        let listeners = &front.listeners;
        let acme = acme::read(reader, listeners, realms.default().stores.as_ref());
        front.https.check(reader, listeners, has_proxies);
        let has_bad_proxies = |problem: &Problem| problem.name == "TRUSTED_PROXIES";
        if !has_proxies && !reader.problems.iter().any(has_bad_proxies) {
            listeners::name_unlisted(listeners, &mut self.problems);
        }
        let (decisions, admin) = (front.decisions.as_ref(), front.admin.listen);
        own_addresses::name_twins(listeners, decisions, admin, reader);
        own_addresses::name_circles(listeners, self.stack, reader, &mut self.problems);
        if self.problems.is_empty() && reader.problems.is_empty() {
            listeners::name_unasked(listeners, self.stack, &mut self.problems);
        }
        let warnings = front.https.warnings(listeners, has_proxies);
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

    pub(super) fn running(&mut self) -> ProcessSettings {
        let reader = &mut self.reader;
        let drain = reader.seconds("DRAIN_TIMEOUT", 30);
        let drain_delay = reader.seconds("DRAIN_DELAY", 0);
        let log_formats = [("json", LogFormat::Json), ("text", LogFormat::Text)];
        let log_format = reader.choice("LOG_FORMAT", LogFormat::Json, &log_formats);
        let audits = reader.switch("AUDIT_LOG", true);
        if !audits {
            let warning = "AUDIT_LOG is off: there will be no record of who was let in";
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
    pub(super) fn idle(&mut self, uses: &Uses) {
        let reader = &mut self.reader;
        // If there are problems, the effect of a setting is not known.
        if reader.problems.is_empty() && self.stack.routes.is_empty() {
            idle::name_them(reader, uses);
        }
        reader.explain_problems();
        self.warnings.extend(reader.warnings());
        let mut others = idle::names();
        others.push(CONFIG_FILE);
        reader.unreadable(&others);
        // If there are problems, some settings were not read that otherwise always are.
        others.extend(catalogue::entries().map(|entry| entry.name));
        self.slips = reader.slips(&others);
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
        front: &ListenSettings,
        bounds: &Bounds,
        acme: Option<&AcmeSettings>,
        realms: &Realms<'_>,
    ) -> Self {
        let place = bounds.revocations.as_ref().map(|settings| &settings.place);
        Self {
            upstream: top.upstream,
            folder: top.folder,
            upstream_tls: top.tls,
            socket: matches!(front.decisions, Some(Address::Unix { .. })),
            own_names: front
                .listeners
                .iter()
                .any(ListenerSettings::needs_own_names),
            acme: acme::is_used(&front.listeners),
            limits_in_redis: bounds.shared.is_some(),
            revocations: place.is_some(),
            revocations_in_database: matches!(place, Some(RevocationPlace::Postgres(_))),
            revocations_in_redis: matches!(place, Some(RevocationPlace::Redis(_))),
            acme_in_database: acme.is_some_and(AcmeSettings::asks_database),
            ..Self::of(realms.default())
        }
    }
}

/// The problem of `PUBLIC_PATHS` in a file with routes.
const PUBLIC_PATHS_BESIDE_ROUTES: &str = "the file has routes, which decide who may enter; write a [[route]] with \
     `access = \"public\"` instead";

//! What the program believes about its settings: typed, checked, complete.
//!
//! [`Config::from_loaded`] does all the checking and reports every problem at once. `check-config` runs the same
//! code as start-up, so that what it accepts starts.

mod acme;
pub(crate) mod ascii_host;
mod asked;
mod bearer;
mod catalogue;
mod clients;
mod connection_url;
mod cors;
mod credentials;
mod file;
mod files;
mod fixed;
mod folder;
mod given;
mod host;
mod hsts;
mod https;
mod identity;
mod idle;
mod inventory;
mod limits;
mod listen;
mod listeners;
mod lookups;
mod mark;
mod mask;
mod network;
mod origin;
mod place;
mod postgres_url;
mod problem;
mod raw;
mod realm;
mod realms;
mod redis_url;
pub(crate) mod reference;
mod revocations;
mod rules;
mod secrets;
mod sessions;
mod sign_in;
mod source;
mod stack;
mod stores;
mod tls;
mod upstream;
mod variables;
mod words;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gate::{Bypass, Hygiene, PathPattern, Routes, TrustedProxies};
use http::HeaderName;
use session::Secret;

pub(crate) use self::acme::{AcmeChallenge, AcmePlace, AcmeSettings};
pub(crate) use self::asked::Asked;
pub(crate) use self::clients::ClientSettings;
pub(crate) use self::cors::AllowedOrigin;
pub(crate) use self::file::{Loaded, load};
pub(crate) use self::files::{Content, Contents, Files, Looks};
pub(crate) use self::fixed::Fixed;
pub(crate) use self::folder::{FolderOptions, FolderSettings};
pub(crate) use self::given::{core, unquoted, without_assignment};
pub(crate) use self::https::{HttpsSettings, IN_THE_CLEAR};
use self::idle::Uses;
pub(crate) use self::inventory::{
    GivenSecret, Purpose, SecretFile, is_given, realms, secret_files, secrets,
};
pub(crate) use self::limits::{CountedBy, LimitSettings, RateLimit};
pub(crate) use self::listeners::ListenerSettings;
pub(crate) use self::mark::MARK;
pub(crate) use self::origin::AskedHost;
pub(crate) use self::place::Place;
pub(crate) use self::problem::{ConfigErrors, Problem};
use self::raw::Reader;
pub(crate) use self::raw::{Setting, Variables};
use self::realm::RealmReading;
pub(crate) use self::realm::RealmSettings;
use self::realms::Realms;
pub(crate) use self::rules::{
    Balance, Handling, HealthCheck, HealthSettings, PoolSettings, Rules, ServerAddress,
    ServerSettings, ServiceSettings, UpstreamSettings,
};
use self::rules::{Services, Timeouts, Usual, UsualPool};
pub(crate) use self::secrets::{SecretErrors, Secrets};
pub(crate) use self::sessions::{Recognised, SessionFormat};
pub(crate) use self::sign_in::SignIn;
use self::sign_in::{Around, Opened};
pub(crate) use self::source::ConfigSource;
pub(crate) use self::stack::DEFAULT_REALM;
use self::stack::Stack;
pub(crate) use self::tls::{Certificates, TlsSettings};
pub(crate) use crate::logging::LogFormat;
use crate::socket::Address;
use ::stores::{RedisSettings, RevocationPlace, RevocationSettings};

/// Every setting, valid.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where the proxy listens; nowhere without a service to protect.
    pub(crate) listeners: Vec<ListenerSettings>,
    /// How their certificates are ordered, if one shows such.
    pub(crate) acme: Option<AcmeSettings>,
    /// What is demanded and promised of HTTPS.
    pub(crate) https: HttpsSettings,
    /// Where hosts ask for decisions; `None` when they cannot.
    pub(crate) decisions: Option<Address>,
    /// Where health and metrics are served.
    pub(crate) admin: AdminSettings,
    /// How many single-threaded runtimes serve requests.
    pub(crate) workers: usize,
    /// The routes, and what they refer to.
    pub(crate) rules: Rules,
    /// Whose sessions count.
    pub(crate) realms: Vec<RealmSettings>,
    /// The way past the gate for development.
    pub(crate) bypass: Option<Bypass>,
    /// Whether CORS preflights pass without a session.
    pub(crate) passes_preflight: bool,
    /// What is removed from every request.
    pub(crate) hygiene: Hygiene,
    /// The proxies in front of us.
    pub(crate) trusted_proxies: TrustedProxies,
    /// How many connections and requests there may be, and how often somebody may ask.
    pub(crate) limits: LimitSettings,
    /// Where all nodes count together how often somebody asks, if they do.
    pub(crate) shared_limits: Option<RedisSettings>,
    /// Where revocations are kept, if they are.
    pub(crate) revocations: Option<RevocationSettings>,
    /// How long a client may keep us waiting.
    pub(crate) client: ClientSettings,
    /// How long requests in flight may take after a signal to stop.
    pub(crate) drain: Duration,
    /// How long connections are still accepted after such a signal.
    pub(crate) drain_delay: Duration,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// Which of them are written, as `RUST_LOG` says it.
    pub(crate) log_filter: Option<String>,
    /// How often files are looked at for changes; zero: never.
    pub(crate) reload_interval: Duration,
    /// Whether there is a line for each decision.
    pub(crate) audits: bool,
    /// What is allowed but deserves a loud word at start-up.
    pub(crate) warnings: Vec<String>,
    /// Every setting as it took effect.
    pub(crate) settings: Vec<Setting>,
}

/// The listener for health and metrics.
#[derive(Debug)]
pub(crate) struct AdminSettings {
    /// Its address.
    pub(crate) listen: SocketAddr,
    /// The bearer token that it demands; always there unless it listens on loopback.
    pub(crate) token: Option<Secret>,
}

impl Config {
    /// Checks everything that a file and the environment say.
    ///
    /// # Errors
    ///
    /// [`ConfigErrors`] names every problem, those of the file's form too.
    pub(crate) fn from_loaded(loaded: &Loaded) -> Result<Self, ConfigErrors> {
        let read = Self::read(&loaded.variables, &loaded.stack, loaded.is_partial);
        if loaded.problems.is_empty() {
            return read;
        }
        let errors = read.err().unwrap_or_else(|| ConfigErrors::new(Vec::new()));
        Err(errors.beside(loaded.problems.iter().cloned()))
    }

    /// Checks what the environment says.
    ///
    /// # Errors
    ///
    /// [`ConfigErrors`] names every problem, each with the variable to change.
    #[cfg(test)]
    pub(crate) fn from_variables(variables: &Variables) -> Result<Self, ConfigErrors> {
        Self::read(variables, &Stack::default(), false)
    }

    /// `is_partial` says that more may stand in a file than could be read.
    fn read(variables: &Variables, stack: &Stack, is_partial: bool) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(variables);
        let mut warnings = Vec::new();
        let production = production_marker(&mut reader);

        let mut problems = Vec::new();
        let listeners = listeners::read(&mut reader, stack, &mut problems, &mut warnings);
        let decisions = listen::decisions(&mut reader);
        let admin = admin(&mut reader);
        let https = HttpsSettings::read(&mut reader);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers = reader
            .parsed("WORKERS", cores, "a number of threads")
            .clamp(1, 1024);
        let timeouts = Timeouts {
            connect: reader.limit("UPSTREAM_CONNECT_TIMEOUT", 5),
            answer: reader.limit("UPSTREAM_TIMEOUT", 60),
        };
        let decides_for_others = decisions.is_some() || reader.is_given("AUTH_LISTEN");
        // What is no route of the file may have been meant as one.
        let is_required = !decides_for_others && stack.routes.is_empty() && !is_partial;
        let connections = UsualPool::read(&mut reader);
        let upstream = upstream::service(&mut reader, timeouts, &connections, is_required);
        let public = reader.list("PUBLIC_PATHS", PathPattern::literal);
        let realm = RealmReading::read(&mut reader, &mut warnings);
        let mut realms = Realms::read(realm, &mut reader, stack);
        let (bypass_header, bypass) = bypass(&mut reader, &mut warnings, production);
        let preflight = [("deny", false), ("pass", true)];
        let passes_preflight = reader.choice("CORS_PREFLIGHT", false, &preflight);
        let usual = Usual {
            cors_origins: reader.list("CORS_ORIGINS", AllowedOrigin::parse),
            forwards_session: reader.switch("FORWARD_SESSION_COOKIE", true),
            via: reader.switch("VIA", true),
            decides_for_others,
            has_wrong_upstream: upstream.is_none() && reader.is_given("UPSTREAM"),
            is_partial,
        };
        let uses_upstream = upstream.is_some();
        let uses_folder = matches!(upstream, Some(ServiceSettings::Folder(_)));
        let of_one = upstream.as_ref().and_then(ServiceSettings::upstream);
        let uses_upstream_tls = of_one.is_some_and(|one| one.pool.tls.config.is_some());
        realms.read_active(stack, &mut problems);
        let (rules, sign_in) = if stack.routes.is_empty() {
            stack.name_idle(&mut warnings);
            let mut rules = Rules::of_one_service(public, upstream, usual);
            let opened = match rules.services.is_empty() && decisions.is_some() {
                true => Opened::PathsForOthers,
                false => Opened::Paths,
            };
            let mut around = Around::of_one_service(&rules.routes, opened);
            if is_partial {
                around.comers = None;
            }
            let sign_in = sign_in::settings(&mut reader, &around, &mut warnings);
            rules.send_to_sign_in(sign_in.as_ref());
            (Some(rules), sign_in)
        } else {
            if !public.is_empty() {
                reader.problem("PUBLIC_PATHS", PUBLIC_PATHS_BESIDE_ROUTES);
            }
            let usual_services = (timeouts, connections);
            let named: HashSet<_> = stack.services_of_routes().collect();
            let is_used = |name: &str| is_partial || named.contains(name);
            let services = Services::read(
                &stack.services,
                upstream,
                usual_services,
                is_used,
                &mut problems,
            );
            let made = rules::make(stack, &usual, services, &mut realms.names, &mut problems);
            let routes = made.as_ref().map(|made| made.rules.routes.clone());
            let routes = routes.unwrap_or_else(|| Routes::of_one_service(public, true));
            let around = Around {
                routes: &routes,
                opened: Opened::Routes,
                comers: made.as_ref().map(|made| made.comers(0)),
            };
            let sign_in = sign_in::settings(&mut reader, &around, &mut warnings);
            let rules = made.map(|mut made| {
                realms.send_to_sign_in(&mut made, &reader, sign_in.clone(), &mut problems);
                made.rules.doubts(stack, &mut warnings);
                made.rules
            });
            (rules, sign_in)
        };
        realms.read_groups(
            rules.as_ref(),
            decides_for_others,
            &mut reader,
            &mut warnings,
        );
        let trusted_proxies = limits::proxies(&mut reader, decisions.is_some());
        let has_proxies = !trusted_proxies.networks().is_empty();
        let serves = rules
            .as_ref()
            .is_none_or(|rules| !rules.services.is_empty());
        let listeners = if serves { listeners } else { Vec::new() };
        let acme = acme::read(&mut reader, &listeners, realms.default().stores.as_ref());
        https.check(&mut reader, &listeners, has_proxies);
        let has_bad_proxies = |problem: &Problem| problem.name == "TRUSTED_PROXIES";
        if !has_proxies && !reader.problems.iter().any(has_bad_proxies) {
            listeners::name_unlisted(&listeners, &mut problems);
        }
        if problems.is_empty() && reader.problems.is_empty() {
            listeners::name_unasked(&listeners, stack, &mut problems);
        }
        warnings.extend(https.doubts(&listeners, has_proxies));
        let limits = limits::settings(&mut reader);
        let has_rate = |handling: &Handling| !handling.rates.is_empty();
        let is_limited = !limits.rates.is_empty()
            || limits.bad_sessions.is_some()
            || rules
                .as_ref()
                .is_none_or(|rules| rules.handling.iter().any(has_rate));
        let stores = realms.default().stores.as_ref();
        let shared_limits = limits::shared(&mut reader, is_limited, stores);
        let revocations = revocations::read(&mut reader, stores);
        let place = revocations.as_ref().map(|settings| &settings.place);
        let client = clients::settings(&mut reader);
        let drain = reader.seconds("DRAIN_TIMEOUT", 30);
        let drain_delay = reader.seconds("DRAIN_DELAY", 0);
        let log_formats = [("json", LogFormat::Json), ("text", LogFormat::Text)];
        let log_format = reader.choice("LOG_FORMAT", LogFormat::Json, &log_formats);
        let audits = reader.switch("AUDIT_LOG", true);
        if !audits {
            warnings.push("AUDIT_LOG is off: nobody can tell afterwards who was let in".to_owned());
        }
        let log_filter = reader.text("RUST_LOG");
        let reload_interval = reader.seconds("RELOAD_INTERVAL", 1);
        let uses = Uses {
            upstream: uses_upstream,
            folder: uses_folder,
            upstream_tls: uses_upstream_tls,
            socket: matches!(decisions, Some(Address::Unix { .. })),
            sign_in: sign_in.is_some(),
            own_names: listeners.iter().any(ListenerSettings::needs_own_names),
            acme: acme::is_used(&listeners),
            limits_in_redis: shared_limits.is_some(),
            revocations: place.is_some(),
            revocations_in_database: matches!(place, Some(RevocationPlace::Postgres(_))),
            revocations_in_redis: matches!(place, Some(RevocationPlace::Redis(_))),
            acme_in_database: acme.as_ref().is_some_and(AcmeSettings::asks_database),
            bypass: bypass.is_some(),
            ..Uses::of(realms.default())
        };
        // What is wrong may be what a setting would have had its effect on.
        if reader.problems.is_empty() && stack.routes.is_empty() {
            idle::name_them(&mut reader, &uses);
        }
        reader.explain_problems();
        warnings.extend(reader.doubts());
        let mut others = idle::names();
        others.push(CONFIG_FILE);
        reader.unreadable(&others);
        for (name, nearest) in reader.slips(&others) {
            warnings.push(format!(
                "{name} is set but is no setting of ours; did you mean {nearest}?"
            ));
        }

        let Reader {
            problems: of_reader,
            settings,
            warnings: warnings_of_reader,
            ..
        } = reader;
        warnings.extend(warnings_of_reader);
        problems.splice(0..0, of_reader);
        let realms = realms.finish((variables, &settings), &mut problems, &mut warnings);
        match (rules, realms) {
            (Some(rules), Some(realms)) if problems.is_empty() => {
                let rings = realms.iter().map(|realm| Arc::clone(&realm.keys));
                let hygiene = Hygiene::new(&bypass_header, &rules.profiles, rings.collect())
                    .behind(trusted_proxies.clone());
                Ok(Self {
                    listeners,
                    acme,
                    https,
                    decisions,
                    admin,
                    workers,
                    rules,
                    realms,
                    bypass,
                    passes_preflight,
                    hygiene,
                    trusted_proxies,
                    limits,
                    shared_limits,
                    revocations,
                    client,
                    drain,
                    drain_delay,
                    log_format,
                    log_filter,
                    reload_interval,
                    audits,
                    warnings,
                    settings,
                })
            }
            _ => Err(ConfigErrors::new(problems)),
        }
    }
}

impl Config {
    /// The files that TLS needs, each with the setting that names it.
    fn tls_files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let of_listeners = self
            .listeners
            .iter()
            .filter_map(|listener| listener.tls.as_ref());
        let of_listeners = of_listeners.flat_map(|tls| &tls.files);
        let of_services = self.rules.services.iter();
        let of_services = of_services.filter_map(ServiceSettings::upstream);
        let of_services = of_services.flat_map(|upstream| &upstream.pool.tls.files);
        let all = of_listeners.chain(of_services);
        all.map(|(name, path)| (*name, path.as_path()))
    }
}

/// The admin listener's address alone, for a process that asks a running gate for its health.
pub(crate) fn admin_address(variables: &Variables) -> Option<SocketAddr> {
    let mut reader = Reader::new(variables);
    let address = listen::address(&mut reader, ADMIN_LISTEN, DEFAULT_ADMIN_LISTEN);
    reader.problems.is_empty().then_some(address)
}

/// Which variable says that this is production, if one does.
pub(crate) fn says_production(variables: &Variables) -> Option<&'static str> {
    production_marker(&mut Reader::new(variables))
}

fn production_marker(reader: &mut Reader<'_>) -> Option<&'static str> {
    let mut marker = None;
    for name in ["NODE_ENV", "RAILS_ENV", "APP_ENV", "SESSIONGATE_ENV"] {
        let value = reader.text(name).unwrap_or_default();
        if value.trim().eq_ignore_ascii_case("production") {
            marker = marker.or(Some(name));
        }
    }
    marker
}

/// The admin listener. What it shows is not for strangers: off loopback it demands a token.
fn admin(reader: &mut Reader<'_>) -> AdminSettings {
    let listen = listen::address(reader, ADMIN_LISTEN, DEFAULT_ADMIN_LISTEN);
    let token = reader.secret("ADMIN_TOKEN");
    if token
        .as_ref()
        .is_some_and(|token| token.len() < SHORTEST_SECRET)
    {
        reader.problem(
            "ADMIN_TOKEN",
            format!("it has fewer than {SHORTEST_SECRET} characters"),
        );
    }
    if token.is_none() && !listen.ip().is_loopback() {
        let what = format!(
            "{listen} can be reached from other machines; set ADMIN_TOKEN, or listen on 127.0.0.1"
        );
        reader.problem(ADMIN_LISTEN, what);
    }
    AdminSettings { listen, token }
}

/// The bypass, and the name of its header, which is removed from every request whether or not the bypass is on.
fn bypass(
    reader: &mut Reader<'_>,
    warnings: &mut Vec<String>,
    production: Option<&'static str>,
) -> (HeaderName, Option<Bypass>) {
    let allowed = reader.switch("ALLOW_BYPASS", false);
    let default = HeaderName::from_static("x-bypass-auth");
    let header = reader.parsed("BYPASS_HEADER", default, "a header name");
    let value = reader
        .secret("BYPASS_HEADER_VALUE")
        .unwrap_or_else(|| Secret::new(*b"true"));
    if !allowed {
        return (header, None);
    }
    if let Some(name) = production {
        reader.problem(
            "ALLOW_BYPASS",
            format!("the bypass must stay off in production, and {name} says production"),
        );
    }
    if value.expose() == b"true" {
        warnings.push(format!(
            "ALLOW_BYPASS is on: any request from this machine with `{header}: true` passes"
        ));
        return (header.clone(), Some(Bypass::from_loopback(header, value)));
    }
    if value.len() < SHORTEST_SECRET {
        let what = format!(
            "it has fewer than {SHORTEST_SECRET} characters; make one with `openssl rand -hex 32`"
        );
        reader.problem("BYPASS_HEADER_VALUE", what);
    }
    warnings.push(format!(
        "ALLOW_BYPASS is on: whoever knows BYPASS_HEADER_VALUE passes with `{header}`"
    ));
    (header.clone(), Some(Bypass::new(header, value)))
}

/// The variable that names the configuration file.
pub(crate) const CONFIG_FILE: &str = "SESSIONGATE_CONFIG";

/// What a file with routes cannot have beside them.
const PUBLIC_PATHS_BESIDE_ROUTES: &str = "the file has routes, which say themselves who may enter; write a [[route]] with `access = \"public\"` instead";

const ADMIN_LISTEN: &str = "ADMIN_LISTEN";
const DEFAULT_ADMIN_LISTEN: &str = "127.0.0.1:9090";

/// In bytes: what 256 bits take when every byte is random.
const SHORTEST_SECRET: usize = 32;

#[cfg(test)]
mod tests;

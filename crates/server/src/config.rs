//! The configuration of the process: typed, checked and complete.
//!
//! [`Config::from_loaded`] does all the checking and reports every problem at once. `check-config` runs the same
//! code as start-up, so that what it accepts starts.

mod acme;
pub(crate) mod ascii_host;
mod bearer;
mod byte_order_mark;
mod catalogue;
mod changes;
mod clients;
mod cluster_url;
mod connection_url;
mod cors;
mod credentials;
mod file;
mod files;
mod folder;
mod given;
mod host;
mod hsts;
mod https;
mod identity;
mod inventory;
mod limits;
mod listen;
mod listeners;
mod lookups;
mod mask;
mod network;
mod open_settings;
mod origin;
mod own_addresses;
mod place;
mod postgres_url;
mod problem;
mod raw_tables;
mod reader;
mod reading;
mod realm;
mod realms;
mod redis_url;
pub(crate) mod reference;
mod restart_settings;
mod revocations;
mod rules;
mod secrets;
mod sentinel_url;
mod sessions;
mod sign_in;
mod source;
mod stores;
mod tls;
mod unused_settings;
mod upstream;
mod variables;
mod words;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gate::{Bypass, Hygiene, PathPattern, TrustedProxies};
use http::HeaderName;
use session::Secret;

pub(crate) use self::acme::{AcmeChallenge, AcmePlace, AcmeSettings};
pub(crate) use self::byte_order_mark::BYTE_ORDER_MARK;
pub(crate) use self::clients::ClientSettings;
pub(crate) use self::cors::AllowedOrigin;
pub(crate) use self::file::{Loaded, load};
pub(crate) use self::files::{ContentDigest, FileDigests, FileMetadata, Files};
pub(crate) use self::folder::{FolderOptions, FolderSettings};
pub(crate) use self::given::{core, unquoted, without_assignment};
pub(crate) use self::https::{HttpsSettings, IN_THE_CLEAR};
pub(crate) use self::inventory::{
    GivenSecret, Purpose, SecretFile, is_configured, realms, secret_files, secrets,
};
pub(crate) use self::limits::{CountedBy, LimitSettings, RateLimit};
pub(crate) use self::listeners::ListenerSettings;
pub(crate) use self::open_settings::OpenSettings;
pub(crate) use self::origin::RequestHost;
pub(crate) use self::place::Place;
pub(crate) use self::problem::{ConfigErrors, Problem};
pub(crate) use self::raw_tables::DEFAULT_REALM;
use self::raw_tables::RawTables;
use self::reader::Reader;
pub(crate) use self::reader::{Setting, Variables};
use self::reading::Reading;
use self::realm::RealmReading;
pub(crate) use self::realm::RealmSettings;
use self::realms::Realms;
pub(crate) use self::restart_settings::RestartSettings;
pub(crate) use self::rules::{
    Balance, Handling, HealthCheck, HealthSettings, PoolSettings, Rules, ServerAddress,
    ServerSettings, ServiceSettings, UpstreamSettings,
};
pub(crate) use self::secrets::{SecretErrors, Secrets};
pub(crate) use self::sessions::{RecognizedCookies, SessionFormat};
pub(crate) use self::sign_in::SignIn;
pub(crate) use self::source::ConfigSource;
pub(crate) use self::tls::{Certificates, TlsSettings};
use self::unused_settings::Uses;
use crate::listener::Address;
pub(crate) use crate::logging::LogFormat;
use ::stores::{RedisSettings, RevocationSettings};

/// The whole configuration, valid.
#[derive(Debug)]
pub(crate) struct Config {
    /// The listeners of the proxy; empty without a service to protect.
    pub(crate) listeners: Vec<ListenerSettings>,
    /// How certificates are ordered by ACME, if a listener uses such certificates.
    pub(crate) acme: Option<AcmeSettings>,
    /// HSTS, whether HTTPS is required, and the gate's own origins.
    pub(crate) https: HttpsSettings,
    /// The address on which calling proxies ask for decisions; `None` if there is no such listener.
    pub(crate) decisions: Option<Address>,
    /// The listener for health and metrics.
    pub(crate) admin: AdminSettings,
    /// The number of single-threaded runtimes that serve requests.
    pub(crate) workers: usize,
    /// The routes, and the services and header profiles they refer to.
    pub(crate) rules: Rules,
    /// The realms: each app whose sessions are accepted.
    pub(crate) realms: Vec<RealmSettings>,
    /// The header that bypasses the gate, for development.
    pub(crate) bypass: Option<Bypass>,
    /// Whether CORS preflights may enter without a session.
    pub(crate) passes_preflight: bool,
    /// The headers that are removed from every request.
    pub(crate) hygiene: Hygiene,
    /// The trusted proxies, whose forwarding headers are believed.
    pub(crate) trusted_proxies: TrustedProxies,
    /// Limits on connections, requests and rates.
    pub(crate) limits: LimitSettings,
    /// The Redis in which all nodes count rates together, if they do.
    pub(crate) shared_limits: Option<RedisSettings>,
    /// The store of revocations, if there is one.
    pub(crate) revocations: Option<RevocationSettings>,
    /// Timeouts and limits of client connections.
    pub(crate) client: ClientSettings,
    /// How long requests in flight may take to finish after a signal to stop.
    pub(crate) drain: Duration,
    /// How long connections are still accepted after such a signal.
    pub(crate) drain_delay: Duration,
    /// The format of log lines.
    pub(crate) log_format: LogFormat,
    /// Which log lines are written, in the syntax of `RUST_LOG`.
    pub(crate) log_filter: Option<String>,
    /// How often the configuration's files are checked for changes; zero: never.
    pub(crate) reload_interval: Duration,
    /// Whether the audit log is written.
    pub(crate) audits: bool,
    /// Warnings about valid but risky settings, for start-up and `check-config`.
    pub(crate) warnings: Vec<String>,
    /// Every setting that was read, with its effective value.
    pub(crate) settings: Vec<Setting>,
    /// Every setting that was not read, because it has no effect in this configuration.
    pub(crate) unread: Vec<Setting>,
}

/// The listener for health and metrics.
#[derive(Debug)]
pub(crate) struct AdminSettings {
    /// The address it listens on.
    pub(crate) listen: SocketAddr,
    /// The bearer token that it requires; always set unless it listens on loopback.
    pub(crate) token: Option<Secret>,
}

impl Config {
    /// Checks the settings of the file and the environment.
    ///
    /// # Errors
    ///
    /// [`ConfigErrors`] lists every problem, including those of the file's syntax.
    pub(crate) fn from_loaded(loaded: &Loaded) -> Result<Self, ConfigErrors> {
        let read = Self::read(&loaded.variables, &loaded.raw_tables, loaded.is_partial);
        let errors = match read {
            Ok((config, _)) if loaded.problems.is_empty() => return Ok(config),
            Ok((_, probable_typos)) => ConfigErrors::new(Vec::new()).with_notes(probable_typos),
            Err(errors) => errors,
        };
        Err(errors.with_problems(loaded.problems.iter().cloned()))
    }

    /// Checks the settings of the environment.
    ///
    /// # Errors
    /// [`ConfigErrors`] lists every problem, each with the variable to change.
    #[cfg(test)]
    pub(crate) fn from_variables(variables: &Variables) -> Result<Self, ConfigErrors> {
        let read = Self::read(variables, &RawTables::default(), false);
        read.map(|(config, _)| config)
    }

    /// Reads and checks everything. Also returns the names that are probably misspelled, which are among the warnings too.
    /// `is_partial` says that part of the file could not be read.
    fn read(
        variables: &Variables,
        raw_tables: &RawTables,
        is_partial: bool,
    ) -> Result<(Self, Vec<String>), ConfigErrors> {
        let mut reading = Reading::new(variables, raw_tables, is_partial);
        let production = production_marker(&mut reading.reader);
        let mut listen = reading.listen_settings();
        let top = reading.top_service(&listen);
        let public = reading.reader.list("PUBLIC_PATHS", PathPattern::literal);
        let realm = RealmReading::read(&mut reading.reader, &mut reading.warnings);
        let mut realms = Realms::read(realm, &mut reading.reader, raw_tables);
        let (bypass_header, bypass) =
            bypass(&mut reading.reader, &mut reading.warnings, production);
        let preflight = [("deny", false), ("pass", true)];
        let passes_preflight = reading.reader.choice("CORS_PREFLIGHT", false, &preflight);
        let defaults = reading.route_defaults(&listen, &top);
        let of_top = top.uses();
        realms.read_active(raw_tables, &mut reading.problems);
        let (rules, sign_in) = if raw_tables.routes.is_empty() {
            let (rules, sign_in) = reading.rules_of_one_service(public, top, defaults, &listen);
            (Some(rules), sign_in)
        } else {
            reading.rules_of_routes(public, top, &defaults, &mut realms)
        };
        realms.read_groups(
            rules.as_ref(),
            listen.decides_for_others,
            &mut reading.reader,
            &mut reading.warnings,
        );
        let (trusted_proxies, acme) = reading.proxies(&mut listen, rules.as_ref(), &realms);
        let bounds = reading.bounds(rules.as_ref(), &realms);
        let client = clients::settings(&mut reading.reader);
        let process = reading.process_settings();
        reading.warn_about_unused(&Uses {
            sign_in: sign_in.is_some(),
            bypass: bypass.is_some(),
            ..Uses::of_all(of_top, &listen, &bounds, acme.as_ref(), &realms)
        });
        let probable_typos = std::mem::take(&mut reading.probable_typos);
        let (mut problems, mut warnings, settings) = reading.finish();
        let realms = realms.finish((variables, &settings), &mut problems, &mut warnings);
        let (Some(rules), Some(realms), true) = (rules, realms, problems.is_empty()) else {
            return Err(ConfigErrors::new(problems).with_notes(probable_typos));
        };
        warnings.extend(probable_typos.iter().cloned());
        let rings = realms.iter().map(|realm| Arc::clone(&realm.keys));
        let hygiene = Hygiene::new(&bypass_header, &rules.profiles, rings.collect())
            .with_proxies(trusted_proxies.clone());
        let config = Self {
            listeners: listen.listeners,
            acme,
            https: listen.https,
            decisions: listen.decisions,
            admin: listen.admin,
            workers: listen.workers,
            rules,
            realms,
            bypass,
            passes_preflight,
            hygiene,
            trusted_proxies,
            limits: bounds.limits,
            shared_limits: bounds.shared,
            revocations: bounds.revocations,
            client,
            drain: process.drain,
            drain_delay: process.drain_delay,
            log_format: process.log_format,
            log_filter: process.log_filter,
            reload_interval: process.reload_interval,
            audits: process.audits,
            warnings,
            unread: reader::unread(&settings, variables),
            settings,
        };
        Ok((config, probable_typos))
    }
}

impl Config {
    /// The files used for TLS, each with the setting that names it.
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

/// The address of the admin listener, for a process that checks the health of a running gate.
pub(crate) fn admin_address(variables: &Variables) -> Option<SocketAddr> {
    let mut reader = Reader::new(variables);
    let address = listen::address(&mut reader, ADMIN_LISTEN, DEFAULT_ADMIN_LISTEN);
    reader.problems.is_empty().then_some(address)
}

/// The name of the variable that marks this as a production environment, if one does.
pub(crate) fn production_variable(variables: &Variables) -> Option<&'static str> {
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

/// Reads the settings of the admin listener. It requires a token unless it listens on loopback, because it shows internals.
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
            "{listen} is reachable from other machines; set ADMIN_TOKEN, or listen on 127.0.0.1"
        );
        reader.problem(ADMIN_LISTEN, what);
    }
    AdminSettings { listen, token }
}

/// Reads the settings of the bypass. Also returns the name of its header, which is removed from every request even if the bypass
/// is off.
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
            format!("the bypass must be off in production, and {name} is set to production"),
        );
    }
    if value.expose() == b"true" {
        warnings.push(format!(
            "ALLOW_BYPASS is on: any request from this machine with the header `{header}: true` enters"
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
        "ALLOW_BYPASS is on: anybody who knows BYPASS_HEADER_VALUE can enter with the header `{header}`"
    ));
    (header.clone(), Some(Bypass::new(header, value)))
}

/// The variable that names the configuration file.
pub(crate) const CONFIG_FILE: &str = "SESSIONGATE_CONFIG";

const ADMIN_LISTEN: &str = "ADMIN_LISTEN";
const DEFAULT_ADMIN_LISTEN: &str = "127.0.0.1:9090";

/// The shortest accepted admin token or bypass secret, in bytes: 256 bits if every byte is random.
const SHORTEST_SECRET: usize = 32;

#[cfg(test)]
mod tests;

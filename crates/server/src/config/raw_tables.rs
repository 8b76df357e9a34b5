//! The tables of a file as written: routes, services, realms and header profiles, still unchecked.
//!
//! Texts are not interpreted. Each has its place, so that problems that are found later can be shown there.

use std::sync::Arc;

use super::place::Place;
use super::reader::Variables;

/// A value with its place in a file.
#[derive(Clone, Debug)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// The content of all tables, in all files together.
#[derive(Debug, Default)]
pub(crate) struct RawTables {
    /// `[[route]]`, in the order of the files, which does not matter.
    pub(crate) routes: Vec<RawRoute>,
    /// `[[listener]]`.
    pub(crate) listeners: Vec<RawListener>,
    /// `[service.NAME]`.
    pub(crate) services: Vec<RawService>,
    /// `[profile.NAME]`.
    pub(crate) profiles: Vec<RawProfile>,
    /// `[realm.NAME]`. The realm `default`, which the top level defines, is not included.
    pub(crate) realms: Vec<RawRealm>,
    /// `active` of the top level, for the realm `default`.
    pub(crate) active: Option<RawActive>,
    /// `case_insensitive`.
    pub(crate) case_insensitive: bool,
}

/// A `[[route]]` table.
#[derive(Debug)]
pub(crate) struct RawRoute {
    /// The beginning of its table.
    pub(crate) place: Place,
    pub(crate) name: Option<Spanned<String>>,
    /// Empty: any host.
    pub(crate) hosts: Vec<Spanned<String>>,
    /// At least one, or the file has a problem.
    pub(crate) paths: Vec<Spanned<String>>,
    /// Empty: any method.
    pub(crate) methods: Vec<Spanned<String>>,
    /// `session`, `public` or `deny`.
    pub(crate) access: Option<Spanned<String>>,
    /// All of them must be met.
    pub(crate) require: Vec<RawCondition>,
    pub(crate) realm: Option<Spanned<String>>,
    pub(crate) service: Option<Spanned<String>>,
    /// One or more URLs, instead of `service`.
    pub(crate) upstreams: Vec<Spanned<String>>,
    /// Whether the route has `service` or `upstream`, even if it is invalid.
    pub(crate) seems_to_name_service: bool,
    /// The name of a profile.
    pub(crate) headers: Option<Spanned<String>>,
    pub(crate) strip_prefix: Option<Spanned<String>>,
    pub(crate) rewrite_host: Option<Spanned<String>>,
    /// In seconds.
    pub(crate) connect_timeout: Option<Spanned<i64>>,
    /// In seconds.
    pub(crate) timeout: Option<Spanned<i64>>,
    /// In bytes.
    pub(crate) body_limit: Option<Spanned<i64>>,
    /// Empty: no limit.
    pub(crate) rate_limit: Vec<Spanned<String>>,
    pub(crate) cors_origins: Option<Vec<Spanned<String>>>,
    pub(crate) forward_session_cookie: Option<Spanned<bool>>,
    pub(crate) sign_in_url: Option<Spanned<String>>,
    pub(crate) csrf: Option<Spanned<bool>>,
    pub(crate) shared_cache: Option<Spanned<bool>>,
}

/// A `[[listener]]` table.
#[derive(Debug)]
pub(crate) struct RawListener {
    pub(crate) address: Spanned<String>,
    pub(crate) redirect: Option<Spanned<bool>>,
    pub(crate) proxy_protocol: Option<Spanned<bool>>,
    pub(crate) tls: Option<Spanned<String>>,
    pub(crate) cert_files: Vec<Spanned<String>>,
    pub(crate) key_files: Vec<Spanned<String>>,
    pub(crate) min_version: Option<Spanned<String>>,
    pub(crate) client_auth: Option<Spanned<String>>,
    pub(crate) client_ca_file: Option<Spanned<String>>,
}

/// A `[service.NAME]` table.
#[derive(Debug)]
pub(crate) struct RawService {
    pub(crate) name: Spanned<String>,
    pub(crate) upstreams: Vec<Spanned<String>>,
    /// In seconds.
    pub(crate) connect_timeout: Option<Spanned<i64>>,
    /// In seconds.
    pub(crate) timeout: Option<Spanned<i64>>,
    /// The keys for folders.
    pub(crate) folder: RawFolder,
    /// The keys for servers.
    pub(crate) pool: RawPool,
}

/// The keys of `[service.NAME]` for servers and the connections to them.
#[derive(Debug, Default)]
pub(crate) struct RawPool {
    pub(crate) balance: Option<Spanned<String>>,
    /// In percent.
    pub(crate) retry_budget: Option<Spanned<i64>>,
    pub(crate) eject_after: Option<Spanned<i64>>,
    /// In seconds.
    pub(crate) eject_time: Option<Spanned<i64>>,
    /// In seconds.
    pub(crate) max_age: Option<Spanned<i64>>,
    /// In seconds.
    pub(crate) keep_alive: Option<Spanned<i64>>,
    pub(crate) max_connections: Option<Spanned<i64>>,
    pub(crate) health_check: Option<Spanned<String>>,
    /// In seconds.
    pub(crate) health_interval: Option<Spanned<i64>>,
    pub(crate) proxy_protocol: Option<Spanned<String>>,
    pub(crate) tls_ca_files: Vec<Spanned<String>>,
    pub(crate) tls_server_name: Option<Spanned<String>>,
    pub(crate) tls_cert_file: Option<Spanned<String>>,
    pub(crate) tls_key_file: Option<Spanned<String>>,
}

impl RawPool {
    /// The places of all keys that are set.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        let numbers = [
            &self.retry_budget,
            &self.eject_after,
            &self.eject_time,
            &self.max_age,
            &self.keep_alive,
            &self.max_connections,
            &self.health_interval,
        ];
        let texts = [&self.balance, &self.health_check, &self.proxy_protocol];
        let numbers = numbers.into_iter().flatten().map(|number| &number.place);
        let texts = texts.into_iter().flatten().map(|text| &text.place);
        numbers.chain(texts).chain(self.tls_places())
    }

    /// The places of all TLS keys that are set.
    pub(crate) fn tls_places(&self) -> impl Iterator<Item = &Place> {
        let texts = [
            &self.tls_server_name,
            &self.tls_cert_file,
            &self.tls_key_file,
        ];
        let texts = texts.into_iter().flatten();
        self.tls_ca_files
            .iter()
            .chain(texts)
            .map(|text| &text.place)
    }
}

/// The keys of `[service.NAME]` for a folder.
#[derive(Debug, Default)]
pub(crate) struct RawFolder {
    pub(crate) fallback: Option<Spanned<String>>,
    pub(crate) error_pages: Option<Spanned<String>>,
    pub(crate) cache_control: Option<Spanned<String>>,
    pub(crate) well_known: Option<Spanned<bool>>,
}

/// A `[profile.NAME]` table.
#[derive(Clone, Debug)]
pub(crate) struct RawProfile {
    pub(crate) name: Spanned<String>,
    pub(crate) base: Option<Spanned<String>>,
    pub(crate) encoding: Option<Spanned<String>>,
    pub(crate) separator: Option<Spanned<String>>,
    /// The headers: each name, and its value.
    pub(crate) headers: Vec<(Spanned<String>, RawHeader)>,
}

/// The value of a header in a profile.
#[derive(Clone, Debug)]
pub(crate) struct RawHeader {
    pub(crate) source: RawSource,
    pub(crate) encoding: Option<Spanned<String>>,
    pub(crate) separator: Option<Spanned<String>>,
}

/// The source of a header's value.
#[derive(Clone, Debug)]
pub(crate) enum RawSource {
    /// A dotted path into the session's claims.
    Claim(Spanned<String>),
    /// A column of the user's row.
    Column(Spanned<String>),
    /// The route's name.
    Route,
    /// The content of a file, without its final newline.
    SecretFile(Spanned<String>),
    /// A constant.
    Value(Spanned<String>),
    /// A bare word: `subject`, `email`, `name`, `groups`.
    Word(Spanned<String>),
}

/// A `[realm.NAME]` table.
#[derive(Debug)]
pub(crate) struct RawRealm {
    pub(crate) name: Spanned<String>,
    /// Its settings as variables, including those it shares with the top level.
    pub(crate) settings: Variables,
    pub(crate) active: Option<RawActive>,
}

/// `active = …`: the conditions on the user's row.
#[derive(Debug)]
pub(crate) enum RawActive {
    /// Conditions that must all be met.
    Conditions(Vec<RawCondition>),
    /// The name of a preset.
    Preset(Spanned<String>),
}

/// One table of `require` or `active`.
#[derive(Debug)]
pub(crate) struct RawCondition {
    pub(crate) place: Place,
    pub(crate) kind: RawKind,
}

impl RawCondition {
    /// The place of a condition about a client certificate, if there is one.
    pub(crate) fn certificate_place(&self) -> Option<&Place> {
        match &self.kind {
            RawKind::All(parts) | RawKind::Any(parts) => {
                parts.iter().find_map(Self::certificate_place)
            }
            RawKind::Not(part) => part.certificate_place(),
            RawKind::Certificate(_) => Some(&self.place),
            RawKind::Claim(..)
            | RawKind::Column(..)
            | RawKind::MaxAge(_)
            | RawKind::Methods(_)
            | RawKind::Network(_)
            | RawKind::OrganizationRole(_) => None,
        }
    }
}

/// What a condition tests.
#[derive(Debug)]
pub(crate) enum RawKind {
    All(Vec<RawCondition>),
    Any(Vec<RawCondition>),
    Not(Box<RawCondition>),
    /// The client's certificate has one of these names.
    Certificate(Vec<Spanned<String>>),
    /// A dotted path into the session's claims.
    Claim(Spanned<String>, RawTest),
    /// A column of the user's row.
    Column(Spanned<String>, RawTest),
    /// The user has one of these roles in the session's active organization (Better Auth).
    OrganizationRole(Vec<Spanned<String>>),
    /// The client's address is in one of these networks.
    Network(Vec<Spanned<String>>),
    /// The session is not older than this, such as `12h`.
    MaxAge(Spanned<String>),
    Methods(Vec<Spanned<String>>),
}

/// How a claim or a column is tested.
#[derive(Debug)]
pub(crate) struct RawTest {
    pub(crate) kind: RawTestKind,
    /// Splits a text into a list.
    pub(crate) separator: Option<Spanned<String>>,
}

/// The kind of a test, with the values to compare with.
#[derive(Debug)]
pub(crate) enum RawTestKind {
    /// It is a list that contains one of these.
    Contains(Vec<Spanned<RawScalar>>),
    /// It is null, absent, or an empty text or list; with `false`, none of these.
    Empty(bool),
    Equals(Spanned<RawScalar>),
    /// It is a time in the future.
    Future,
    OneOf(Vec<Spanned<RawScalar>>),
    /// It is a time in the past.
    Past,
    /// It exists and is not null; with `false`, it does not exist or is null.
    Present(bool),
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RawScalar {
    Bool(bool),
    Number(f64),
    Text(Arc<str>),
}

impl RawTables {
    /// The services that routes name.
    pub(super) fn services_of_routes(&self) -> impl Iterator<Item = &str> {
        let named = self
            .routes
            .iter()
            .filter_map(|route| route.service.as_ref());
        named.map(|name| name.value.as_str())
    }

    /// The realms that routes name.
    pub(super) fn realms_of_routes(&self) -> impl Iterator<Item = &str> {
        let named = self.routes.iter().filter_map(|route| route.realm.as_ref());
        named.map(|name| name.value.as_str())
    }

    /// Warns about tables that have no effect because the file has no routes.
    pub(super) fn warn_about_unused_tables(&self, warnings: &mut Vec<String>) {
        let services = self
            .services
            .iter()
            .map(|service| ("service", &service.name));
        let profiles = self
            .profiles
            .iter()
            .map(|profile| ("profile", &profile.name));
        let realms = self.realms.iter().map(|realm| ("realm", &realm.name));
        for (kind, name) in services.chain(profiles).chain(realms) {
            warnings.push(format!(
                "[{kind}.{}] has no effect: the file has no [[route]]",
                name.value
            ));
        }
    }
}

/// The name of the realm that the top level defines, to which routes without `realm` belong.
pub(crate) const DEFAULT_REALM: &str = "default";

//! Reads the listeners of the proxy, each with its own TLS settings.

use std::convert::Infallible;
use std::net::SocketAddr;

use super::credentials;
use super::listen;
use super::place::Place;
use super::problem::Problem;
use super::raw_tables::{RawActive, RawCondition, RawListener, RawTables, Spanned};
use super::reader::Reader;
use super::tls::{
    CLIENT_AUTH, Certificates, CheckedTls, ClientAuth, RawTls, TLS_MODES, TlsMode, TlsSettings,
    VERSIONS,
};
use crate::clock;
use crate::tls::server::{ClientProof, MinVersion};

/// A listener of the proxy.
#[derive(Clone, Debug)]
pub(crate) struct ListenerSettings {
    /// The setting or the table that names it, for messages.
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Whether it redirects all requests to `https://`.
    pub(crate) redirects: bool,
    /// Whether connections from trusted proxies begin with a PROXY protocol header.
    pub(crate) proxy_protocol: bool,
    pub(crate) tls: Option<TlsSettings>,
}

impl ListenerSettings {
    /// Whether other machines can reach it without TLS, unless a proxy in front of it terminates TLS.
    pub(crate) fn is_in_the_clear(&self) -> bool {
        self.tls.is_none() && !self.redirects && !self.address.ip().is_loopback()
    }

    /// Whether it needs the hostnames of the gate: for a self-signed certificate, or for redirects.
    pub(super) fn needs_own_names(&self) -> bool {
        let tls = self.tls.as_ref();
        let is_self_signed =
            tls.is_some_and(|tls| matches!(tls.certificates, Certificates::SelfSigned));
        self.redirects || is_self_signed
    }
}

/// Reads `LISTEN`, `REDIRECT_LISTEN` and every `[[listener]]`, and the TLS of each.
pub(super) fn read(
    reader: &mut Reader<'_>,
    raw_tables: &RawTables,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Vec<ListenerSettings> {
    let has_tables = !raw_tables.listeners.is_empty();
    let (tls, oldest) = of_top_level(reader, warnings);
    let mut all = Vec::new();
    let default_proxy_protocol = reader.switch("PROXY_PROTOCOL", false);
    let mut add = |name, address, redirects, proxy_protocol, tls| {
        all.push(ListenerSettings {
            name,
            address,
            redirects,
            proxy_protocol,
            tls,
        });
    };
    if reader.is_set("LISTEN") || !has_tables {
        let address = listen::address(reader, "LISTEN", "0.0.0.0:8080");
        add("LISTEN", address, false, default_proxy_protocol, tls);
    } else if tls.is_some() {
        let why = "LISTEN is not set, and each [[listener]] has its own certificate";
        reader.warn_about_unused("TLS_CERT_FILE", why);
    }
    let redirect = reader.read("REDIRECT_LISTEN", |text| {
        listen::parse(text).ok_or("not an address with a port, such as 0.0.0.0:80")
    });
    if let Some(address) = redirect {
        add(
            "REDIRECT_LISTEN",
            address,
            true,
            default_proxy_protocol,
            None,
        );
    }
    for raw in &raw_tables.listeners {
        if let Some((address, tls)) = of_table(raw, oldest, problems, warnings) {
            let redirects = raw.redirect.as_ref().is_some_and(|redirect| redirect.value);
            let own = raw.proxy_protocol.as_ref().map(|switch| switch.value);
            add(
                "[[listener]]",
                address,
                redirects,
                own.unwrap_or(default_proxy_protocol),
                tls,
            );
        }
    }
    if oldest != MinVersion::Tls12 && all.iter().all(|listener| listener.tls.is_none()) {
        reader.warn_about_unused("TLS_MIN_VERSION", "there is no TLS without TLS_CERT_FILE");
    }
    report_duplicate_addresses(&all, problems);
    all
}

/// The TLS settings of the top level, and the default for the oldest version.
fn of_top_level(
    reader: &mut Reader<'_>,
    warnings: &mut Vec<String>,
) -> (Option<TlsSettings>, MinVersion) {
    let path = |path: &str| Ok::<_, Infallible>(path.to_owned());
    let raw_tls = RawTls {
        chains: reader.list("TLS_CERT_FILE", path),
        keys: reader.list("TLS_KEY_FILE", path),
        mode: reader.choice("TLS", TlsMode::Auto, &TLS_MODES),
        oldest: reader.choice("TLS_MIN_VERSION", MinVersion::Tls12, &VERSIONS),
        client_auth: reader.choice("TLS_CLIENT_AUTH", ClientAuth::Off, &CLIENT_AUTH),
        client_ca: reader.text("TLS_CLIENT_CA_FILE"),
    };
    let CheckedTls {
        settings,
        problems,
        warnings: tls_warnings,
        unused,
    } = raw_tls.read(clock::now());
    for problem in problems {
        reader.problem(problem.name, problem.what);
    }
    unused
        .iter()
        .for_each(|(name, why)| reader.warn_about_unused(name, why));
    warnings.extend(tls_warnings);
    (settings, raw_tls.oldest)
}

fn of_table(
    raw: &RawListener,
    oldest: MinVersion,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Option<(SocketAddr, Option<TlsSettings>)> {
    let address = listen::parse(&raw.address.value);
    if address.is_none() {
        let what = format!(
            "`{}` is not an address with a port, such as 0.0.0.0:443",
            raw.address.value
        );
        problems.push(Problem::with(&raw.address, what));
    }
    let texts = |texts: &[Spanned<String>]| texts.iter().map(|text| text.value.clone()).collect();
    let raw_tls = RawTls {
        chains: texts(&raw.cert_files),
        keys: texts(&raw.key_files),
        mode: word(raw.tls.as_ref(), TlsMode::Auto, &TLS_MODES, problems),
        oldest: word(raw.min_version.as_ref(), oldest, &VERSIONS, problems),
        client_auth: word(
            raw.client_auth.as_ref(),
            ClientAuth::Off,
            &CLIENT_AUTH,
            problems,
        ),
        client_ca: raw.client_ca_file.as_ref().map(|file| file.value.clone()),
    };
    let reading = raw_tls.read(clock::now());
    let shown = |what: String| {
        let files = raw.cert_files.iter().chain(&raw.key_files);
        let files = files.chain(&raw.client_ca_file);
        files.fold(what, |what, file| {
            credentials::without(&what, &file.value).into_owned()
        })
    };
    for problem in reading.problems {
        let place = place_of(raw, problem.name);
        problems.push(Problem::at(place.clone(), shown(problem.what)));
    }
    warnings.extend(reading.warnings.into_iter().map(shown));
    let unused = reading.unused.iter().map(|(name, why)| {
        let (key, place) = (name.to_ascii_lowercase(), place_of(raw, name));
        format!("{key} has no effect: {why} ({place})")
    });
    warnings.extend(unused);
    if let Some(redirect) = raw.redirect.as_ref().filter(|redirect| redirect.value)
        && (reading.settings.is_some()
            || matches!(raw_tls.mode, TlsMode::Acme | TlsMode::SelfSigned))
    {
        let what = "a listener that redirects to `https://` cannot use TLS itself";
        let problem = Problem::at(redirect.place.clone(), what);
        problems.push(problem.with_help("use two listeners"));
    }
    Some((address?, reading.settings))
}

/// The place of a setting in its table.
fn place_of<'r>(raw: &'r RawListener, name: &str) -> &'r Place {
    let of = |text: &'r Option<Spanned<String>>| text.as_ref().map(|text| &text.place);
    let first = |texts: &'r [Spanned<String>]| texts.first().map(|text| &text.place);
    let place = match name {
        "TLS" => of(&raw.tls),
        "TLS_CERT_FILE" => first(&raw.cert_files),
        "TLS_KEY_FILE" => first(&raw.key_files).or_else(|| first(&raw.cert_files)),
        "TLS_CLIENT_AUTH" => of(&raw.client_auth),
        "TLS_CLIENT_CA_FILE" => of(&raw.client_ca_file),
        _ => None,
    };
    place.unwrap_or(&raw.address.place)
}

fn word<T: Copy>(
    text: Option<&Spanned<String>>,
    default: T,
    words: &[(&str, T)],
    problems: &mut Vec<Problem>,
) -> T {
    let Some(text) = text else {
        return default;
    };
    let found = words.iter().find(|(word, _)| *word == text.value);
    let Some((_, value)) = found else {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let what = format!("`{}` is not one of {}", text.value, words.join(", "));
        problems.push(Problem::with(text, what));
        return default;
    };
    *value
}

/// Reports conditions about client certificates if no listener requests any: they would never be met, or always if they are
/// inside `not`.
pub(super) fn report_unrequested_certificates(
    all: &[ListenerSettings],
    raw_tables: &RawTables,
    problems: &mut Vec<Problem>,
) {
    let requests_certificate = |tls: &TlsSettings| !matches!(tls.client, ClientProof::Off);
    if all
        .iter()
        .filter_map(|listener| listener.tls.as_ref())
        .any(requests_certificate)
    {
        return;
    }
    let of_realms = raw_tables
        .realms
        .iter()
        .filter_map(|realm| realm.active.as_ref());
    let of_users = of_realms
        .chain(&raw_tables.active)
        .flat_map(|active| match active {
            RawActive::Conditions(conditions) => &conditions[..],
            RawActive::Preset(_) => &[],
        });
    let of_routes = raw_tables.routes.iter().flat_map(|route| &route.require);
    for place in of_routes
        .chain(of_users)
        .filter_map(RawCondition::certificate_place)
    {
        let what = "no listener requests client certificates";
        let help = "set `tls_client_auth = \"optional\"` and `tls_client_ca_file`";
        problems.push(Problem::at(place.clone(), what).with_help(help));
    }
}

/// Reports a listener that expects the PROXY protocol although there are no trusted proxies.
pub(super) fn report_missing_proxies(all: &[ListenerSettings], problems: &mut Vec<Problem>) {
    let mut with_proxy_protocol = all.iter().filter(|listener| listener.proxy_protocol);
    if let Some(listener) = with_proxy_protocol.next() {
        let name = match listener.name {
            "[[listener]]" => "[[listener]] proxy_protocol",
            _ => "PROXY_PROTOCOL",
        };
        let what =
            "no trusted proxies are configured; list them in TRUSTED_PROXIES, such as 10.0.0.0/8";
        problems.push(Problem::new(name, what));
    }
}

/// Reports listeners with the same address.
fn report_duplicate_addresses(all: &[ListenerSettings], problems: &mut Vec<Problem>) {
    for (index, one) in all.iter().enumerate() {
        let mut others = all[..index].iter();
        let duplicate =
            others.find(|other| other.address == one.address && one.address.port() != 0);
        if let Some(other) = duplicate {
            let what = format!(
                "{} is already used by {}; choose another address or port",
                one.address, other.name
            );
            problems.push(Problem::new(one.name, what));
        }
    }
}

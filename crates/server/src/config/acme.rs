//! Reads the settings of ACME: the hosts for which certificates are ordered, how they are ordered, and where they are stored.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use http::Uri;

use super::ascii_host;
use super::files::ContentDigest;
use super::listeners::ListenerSettings;
use super::reader::Reader;
use super::stores;
use super::tls::Certificates;
use crate::tls::Authorities;
use crate::tls::server::ClientProof;
use ::stores::DatabaseSettings;

/// How certificates are ordered from an ACME server (RFC 8555).
#[derive(Clone, Debug)]
pub(crate) struct AcmeSettings {
    /// The hostnames, in lower case. Each gets its own certificate.
    pub(crate) domains: Vec<String>,
    /// The contact address for the authority.
    pub(crate) email: Option<String>,
    /// The URL of the server's directory.
    pub(crate) directory_url: String,
    /// The certificate authorities to trust for that server.
    pub(crate) authorities: Authorities,
    /// Where the account and the certificates are stored.
    pub(crate) place: AcmePlace,
    /// The challenges to use, the preferred one first. At least one.
    pub(crate) challenges: Vec<AcmeChallenge>,
    /// The digest of `ACME_CA_FILE`, if it is set.
    ca: Option<ContentDigest>,
}

/// Where the account, the certificates and the challenges are stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AcmePlace {
    /// In a folder of this machine.
    Folder(PathBuf),
    /// In PostgreSQL, shared by all nodes.
    Postgres(Box<DatabaseSettings>),
}

/// How the gate proves to the authority that it controls a hostname.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcmeChallenge {
    /// With an HTTP response on port 80 (RFC 8555 §8.3).
    Http01,
    /// With a certificate on port 443 (RFC 8737).
    TlsAlpn01,
}

impl AcmeSettings {
    /// Whether the certificates are stored in a database.
    pub(super) fn uses_database(&self) -> bool {
        matches!(self.place, AcmePlace::Postgres(_))
    }

    /// Whether the settings equal `other`, so that a running keeper can continue.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        let Self {
            domains,
            email,
            directory_url,
            authorities: _,
            place,
            challenges,
            ca,
        } = self;
        (domains, email, directory_url) == (&other.domains, &other.email, &other.directory_url)
            && (place, challenges, ca) == (&other.place, &other.challenges, &other.ca)
    }
}

/// Reads the settings if a listener has `TLS=acme`. `stores` are those of the top level.
pub(super) fn read(
    reader: &mut Reader<'_>,
    listeners: &[ListenerSettings],
    stores: Option<&::stores::Settings>,
) -> Option<AcmeSettings> {
    if !is_used(listeners) {
        return None;
    }
    let mut domains = reader.list("ACME_DOMAINS", domain);
    let mut seen = BTreeSet::new();
    domains.retain(|domain| seen.insert(domain.clone()));
    if domains.is_empty() && !reader.is_given("ACME_DOMAINS") {
        let what = "TLS=acme needs the hostnames to order certificates for, such as app.example.com,www.example.com";
        reader.problem("ACME_DOMAINS", what);
    }
    let email = reader.read("ACME_EMAIL", email);
    let directory_url = reader.read_or("ACME_DIRECTORY_URL", LETS_ENCRYPT, directory_url);
    let (authorities, ca) = authorities(reader);
    let challenges = challenges(reader, listeners);
    let place = place(reader, stores);
    Some(AcmeSettings {
        domains,
        email,
        directory_url: directory_url?,
        authorities,
        place: place?,
        challenges,
        ca,
    })
}

/// Whether a listener uses certificates ordered by ACME.
pub(super) fn is_used(listeners: &[ListenerSettings]) -> bool {
    listeners.iter().any(uses_acme)
}

fn uses_acme(listener: &ListenerSettings) -> bool {
    let tls = listener.tls.as_ref();
    tls.is_some_and(|tls| matches!(tls.certificates, Certificates::Acme))
}

/// Reads a hostname, in lower case.
fn domain(text: &str) -> Result<String, Cow<'static, str>> {
    let name = text.to_ascii_lowercase();
    if name.starts_with("*.") {
        return Err(
            "a wildcard certificate needs a DNS challenge, which the gate does not support; list each hostname, or let \
             another ACME client write TLS_CERT_FILE"
                .into(),
        );
    }
    if let Some(ascii) = ascii_host::of(&name) {
        return Err(format!("write the hostname as DNS does: `{ascii}`").into());
    }
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Err("certificates are ordered for hostnames, not for IP addresses".into());
    }
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = label.as_bytes();
        bytes.len() <= LONGEST_LABEL
            && bytes.iter().copied().all(is_inner)
            && is_edge(bytes.first())
            && is_edge(bytes.last())
    };
    match name.len() <= LONGEST_NAME && name.split('.').all(is_label) {
        true => Ok(name),
        false => Err("not a hostname such as app.example.com, without scheme, port or path".into()),
    }
}

fn email(text: &str) -> Result<String, &'static str> {
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
    let has_other = |text: &str| text.contains([',', ';', '?', ':', '<', '>']);
    match text.split_once('@') {
        Some((name, host)) if is_part(name) && is_part(host) && !has_other(text) => {
            Ok(text.to_owned())
        }
        Some(_) | None => Err("not one e-mail address such as ops@example.com"),
    }
}

/// Reads the directory's URL. It must be HTTPS (RFC 8555 §6.1): certificates are only as trustworthy as the connection.
fn directory_url(text: &str) -> Result<String, String> {
    match ascii_host::advice(text) {
        Some(advice) => Err(advice),
        None => Ok(ascii_directory_url(text)?),
    }
}

fn ascii_directory_url(text: &str) -> Result<String, &'static str> {
    let uri: Uri = text.parse().map_err(|_| NO_DIRECTORY)?;
    let authority = uri.authority().ok_or(NO_DIRECTORY)?;
    let has_port = authority.as_str().len() > authority.host().len();
    if authority.as_str().contains('@') || (has_port && authority.port_u16().is_none()) {
        return Err(NO_DIRECTORY);
    }
    match uri.scheme_str() {
        Some("https") => Ok(text.to_owned()),
        Some(_) | None => Err(NO_DIRECTORY),
    }
}

/// The public certificate authorities, or instead those in `ACME_CA_FILE`.
fn authorities(reader: &mut Reader<'_>) -> (Authorities, Option<ContentDigest>) {
    let path = reader.text(CA_FILE);
    let Some(path) = path.as_deref().map(Path::new) else {
        return (Authorities::public(), None);
    };
    match Authorities::of_file(path) {
        Ok(authorities) => (authorities, ContentDigest::of_file(path)),
        Err(error) => {
            reader.problem(CA_FILE, error.to_string());
            (Authorities::public(), None)
        }
    }
}

/// The challenges to use: those that `ACME_CHALLENGE` allows and the listeners make possible.
fn challenges(reader: &mut Reader<'_>, listeners: &[ListenerSettings]) -> Vec<AcmeChallenge> {
    let words = [
        ("auto", None),
        ("http-01", Some(AcmeChallenge::Http01)),
        ("tls-alpn-01", Some(AcmeChallenge::TlsAlpn01)),
    ];
    let wanted = reader.choice(CHALLENGE, None, &words);
    let needs_no_client_certificate = |listener: &ListenerSettings| {
        let tls = listener.tls.as_ref();
        tls.is_some_and(|tls| !matches!(tls.client, ClientProof::Required(_)))
    };
    let by_tls = listeners
        .iter()
        .any(|listener| uses_acme(listener) && needs_no_client_certificate(listener));
    let by_http = listeners.iter().any(|listener| listener.tls.is_none());
    let open = [
        (by_tls, AcmeChallenge::TlsAlpn01, NO_TLS_ALPN),
        (by_http, AcmeChallenge::Http01, NO_HTTP),
    ];
    let of = |wanted: AcmeChallenge| move |(_, one, _): &&(_, AcmeChallenge, _)| *one == wanted;
    match wanted {
        Some(wanted) => {
            if let Some((false, _, why)) = open.iter().find(of(wanted)) {
                reader.problem(CHALLENGE, *why);
            }
            vec![wanted]
        }
        None => {
            if !by_tls && !by_http {
                reader.problem(CHALLENGE, format!("{NO_TLS_ALPN}; and {NO_HTTP}"));
            }
            let open = open.iter().filter(|(is_open, ..)| *is_open);
            open.map(|(_, one, _)| *one).collect()
        }
    }
}

fn place(reader: &mut Reader<'_>, stores: Option<&::stores::Settings>) -> Option<AcmePlace> {
    let Some(text) = reader.read(STORE, |text| Ok::<_, Infallible>(text.to_owned())) else {
        let what = "TLS=acme needs a place to store the account and the certificates: a folder such as \
             /var/lib/sessiongate/acme, or `postgres` for several nodes";
        reader.problem(STORE, what);
        return None;
    };
    if text == "postgres" {
        let database = stores::shared_database(reader, stores, STORE, "give a folder")?;
        return Some(AcmePlace::Postgres(Box::new(database)));
    }
    if text.contains("://") {
        let what = "it is a URL; write `postgres` for the database in DATABASE_URL, or the path of a folder";
        reader.problem(STORE, what);
        return None;
    }
    let path = PathBuf::from(&text);
    if path.exists() && !path.is_dir() {
        reader.problem(STORE, format!("`{text}` is not a folder"));
        return None;
    }
    Some(AcmePlace::Folder(path))
}

/// The directory of Let's Encrypt (<https://letsencrypt.org/docs/acme-protocol-updates/>).
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

const CA_FILE: &str = "ACME_CA_FILE";
const CHALLENGE: &str = "ACME_CHALLENGE";
const STORE: &str = "ACME_STORE";

const NO_DIRECTORY: &str = "not the https:// URL of an ACME directory, such as https://acme-v02.api.letsencrypt.org/directory";
const NO_HTTP: &str = "HTTP-01 needs a listener without TLS: set REDIRECT_LISTEN=0.0.0.0:80, the port that the authority connects to";
const NO_TLS_ALPN: &str =
    "TLS-ALPN-01 needs a listener with TLS=acme that does not require client certificates";

/// The longest label of a hostname in bytes (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 253;

#[cfg(test)]
mod tests;

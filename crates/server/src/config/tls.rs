//! Reads and checks the TLS settings of a listener, including the files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use session::UnixTime;

use super::files::ContentDigest;
use crate::tls::certificate::{self, Certificate, CertificateError, CertificateFiles};
use crate::tls::server::{ClientProof, MinVersion};

/// The checked TLS settings of a listener.
#[derive(Clone, Debug)]
pub(crate) struct TlsSettings {
    pub(crate) certificates: Certificates,
    pub(crate) oldest: MinVersion,
    pub(crate) client: ClientProof,
    /// Separates TLS sessions that must not be resumed on each other's listeners, because the gate requests no certificate when a
    /// session is resumed: the digest of the client authorities, and whether a certificate is required.
    pub(crate) clients: Option<(ContentDigest, bool)>,
    /// The files used, each with the setting that names it.
    pub(crate) files: Vec<(&'static str, PathBuf)>,
}

/// The source of a listener's certificates.
#[derive(Clone, Debug)]
pub(crate) enum Certificates {
    /// From files. The first certificate is the fallback.
    Files(Vec<Arc<Certificate>>),
    /// A self-signed certificate, made at start-up.
    SelfSigned,
    /// Ordered and renewed by ACME.
    Acme,
}

/// The TLS settings of a listener as given, unchecked.
#[derive(Debug)]
pub(super) struct RawTls {
    pub(super) mode: TlsMode,
    pub(super) chains: Vec<String>,
    pub(super) keys: Vec<String>,
    pub(super) oldest: MinVersion,
    pub(super) client_auth: ClientAuth,
    pub(super) client_ca: Option<String>,
}

/// The value of `TLS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsMode {
    Acme,
    Auto,
    Off,
    SelfSigned,
}

/// The value of `TLS_CLIENT_AUTH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientAuth {
    Off,
    Optional,
    Required,
}

/// A problem of one of the settings.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TlsProblem {
    pub(super) name: &'static str,
    pub(super) what: String,
}

/// The result of checking a listener's TLS settings.
#[derive(Debug, Default)]
pub(super) struct CheckedTls {
    /// `None` without TLS, or if there are problems.
    pub(super) settings: Option<TlsSettings>,
    pub(super) problems: Vec<TlsProblem>,
    /// Warnings about valid but odd settings.
    pub(super) warnings: Vec<String>,
    /// Settings that have no effect, each with the reason.
    pub(super) unused: Vec<(&'static str, &'static str)>,
}

pub(super) const TLS_MODES: [(&str, TlsMode); 4] = [
    ("acme", TlsMode::Acme),
    ("auto", TlsMode::Auto),
    ("off", TlsMode::Off),
    ("self-signed", TlsMode::SelfSigned),
];

pub(super) const VERSIONS: [(&str, MinVersion); 2] =
    [("1.2", MinVersion::Tls12), ("1.3", MinVersion::Tls13)];

pub(super) const CLIENT_AUTH: [(&str, ClientAuth); 3] = [
    ("off", ClientAuth::Off),
    ("optional", ClientAuth::Optional),
    ("required", ClientAuth::Required),
];

impl RawTls {
    /// Reads the files, and checks that everything fits together.
    pub(super) fn read(&self, now: UnixTime) -> CheckedTls {
        let mut reading = CheckedTls::default();
        let has_files = !self.chains.is_empty();
        if !has_files && !self.keys.is_empty() {
            let what = "the key has no certificate; set TLS_CERT_FILE";
            reading.problem("TLS_KEY_FILE", what);
        }
        let certificates = match self.mode {
            TlsMode::Off => None,
            TlsMode::Acme if has_files => {
                let what =
                    "`acme` orders certificates, but TLS_CERT_FILE is set too; keep one of the two";
                reading.problem("TLS", what);
                None
            }
            TlsMode::Acme => Some(Certificates::Acme),
            TlsMode::SelfSigned if has_files => {
                let what = "`self-signed` makes a certificate, but TLS_CERT_FILE is set too; keep one of the two";
                reading.problem("TLS", what);
                None
            }
            TlsMode::SelfSigned => {
                reading.warnings.push(SELF_SIGNED.to_owned());
                Some(Certificates::SelfSigned)
            }
            TlsMode::Auto if has_files => self.certificates(now, &mut reading),
            TlsMode::Auto => None,
        };
        let uses_tls = certificates.is_some() || !reading.problems.is_empty();
        if !uses_tls {
            reading.unused.extend(self.unused_settings(has_files));
        }
        let (client, clients) = self.client(&mut reading);
        if let Some(certificates) = certificates
            && reading.problems.is_empty()
        {
            reading.settings = Some(TlsSettings {
                certificates,
                oldest: self.oldest,
                client,
                clients,
                files: self.files(),
            });
        }
        reading
    }

    fn certificates(&self, now: UnixTime, reading: &mut CheckedTls) -> Option<Certificates> {
        let (chains, keys) = (self.chains.len(), self.keys.len());
        if keys != 0 && keys != chains {
            let what = format!(
                "there are {chains} certificate{} but {keys} key{}; list one key for each certificate, in the same order",
                plural(chains),
                plural(keys)
            );
            reading.problem("TLS_KEY_FILE", what);
            return None;
        }
        let mut certificates = Vec::new();
        for (index, chain) in self.chains.iter().enumerate() {
            let files = CertificateFiles {
                chain: PathBuf::from(chain),
                key: PathBuf::from(self.keys.get(index).unwrap_or(chain)),
            };
            match Certificate::load(&files.chain, &files.key) {
                Ok(certificate) => {
                    let warnings = certificate.warnings(&files.chain, &files.key, now);
                    reading.warnings.extend(warnings);
                    certificates.push(Arc::new(certificate));
                }
                Err(CertificateError::Certificate(what)) => reading.problem("TLS_CERT_FILE", what),
                Err(CertificateError::Key(what)) => reading.problem("TLS_KEY_FILE", what),
            }
        }
        Some(Certificates::Files(certificates))
    }

    fn client(&self, reading: &mut CheckedTls) -> (ClientProof, Option<(ContentDigest, bool)>) {
        let off = (ClientProof::Off, None);
        let Some(path) = &self.client_ca else {
            if self.client_auth != ClientAuth::Off {
                let what =
                    "it needs the certificate authorities of clients; set TLS_CLIENT_CA_FILE";
                reading.problem("TLS_CLIENT_AUTH", what);
            }
            return off;
        };
        if self.client_auth == ClientAuth::Off {
            let why = "client certificates are not requested; set TLS_CLIENT_AUTH to optional or required";
            reading.unused.push(("TLS_CLIENT_CA_FILE", why));
            return off;
        }
        let path = Path::new(path);
        let (roots, read) = match authorities(path) {
            Ok((roots, read)) => (Arc::new(roots), read),
            Err(what) => {
                reading.problem("TLS_CLIENT_CA_FILE", what);
                return off;
            }
        };
        let proof = match self.client_auth {
            ClientAuth::Off => ClientProof::Off,
            ClientAuth::Optional => ClientProof::Optional(roots),
            ClientAuth::Required => ClientProof::Required(roots),
        };
        let is_required = self.client_auth == ClientAuth::Required;
        (proof, Some((read, is_required)))
    }

    fn unused_settings(&self, has_files: bool) -> Vec<(&'static str, &'static str)> {
        let why = match self.mode {
            TlsMode::Off => "TLS is off",
            TlsMode::Acme | TlsMode::Auto | TlsMode::SelfSigned => {
                "there is no TLS without TLS_CERT_FILE"
            }
        };
        let auth = self.client_auth != ClientAuth::Off;
        let given = [
            ("TLS_CERT_FILE", has_files),
            ("TLS_KEY_FILE", !self.keys.is_empty()),
            ("TLS_CLIENT_AUTH", auth),
        ];
        let given = given.into_iter().filter(|(_, is_given)| *is_given);
        given.map(|(name, _)| (name, why)).collect()
    }

    fn files(&self) -> Vec<(&'static str, PathBuf)> {
        let named = |name: &'static str, paths: &[String]| {
            let paths = paths.iter();
            paths
                .map(|path| (name, PathBuf::from(path)))
                .collect::<Vec<_>>()
        };
        let mut files = named("TLS_CERT_FILE", &self.chains);
        files.extend(named("TLS_KEY_FILE", &self.keys));
        files.extend(named("TLS_CLIENT_CA_FILE", self.client_ca.as_slice()));
        files
    }
}

impl CheckedTls {
    fn problem(&mut self, name: &'static str, what: impl Into<String>) {
        let what = what.into();
        self.problems.push(TlsProblem { name, what });
    }
}

/// The certificate authorities in a file, and the digest of the file.
fn authorities(path: &Path) -> Result<(RootCertStore, ContentDigest), String> {
    let bytes = certificate::content(path)?;
    let chain = certificate::chain_of(bytes.expose(), path).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for one in chain {
        let shown = path.display();
        roots.add(one).map_err(|error| {
            format!("a certificate in `{shown}` is not a valid certificate authority: {error}")
        })?;
    }
    Ok((roots, ContentDigest::of(bytes.expose())))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

const SELF_SIGNED: &str = "TLS=self-signed is for development only: clients cannot verify the certificate, so they \
     cannot detect a man in the middle";

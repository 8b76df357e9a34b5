//! Lists every configured secret and its file, for `doctor`, which judges them one by one and compares them.

use std::path::PathBuf;

use session::Secret;

use super::catalogue;
use super::file::Loaded;
use super::place::Place;
use super::raw_tables::DEFAULT_REALM;
use super::reader::{Reader, Variables};
use super::sessions::{authjs_secrets, better_auth_secrets};

/// The purpose of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The token of the admin listener.
    Admin,
    /// Sessions of Auth.js and NextAuth.
    AuthJs,
    /// Bearer tokens of an issuer.
    Bearer,
    /// Sessions of Better Auth.
    BetterAuth,
    /// The value of the bypass header.
    Bypass,
}

/// A configured secret, and its setting.
#[derive(Clone, Debug)]
pub(crate) struct GivenSecret {
    /// Its realm.
    pub(crate) realm: String,
    /// Its setting.
    pub(crate) setting: String,
    pub(crate) purpose: Purpose,
    pub(crate) secret: Secret,
}

/// A file that contains a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretFile {
    /// The setting that names the file, or that is in it.
    pub(crate) setting: String,
    pub(crate) path: PathBuf,
}

/// The configured secrets, including those that start-up refuses.
pub(crate) fn secrets(loaded: &Loaded) -> Vec<GivenSecret> {
    let mut all = Vec::new();
    for (realm, variables) in realms(loaded) {
        let mut reader = Reader::tolerant(variables);
        let given = |purpose, setting: &str, secret: Secret| GivenSecret {
            realm: realm.to_owned(),
            setting: setting.to_owned(),
            purpose,
            secret,
        };
        let authjs = authjs_secrets(&mut reader, &mut |_, name, secret| {
            all.push(given(Purpose::AuthJs, name, secret.clone()));
            Some(secret)
        });
        better_auth_secrets(&mut reader, &authjs, &mut |_, name, secret| {
            all.push(given(Purpose::BetterAuth, name, secret.clone()));
            Some(secret)
        });
        let bearer = reader.key("BEARER_SECRET");
        all.extend(bearer.map(|secret| given(Purpose::Bearer, "BEARER_SECRET", secret)));
        if realm == DEFAULT_REALM {
            for (purpose, name) in [
                (Purpose::Admin, "ADMIN_TOKEN"),
                (Purpose::Bypass, "BYPASS_HEADER_VALUE"),
            ] {
                let secret = reader.secret(name);
                all.extend(secret.map(|secret| given(purpose, name, secret)));
            }
        }
    }
    all
}

/// The files that contain secrets: those that settings ending in `_FILE` name, and configuration files with a secret in
/// them.
pub(crate) fn secret_files(loaded: &Loaded) -> Vec<SecretFile> {
    let mut files: Vec<SecretFile> = Vec::new();
    for (_, variables) in realms(loaded) {
        for entry in catalogue::entries().filter(|entry| entry.kind.is_secret()) {
            let file_name = format!("{}_FILE", entry.name);
            let of_its_own = variables.get(&file_name).map(|path| SecretFile {
                setting: file_name.clone(),
                path: PathBuf::from(path),
            });
            // A setting whose secret is in a file of its own has a place but no value.
            let is_within = variables.get(entry.name).is_some();
            let place = variables.place(entry.name).filter(|_| is_within);
            let within = match place {
                Some(Place::File { file, .. }) => Some(SecretFile {
                    setting: entry.name.to_ascii_lowercase(),
                    path: file.path.clone(),
                }),
                Some(Place::Variable(_)) | None => None,
            };
            for file in of_its_own.into_iter().chain(within) {
                if !files.iter().any(|known| known.path == file.path) {
                    files.push(file);
                }
            }
        }
    }
    files
}

/// Whether there is a configuration at all: a file, or a setting in the environment other than those for logs.
pub(crate) fn is_configured(loaded: &Loaded) -> bool {
    let is_set = |name: &str| loaded.variables.get(name).is_some();
    let mut entries = catalogue::entries().filter(|entry| !LOGS.contains(&entry.name));
    let is_in_environment = entries.any(|entry| {
        is_set(entry.name) || (entry.kind.is_secret() && is_set(&format!("{}_FILE", entry.name)))
    });
    loaded.main.is_some() || is_in_environment
}

/// The realms with their settings as given, that of the top level first.
pub(crate) fn realms(loaded: &Loaded) -> impl Iterator<Item = (&str, &Variables)> {
    let named = loaded.raw_tables.realms.iter();
    let named = named.map(|realm| (realm.name.value.as_str(), &realm.settings));
    std::iter::once((DEFAULT_REALM, &loaded.variables)).chain(named)
}

/// Settings that many programs read, so they do not show that the gate is configured.
const LOGS: [&str; 2] = ["LOG_FORMAT", "RUST_LOG"];

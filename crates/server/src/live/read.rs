//! What was read of a configuration, to see what has changed.

use std::collections::BTreeSet;
use std::fs;

use percent_encoding::percent_decode_str;
use session::Secret;

use crate::config::{Setting, Variables};

/// The settings, secrets as fingerprints; and what is in files that are not secrets.
#[derive(Debug, Default)]
pub(super) struct Read {
    settings: BTreeSet<(String, String)>,
}

impl Read {
    /// `settings` are what `variables` say.
    pub(super) fn of(variables: &Variables, settings: &[Setting]) -> Self {
        let settings = settings.iter();
        let shown = settings
            .clone()
            .map(|Setting { name, shown, .. }| (name.clone(), shown.clone()));
        let is_file = |name: &str| name.ends_with("_CA_FILE") || name == "BEARER_JWKS";
        let named = settings.filter(|setting| is_file(&setting.name));
        let named = named.map(|Setting { name, shown, .. }| (name.clone(), shown.clone()));
        let url = "DATABASE_URL";
        let in_url = match (variables.get(url), variables.get(&format!("{url}_FILE"))) {
            (Some(text), _) => certificates_in(text),
            (None, Some(path)) => certificates_in(&fs::read_to_string(path).unwrap_or_default()),
            (None, None) => Vec::new(),
        };
        let in_url = in_url.into_iter().map(|path| (url.to_owned(), path));
        let contents = named.chain(in_url).filter_map(|(name, path)| {
            // One that cannot be read, or is a URL, is for others to report.
            let content = Secret::new(fs::read(&path).ok()?);
            Some((name, format!("{path}: {content}")))
        });
        Self {
            settings: shown.chain(contents).collect(),
        }
    }

    /// The names of settings that are not as they were.
    pub(super) fn changed_since(&self, before: &Self) -> BTreeSet<String> {
        let differing = self.settings.symmetric_difference(&before.settings);
        differing.map(|(name, _)| name.clone()).collect()
    }
}

/// The certificate files that a URL of PostgreSQL names in its parameters.
fn certificates_in(url: &str) -> Vec<String> {
    let parameters = url.trim().rsplit_once('?').map_or("", |(_, after)| after);
    let parameters = parameters
        .split('&')
        .filter_map(|pair| pair.split_once('='));
    let files = parameters.filter(|(name, _)| {
        let same = |file: &&str| name.eq_ignore_ascii_case(file);
        CERTIFICATES.iter().any(same)
    });
    let path = |path| percent_decode_str(path).decode_utf8_lossy().into_owned();
    files.map(|(_, value)| path(value)).collect()
}

/// The parameters of libpq, and the names by which sqlx takes them too.
const CERTIFICATES: [&str; 6] = [
    "sslrootcert",
    "ssl-root-cert",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_files_are_found_in_a_url() {
        let url = "postgres://u:p?@h/db?sslmode=verify-full&SSLRootCert=/a%20b.pem&sslkey=/k\n";
        assert_eq!(certificates_in("postgres://u:p@h/db"), [""; 0]);
        assert_eq!(certificates_in(&url.replace("p?", "p")), ["/a b.pem", "/k"]);
        assert_eq!(certificates_in(url), ["/a b.pem", "/k"]);
    }
}

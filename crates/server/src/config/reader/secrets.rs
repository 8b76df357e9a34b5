//! Reads secrets, and URLs that may contain one, from a variable or a file.

use std::path::Path;

use session::Secret;

use super::super::byte_order_mark::BYTE_ORDER_MARK;
use super::super::connection_url::ConnectionUrl;
use super::super::given::{self, Given, LONGEST_FILE, SecretForm};
use super::Reader;
use client_tls::named_file;

impl Reader<'_> {
    /// Reads a secret from `NAME` or from the file that `NAME_FILE` names. A final newline of the file is not part of the
    /// secret, because editors and `echo` add it.
    pub(crate) fn secret(&mut self, name: &str) -> Option<Secret> {
        self.secret_of(name, SecretForm::Text)
    }

    /// Reads several secrets in one text. The caller splits them, and must report [each](Self::record_secret).
    pub(crate) fn secret_list(&mut self, name: &str) -> Option<Secret> {
        self.secret_of(name, SecretForm::List)
    }

    /// Reads a secret of arbitrary bytes: a key that JavaScript never reads as text.
    pub(crate) fn key(&mut self, name: &str) -> Option<Secret> {
        self.secret_of(name, SecretForm::Bytes)
    }

    fn secret_of(&mut self, name: &str, content: SecretForm) -> Option<Secret> {
        let file_name = format!("{name}_FILE");
        let (direct, file) = (self.variables.get(name), self.variables.get(&file_name));
        let given = match (direct, file) {
            (None, None) => return None,
            (Some(_), Some(_)) => {
                self.problem(
                    name,
                    format!("both {name} and {file_name} are set; keep one"),
                );
                return None;
            }
            (Some(value), None) => Given::new(name, Secret::new(value), false, content),
            (None, Some(path)) => match Given::read(&file_name, Path::new(path), content) {
                Ok(given) => given,
                Err(error) => {
                    let hint = match given::core(path.as_bytes()) == path.as_bytes() {
                        true => "",
                        false => "; quotes and spaces around a path are part of it",
                    };
                    self.problem(&file_name, format!("cannot read `{path}`: {error}{hint}"));
                    return None;
                }
            },
        };
        let (secret, flaw) = (given.secret.clone(), given.flaw());
        self.given.push(given);
        self.record_setting(name, &secret.to_string(), false);
        match flaw {
            Some(flaw) if !self.is_tolerant => {
                self.problem(name, flaw);
                None
            }
            Some(_) | None => Some(secret),
        }
    }

    /// Records a secret that was taken from a list, for [`Reader::warnings`].
    pub(crate) fn record_secret(&mut self, source: String, secret: &Secret) {
        self.given
            .push(Given::new(source, secret.clone(), false, SecretForm::Text));
    }

    /// Warnings about odd secrets, and about secrets that differ only at their ends.
    pub(crate) fn warnings(&self) -> Vec<String> {
        given::warnings(&self.given, self.is_tolerant)
    }

    /// Adds the oddities of secrets to the problems of their settings.
    pub(crate) fn explain_problems(&mut self) {
        given::explain(&mut self.problems, &self.given);
    }

    /// A secret from which to derive another key; `None` if it cannot be read. A secret that was read before is not read again,
    /// because a pipe can be read only once. White space at its end is removed, so that nodes that get the secret in different
    /// ways derive the same key.
    pub(crate) fn secret_again(&self, name: &str) -> Option<Secret> {
        let known = self.given.iter().find(|given| given.is_all_of(name));
        let secret = match (known, self.variables.get(name)) {
            (Some(given), _) => given.secret.clone(),
            (None, Some(value)) => Secret::new(value),
            (None, None) => {
                let path = self.variables.get(&format!("{name}_FILE"))?;
                let bytes = named_file::read(Path::new(path), LONGEST_FILE);
                Secret::new(bytes.ok()?)
            }
        };
        Some(Secret::new(secret.expose().trim_ascii_end()))
    }

    /// Reads a secret that must be text, such as a password in a connection string.
    pub(crate) fn password(&mut self, name: &str) -> Option<String> {
        let secret = self.secret(name)?;
        let text = std::str::from_utf8(secret.expose()).map(str::to_owned);
        text.map_err(|_| self.problem(name, "it is not UTF-8 text"))
            .ok()
    }

    /// Reads a connection string, which is shown without its password.
    pub(crate) fn url(&mut self, name: &str) -> Option<String> {
        let file_name = format!("{name}_FILE");
        if self.variables.get(&file_name).is_some() {
            let url = self.secret_of(name, SecretForm::Url)?;
            let text = str::from_utf8(url.expose()).map(str::to_owned);
            let text = text.map_err(|_| self.problem(name, "it is not UTF-8 text"));
            return text.ok().map(|url| self.bare_url(&file_name, &url));
        }
        let url = self.variables.get(name).map(str::to_owned);
        let url = url.map(|url| self.bare_url(name, &url));
        let shown = url
            .as_deref()
            .map(str::trim)
            .map_or_else(|| "(unset)".to_owned(), shown);
        self.record_setting(name, &shown, url.is_none());
        url.map(|url| url.trim().to_owned())
    }

    /// Removes white space around a URL. Quotes, a byte-order mark and the name of a variable are reported and removed, so
    /// that they do not cause a second problem.
    fn bare_url(&mut self, source: &str, url: &str) -> String {
        let mut bare = url.trim();
        if let Some(rest) = bare.strip_prefix(BYTE_ORDER_MARK) {
            let what = "the URL begins with a byte-order mark (EF BB BF); save it without one";
            self.problem(source, what);
            bare = rest.trim();
        }
        if let Some(rest) = given::without_assignment(bare) {
            let what = "it begins with the name of a variable and `=`; give only the URL";
            self.problem(source, what);
            bare = rest;
        }
        if let Some((rest, kind)) = given::unquoted(bare) {
            let what = format!(
                "the URL is in {kind} quotes, which dotenv and shells remove but `docker run --env-file` keeps; remove \
                 them"
            );
            self.problem(source, what);
            bare = rest;
        }
        bare.to_owned()
    }
}

/// A connection string in displayable form. An invalid one is hidden, because any part may be a password.
pub(super) fn shown(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    ConnectionUrl::parse(url).map_or_else(|_| "(set)".to_owned(), |url| url.to_string())
}

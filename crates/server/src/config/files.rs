//! The files that make up a configuration and the files that it names, which a reload checks for changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{self, SHA256};
use serde::{Deserialize, Serialize};

use super::catalogue::{self, Entry, Kind};
use super::file::{LONGEST, Loaded};
use super::place::SourceFile;
use super::raw_tables::{RawProfile, RawSource, RawTables};
use super::variables::Variables;
use super::{Config, RealmSettings};
use client_tls::named_file;

/// The watched files, and the patterns that may match further ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    /// Each path with its name in messages: the setting that names it, or the path.
    named: BTreeMap<PathBuf, String>,
    /// The patterns of `include`, absolute or relative to the working directory.
    patterns: BTreeSet<String>,
}

/// Digests of the contents of files, each with its name in messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileDigests(BTreeMap<PathBuf, (String, Option<ContentDigest>)>);

/// The SHA-256 digest of the content of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContentDigest([u8; 32]);

/// The metadata of files, which shows changes without reading them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileMetadata(BTreeMap<PathBuf, Option<FileStamp>>);

/// Metadata of one file, with symbolic links resolved: device, inode, length, mtime and ctime.
type FileStamp = (u64, u64, u64, (i64, i64), (i64, i64));

impl Files {
    /// The files that were loaded, and those that their settings name. `config` adds the files that are known only once the
    /// configuration is valid.
    pub(super) fn of(loaded: &Loaded, config: Option<&Config>) -> Self {
        let mut files = Self {
            patterns: loaded.patterns.iter().cloned().collect(),
            ..Self::default()
        };
        let read = loaded.files.iter().map(|file| &file.path);
        for path in loaded.main.iter().chain(read) {
            files.add(path, path.display().to_string());
        }
        let RawTables {
            realms, profiles, ..
        } = &loaded.raw_tables;
        files.add_settings(&loaded.variables, |name| name.to_owned());
        for realm in realms {
            let of_realm = |name: &str| format!("{}: {name}", realm.name.value);
            files.add_settings(&realm.settings, of_realm);
        }
        profiles
            .iter()
            .for_each(|profile| files.add_constants(profile));
        let stores = config.iter().flat_map(|config| &config.realms);
        for (name, path) in stores.flat_map(RealmSettings::store_files) {
            files.add(path, name.to_owned());
        }
        let listeners = config.iter().flat_map(|config| config.tls_files());
        for (name, path) in listeners {
            files.add(path, name.to_owned());
        }
        files
    }

    /// The union with other files.
    pub(super) fn merged_with(mut self, others: Self) -> Self {
        others
            .named
            .into_iter()
            .for_each(|(path, name)| self.add(&path, name));
        self.patterns.extend(others.patterns);
        self
    }

    fn add(&mut self, path: &Path, name: String) {
        self.named.entry(path.to_owned()).or_insert(name);
    }

    /// Adds the files of secrets and certificates.
    fn add_settings(&mut self, variables: &Variables, name_of: impl Fn(&str) -> String) {
        for name in variables.names() {
            if let (Some(entry), Some(path)) = (setting_of_file(name), variables.get(name))
                && !path.contains("://")
            {
                self.add(Path::new(path), name_of(entry.name));
            }
        }
    }

    fn add_constants(&mut self, profile: &RawProfile) {
        for (header, value) in &profile.headers {
            if let RawSource::SecretFile(path) = &value.source {
                let name = format!("[profile.{}] {}", profile.name.value, header.value);
                self.add(Path::new(&path.value), name);
            }
        }
    }

    /// All files, including those that currently match the patterns.
    fn current_paths(&self) -> BTreeMap<PathBuf, String> {
        let mut all = self.named.clone();
        let patterns = self.patterns.iter();
        let paths = patterns.filter_map(|pattern| glob::glob(pattern).ok());
        for path in paths.flatten().filter_map(Result::ok) {
            let name = path.display().to_string();
            all.entry(path).or_insert(name);
        }
        all
    }

    /// The current metadata of the files.
    pub(crate) fn metadata(&self) -> FileMetadata {
        let stamp = |path: PathBuf| {
            let seen = fs::metadata(&path).ok().map(|file| {
                let (content, anything) = (
                    (file.mtime(), file.mtime_nsec()),
                    (file.ctime(), file.ctime_nsec()),
                );
                (file.dev(), file.ino(), file.len(), content, anything)
            });
            (path, seen)
        };
        FileMetadata(self.current_paths().into_keys().map(stamp).collect())
    }

    /// The current digests of the files.
    pub(crate) fn contents(&self) -> FileDigests {
        self.contents_reusing(&FileDigests::default(), &[])
    }

    /// The digests of the files. Files in `read` or `known` are not read again.
    pub(super) fn contents_reusing(
        &self,
        known: &FileDigests,
        read: &[std::sync::Arc<SourceFile>],
    ) -> FileDigests {
        let content = |path: &Path| {
            let text = read.iter().find(|file| file.path == path);
            match (text, known.0.get(path)) {
                (Some(file), _) => Some(ContentDigest::of(file.text.as_bytes())),
                (None, Some((_, known))) => *known,
                (None, None) => ContentDigest::of_file(path),
            }
        };
        let all = self.current_paths().into_iter();
        FileDigests(
            all.map(|(path, name)| {
                let content = content(&path);
                (path, (name, content))
            })
            .collect(),
        )
    }
}

impl FileDigests {
    /// The names of files whose content differs, or that exist only in one of the two.
    pub(crate) fn differing<'c>(&'c self, before: &'c Self) -> impl Iterator<Item = &'c str> {
        let new = self.0.iter().filter(|(path, (_, content))| {
            let before = before.0.get(*path);
            before.is_none_or(|(_, before)| before != content)
        });
        let gone = before.0.iter();
        let gone = gone.filter(|(path, _)| !self.0.contains_key(*path));
        new.chain(gone).map(|(_, (name, _))| name.as_str())
    }
}

impl ContentDigest {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let digest = digest::digest(&SHA256, bytes);
        let mut content = [0; 32];
        content.copy_from_slice(digest.as_ref());
        Self(content)
    }

    /// The digest of a file, if it can be read. A pipe has none, because it can be read only once.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        if !fs::metadata(path).ok()?.is_file() {
            return None;
        }
        let bytes = named_file::read(path, LONGEST).ok()?;
        // The content may be a secret, so it is wiped from memory.
        Some(Self::of(session::Secret::new(bytes).expose()))
    }
}

/// The setting for which this variable names a file: the variable's own setting, or the secret that the file contains.
fn setting_of_file(name: &str) -> Option<&'static Entry> {
    match catalogue::entry(name) {
        Some(entry) => {
            Some(entry).filter(|entry| entry.kind == Kind::File || name == "BEARER_JWKS")
        }
        None => {
            catalogue::entry(name.strip_suffix("_FILE")?).filter(|entry| entry.kind.is_secret())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_name_files_are_known() {
        for (name, called) in [
            ("AUTH_SECRET_FILE", Some("AUTH_SECRET")),
            ("BEARER_JWKS", Some("BEARER_JWKS")),
            ("BEARER_JWKS_CA_FILE", Some("BEARER_JWKS_CA_FILE")),
            ("DATABASE_URL_FILE", Some("DATABASE_URL")),
            ("REDIS_CA_FILE", Some("REDIS_CA_FILE")),
            ("AUTH_SECRET", None),
            ("UPSTREAM_FILE", None),
            ("HOME_FILE", None),
        ] {
            assert_eq!(
                setting_of_file(name).map(|entry| entry.name),
                called,
                "{name}"
            );
        }
    }

    #[test]
    fn files_that_differ_are_named_once() {
        let contents = |files: &[(&str, &[u8])]| {
            let content = |(path, text): &(&str, &[u8])| {
                (
                    PathBuf::from(path),
                    ((*path).to_owned(), Some(ContentDigest::of(text))),
                )
            };
            FileDigests(files.iter().map(content).collect())
        };
        let before = contents(&[("same", b"1"), ("other", b"1"), ("gone", b"1")]);
        let after = contents(&[("same", b"1"), ("other", b"2"), ("new", b"1")]);
        let mut differing: Vec<_> = after.differing(&before).collect();
        differing.sort_unstable();
        assert_eq!(differing, ["gone", "new", "other"]);
        assert_eq!(after.differing(&after).count(), 0);
    }
}

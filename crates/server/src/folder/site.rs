//! Finds the file of a folder that answers a request.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use http::HeaderValue;
use rustix::io::Errno;

use super::beneath::{LookupMode, OpenFolder, Root};
use super::coding::{Accepted, Coding};
use super::media_type::MediaType;
use super::name::Name;
use super::stat::{FileKind, Stat};
use crate::config::FolderOptions;

/// A folder, and how its files are served.
#[derive(Debug)]
pub(super) struct FolderSite {
    root: Root,
    pub(super) options: FolderOptions,
}

/// A lookup in a folder.
#[derive(Debug)]
pub(super) struct Lookup {
    /// The file's path below the folder.
    path: PathBuf,
    codings: Accepted,
    /// Whether the fallback page may answer.
    takes_fallback: bool,
}

/// The result of a lookup.
#[derive(Debug)]
pub(super) enum Found {
    File(File),
    /// A folder, requested without the slash at its end.
    Folder,
    Nothing,
}

/// A file that is served.
#[derive(Debug)]
pub(super) struct File {
    pub(super) opened: OwnedFd,
    pub(super) stat: Stat,
    pub(super) kind: &'static MediaType,
    /// The coding of a precompressed file.
    pub(super) coding: Option<Coding>,
    /// Whether it is the fallback for a missing page.
    pub(super) is_fallback: bool,
}

impl FolderSite {
    pub(super) fn new(path: PathBuf, options: FolderOptions) -> Self {
        Self {
            root: Root::new(path),
            options,
        }
    }

    /// The `Cache-Control` of its files.
    pub(super) fn cache_control(&self, is_public: bool) -> &HeaderValue {
        let cache_control = &self.options.cache_control;
        match is_public {
            true => &cache_control.public,
            false => &cache_control.protected,
        }
    }

    /// Looks up a file, or the fallback page for a missing one.
    ///
    /// # Errors
    /// When the folder or the file cannot be read; with [`LookupMode::InMemory`] also when it is not in the page cache.
    pub(super) fn find(&self, sought: &Lookup, lookup_mode: LookupMode) -> Result<Found, Errno> {
        let folder = self.root.open(lookup_mode)?;
        let found = find_at(&folder, &sought.path, &sought.codings)?;
        match (&found, &self.options.fallback) {
            (Found::Nothing, Some(fallback)) if sought.takes_fallback => {
                let found = find_at(&folder, fallback, &sought.codings)?;
                Ok(match found {
                    Found::File(file) => Found::File(File {
                        is_fallback: true,
                        ..file
                    }),
                    Found::Folder | Found::Nothing => Found::Nothing,
                })
            }
            _ => Ok(found),
        }
    }
}

impl Lookup {
    /// Creates the lookup of the file that a path names, which is the index page if the path names a folder.
    pub(super) fn new(name: Name, codings: Accepted, takes_fallback: bool) -> Self {
        Self {
            takes_fallback: takes_fallback && !MediaType::is_asset(name.path()),
            path: match name.is_folder() {
                true => name.join(INDEX),
                false => name.path().to_owned(),
            },
            codings,
        }
    }

    /// Creates the lookup of this page, without a fallback.
    pub(super) fn page(path: PathBuf, codings: Accepted) -> Self {
        Self {
            path,
            codings,
            takes_fallback: false,
        }
    }
}

/// The file at a path, or a precompressed version that the client accepts.
fn find_at(folder: &OpenFolder<'_>, path: &Path, codings: &Accepted) -> Result<Found, Errno> {
    let Some(opened) = open(folder, path)? else {
        return Ok(Found::Nothing);
    };
    let stat = match FileKind::of(&opened)? {
        FileKind::File(stat) => stat,
        FileKind::Folder => return Ok(Found::Folder),
        FileKind::Other => return Ok(Found::Nothing),
    };
    let kind = MediaType::of(path);
    let file = File {
        opened,
        stat,
        kind,
        coding: None,
        is_fallback: false,
    };
    if !kind.is_compressible {
        return Ok(Found::File(file));
    }
    for coding in codings {
        let mut compressed = path.as_os_str().to_owned();
        compressed.push(coding.extension());
        let Some(opened) = open(folder, Path::new(&compressed))? else {
            continue;
        };
        if let FileKind::File(stat) = FileKind::of(&opened)? {
            let coding = Some(*coding);
            return Ok(Found::File(File {
                opened,
                stat,
                coding,
                ..file
            }));
        }
    }
    Ok(Found::File(file))
}

/// Opens a file. `None` if it is missing or unreadable, or if a link leads out of the folder.
fn open(folder: &OpenFolder<'_>, path: &Path) -> Result<Option<OwnedFd>, Errno> {
    match folder.file(path) {
        Ok(opened) => Ok(Some(opened)),
        Err(
            Errno::ACCESS
            | Errno::LOOP
            | Errno::NAMETOOLONG
            | Errno::NOENT
            | Errno::NOTDIR
            | Errno::NXIO
            | Errno::XDEV,
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The index page of a folder.
const INDEX: &str = "index.html";

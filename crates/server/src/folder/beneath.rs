//! Opens files below a folder, and never one outside of it, even where links lead out.
//!
//! On Linux `openat2` with `RESOLVE_BENEATH` follows links that stay below the folder and refuses others. Without that call
//! (before Linux 5.6, in a sandbox that does not know it, on other systems) each component is opened separately, and links
//! are read and followed by name.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, open, openat, readlinkat};
use rustix::io::Errno;

/// A folder, by its path. The path is resolved for each request, so that a changed symbolic link takes effect at once.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    /// Whether `openat2` is available.
    by_kernel: bool,
}

/// How long a lookup may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookupMode {
    /// As long as it takes, on a blocking thread.
    Blocking,
    /// Only as long as the page cache answers: a lookup that needs a disk or a network fails with [`AGAIN`](Errno::AGAIN).
    InMemory,
}

/// The open folder.
#[derive(Debug)]
pub(super) struct OpenFolder<'r> {
    folder: OwnedFd,
    root: &'r Root,
    lookup_mode: LookupMode,
}

impl Root {
    /// The folder at this path.
    pub(super) fn new(path: PathBuf) -> Self {
        let by_kernel = kernel::keeps_names();
        Self { path, by_kernel }
    }

    #[cfg(test)]
    fn step_by_step(path: PathBuf) -> Self {
        Self {
            path,
            by_kernel: false,
        }
    }

    /// Opens the folder.
    ///
    /// # Errors
    /// When it does not exist, or is no folder.
    pub(super) fn open(&self, lookup_mode: LookupMode) -> Result<OpenFolder<'_>, Errno> {
        let folder = match (self.by_kernel, lookup_mode) {
            (_, LookupMode::Blocking) => open(&self.path, FOLDER, Mode::empty())?,
            (true, LookupMode::InMemory) => kernel::open_in_memory(CWD, &self.path, FOLDER)?,
            (false, LookupMode::InMemory) => return Err(Errno::AGAIN),
        };
        Ok(OpenFolder {
            folder,
            root: self,
            lookup_mode,
        })
    }
}

impl OpenFolder<'_> {
    /// Opens the file with this name below the folder, for reading. A FIFO or a device does not block.
    ///
    /// # Errors
    /// The errors of `open`. A link that leads out of the folder is [`XDEV`](Errno::XDEV).
    pub(super) fn file(&self, name: &Path) -> Result<OwnedFd, Errno> {
        let folder = self.folder.as_fd();
        match self.root.by_kernel {
            true => kernel::open_beneath(folder, name, FILE, self.lookup_mode),
            false => walk(folder, name),
        }
    }
}

/// Opens each component separately, so that the kernel follows no link.
fn walk(root: BorrowedFd<'_>, name: &Path) -> Result<OwnedFd, Errno> {
    let mut steps: VecDeque<OsString> = names(name)?;
    let mut above: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(step) = steps.pop_front() {
        if step == ".." {
            // `..` in the folder itself leads out of it.
            above.pop().ok_or(Errno::XDEV)?;
            continue;
        }
        let here = above.last().map_or(root, AsFd::as_fd);
        let flags = match steps.is_empty() {
            true => FILE,
            false => FOLDER,
        };
        match openat(here, &step, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(opened) => above.push(opened),
            // The errors of `O_NOFOLLOW` for a link, without and with `O_DIRECTORY`.
            Err(error @ (Errno::LOOP | Errno::MLINK | Errno::NOTDIR)) => {
                let target = readlinkat(here, &step, Vec::new()).map_err(|_| error)?;
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP);
                }
                let target = OsString::from_vec(target.into_bytes());
                for name in names(Path::new(&target))?.into_iter().rev() {
                    steps.push_front(name);
                }
            }
            Err(error) => return Err(error),
        }
    }
    match above.pop() {
        Some(opened) => Ok(opened),
        None => openat(root, ".", FILE, Mode::empty()),
    }
}

/// The components of a relative path.
fn names(path: &Path) -> Result<VecDeque<OsString>, Errno> {
    let mut names = VecDeque::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => names.push_back(name.to_owned()),
            Component::ParentDir => names.push_back(OsStr::from_bytes(b"..").to_owned()),
            Component::Prefix(_) | Component::RootDir => return Err(Errno::XDEV),
        }
    }
    Ok(names)
}

/// Opens a file with `openat2`.
#[cfg(target_os = "linux")]
mod kernel {
    use std::os::fd::{BorrowedFd, OwnedFd};
    use std::path::Path;

    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::Errno;

    use super::{FOLDER, LookupMode};

    /// Whether `openat2` exists and is allowed.
    pub(super) fn keeps_names() -> bool {
        openat2(CWD, ".", FOLDER, Mode::empty(), ResolveFlags::BENEATH).is_ok()
    }

    pub(super) fn open_in_memory(
        folder: BorrowedFd<'_>,
        path: &Path,
        flags: OFlags,
    ) -> Result<OwnedFd, Errno> {
        openat2(folder, path, flags, Mode::empty(), ResolveFlags::CACHED)
    }

    pub(super) fn open_beneath(
        folder: BorrowedFd<'_>,
        name: &Path,
        flags: OFlags,
        lookup_mode: LookupMode,
    ) -> Result<OwnedFd, Errno> {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        if lookup_mode == LookupMode::InMemory {
            return openat2(
                folder,
                name,
                flags,
                Mode::empty(),
                beneath | ResolveFlags::CACHED,
            );
        }
        let mut tries = 0;
        loop {
            match openat2(folder, name, flags, Mode::empty(), beneath) {
                // A component was renamed, so that `..` could have led out (openat2(2), "EAGAIN").
                Err(Errno::AGAIN) if tries < MOST_TRIES => tries += 1,
                opened => return opened,
            }
        }
    }

    const MOST_TRIES: u32 = 16;
}

/// Other systems have no `openat2`.
#[cfg(not(target_os = "linux"))]
mod kernel {
    use std::os::fd::{BorrowedFd, OwnedFd};
    use std::path::Path;

    use rustix::fs::OFlags;
    use rustix::io::Errno;

    use super::LookupMode;

    pub(super) fn keeps_names() -> bool {
        false
    }

    pub(super) fn open_in_memory(_: BorrowedFd<'_>, _: &Path, _: OFlags) -> Result<OwnedFd, Errno> {
        Err(Errno::NOSYS)
    }

    pub(super) fn open_beneath(
        _: BorrowedFd<'_>,
        _: &Path,
        _: OFlags,
        _: LookupMode,
    ) -> Result<OwnedFd, Errno> {
        Err(Errno::NOSYS)
    }
}

/// The flags for intermediate folders.
#[cfg(target_os = "linux")]
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// The flags for files. `O_NONBLOCK` is for a FIFO without a writer, and for devices.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOCTTY)
    .union(OFlags::NONBLOCK);

/// How many links are followed, as in Linux.
const MOST_LINKS: u32 = 40;

#[cfg(test)]
mod tests;

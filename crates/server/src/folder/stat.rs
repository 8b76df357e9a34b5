//! The metadata of a file.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

/// The metadata of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stat {
    /// The length in bytes.
    pub(super) length: u64,
    /// The time of the last change of its content: seconds and nanoseconds.
    pub(super) modified: (i64, i64),
    /// The time of the last change of content or metadata: seconds and nanoseconds.
    pub(super) changed: (i64, i64),
}

/// The kind of an open file.
#[derive(Clone, Copy, Debug)]
pub(super) enum FileKind {
    File(Stat),
    Folder,
    /// A device, a FIFO, a socket.
    Other,
}

impl FileKind {
    pub(super) fn of(opened: &OwnedFd) -> Result<Self, Errno> {
        let stat = fstat(opened)?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Self::File(Stat {
                length: u64::try_from(stat.st_size).unwrap_or_default(),
                modified: (number(stat.st_mtime), number(stat.st_mtime_nsec)),
                changed: (number(stat.st_ctime), number(stat.st_ctime_nsec)),
            }),
            FileType::Directory => Self::Folder,
            FileType::BlockDevice
            | FileType::CharacterDevice
            | FileType::Fifo
            | FileType::Socket
            | FileType::Symlink
            | FileType::Unknown => Self::Other,
        })
    }
}

/// Converts a field of `stat`, whose type differs from system to system.
fn number(field: impl TryInto<i64>) -> i64 {
    field.try_into().unwrap_or_default()
}

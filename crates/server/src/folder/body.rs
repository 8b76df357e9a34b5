//! The body of an answer: parts of a file, and the multipart heads between them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use rustix::io::{Errno, pread, retry_on_intr};
use smallvec::SmallVec;

use super::blocking::BlockingThreads;
use super::error::FolderError;
use super::ranges::FileRange;
use crate::client::Client;
use crate::connection::Connection;
use crate::downstream::Downstream;

/// A body that is being sent: the segments that are left.
#[derive(Debug)]
pub(crate) struct Body {
    opened: OwnedFd,
    /// The remaining segments in reverse order.
    segments: SmallVec<[Segment; 1]>,
    /// The size of the next piece, in bytes.
    room: usize,
    blocking: BlockingThreads,
}

/// A part of a file, and the bytes before it.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) before: Vec<u8>,
    /// The part, which may be empty.
    pub(super) part: FileRange,
}

impl Body {
    /// A body of these segments of a file, in this order.
    pub(super) fn new(
        opened: OwnedFd,
        mut segments: SmallVec<[Segment; 1]>,
        blocking: BlockingThreads,
    ) -> Self {
        segments.reverse();
        Self {
            opened,
            segments,
            room: FIRST_ROOM,
            blocking,
        }
    }

    /// The length of what is left, in bytes.
    pub(super) fn length(&self) -> u64 {
        let segments = self.segments.iter();
        let lengths = segments.map(|segment| segment.before.len() as u64 + segment.part.length);
        lengths.sum()
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// How many of the next bytes can be sent straight from the file, because they are in the page cache. `None` if they are not,
    /// or if they are so few that a copy costs less.
    pub(super) fn cached_length(&self) -> Option<usize> {
        let Segment { before, part } = self.segments.last()?;
        if !before.is_empty() || part.length < LEAST_UNCOPIED {
            return None;
        }
        let count = part.length.min(MOST_UNCOPIED);
        // The kernel reads ahead what is between the first and the last byte, or it will be in the page cache soon.
        let is_in_memory = |offset| {
            let read = read_in_memory(self.opened.as_fd(), &mut [0], offset);
            matches!(read, Ok(1))
        };
        let is_at_hand = is_in_memory(part.start) && is_in_memory(part.start + count - 1);
        is_at_hand.then(|| usize::try_from(count).unwrap_or_default())
    }

    /// Sends at most this many of the next bytes, as far as the client's connection takes them.
    pub(super) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        connection: &mut Connection,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let start = self.segments.last().map_or(0, |next| next.part.start);
        let sent = connection.poll_send_file(context, self.opened.as_fd(), start, count);
        let sent = ready!(sent)?;
        self.took(sent);
        Poll::Ready(Ok(sent))
    }

    /// Writes the next piece into the client's output, if anything is left.
    ///
    /// # Errors
    /// When the file cannot be read, or has become shorter.
    pub(super) async fn fill(&mut self, client: &mut Client) -> Result<(), FolderError> {
        if let Some(room) = self.fill_at_once(&mut client.connection.output)? {
            let bytes = self.read_blocking(room, client).await?;
            client.connection.output.extend_from_slice(&bytes);
        }
        Ok(())
    }

    /// The next piece, which is empty at the end.
    ///
    /// # Errors
    /// When the file cannot be read, or has become shorter.
    pub(crate) async fn piece(
        &mut self,
        client: &mut impl Downstream,
    ) -> Result<Vec<u8>, FolderError> {
        let mut piece = Vec::new();
        if let Some(room) = self.fill_at_once(&mut piece)? {
            let bytes = self.read_blocking(room, client).await?;
            match piece.is_empty() {
                true => piece = bytes,
                false => piece.extend_from_slice(&bytes),
            }
        }
        Ok(piece)
    }

    /// Writes the next piece, as far as it is in the page cache. Returns how much has to be read from disk.
    fn fill_at_once(&mut self, output: &mut Vec<u8>) -> Result<Option<usize>, FolderError> {
        let Some(segment) = self.segments.last_mut() else {
            return Ok(None);
        };
        output.append(&mut segment.before);
        if segment.part.length == 0 {
            self.segments.pop();
            return Ok(None);
        }
        let room = usize::try_from(segment.part.length).unwrap_or(usize::MAX);
        let (start, room) = (output.len(), room.min(self.room));
        output.resize(start + room, 0);
        let piece = &mut output[start..];
        let read = read_in_memory(self.opened.as_fd(), piece, segment.part.start);
        output.truncate(start + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(count) => self.took_some(count).map(|()| None),
            // Not in the page cache; or that is unknown (`EOPNOTSUPP`), as on some file systems.
            Err(_) => Ok(Some(room)),
        }
    }

    async fn read_blocking(
        &mut self,
        room: usize,
        client: &mut impl Downstream,
    ) -> Result<Vec<u8>, FolderError> {
        let start = self.segments.last().map_or(0, |next| next.part.start);
        let opened = self.opened.try_clone().map_err(FolderError::Broken)?;
        let reading = move || {
            let mut bytes = vec![0; room];
            let count = retry_on_intr(|| pread(&opened, &mut bytes[..], start))?;
            bytes.truncate(count);
            Ok(bytes)
        };
        let bytes = self.blocking.run(client, reading).await?;
        let bytes = bytes.map_err(|error: Errno| FolderError::Broken(error.into()))?;
        self.took_some(bytes.len())?;
        Ok(bytes)
    }

    fn took_some(&mut self, count: usize) -> Result<(), FolderError> {
        if count == 0 {
            return Err(became_shorter());
        }
        self.took(count);
        Ok(())
    }

    fn took(&mut self, count: usize) {
        self.room = MOST_ROOM;
        if let Some(Segment { part, .. }) = self.segments.last_mut() {
            part.start += count as u64;
            part.length -= count as u64;
            if part.length == 0 {
                self.segments.pop();
            }
        }
    }
}

/// The error for a file that has become shorter.
pub(super) fn became_shorter() -> FolderError {
    let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter");
    FolderError::Broken(cut)
}

/// Reads what is in the page cache, without waiting for a disk.
#[cfg(target_os = "linux")]
fn read_in_memory(file: BorrowedFd<'_>, piece: &mut [u8], start: u64) -> Result<usize, Errno> {
    use rustix::io::{ReadWriteFlags, preadv2};

    let mut slices = [io::IoSliceMut::new(piece)];
    preadv2(file, &mut slices, start, ReadWriteFlags::NOWAIT)
}

/// Other systems do not report what is in the page cache.
#[cfg(not(target_os = "linux"))]
fn read_in_memory(_: BorrowedFd<'_>, _: &mut [u8], _: u64) -> Result<usize, Errno> {
    Err(Errno::NOSYS)
}

/// The size of the first piece, in bytes. A file of up to this size is sent with its head, in one system call.
const FIRST_ROOM: usize = 64 * 1024;

/// The fewest bytes that are sent straight from the file. Fewer are copied: that takes one system call instead of four.
const LEAST_UNCOPIED: u64 = 64 * 1024 + 1;

/// The most bytes that are looked up in the page cache and sent before other tasks run.
const MOST_UNCOPIED: u64 = 512 * 1024;

/// The size of later pieces, in bytes: the buffer of a download.
const MOST_ROOM: usize = 128 * 1024;

//! Reads files that settings and options name, without blocking on other kinds of files and with a size limit.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Reads a file of at most `most` bytes.
///
/// Named pipes, sockets, folders and devices are refused without waiting, except `/dev/null`, which is read as an empty file. A
/// pipe or device that the process has inherited is read to its end, under the names `/dev/stdin`, `/dev/fd/N` and
/// `/proc/self/fd/N`, which shells use for process substitution, `<(…)`.
///
/// # Errors
/// When the file cannot be read, is of a refused kind, or is longer than `most` (then [`ErrorKind::FileTooLarge`]).
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Checked before it is opened, because opening a device can have an effect.
    refuse_other_than_file(path, &fs::metadata(path)?)?;
    // Opening a named pipe that has meanwhile replaced the file would wait for a writer.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let opened = file.metadata()?;
    refuse_other_than_file(path, &opened)?;
    if opened.len() > most {
        return Err(too_large(most));
    }
    let length = usize::try_from(opened.len()).unwrap_or(0);
    // The file may hold a secret: with enough capacity the buffer does not grow and leave copies behind.
    let mut bytes = Vec::with_capacity(length.max(USUAL_LEN) + 1);
    BlockingReader(file)
        .take(most + 1)
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(too_large(most)),
        false => Ok(bytes),
    }
}

fn refuse_other_than_file(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "it is a folder; give a file"
    } else if kind.is_socket() {
        "it is a socket; give a file"
    } else if is_inherited(path) || is_null(metadata) {
        return Ok(());
    } else if kind.is_fifo() {
        "it is a named pipe, which may never end; give a file, or a pipe that is open already, as /dev/fd/N"
    } else {
        "it is a device; give a file"
    };
    Err(io::Error::other(what))
}

/// Whether a file is the null device, under any name.
fn is_null(metadata: &Metadata) -> bool {
    let null = fs::metadata("/dev/null").map(|null| null.rdev());
    metadata.file_type().is_char_device() && null.is_ok_and(|null| null == metadata.rdev())
}

/// Whether a path names a descriptor that the process has open, also through symbolic links.
fn is_inherited(path: &Path) -> bool {
    let descriptors: Vec<_> = ["/dev/fd", "/proc/self/fd"]
        .iter()
        .filter_map(|folder| fs::canonicalize(folder).ok())
        .collect();
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let folder = match path.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => return false,
        };
        let Ok(folder) = folder.canonicalize() else {
            return false;
        };
        if descriptors.contains(&folder) {
            return true;
        }
        match fs::read_link(&path) {
            Ok(target) => path = folder.join(target),
            Err(_) => return false,
        }
    }
    false
}

fn too_large(most: u64) -> io::Error {
    let most = match most {
        most if most.is_multiple_of(1 << 20) => format!("{} MiB", most >> 20),
        most => format!("{} KiB", most >> 10),
    };
    let what = format!("it is larger than {most}, the limit for this file");
    io::Error::new(ErrorKind::FileTooLarge, what)
}

/// Reads a file that was opened non-blocking; for an inherited pipe it waits for the writer.
struct BlockingReader(File);

impl Read for BlockingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
                read => return read,
            }
        }
    }
}

/// The initial capacity, in bytes, which fits every secret.
const USUAL_LEN: usize = 4096;

/// How often an inherited pipe is polled.
const PAUSE: Duration = Duration::from_millis(5);

/// The largest number of symbolic links to follow, as in Linux (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    fn refusal(path: impl AsRef<Path>) -> String {
        read(path.as_ref(), 1024).unwrap_err().to_string()
    }

    #[test]
    fn other_kinds_of_files_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let made = Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(made.success());
        symlink("pipe", at("link")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        for (path, what) in [
            (at("pipe"), "it is a named pipe"),
            (at("link"), "it is a named pipe"),
            (at("socket"), "it is a socket"),
            (at(""), "it is a folder"),
            ("/dev/zero".into(), "it is a device"),
            ("/dev/fd".into(), "it is a folder"),
            (at("missing"), "No such file"),
        ] {
            let refusal = refusal(&path);
            assert!(refusal.starts_with(what), "{}: {refusal}", path.display());
        }
    }

    #[test]
    fn the_null_device_is_an_empty_file() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        symlink("/dev/null", &link).unwrap();
        for path in [Path::new("/dev/null"), &link] {
            assert_eq!(read(path, 1024).unwrap(), b"");
        }
    }

    #[test]
    fn a_file_over_the_limit_is_refused_with_the_limit() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[b'x'; 1024]).unwrap();
        assert_eq!(read(file.path(), 1024).unwrap().len(), 1024);
        file.write_all(b"x").unwrap();
        assert_eq!(
            refusal(file.path()),
            "it is larger than 1 KiB, the limit for this file"
        );
        // The size alone refuses the file: it is not read.
        file.as_file().set_len(1 << 40).unwrap();
        let error = read(file.path(), 64 << 20).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert!(error.to_string().contains("64 MiB"), "{error}");
    }

    #[test]
    fn an_open_pipe_is_read_to_its_end() {
        let (reader, mut writer) = io::pipe().unwrap();
        let number = reader.as_raw_fd();
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        symlink(format!("/dev/fd/{number}"), &link).unwrap();
        let reading = thread::spawn(move || read(&link, 1 << 20));
        // More than a pipe holds, so that the writer waits for the reader.
        writer.write_all(&[b'x'; 200_000]).unwrap();
        drop(writer);
        assert_eq!(reading.join().unwrap().unwrap().len(), 200_000);

        let (reader, mut writer) = io::pipe().unwrap();
        let number = reader.as_raw_fd();
        writer.write_all(&[b'x'; 2000]).unwrap();
        // Reading ends at the limit, although the pipe is still open.
        let refusal = refusal(format!("/proc/self/fd/{number}"));
        assert!(refusal.contains("1 KiB"), "{refusal}");
    }
}

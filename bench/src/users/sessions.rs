//! The sessions of many users, in a file that need not fit into memory.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use harness::mint::Mint;

/// A file of sessions: one `Cookie` header per line, all of the same length.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) file: PathBuf,
    /// The length of a line, with its end.
    line: usize,
    pub(super) count: usize,
}

impl Sessions {
    /// Seals this many sessions as Auth.js does, on all cores, and writes the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn seal(folder: &Path, count: usize) -> Result<Self> {
        let path = folder.join("sessions");
        let file = File::create(&path)?;
        let line = line(0).len();
        let cores = std::thread::available_parallelism()?.get();
        let write = |numbers: Range<usize>| {
            for first in numbers.clone().step_by(BLOCK) {
                let block = first..numbers.end.min(first + BLOCK);
                let length = block.len() * line;
                let text: String = block.map(self::line).collect();
                ensure!(text.len() == length, "sessions differ in their lengths");
                file.write_all_at(text.as_bytes(), (first * line) as u64)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let parts = parts(0..count, cores).map(|part| scope.spawn(|| write(part)));
            let parts: Vec<_> = parts.collect();
            let mut parts = parts.into_iter();
            parts.try_for_each(|part| part.join().ok().context("a thread failed")?)
        })?;
        Ok(Self {
            file: path,
            line,
            count,
        })
    }

    /// Writes a file with the first `count` cookies and returns its path.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(super) fn first(&self, count: usize) -> Result<PathBuf> {
        let mut text = Vec::new();
        let length = (count.min(self.count) * self.line) as u64;
        File::open(&self.file)?
            .take(length)
            .read_to_end(&mut text)?;
        let file = self.file.with_extension("first");
        fs::write(&file, text)?;
        Ok(file)
    }

    /// Returns the `Cookie` headers of the users with these numbers.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn cookies(
        &self,
        numbers: Range<usize>,
    ) -> Result<impl Iterator<Item = std::io::Result<String>>> {
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start((numbers.start * self.line) as u64))?;
        Ok(BufReader::new(file).lines().take(numbers.len()))
    }
}

/// The id of the user with this number.
pub(super) fn user(number: usize) -> String {
    format!("user-{number:07}")
}

/// Returns the `Cookie` header of a user: a session for a day, with the claims that Auth.js writes.
pub(super) fn cookie(user: &str, number: usize) -> String {
    Mint::user(user)
        .claim("name", "Ada Lovelace")
        .claim("email", "ada@example.com")
        .claim("picture", "https://example.com/ada.png")
        .claim("jti", format!("5a4f3c1e-0000-4000-8000-{number:012}"))
        .expiring_in(24 * 60 * 60)
        .authjs()
}

fn line(number: usize) -> String {
    format!("{}\n", cookie(&user(number), number))
}

/// Splits a range into parts of about the same size.
pub(super) fn parts(of: Range<usize>, count: usize) -> impl Iterator<Item = Range<usize>> {
    let at = move |part: usize| of.start + of.len() * part / count;
    (0..count).map(move |part| at(part)..at(part + 1))
}

/// The number of sessions that are sealed before they are written.
const BLOCK: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_begins_where_the_last_one_ends() {
        let parts: Vec<_> = parts(3..10, 3).collect();
        assert_eq!(parts, [3..5, 5..7, 7..10]);
    }

    #[test]
    fn sessions_are_found_by_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::seal(folder.path(), 30).unwrap();
        let all: Vec<_> = sessions
            .cookies(0..30)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(all.len(), 30);
        let part: Vec<_> = sessions
            .cookies(7..9)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(part, all[7..9]);
        let first = fs::read_to_string(sessions.first(2).unwrap()).unwrap();
        assert_eq!(first.lines().collect::<Vec<_>>(), all[..2]);
    }
}

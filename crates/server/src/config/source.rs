//! Where the configuration comes from, to be read as often as somebody asks.

use std::path::PathBuf;

use super::file::{Loaded, load, load_text};
use super::files::{FileDigests, Files};
use super::problem::ConfigErrors;
use super::{Config, Variables};

/// A file, if there is one, and the environment; and what was found when they were read last.
#[derive(Clone, Debug)]
pub(crate) struct ConfigSource {
    beside: Document,
    environment: Variables,
    files: Files,
    contents: FileDigests,
}

/// What there is beside the environment.
#[derive(Clone, Debug)]
enum Document {
    File(PathBuf),
    Nothing,
    /// A text of the program, and the name that it has in reports.
    Text(&'static str, &'static str),
}

impl ConfigSource {
    /// Nothing is read yet.
    pub(crate) fn new(file: Option<PathBuf>, environment: Variables) -> Self {
        Self::of(file.map_or(Document::Nothing, Document::File), environment)
    }

    /// A text of the program in place of a file, under this name.
    pub(crate) fn of_text(name: &'static str, text: &'static str, environment: Variables) -> Self {
        Self::of(Document::Text(name, text), environment)
    }

    fn of(beside: Document, environment: Variables) -> Self {
        Self {
            beside,
            environment,
            files: Files::default(),
            contents: FileDigests::default(),
        }
    }

    /// Reads everything anew.
    ///
    /// # Errors
    /// [`ConfigErrors`] names every problem.
    pub(crate) fn read(&mut self) -> Result<Config, ConfigErrors> {
        // What is noted of a file that changes meanwhile is what was in it before, so that the next look finds a difference.
        let known = self.files.contents();
        let loaded = match &self.beside {
            Document::File(file) => load(file, &self.environment),
            Document::Text(name, text) => load_text(name, text, &self.environment),
            Document::Nothing => Loaded::without_file(self.environment.clone()),
        };
        let read = Config::from_loaded(&loaded);
        let files = Files::of(&loaded, read.as_ref().ok());
        // A file with problems may not have come to the point where it names others.
        self.files = match &read {
            Ok(_) => files,
            Err(_) => files.and(std::mem::take(&mut self.files)),
        };
        self.contents = self.files.contents_beside(&known, &loaded.files);
        read
    }

    /// The files that were read, or should have been.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// What was in them.
    pub(crate) fn contents(&self) -> &FileDigests {
        &self.contents
    }
}

//! The source of the configuration, which can be read repeatedly.

use std::path::PathBuf;

use super::file::{Loaded, load, load_text};
use super::files::{FileDigests, Files};
use super::problem::ConfigErrors;
use super::{Config, Variables};

/// The configuration file, if there is one, and the environment, with the files that were found when they were last read.
#[derive(Clone, Debug)]
pub(crate) struct ConfigSource {
    document: Document,
    environment: Variables,
    files: Files,
    contents: FileDigests,
}

/// The document to read in addition to the environment.
#[derive(Clone, Debug)]
enum Document {
    File(PathBuf),
    Nothing,
    /// A text that is part of the program: its name in reports, and the text.
    Text(&'static str, &'static str),
}

impl ConfigSource {
    /// Makes a source, without reading anything.
    pub(crate) fn new(file: Option<PathBuf>, environment: Variables) -> Self {
        Self::of(file.map_or(Document::Nothing, Document::File), environment)
    }

    /// Makes a source of a text that is part of the program, under this name.
    pub(crate) fn of_text(name: &'static str, text: &'static str, environment: Variables) -> Self {
        Self::of(Document::Text(name, text), environment)
    }

    fn of(document: Document, environment: Variables) -> Self {
        Self {
            document,
            environment,
            files: Files::default(),
            contents: FileDigests::default(),
        }
    }

    /// Reads everything again.
    ///
    /// # Errors
    /// [`ConfigErrors`] lists every problem.
    pub(crate) fn read(&mut self) -> Result<Config, ConfigErrors> {
        // If a file changes while it is read, the earlier digest is kept, so that the next check finds a difference.
        let known = self.files.contents();
        let loaded = match &self.document {
            Document::File(file) => load(file, &self.environment),
            Document::Text(name, text) => load_text(name, text, &self.environment),
            Document::Nothing => Loaded::without_file(self.environment.clone()),
        };
        let read = Config::from_loaded(&loaded);
        let files = Files::of(&loaded, read.as_ref().ok());
        // If a file has problems, some of the files that it names may not be known.
        self.files = match &read {
            Ok(_) => files,
            Err(_) => files.merged_with(std::mem::take(&mut self.files)),
        };
        self.contents = self.files.contents_reusing(&known, &loaded.files);
        read
    }

    /// The files that were or should have been read.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// The digests of the contents that the files had when they were read.
    pub(crate) fn contents(&self) -> &FileDigests {
        &self.contents
    }
}

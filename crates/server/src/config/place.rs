//! The place of a setting: a variable, or a span of a file.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::mask::masked;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file, and a span of bytes in it.
    File {
        file: Arc<SourceFile>,
        span: Range<usize>,
    },
    /// A variable of the environment.
    Variable(String),
}

/// A configuration file as it was read.
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// The masked text, made on first use.
    shown: OnceLock<String>,
    /// The offsets of its lines, made on first use.
    lines: OnceLock<Vec<usize>>,
}

/// Shows the place as `check-config` does: the variable, or file and line.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, span } => {
                write!(f, "{}:{}", file.path.display(), file.line(span.start))
            }
            Self::Variable(name) => write!(f, "variable {name}"),
        }
    }
}

impl SourceFile {
    pub(crate) fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
            shown: OnceLock::new(),
            lines: OnceLock::new(),
        }
    }

    /// The number of the line that contains a byte, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        let starts = self.lines.get_or_init(|| {
            let newlines = self.text.match_indices('\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(newlines).collect()
        });
        starts.partition_point(|start| *start <= offset)
    }

    /// The text with secrets replaced by asterisks, with the same length in bytes.
    pub(super) fn shown(&self) -> &str {
        self.shown.get_or_init(|| masked(&self.text))
    }
}

impl PartialEq for SourceFile {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, &self.text) == (&other.path, &other.text)
    }
}

impl Eq for SourceFile {}

/// Without the text, which may hold secrets.
impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SourceFile");
        shown.field("path", &self.path).finish_non_exhaustive()
    }
}

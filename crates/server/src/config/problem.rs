//! Problems of a configuration, and how they are displayed.
//!
//! A problem of a variable is one line with the variable's name. A problem in a file is shown as rustc shows an error: file,
//! line and column, the line itself without secrets, a caret, and what to write instead.

use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::path::Path;

use annotate_snippets::renderer::DEFAULT_TERM_WIDTH;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::credentials;
use super::place::{Place, SourceFile};
use super::raw_tables::Spanned;
use crate::invisible;

/// One problem of the configuration: where it is, what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The variable to change; empty if `what` is enough.
    pub(crate) name: String,
    /// What is wrong, and what would be right.
    pub(crate) what: String,
    /// Where it is, or where something is missing.
    pub(crate) place: Option<Place>,
    /// What to write instead.
    pub(crate) help: Option<String>,
    /// Related places, each with a label.
    pub(crate) related: Vec<(Place, String)>,
}

impl Problem {
    /// A problem of a setting or a command-line option.
    pub(crate) fn new(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            what: what.into(),
            place: None,
            help: None,
            related: Vec::new(),
        }
    }

    /// A problem at a place.
    pub(crate) fn at(place: Place, what: impl Into<String>) -> Self {
        Self {
            place: Some(place),
            ..Self::new("", what)
        }
    }

    /// A problem of a text, which `what` may repeat. Any password in it is hidden.
    pub(crate) fn with(text: &Spanned<String>, what: impl AsRef<str>) -> Self {
        let what = credentials::without(what.as_ref(), &text.value);
        Self::at(text.place.clone(), what)
    }

    /// Adds a line that says what to write instead.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a related place with a label.
    pub(crate) fn with_related(mut self, place: Place, what: impl Into<String>) -> Self {
        self.related.push((place, what.into()));
        self
    }

    fn is_in_file(&self) -> bool {
        matches!(self.place, Some(Place::File { .. }))
    }

    /// The sort key of reports: file and offset.
    fn position(&self) -> Option<(&SourceFile, usize)> {
        match self.place.as_ref()? {
            Place::File { file, span } => Some((file, span.start)),
            Place::Variable(_) => None,
        }
    }

    /// What is wrong, after the name of the setting as the file or the environment writes it.
    fn title(&self) -> String {
        match (self.name.as_str(), self.is_in_file()) {
            ("", _) => self.what.clone(),
            (name, true) => format!("{}: {}", name.to_ascii_lowercase(), self.what),
            (name, false) => format!("{name}: {}", self.what),
        }
    }

    /// Renders the report. A long line that was shown before is cut to the part near the mark; `shown` collects the lines.
    fn report<'p>(&'p self, renderer: &Renderer, shown: &mut HashSet<(&'p Path, usize)>) -> String {
        let mut is_known = false;
        let mut group = Group::with_title(Level::ERROR.primary_title(self.title()));
        let places = self.place.iter().map(|place| (place, ""));
        let related = self
            .related
            .iter()
            .map(|(place, what)| (place, what.as_str()));
        for (index, (place, label)) in places.chain(related).enumerate() {
            let kind = match index {
                0 => AnnotationKind::Primary,
                _ => AnnotationKind::Context,
            };
            if let Place::File { file, span } = place {
                is_known |= !shown.insert((&file.path, file.line(span.start)));
                group = match span.is_empty() {
                    true => group.element(Origin::path(file.path.display().to_string())),
                    false => excerpt(group, file, span.start, span.end, kind, label),
                };
            }
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        match is_known {
            true => renderer.clone().term_width(NARROW).render(&[group]),
            false => renderer.render(&[group]),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_in_file() {
            true => f.write_str(&self.report(&Renderer::plain(), &mut HashSet::new())),
            false => f.write_str(&invisible::shown(&self.title())),
        }
    }
}

/// All problems of a configuration.
#[derive(Debug)]
pub(crate) struct ConfigErrors {
    problems: Vec<Problem>,
    /// Notes with possible reasons why a setting is missing.
    notes: Vec<String>,
    is_colored: bool,
}

impl ConfigErrors {
    /// Collects problems, dropping duplicates: two parts of the gate that need a setting report the same problem.
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        let mut distinct = Vec::with_capacity(problems.len());
        for problem in problems {
            if !distinct.contains(&problem) {
                distinct.push(problem);
            }
        }
        Self {
            problems: distinct,
            notes: Vec::new(),
            is_colored: false,
        }
    }

    /// The problems: those of settings in the order they are read, then those of the file's syntax.
    pub(crate) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Notes with possible reasons why a setting is missing.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Adds further problems.
    pub(crate) fn with_problems(mut self, more: impl IntoIterator<Item = Problem>) -> Self {
        self.problems.extend(more);
        self
    }

    /// Adds notes with possible reasons why a setting is missing.
    pub(crate) fn with_notes(mut self, notes: Vec<String>) -> Self {
        self.notes.extend(notes);
        self
    }

    /// Sets whether the problems are displayed with colors, for a terminal.
    pub(crate) fn colored(mut self, is_colored: bool) -> Self {
        self.is_colored = is_colored;
        self
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(
            f,
            "the configuration has {count} problem{}:",
            if count == 1 { "" } else { "s" }
        )?;
        let (mut in_files, plain): (Vec<_>, Vec<_>) = self
            .problems
            .iter()
            .partition(|problem| problem.is_in_file());
        plain
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))?;
        let mut notes = self.notes.iter();
        notes.try_for_each(|note| write!(f, "\n  note: {}", invisible::shown(note)))?;
        in_files.sort_by_key(|problem| {
            let position = problem.position();
            position.map(|(file, offset)| (&file.path, offset))
        });
        let renderer = match self.is_colored {
            true => Renderer::styled(),
            false => Renderer::plain(),
        };
        let renderer = renderer.term_width(DEFAULT_TERM_WIDTH);
        let mut shown = HashSet::new();
        in_files
            .iter()
            .try_for_each(|problem| write!(f, "\n\n{}", problem.report(&renderer, &mut shown)))
    }
}

impl Error for ConfigErrors {}

/// The line that contains `start`, with the span marked up to the end of the line.
fn excerpt<'a>(
    group: Group<'a>,
    file: &SourceFile,
    start: usize,
    end: usize,
    kind: AnnotationKind,
    label: &'a str,
) -> Group<'a> {
    let text = file.text.as_str();
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[start..]
        .find('\n')
        .map_or(text.len(), |length| start + length);
    let line = file.shown()[line_start..line_end]
        .trim_end_matches('\r')
        .to_owned();
    let span = start - line_start..end.clamp(start, line_end).max(start + 1) - line_start;
    let mut annotation = kind.span(span);
    if !label.is_empty() {
        annotation = annotation.label(label);
    }
    group.element(
        Snippet::source(line)
            .line_start(file.line(start))
            .path(file.path.display().to_string())
            .annotation(annotation),
    )
}

/// The most columns of a line that has been shown before.
const NARROW: usize = 100;

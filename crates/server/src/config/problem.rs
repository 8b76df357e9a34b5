//! What is wrong with a configuration, and how it is shown.
//!
//! What stands in a variable gets one line with the variable's name. What stands in a file is shown as rustc shows an error:
//! file, line and column, the line itself without secrets, a caret, and what to write instead.

use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::path::Path;

use annotate_snippets::renderer::DEFAULT_TERM_WIDTH;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::credentials;
use super::place::{Place, SourceFile};
use super::stack::Spanned;
use crate::invisible;

/// One thing that is wrong with the configuration: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The variable to change; empty when `what` says it all.
    pub(crate) name: String,
    /// What is wrong with it, and what would be right.
    pub(crate) what: String,
    /// Where it stands, or where it is missing.
    pub(crate) place: Option<Place>,
    /// What to write instead.
    pub(crate) help: Option<String>,
    /// Further places that have to do with it, and what stands there.
    pub(crate) beside: Vec<(Place, String)>,
}

impl Problem {
    /// A problem with a setting, or an option of the command line.
    pub(crate) fn new(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            what: what.into(),
            place: None,
            help: None,
            beside: Vec::new(),
        }
    }

    /// A problem with what stands at a place.
    pub(crate) fn at(place: Place, what: impl Into<String>) -> Self {
        Self {
            place: Some(place),
            ..Self::new("", what)
        }
    }

    /// A problem with a text, which `what` may repeat: what may be a password in it is left out.
    pub(crate) fn with(text: &Spanned<String>, what: impl AsRef<str>) -> Self {
        let what = credentials::without(what.as_ref(), &text.value);
        Self::at(text.place.clone(), what)
    }

    /// The same problem with a line that says what to write instead.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same problem with a further place that has to do with it.
    pub(crate) fn and_at(mut self, place: Place, what: impl Into<String>) -> Self {
        self.beside.push((place, what.into()));
        self
    }

    fn is_in_file(&self) -> bool {
        matches!(self.place, Some(Place::File { .. }))
    }

    /// File and offset, by which reports are sorted.
    fn position(&self) -> Option<(&SourceFile, usize)> {
        match self.place.as_ref()? {
            Place::File { file, span } => Some((file, span.start)),
            Place::Variable(_) => None,
        }
    }

    /// What is wrong, with the setting's name as it stands there.
    fn title(&self) -> String {
        match (self.name.as_str(), self.is_in_file()) {
            ("", _) => self.what.clone(),
            (name, true) => format!("{}: {}", name.to_ascii_lowercase(), self.what),
            (name, false) => format!("{name}: {}", self.what),
        }
    }

    /// Lines that have been shown, which are in `shown` from then on, are cut to what is near the mark if they are long.
    fn report<'p>(&'p self, renderer: &Renderer, shown: &mut HashSet<(&'p Path, usize)>) -> String {
        let mut is_known = false;
        let mut group = Group::with_title(Level::ERROR.primary_title(self.title()));
        let places = self.place.iter().map(|place| (place, ""));
        let beside = self
            .beside
            .iter()
            .map(|(place, what)| (place, what.as_str()));
        for (index, (place, label)) in places.chain(beside).enumerate() {
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

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub(crate) struct ConfigErrors {
    problems: Vec<Problem>,
    /// What may be why something is missing.
    notes: Vec<String>,
    is_colored: bool,
}

impl ConfigErrors {
    /// Two parts of the gate that need the same setting have the same to say of it, which is said once.
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

    /// The problems, in the order in which the settings are read, before those of the file's form.
    pub(crate) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What may be why something is missing.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The same problems, and these.
    pub(crate) fn beside(mut self, more: impl IntoIterator<Item = Problem>) -> Self {
        self.problems.extend(more);
        self
    }

    /// The same problems, with what may be why something is missing.
    pub(crate) fn with_notes(mut self, notes: Vec<String>) -> Self {
        self.notes.extend(notes);
        self
    }

    /// The same problems, for a terminal.
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

/// The line in which `start` stands, with what stands there marked, as far as this line goes.
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

/// In columns: how much is shown of a line that has been shown before.
const NARROW: usize = 100;

//! Explains how a path is read.

use gate::{PathReading, Route};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct PathPart {
    pub(super) canonical: String,
    pub(super) segments: Vec<String>,
    /// Why it is refused as ambiguous, if it is.
    pub(super) ambiguous: Option<String>,
    pub(super) readings: Vec<ReadingPart>,
}

#[derive(Debug, Serialize)]
pub(super) struct ReadingPart {
    pub(super) path: String,
    /// `None` if no route matches.
    pub(super) route: Option<String>,
    /// The route that matches if case is ignored, unless it is the same one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ignoring_case: Option<String>,
}

impl PathPart {
    pub(super) fn of(reading: PathReading<'_>) -> Self {
        let name = |route: &Route| route.name.to_string();
        let readings = reading.others.iter().map(|other| ReadingPart {
            path: other.path.clone(),
            route: other.route.map(name),
            ignoring_case: match other.route.map(|route| route.id)
                == other.folded.map(|route| route.id)
            {
                true => None,
                false => Some(other.folded.map_or_else(|| "none".to_owned(), name)),
            },
        });
        Self {
            canonical: format!("/{}", reading.segments.join("/")),
            readings: readings.collect(),
            ambiguous: reading.ambiguity.map(|why| why.to_string()),
            segments: reading.segments,
        }
    }
}

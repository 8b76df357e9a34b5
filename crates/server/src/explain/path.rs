//! How a path is read, in words.

use gate::{PathReading, Route};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct PathPart {
    pub(super) canonical: String,
    pub(super) segments: Vec<String>,
    /// Why it is refused for what could be read in it.
    pub(super) ambiguous: Option<String>,
    pub(super) readings: Vec<ReadingPart>,
}

#[derive(Debug, Serialize)]
pub(super) struct ReadingPart {
    pub(super) path: String,
    /// `None` where no route matches.
    pub(super) route: Option<String>,
    /// The route without regard to case, where that is another one.
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

//! What a finding can be: its id, how serious it is, why it matters and what to do.

use serde::Serialize;

/// How serious a finding is, the most serious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Sessions can be stolen or forged, or people are refused who should enter.
    Problem,
    /// Weaker or slower than it should be, or likely to fail one day.
    Warning,
    /// Worth knowing; nothing has to be done.
    Note,
}

impl Severity {
    /// The word in documentation.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that is looked for.
#[derive(Debug)]
pub(crate) struct Check {
    /// Its name, which stays the same from release to release: for `--ignore`, for programs and for the documentation.
    pub(crate) id: &'static str,
    /// How serious it is.
    pub(crate) severity: Severity,
    /// Why it matters, in a sentence or two.
    pub(crate) why: &'static str,
    /// What to do, in a sentence or two, where the finding says nothing more exact.
    pub(crate) advice: &'static str,
}

/// Defines checks, and a list `ALL` that holds each of them once.
macro_rules! checks {
    ($($name:ident = $severity:ident $id:literal why $why:literal todo $advice:literal)+) => {
        $(pub(in crate::doctor) static $name: crate::doctor::check::Check = crate::doctor::check::Check {
            id: $id,
            severity: crate::doctor::check::Severity::$severity,
            why: $why,
            advice: $advice,
        };)+
        /// Every check of this file.
        pub(super) static ALL: &[&crate::doctor::check::Check] = &[$(&$name),+];
    };
}
pub(super) use checks;

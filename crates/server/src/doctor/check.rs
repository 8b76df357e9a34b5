//! The kinds of findings: id, severity, why it matters and what to do.

use serde::Serialize;

/// How serious a finding is, the most serious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Sessions can be stolen or forged, or legitimate users are refused.
    Problem,
    /// Weaker or slower than it should be, or likely to fail one day.
    Warning,
    /// Worth knowing; no action is needed.
    Note,
}

impl Severity {
    /// Its name in the documentation.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A kind of finding that `doctor` looks for.
#[derive(Debug)]
pub(crate) struct Check {
    /// Its id for `--ignore`, programs and the documentation, which is stable across releases.
    pub(crate) id: &'static str,
    /// How serious it is.
    pub(crate) severity: Severity,
    /// Why it matters, in a sentence or two.
    pub(crate) why: &'static str,
    /// What to do, in a sentence or two, unless the finding has more specific advice.
    pub(crate) advice: &'static str,
}

/// Defines checks, and the list `ALL` with each of them once.
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

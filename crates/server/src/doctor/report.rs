//! The report of `doctor`: findings, and the connections that were tried.

use std::time::Duration;

use serde::Serialize;

use super::catalogue::app::APP_UNREACHABLE;
use super::check::Severity;
use super::finding::Finding;

/// A connection that was tried over the network, and its result.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    /// What was contacted, and where it is.
    pub(crate) what: String,
    /// Why it failed, if it did.
    pub(crate) failure: Option<String>,
    /// The timeout.
    pub(crate) limit: Duration,
}

/// The overall result, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conclusion {
    /// No problems.
    NoProblems,
    /// At least one problem, or in strict mode one warning.
    Problems,
    /// The app did not answer.
    AppUnreachable,
}

/// The report of a run.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The findings, the most serious first.
    pub(crate) findings: Vec<Finding>,
    /// The connections that were tried, in order.
    pub(crate) probes: Vec<Probe>,
    /// What was not examined, and why.
    pub(crate) skipped: Vec<String>,
    /// The number of findings that were ignored on request.
    pub(crate) ignored: usize,
}

impl Report {
    /// Makes a report without findings of these ids, sorted and without duplicates.
    pub(crate) fn new(
        findings: Vec<Finding>,
        probes: Vec<Probe>,
        skipped: Vec<String>,
        ignore: &[String],
    ) -> Self {
        let is_ignored = |finding: &Finding| ignore.iter().any(|id| id == finding.check.id);
        let mut kept: Vec<Finding> = Vec::new();
        let mut ignored = 0;
        for finding in findings {
            let is_same = |other: &&Finding| {
                other.check.id == finding.check.id && other.subject == finding.subject
            };
            if is_ignored(&finding) {
                ignored += 1;
            } else if kept.iter().find(is_same).is_none() {
                kept.push(finding);
            }
        }
        // Stable: within a severity, findings about one thing stay together.
        kept.sort_by_key(|finding| finding.check.severity);
        Self {
            findings: kept,
            probes,
            skipped,
            ignored,
        }
    }

    /// The number of findings of this severity.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        let findings = self.findings.iter();
        findings
            .filter(|finding| finding.check.severity == severity)
            .count()
    }

    /// The overall result. With `strict`, a warning is treated as a problem.
    pub(crate) fn ending(&self, strict: bool) -> Conclusion {
        let least = match strict {
            true => Severity::Warning,
            false => Severity::Problem,
        };
        let has = |wanted: &dyn Fn(&Finding) -> bool| self.findings.iter().any(wanted);
        match () {
            () if has(&|finding| finding.check.id == APP_UNREACHABLE.id) => {
                Conclusion::AppUnreachable
            }
            () if has(&|finding| finding.check.severity <= least) => Conclusion::Problems,
            () => Conclusion::NoProblems,
        }
    }

    /// The report as one line of JSON.
    pub(crate) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            problems: usize,
            warnings: usize,
            notes: usize,
            ignored: usize,
            findings: Vec<FindingLine<'a>>,
            asked: Vec<ProbeLine<'a>>,
            skipped: &'a [String],
        }
        #[derive(Serialize)]
        struct FindingLine<'a> {
            id: &'a str,
            severity: Severity,
            subject: &'a str,
            seen: &'a str,
            why: &'a str,
            advice: &'a str,
        }
        #[derive(Serialize)]
        struct ProbeLine<'a> {
            what: &'a str,
            answered: bool,
            failure: Option<&'a str>,
            limit_ms: u128,
        }
        let findings = self.findings.iter().map(|finding| FindingLine {
            id: finding.check.id,
            severity: finding.check.severity,
            subject: &finding.subject,
            seen: &finding.seen,
            why: finding.check.why,
            advice: finding.advice(),
        });
        let asked = self.probes.iter().map(|probe| ProbeLine {
            what: &probe.what,
            answered: probe.failure.is_none(),
            failure: probe.failure.as_deref(),
            limit_ms: probe.limit.as_millis(),
        });
        let line = Line {
            problems: self.count(Severity::Problem),
            warnings: self.count(Severity::Warning),
            notes: self.count(Severity::Note),
            ignored: self.ignored,
            findings: findings.collect(),
            asked: asked.collect(),
            skipped: &self.skipped,
        };
        serde_json::to_string(&line).expect("texts and numbers are JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::catalogue::{app, cookies};

    fn report(ignore: &[&str]) -> Report {
        let findings = vec![
            Finding::new(&app::HSTS_SHORT, "a", "short"),
            Finding::new(&cookies::COOKIE_NOT_SECURE, "cookie x", "no Secure"),
            Finding::new(&cookies::COOKIE_NOT_SECURE, "cookie x", "again"),
            Finding::new(&app::PLAIN_HTTP_LOCAL, "a", "local"),
        ];
        let ignore: Vec<_> = ignore.iter().map(|id| (*id).to_owned()).collect();
        Report::new(findings, Vec::new(), Vec::new(), &ignore)
    }

    #[test]
    fn most_serious_finding_comes_first_and_none_twice() {
        let report = report(&[]);
        let ids: Vec<_> = report.findings.iter().map(|it| it.check.id).collect();
        assert_eq!(ids, ["cookie-not-secure", "hsts-short", "plain-http-local"]);
        assert_eq!(report.findings[0].seen, "no Secure");
    }

    #[test]
    fn problems_fail_and_warnings_fail_only_in_strict_mode() {
        assert_eq!(report(&[]).ending(false), Conclusion::Problems);
        let accepted = report(&["cookie-not-secure"]);
        assert_eq!(accepted.ignored, 2);
        assert_eq!(accepted.ending(false), Conclusion::NoProblems);
        assert_eq!(accepted.ending(true), Conclusion::Problems);
        let accepted = report(&["cookie-not-secure", "hsts-short"]);
        assert_eq!(accepted.ending(true), Conclusion::NoProblems);
    }

    #[test]
    fn unreachable_app_gives_no_verdict() {
        let findings = vec![
            Finding::new(&cookies::COOKIE_NOT_SECURE, "cookie x", "no Secure"),
            Finding::new(&app::APP_UNREACHABLE, "a", "refused"),
        ];
        let report = Report::new(findings, Vec::new(), Vec::new(), &[]);
        assert_eq!(report.ending(false), Conclusion::AppUnreachable);
    }
}

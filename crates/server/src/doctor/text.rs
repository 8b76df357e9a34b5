//! Formats a report as text, at 80 columns.

use super::check::Severity;
use super::finding::Finding;
use super::report::{Probe, Report};

/// Formats the report: the findings, the most serious first; the connections tried; and a summary.
pub(crate) fn of(report: &Report, is_colored: bool) -> String {
    let mut page = ReportWriter {
        text: String::new(),
        is_colored,
    };
    for severity in [Severity::Problem, Severity::Warning, Severity::Note] {
        page.group(report, severity);
    }
    page.probes(&report.probes);
    for skipped in &report.skipped {
        page.wrapped("Not examined: ", "  ", skipped);
    }
    if !report.skipped.is_empty() {
        page.text.push('\n');
    }
    page.summary(report);
    page.text
}

struct ReportWriter {
    text: String,
    is_colored: bool,
}

impl ReportWriter {
    fn group(&mut self, report: &Report, severity: Severity) {
        let findings = report.findings.iter();
        let mut findings = findings
            .filter(|finding| finding.check.severity == severity)
            .peekable();
        if findings.peek().is_none() {
            return;
        }
        let (heading, color) = match severity {
            Severity::Problem => ("Problems", RED),
            Severity::Warning => ("Warnings", YELLOW),
            Severity::Note => ("Notes", BLUE),
        };
        let heading = self.painted(color, heading);
        self.text += &format!("{heading}\n\n");
        for finding in findings {
            self.finding(finding, color);
        }
    }

    fn finding(&mut self, finding: &Finding, color: &str) {
        let id = self.painted(color, finding.check.id);
        self.text += &format!("  {id}  {}\n", finding.subject);
        self.wrapped("    seen  ", "          ", &finding.seen);
        self.wrapped("    why   ", "          ", finding.check.why);
        self.wrapped("    do    ", "          ", finding.advice());
        self.text.push('\n');
    }

    fn probes(&mut self, probes: &[Probe]) {
        if probes.is_empty() {
            return;
        }
        let heading = self.painted(BOLD, "Asked");
        self.text += &format!("{heading}\n\n");
        for Probe {
            what,
            failure,
            limit,
        } in probes
        {
            let outcome = match failure {
                None => format!("  {}  {what}", self.painted(GREEN, "answers")),
                Some(_) => format!("  {}   {what}", self.painted(RED, "failed")),
            };
            self.text += &format!("{outcome} (within {} ms)\n", limit.as_millis());
            if let Some(failure) = failure {
                self.wrapped("           ", "           ", failure);
            }
        }
        self.text.push('\n');
    }

    fn summary(&mut self, report: &Report) {
        let count = |severity| report.count(severity);
        let counted = |count: usize, word: &str| match count {
            1 => format!("1 {word}"),
            _ => format!("{count} {word}s"),
        };
        let (problems, warnings) = (count(Severity::Problem), count(Severity::Warning));
        let mut words = [
            counted(problems, "problem"),
            counted(warnings, "warning"),
            counted(count(Severity::Note), "note"),
        ]
        .join(", ");
        if report.ignored > 0 {
            words += &format!("; {} accepted by --ignore", report.ignored);
        }
        let color = match (problems, warnings) {
            (0, 0) => GREEN,
            (0, _) => YELLOW,
            _ => RED,
        };
        let words = self.painted(color, &format!("{words}."));
        self.text += &format!("{words}\n");
    }

    /// Wraps the text between words, with the prefix `first` on the first line and `other` on the others. Existing line
    /// breaks are kept.
    fn wrapped(&mut self, first: &str, other: &str, text: &str) {
        let mut start = first;
        for paragraph in text.lines() {
            let mut line = start.to_owned();
            let mut is_empty = true;
            for word in paragraph.split(' ') {
                let width = line.chars().count() + word.chars().count() + usize::from(!is_empty);
                if !is_empty && width > WIDTH {
                    self.text += &format!("{}\n", line.trim_end());
                    line = other.to_owned();
                    is_empty = true;
                }
                if !is_empty {
                    line.push(' ');
                }
                line += word;
                is_empty = false;
            }
            self.text += &format!("{}\n", line.trim_end());
            start = other;
        }
    }

    fn painted(&self, color: &str, text: &str) -> String {
        match self.is_colored {
            true => format!("\x1b[{color}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

const WIDTH: usize = 80;
const BOLD: &str = "1";
const RED: &str = "1;31";
const GREEN: &str = "1;32";
const YELLOW: &str = "1;33";
const BLUE: &str = "1;34";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::catalogue;

    #[test]
    fn no_line_of_any_finding_is_wider_than_a_terminal() {
        let findings =
            catalogue::all().map(|check| Finding::new(check, "cookie x", "a ".repeat(90)));
        let probes = Probe {
            what: "http://127.0.0.1:3000".to_owned(),
            failure: Some("a ".repeat(90)),
            limit: Duration::from_secs(5),
        };
        let report = Report::new(findings.collect(), vec![probes], vec!["b ".repeat(90)], &[]);
        for line in of(&report, false).lines() {
            // A command or a list of names without a blank cannot be cut.
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        assert!(of(&report, true).contains("\x1b[1;31mcookie-not-secure\x1b[0m  cookie x\n"));
    }

    #[test]
    fn the_last_line_sums_up() {
        let report = Report::new(Vec::new(), Vec::new(), Vec::new(), &[]);
        assert_eq!(of(&report, false), "0 problems, 0 warnings, 0 notes.\n");
    }
}

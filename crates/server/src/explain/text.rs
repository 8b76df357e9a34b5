//! Formats an explanation as text.

use std::fmt::Write as _;

use super::{DemandPart, Explanation, NOT_EVALUATED};
use crate::invisible;

/// Writes the text of an explanation.
struct ExplanationWriter {
    text: String,
    is_colored: bool,
}

/// Formats the explanation, with a section for each step.
pub(super) fn of(explanation: &Explanation, is_colored: bool) -> String {
    let mut page = ExplanationWriter {
        text: String::new(),
        is_colored,
    };
    let request = &explanation.request;
    let host = request.host.as_deref().unwrap_or_default();
    let line = format!(
        "{} {host}{} from {}",
        request.method, request.path, request.client
    );
    page.text += &format!("{}\n\n", page.painted(BOLD, &line));
    page.path(explanation);
    page.routes(explanation);
    page.demands(&explanation.demands);
    if let Some(session) = &explanation.session {
        let words = format!(
            "user {}, {}, until {}",
            session.user_id, session.format, session.expires
        );
        page.section("Session", [words]);
    }
    page.headers(explanation);
    if let Some(destination) = &explanation.goes_to {
        let servers = destination.servers.join(", ");
        let host = destination.host.as_deref();
        let host = host.map(|host| format!(", for the host {host}"));
        let words = format!(
            "{servers}: {} {}{}",
            request.method,
            destination.path,
            host.unwrap_or_default()
        );
        page.section("Goes to", [words]);
    }
    page.answer(explanation);
    for note in &explanation.notes {
        let _ = writeln!(page.text, "note: {note}");
    }
    page.text.truncate(page.text.trim_end().len());
    invisible::shown(&page.text).into_owned()
}

impl ExplanationWriter {
    /// Writes a section: a heading with its lines to the right.
    fn section(&mut self, heading: &str, lines: impl IntoIterator<Item = String>) {
        let mut heading = self.painted(BOLD, &format!("{heading:WIDTH$}"));
        for line in lines {
            self.text += &format!("{heading}{line}\n");
            heading = " ".repeat(WIDTH);
        }
    }

    fn path(&mut self, explanation: &Explanation) {
        let Some(path) = &explanation.path else {
            return;
        };
        let mut lines = vec![match path.canonical == explanation.request.path {
            true => format!("{}, unchanged", path.canonical),
            false => format!("read as {}", path.canonical),
        }];
        if let Some(why) = &path.ambiguous {
            lines.push(self.painted(RED, &format!("ambiguous: {why}")));
        }
        let readings = path.readings.iter().take(MOST_READINGS);
        lines.extend(readings.map(|reading| {
            let route = reading.route.as_deref().unwrap_or("none");
            let ignoring = reading.ignoring_case.as_ref();
            let ignoring = ignoring.map(|route| format!(", ignoring case {route}"));
            let path = &reading.path;
            format!("also {path}: route {route}{}", ignoring.unwrap_or_default())
        }));
        if path.readings.len() > MOST_READINGS {
            lines.push(format!("and {} more", path.readings.len() - MOST_READINGS));
        }
        self.section("Path", lines);
    }

    fn routes(&mut self, explanation: &Explanation) {
        if explanation.path.is_none() {
            return;
        }
        let mut lines = vec![match &explanation.route {
            Some(route) => {
                let methods = methods(&route.methods);
                let mut line = format!("{}: {} {}, {methods}", route.name, route.host, route.path);
                if explanation.demands.is_empty() {
                    line += &format!("; {}", route.access);
                }
                line
            }
            None => "no route matches".to_owned(),
        }];
        lines.extend(explanation.other_routes.iter().map(|other| {
            let line = &other.line;
            let methods = methods(&line.methods);
            format!(
                "not {}: {} {}, {methods}; {}",
                line.name, line.host, line.path, other.why_not
            )
        }));
        if explanation.more_routes > 0 {
            lines.push(format!("and {} more", explanation.more_routes));
        }
        self.section("Route", lines);
    }

    fn demands(&mut self, demands: &[DemandPart]) {
        let mut lines = Vec::new();
        self.demand_lines(demands, 0, &mut lines);
        self.section("Requires", lines);
    }

    fn demand_lines(&self, demands: &[DemandPart], depth: usize, lines: &mut Vec<String>) {
        for demand in demands {
            let word = match (demand.verdict, &demand.seen) {
                (Some(verdict), _) => verdict,
                (None, Some(_)) => "unknown",
                (None, None) => "not checked",
            };
            let color = match word {
                "met" => GREEN,
                "not checked" => "",
                _ => RED,
            };
            let word = self.painted(color, &format!("{word:13}"));
            let indent = " ".repeat(2 * depth);
            let seen = demand.seen.as_ref().map(|seen| format!(" ({seen})"));
            lines.push(format!(
                "{word}{indent}{}{}",
                demand.condition,
                seen.unwrap_or_default()
            ));
            self.demand_lines(&demand.parts, depth + 1, lines);
        }
    }

    fn headers(&mut self, explanation: &Explanation) {
        let Some(headers) = &explanation.headers else {
            return;
        };
        let mut lines = vec![format!("profile {}", headers.profile())];
        lines.extend(
            headers
                .removed
                .iter()
                .map(|name| format!("removed      {name}")),
        );
        let written = headers.written.iter();
        lines.extend(written.map(|written| {
            let (name, value) = (&written.name, &written.value);
            format!("written      {name}: {value}")
                .trim_end()
                .to_owned()
        }));
        self.section("Headers", lines);
    }

    fn answer(&mut self, explanation: &Explanation) {
        let answer = &explanation.answer;
        let (color, word) = match (answer.enters, answer.reason) {
            (true, _) => (GREEN, "enters"),
            (false, NOT_EVALUATED) => (RED, "not known"),
            (false, _) => (RED, "refused"),
        };
        let status = answer.status.map(|status| format!(" with {status}"));
        let head = self.painted(color, &format!("{word}{}", status.unwrap_or_default()));
        let mut lines = vec![format!("{head}, {}: {}", answer.reason, answer.message)];
        lines.extend(
            answer
                .location
                .as_ref()
                .map(|location| format!("to {location}")),
        );
        self.section("Answer", lines);
    }

    fn painted(&self, color: &str, text: &str) -> String {
        match self.is_colored && !color.is_empty() {
            true => format!("\u{1b}[{color}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

fn methods(methods: &str) -> String {
    match methods {
        "any" => "any method".to_owned(),
        methods => methods.to_owned(),
    }
}

/// The parameters of escape sequences (ECMA-48, "SGR").
const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "31";

/// The width of headings in columns.
const WIDTH: usize = 10;

/// The most readings to list; more would hide what follows them.
const MOST_READINGS: usize = 12;

//! The report of a run: as text, as the Markdown of `docs/performance.md`, and as JSON.

use serde_json::{Value, json};

use super::goal::{self, Bound, Goal};
use super::machine::Machine;
use super::measure::{Effort, Figures, Measured, Metric, median};
use super::table::Table;
use super::trial::TrialResult;

/// The results of a whole run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) command: String,
    pub(crate) effort: Effort,
    pub(crate) cases: Vec<Measured>,
    pub(crate) trials: Vec<TrialResult>,
}

/// The format of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Markdown,
    Text,
}

impl Style {
    fn of(self, table: &Table) -> String {
        match self {
            Self::Markdown => table.markdown(),
            Self::Text => table.text(),
        }
    }
}

impl Report {
    /// Returns the report as tables.
    pub(crate) fn tables(&self, style: Style) -> String {
        let mut text = self.heading();
        let heading = match style {
            Style::Markdown => "### ",
            Style::Text => "",
        };
        let section = |title: &str, table: &Table, notes: &[String]| {
            let mut section = format!("\n{heading}{title}\n\n{}", style.of(table));
            for note in notes {
                section += &format!("\n{note}\n");
            }
            section
        };
        for measured in &self.cases {
            text += &section(measured.case.title, &rows(measured), &notes(measured));
        }
        for trial in &self.trials {
            let title = trial.title;
            text += &match &trial.found {
                Ok(found) => section(title, &found.table, &found.notes),
                Err(error) => format!("\n{heading}{title}\n\nBROKEN: {error:#}\n"),
            };
        }
        if !self.all_goals().is_empty() {
            text += &section("Goals", &self.goals(), &[]);
        }
        text
    }

    /// Returns all results as JSON, including every round.
    pub(crate) fn json(&self) -> Value {
        let cases = self.cases.iter().map(|measured| {
            let rows = measured.case.entries.iter().zip(&measured.rows);
            let rows = rows.map(|(entry, row)| {
                let rounds = row.rounds.iter().map(|round| match round {
                    Ok(Figures { cpu, p50, p99, rate }) => {
                        json!({"requests_per_second": rate, "cpu_us": cpu, "p50_us": p50, "p99_us": p99})
                    }
                    Err(error) => json!({"broken": format!("{error:#}")}),
                });
                let reference = measured.case.entries[0].key;
                let median = |metric| measured.median(entry.key, metric);
                let ratio = |metric| measured.ratio(entry.key, reference, metric);
                json!({
                    "name": entry.key,
                    "label": entry.label.replace("**", ""),
                    "median": {
                        "requests_per_second": median(Metric::Rate), "cpu_us": median(Metric::Cpu),
                        "p50_us": median(Metric::P50), "p99_us": median(Metric::P99),
                    },
                    "ratio_to_first": {
                        "requests_per_second": ratio(Metric::Rate), "cpu_us": ratio(Metric::Cpu),
                        "p50_us": ratio(Metric::P50), "p99_us": ratio(Metric::P99),
                    },
                    "rss_mib": row.memory.map(|memory| memory.rss),
                    "pss_mib": row.memory.map(|memory| memory.pss),
                    "rounds": rounds.collect::<Vec<_>>(),
                })
            });
            json!({
                "name": measured.case.name,
                "title": measured.case.title,
                "rounds": measured.effort.rounds, "seconds": measured.effort.seconds,
                "paced_requests_per_second": measured.paces,
                "reference_spread": measured.spread(),
                "disturbed": measured.disturbed(),
                "other_programs_share": measured.others,
                "targets": rows.collect::<Vec<_>>(),
            })
        });
        let goals = self.all_goals();
        let goals = goals.iter().map(|goal| {
            let (at_least, at_most) = match goal.bound {
                Bound::AtLeast(bound) => (Some(bound), None),
                Bound::AtMost(bound) => (None, Some(bound)),
            };
            json!({
                "case": goal.case, "goal": goal.what, "at_least": at_least, "at_most": at_most,
                "measured": goal.measured, "met": goal.met(),
            })
        });
        let Machine {
            date,
            processor,
            cores,
            kernel,
            versions,
        } = &self.machine;
        let versions: serde_json::Map<_, _> = versions
            .iter()
            .map(|(name, version)| ((*name).to_owned(), version.as_str().into()))
            .collect();
        json!({
            "date": date, "processor": processor, "cores": cores, "kernel": kernel, "versions": versions,
            "command": self.command, "rounds": self.effort.rounds, "seconds": self.effort.seconds,
            "cases": cases.collect::<Vec<_>>(),
            "trials": self.trials.iter().map(TrialResult::json).collect::<Vec<_>>(),
            "goals": goals.collect::<Vec<_>>(),
        })
    }

    fn heading(&self) -> String {
        let Machine {
            date,
            processor,
            cores,
            kernel,
            versions,
        } = &self.machine;
        let versions = versions
            .iter()
            .map(|(name, version)| format!("{name} {version}"));
        let versions = versions.collect::<Vec<_>>().join(", ");
        let Effort { rounds, seconds } = self.effort;
        format!(
            "`{}` on {date}: {processor}, {cores} cores, Linux {kernel}. {versions}.\n\
             Medians of {rounds} rounds, each {seconds} s for every server; × is the median of the ratios, within a round, \
             to the first line of the table. CPU is user and system time of the server's own processes, MiB their memory \
             after the last round, with shared pages in part.\n",
            self.command
        )
    }

    fn all_goals(&self) -> Vec<Goal> {
        let trials = self.trials.iter().flat_map(TrialResult::goals);
        goal::of_cases(&self.cases)
            .into_iter()
            .chain(trials)
            .collect()
    }

    fn goals(&self) -> Table {
        let mut table = Table::new(["", "goal", "measured", ""]);
        for goal in self.all_goals() {
            let bound = match goal.bound {
                Bound::AtLeast(bound) => format!("≥ {bound}"),
                Bound::AtMost(bound) => format!("≤ {bound}"),
            };
            let disturbed = self
                .cases
                .iter()
                .any(|measured| measured.case.name == goal.case && measured.disturbed());
            let met = match (goal.met(), disturbed) {
                (None, _) => "not measured",
                (Some(false), false) => "missed",
                (Some(false), true) => "missed, disturbed",
                (Some(true), false) => "met",
                (Some(true), true) => "met, disturbed",
            };
            table.push([
                goal.what.to_owned(),
                bound,
                number(goal.measured, ratio),
                met.to_owned(),
            ]);
        }
        table
    }
}

impl Measured {
    /// Whether other work on the machine made the rounds of the reference differ.
    pub(crate) fn disturbed(&self) -> bool {
        self.spread() > DISTURBED
    }
}

/// The table of a case.
fn rows(measured: &Measured) -> Table {
    let mut table = Table::new([
        "",
        "requests/s",
        "×",
        "CPU µs",
        "×",
        "p50 µs",
        "p99 µs",
        "×",
        "MiB",
    ]);
    let reference = measured.case.entries[0].key;
    for (entry, row) in measured.case.entries.iter().zip(&measured.rows) {
        let median = |metric| measured.median(entry.key, metric);
        let to_reference = |metric| number(measured.ratio(entry.key, reference, metric), ratio);
        table.push([
            entry.label.to_owned(),
            number(median(Metric::Rate), thousands),
            to_reference(Metric::Rate),
            number(median(Metric::Cpu), |cpu| format!("{cpu:.1}")),
            to_reference(Metric::Cpu),
            number(median(Metric::P50), thousands),
            number(median(Metric::P99), thousands),
            to_reference(Metric::P99),
            number(row.memory.map(|memory| memory.pss), |mebibytes| {
                format!("{mebibytes:.1}")
            }),
        ]);
    }
    table
}

/// Returns what a reader must know about a case besides its table.
fn notes(measured: &Measured) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(pace) = median(measured.paces.iter().copied()) {
        notes.push(format!(
            "{} rounds of {} s. The load sends {} requests/s to each, median of the rounds: 70 % of what the first took just \
             before, without pauses.",
            measured.effort.rounds,
            measured.effort.seconds,
            thousands(pace)
        ));
    }
    for (entry, row) in measured.case.entries.iter().zip(&measured.rows) {
        let mut broken = row.rounds.iter().filter_map(|round| round.as_ref().err());
        if let Some(reason) = broken.next() {
            let (count, all) = (1 + broken.count(), row.rounds.len());
            let label = entry.label.replace("**", "");
            notes.push(format!(
                "BROKEN: {label}, {count} of {all} rounds are invalid: {reason:#}"
            ));
        }
    }
    if measured.disturbed() {
        let spread = measured.spread() * 100.0;
        notes.push(format!(
            "DISTURBED: the slowest round of the reference lies {spread:.0} % below its fastest."
        ));
    }
    if measured.others > NOTABLE {
        let others = measured.others * 100.0;
        notes.push(format!(
            "Other programs had up to {others:.0} % of the machine in a round."
        ));
    }
    notes
}

fn number(value: Option<f64>, format: impl Fn(f64) -> String) -> String {
    value.map_or("–".to_owned(), format)
}

/// Formats a ratio with about three significant digits.
pub(crate) fn ratio(ratio: f64) -> String {
    match ratio {
        ..0.1 => format!("{ratio:.4}"),
        ..20.0 => format!("{ratio:.2}"),
        _ => format!("{ratio:.0}"),
    }
}

/// Formats a whole number with commas between its thousands.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// If the rounds of the reference differ by more than this share, the run is not reliable.
pub(crate) const DISTURBED: f64 = 0.3;

/// A share of the machine below this is what every system uses now and then.
const NOTABLE: f64 = 0.05;

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_are_separated_by_commas() {
        assert_eq!(thousands(999.4), "999");
        assert_eq!(thousands(1234.0), "1,234");
        assert_eq!(thousands(1234567.0), "1,234,567");
    }
}

//! The suite against nginx, Caddy and Envoy as documented, and the table of `docs/conformance.md`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use conformance::{Case, Outcome, Profile, Report, Row, Target, catalogue};
use futures_util::future::try_join_all;
use harness::{Mint, free_port};

use crate::front::{Front, Kind, gate};

/// The page lists all classes, with the results that are found here, for each front whose version is that of the page.
#[tokio::test]
async fn the_page_matches_the_results() -> Result<()> {
    let page = std::fs::read_to_string(page())?;
    let documented = Documented::read(&page)?;
    let listed: Vec<_> = documented
        .rows
        .iter()
        .map(|row| row[..FIXED].to_vec())
        .collect();
    let counted = classes().into_iter();
    let counted = counted.map(|(class, cases)| [class, cases.len().to_string()].to_vec());
    ensure!(
        listed == counted.collect::<Vec<_>>(),
        "docs/conformance.md lists other classes or numbers of cases: {HOW_TO_WRITE}"
    );
    let differences = COLUMNS
        .iter()
        .enumerate()
        .map(|(at, column)| column.differences(&documented, at));
    let wrong = try_join_all(differences).await?.concat();
    ensure!(
        wrong.is_empty(),
        "docs/conformance.md says something else: {HOW_TO_WRITE}\n{}",
        wrong.join("\n")
    );
    Ok(())
}

/// Rewrites the table on the page.
#[tokio::test]
#[ignore = "it changes docs/conformance.md"]
async fn write_the_table() -> Result<()> {
    let mut headings = Vec::new();
    for column in COLUMNS {
        headings.push(column.heading()?);
    }
    let all: Vec<_> = catalogue().iter().map(|case| case.id).collect();
    let reports = try_join_all(
        COLUMNS
            .iter()
            .map(|column| column.run_cases(LONG_TIMEOUT, &all)),
    )
    .await?;
    for (heading, report) in headings.iter().zip(&reports) {
        println!("{heading}\n{}", report.markdown());
    }
    let text = std::fs::read_to_string(page())?;
    let (before, rest) = text.split_once(START).context("the page has a table")?;
    let (_, after) = rest.split_once(END).context("the table has an end")?;
    let table = table(&headings, &reports)?;
    std::fs::write(page(), format!("{before}{START}\n{table}{END}{after}"))?;
    Ok(())
}

/// A column of the table: a front.
struct Column {
    name: &'static str,
    kind: Kind,
    profile: &'static str,
    /// The gate's endpoint for the front.
    endpoint: &'static str,
    version: Version,
    /// How many processes of the front share the cases. In nearly half of them, Envoy waits for a second before it ends a
    /// connection.
    copies: usize,
}

/// How the version of a front is found.
enum Version {
    /// The output of this command names it, behind this text.
    Of(&'static [&'static str], &'static str),
    Pinned(&'static str),
}

const COLUMNS: &[Column] = &[
    Column {
        name: "nginx",
        kind: Kind::Nginx,
        profile: "nginx",
        endpoint: "/auth/nginx",
        version: Version::Of(&["nginx", "-v"], "nginx/"),
        copies: 1,
    },
    Column {
        name: "Caddy",
        kind: Kind::Caddy,
        profile: "caddy",
        endpoint: "/auth/caddy",
        version: Version::Of(&["caddy", "version"], ""),
        copies: 1,
    },
    Column {
        name: "Caddy",
        kind: Kind::CaddyPinned,
        profile: "caddy",
        endpoint: "/auth/caddy",
        version: Version::Pinned("2.11.7"),
        copies: 1,
    },
    Column {
        name: "Envoy",
        kind: Kind::EnvoyHttp,
        profile: "envoy",
        endpoint: "/auth/envoy",
        version: Version::Pinned("1.40.0"),
        copies: 5,
    },
];

impl Column {
    /// Returns the heading, such as `nginx 1.22.1`.
    fn heading(&self) -> Result<String> {
        let version = match &self.version {
            Version::Pinned(version) => (*version).to_owned(),
            Version::Of(words, before) => {
                let mut command = Command::new(words[0]);
                command.args(&words[1..]);
                let output = command.output().with_context(|| format!("{words:?}"))?;
                let text = String::from_utf8([output.stdout, output.stderr].concat())?;
                let (_, rest) = text.split_once(before).context("it prints its version")?;
                let version = rest.split_whitespace().next();
                version.unwrap_or_default().trim_matches('v').to_owned()
            }
        };
        Ok(format!("{} {version}", self.name))
    }

    /// Returns the differences between the page and the results; none if the version is not that of the page.
    async fn differences(&self, documented: &Documented<'_>, at: usize) -> Result<Vec<String>> {
        if documented.versions[at] != self.heading()? {
            return Ok(Vec::new());
        }
        let all: Vec<_> = catalogue().iter().map(|case| case.id).collect();
        let mut report = self.run_cases(SHORT_TIMEOUT, &all).await?;
        // On a busy machine a gateway seems to hang: cases that do not hold are repeated with more time, without the others.
        let is_doubtful = |row: &&Row| matches!(row.outcome, Outcome::Fails(_) | Outcome::Weak(_));
        let doubtful = report.rows.iter().filter(is_doubtful);
        let doubtful: Vec<_> = doubtful.map(|row| row.case.id).collect();
        let again = self.run_cases(LONG_TIMEOUT, &doubtful).await?;
        report.rows.retain(|row| !doubtful.contains(&row.case.id));
        report.rows.extend(again.rows);
        let differing = classes().into_iter().filter_map(|(class, cases)| {
            let (printed, found) = (documented.result(&class, at), result(&report, &cases));
            let differs = printed != Some(&found);
            differs.then(|| {
                format!(
                    "{}: {class}: the page says {printed:?}, found {found}",
                    self.name
                )
            })
        });
        Ok(differing.collect())
    }

    /// Runs these cases.
    async fn run_cases(&self, timeout: Duration, cases: &[&str]) -> Result<Report> {
        let copies = self.copies.min(cases.len());
        let shares = (0..copies).map(|first| {
            let share = cases.iter().skip(first).step_by(copies);
            self.run_batch(timeout, share.map(|id| (*id).to_owned()).collect())
        });
        let reports = try_join_all(shares).await?;
        let rows = reports.into_iter().flat_map(|report| report.rows).collect();
        Ok(Report { rows })
    }

    async fn run_batch(&self, timeout: Duration, cases: Vec<String>) -> Result<Report> {
        let upstream = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let gate = gate(self.kind, &upstream).env("PUBLIC_PATHS", "/public/");
        let gate = gate.start().await?;
        let front = Front::start(self.kind, &gate, &upstream).await?;
        let profile = Profile::named(self.profile).context("the front has a profile")?;
        let target = Target {
            cookie: Some(Mint::user("user-1").authjs()),
            user: Some("user-1".to_owned()),
            check: Some((gate.decisions_port()?, self.endpoint.to_owned())),
            timeout,
            ..Target::new(profile, front.address, upstream)
        };
        let selects = move |case: &Case| cases.iter().any(|id| *id == case.id);
        let run = move || conformance::run(&target, selects, |_| ());
        Ok(tokio::task::spawn_blocking(run).await??)
    }
}

/// The table on the page.
struct Documented<'a> {
    versions: Vec<&'a str>,
    rows: Vec<Vec<&'a str>>,
}

impl<'a> Documented<'a> {
    fn read(page: &'a str) -> Result<Self> {
        let (_, rest) = page.split_once(START).context("the page has a table")?;
        let (table, _) = rest.split_once(END).context("the table has an end")?;
        let cells = |line: &'a str| {
            let cells = line.trim_matches('|').split('|');
            cells.map(str::trim).collect::<Vec<_>>()
        };
        let mut lines = table
            .lines()
            .filter(|line| line.starts_with('|'))
            .map(cells);
        let headings = lines.next().context("the table has headings")?;
        Ok(Self {
            versions: headings[FIXED..].to_vec(),
            rows: lines.skip(1).collect(),
        })
    }

    fn result(&self, class: &str, column: usize) -> Option<&str> {
        let row = self.rows.iter().find(|row| row[0] == class)?;
        row.get(FIXED + column).copied()
    }
}

/// The classes, in the order of the catalogue, with the ids of their cases.
fn classes() -> Vec<(String, Vec<&'static str>)> {
    let mut classes: Vec<(String, Vec<&str>)> = Vec::new();
    for case in catalogue() {
        let class = case.class.to_string();
        match classes.iter_mut().find(|(known, _)| *known == class) {
            Some((_, cases)) => cases.push(case.id),
            None => classes.push((class, vec![case.id])),
        }
    }
    classes
}

/// Returns the table. It has classes and counts, not cases: the page must not list which attack gets past which proxy.
fn table(headings: &[String], reports: &[Report]) -> Result<String> {
    let headings_line = headings.join(" | ");
    let mut text = format!("| class | cases | {headings_line} |\n");
    writeln!(text, "|{}", "---|".repeat(FIXED + headings.len()))?;
    for (class, cases) in classes() {
        let found = reports.iter().map(|report| result(report, &cases));
        let found = found.collect::<Vec<_>>().join(" | ");
        writeln!(text, "| {class} | {} | {found} |", cases.len())?;
    }
    Ok(text)
}

/// Returns how many of these cases hold, of those that were run.
fn result(report: &Report, cases: &[&str]) -> String {
    let rows = report
        .rows
        .iter()
        .filter(|row| cases.contains(&row.case.id));
    let (mut hold, mut run) = (0, 0);
    for row in rows {
        match row.outcome {
            Outcome::Holds(_) => (hold, run) = (hold + 1, run + 1),
            Outcome::Fails(_) | Outcome::Weak(_) => run += 1,
            Outcome::NotApplicable(_) | Outcome::NotRun(_) => {}
        }
    }
    match run {
        0 => "–".to_owned(),
        run => format!("{hold} of {run}"),
    }
}

fn page() -> PathBuf {
    harness::repository().join("docs/conformance.md")
}

/// How long a front may take to answer when cases are repeated.
const LONG_TIMEOUT: Duration = Duration::from_secs(5);
const SHORT_TIMEOUT: Duration = Duration::from_secs(1);

/// The number of columns before those of the fronts.
const FIXED: usize = 2;

const START: &str = "<!-- the table -->";
const END: &str = "<!-- its end -->";

const HOW_TO_WRITE: &str =
    "write it with cargo test -p sessiongate --test conformance -- --ignored write_the_table";

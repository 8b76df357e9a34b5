//! The gate passes every case of the suite, configured and tested as the page of the suite says.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use conformance::{Outcome, Profile, Target};
use harness::{Gate, free_port, mint, page};

const PAGE: &str = "docs/conformance.md";

/// The value of a flag in the commands of the page.
fn flag<'c>(commands: &'c str, name: &str) -> Result<&'c str> {
    let mut words = commands
        .split([' ', '\n', ')'])
        .skip_while(|word| *word != name);
    words
        .nth(1)
        .with_context(|| format!("{PAGE} gives no {name}"))
}

fn seconds(commands: &str, name: &str) -> Result<Duration> {
    Ok(Duration::from_secs(flag(commands, name)?.parse()?))
}

#[tokio::test]
async fn the_gate_passes_every_case() -> Result<()> {
    // The suite brings its own recording upstream.
    let upstream = free_port();
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (file, secret) = (at("conformance.toml"), at("conformance.secret"));
    std::fs::write(&secret, mint::SECRET)?;
    let text = page::block(PAGE, "toml", 0)?;
    let text = page::replace_literal(&text, "conformance.secret", &secret)?;
    let text = page::replace_literal(&text, "127.0.0.1:3000", &format!("127.0.0.1:{upstream}"))?;
    std::fs::write(&file, text)?;
    let commands = page::block(PAGE, "sh", 0)?;
    let command = || Gate::command(env!("CARGO_BIN_EXE_sessiongate"));

    let user = flag(&commands, "--expect-user")?;
    let words = [
        "mint",
        "--config",
        &file,
        "--format",
        flag(&commands, "--format")?,
    ];
    let words = words
        .into_iter()
        .chain(["--user", flag(&commands, "--user")?]);
    let minted = command().args(words).run().await?;
    ensure!(minted.status.success(), "{}", minted.stderr);
    // The environment overrides the file, so that the ports are free ones.
    let gate = command()
        .args(["serve", "--config", &file])
        .env("UPSTREAM", format!("http://127.0.0.1:{upstream}"))
        .env("AUTH_LISTEN", "127.0.0.1:0")
        .start()
        .await?;
    let check = flag(&commands, "--check-url")?;
    let (_, path) = check.rsplit_once('/').context("a path")?;
    let profile = Profile::named("sessiongate").context("the gate has a profile")?;
    let target = Target {
        cookie: Some(minted.stdout.trim_end().to_owned()),
        user: Some(user.to_owned()),
        check: Some((gate.decisions_port()?, format!("/{path}"))),
        slow_limit: Some(seconds(&commands, "--slow-limit")?),
        timeout: seconds(&commands, "--timeout")?,
        ..Target::new(profile, gate.proxy, ([127, 0, 0, 1], upstream).into())
    };
    let run = move || conformance::run(&target, |_| true, |_| ());
    let report = tokio::task::spawn_blocking(run).await??;

    let wrong = report
        .rows
        .iter()
        .filter(|row| !matches!(row.outcome, Outcome::Holds(_)));
    let wrong: Vec<_> = wrong.map(|row| row.line()).collect();
    ensure!(
        wrong.is_empty(),
        "{}\n{}",
        wrong.join("\n"),
        report.summary()
    );

    // The cases are listed by name, so that a lost case shows in a diff.
    let passed = report
        .rows
        .iter()
        .filter(|row| matches!(row.outcome, Outcome::Holds(_)));
    let passed: String = passed
        .map(|row| format!("{} {}\n", row.case.id, row.case.title))
        .collect();
    ensure!(
        passed == include_str!("passed.txt"),
        "the passed cases differ from tests/conformance/passed.txt:\n{passed}"
    );
    let page = std::fs::read_to_string(harness::repository().join(PAGE))?;
    let summary = report.summary();
    ensure!(
        page.contains(&format!("    {summary}\n")),
        "{PAGE} does not say: {summary}"
    );
    Ok(())
}

//! `cargo xtask mutations`: whether the simulation of the chain of stores notices that the chain was broken.
//!
//! Each mutation changes one place of a copy of the sources, in the way of a mistake that somebody could make. A simulation that
//! passes all the same is no proof of anything, and fails this task.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::step::{command, output, root, step};

#[derive(Args)]
pub(crate) struct Options {
    /// How many schedules of the simulation each mutation has to be noticed in.
    #[arg(long, default_value_t = 20_000)]
    schedules: u32,
}

/// One change, which must be found exactly once.
struct Mutation {
    /// What goes wrong.
    what: &'static str,
    /// In `crates/stores/src`.
    file: &'static str,
    before: &'static str,
    after: &'static str,
}

/// Runs the simulation once as it is, and once for each mutation.
///
/// # Errors
/// When the simulation fails as it is, passes with a mutation, or a mutation does not fit the sources any more.
pub(crate) fn run(options: &Options) -> Result<()> {
    let copy = root().join("target/mutations/sources");
    copy_sources(&copy)?;
    let simulate = || {
        let mut cargo =
            command("cargo test --quiet --locked -p sessiongate-stores --lib simulation::");
        cargo
            .current_dir(&copy)
            // Not that of the repository: there cargo would take what was made of the copy for up to date.
            .env("CARGO_TARGET_DIR", root().join("target/mutations/target"))
            .env("SCHEDULES", options.schedules.to_string())
            .env("RUST_BACKTRACE", "0");
        cargo
    };
    let passes = || -> Result<(bool, String)> {
        let output = simulate().stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        Ok((output.status.success(), text))
    };
    let (as_it_is, text) = passes()?;
    ensure!(as_it_is, "the simulation fails as it is:\n{text}");
    for Mutation {
        what,
        file,
        before,
        after,
    } in MUTATIONS
    {
        let path = copy.join("crates/stores/src").join(file);
        let source = fs::read_to_string(&path)?;
        let found = source.matches(before).count();
        ensure!(
            found == 1,
            "{file} has {found} places for the mutation \"{what}\", and must have one"
        );
        fs::write(&path, source.replace(before, after))?;
        let (passes, text) = passes()?;
        fs::write(&path, source)?;
        ensure!(
            text.contains("seed "),
            "\"{what}\" was not noticed{}:\n{text}",
            if passes { "" } else { ", or does not compile" }
        );
        let seed = text.split("seed ").nth(1).unwrap_or_default();
        let seed = seed.split(':').next().unwrap_or_default();
        println!("noticed with seed {seed}: {what}");
    }
    println!("all {} mutations were noticed", MUTATIONS.len());
    Ok(())
}

/// The sources as they are, committed or not.
fn copy_sources(to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    let files = output(&mut command(
        "git ls-files --cached --others --exclude-standard",
    ))?;
    for file in files.lines() {
        let (from, to) = (root().join(file), to.join(file));
        // A file that was deleted and not committed.
        if !from.is_file() {
            continue;
        }
        let folder = to.parent().context("a file is in a folder")?;
        fs::create_dir_all(folder)?;
        fs::copy(from, to)?;
    }
    // Cargo would look for a workspace above otherwise.
    step(
        command("cargo metadata --format-version 1 --no-deps")
            .current_dir(to)
            .stdout(Stdio::null()),
    )
}

const MUTATIONS: &[Mutation] = &[
    Mutation {
        what: "memory does not look at what was heard",
        file: "memory.rs",
        before: "at < entry.trusted_until && self.changes.leave(entry.ticket, entry.stripes, now)",
        after: "at < entry.trusted_until",
    },
    Mutation {
        what: "what a whole channel says is ignored",
        file: "changes.rs",
        before: "is_later(&self.everything)\n            || ",
        after: "",
    },
    Mutation {
        what: "memory is trusted while nothing is heard",
        file: "changes.rs",
        before: "self.silent.fetch_or(silent, Ordering::AcqRel);",
        after: "let _ = silent;",
    },
    Mutation {
        what: "what was learnt before a gap is trusted after it",
        file: "changes.rs",
        before: "            self.forget_all(channel, now);\n            let silent",
        after: "            let _ = now;\n            let silent",
    },
    Mutation {
        what: "the ticket is taken when the answer is there",
        file: "chain.rs",
        before: "        let has_missed = asked.was_heard",
        after: "        let asked = LookupStart { ticket: changes.ticket(now), ..asked };\n        let has_missed = asked.was_heard",
    },
    Mutation {
        what: "an answer is kept although something was heard since its question",
        file: "chain.rs",
        before: "        if has_missed || was_invalidated || changes.said(channels, asked.ticket, stripes) {\n            return Kept::Unsure;",
        after: "        if has_missed || was_invalidated {\n            return Kept::Unsure;",
    },
    Mutation {
        what: "an answer is kept although its lease was taken away",
        file: "chain.rs",
        before: "Ok(Written::TakenAway) => return Kept::Unsure,",
        after: "Ok(Written::TakenAway) => (LookupStart { ticket, ..asked }, Some(Duration::MAX)),",
    },
    Mutation {
        what: "somebody joins a flight that began before a change",
        file: "chain.rs",
        before: "            !was_invalidated && !changes.said(channels, asked, stripes)",
        after: "            !was_invalidated || !changes.said(channels, asked, stripes)",
    },
    Mutation {
        what: "what Redis has is believed although the database has said more",
        file: "chain.rs",
        before: "if !changes.has(Channel::Postgres) {\n            return true;",
        after: "if true {\n            return true;",
    },
    Mutation {
        what: "an answer is as old as it looks",
        file: "cache.rs",
        before: "lasts.saturating_sub(left) + self.longest_way",
        after: "lasts.saturating_sub(left)",
    },
    Mutation {
        what: "memory keeps what Redis does not have, and would not speak of",
        file: "chain.rs",
        before: "true => left.unwrap_or_default(),",
        after: "true => left.unwrap_or(Duration::MAX),",
    },
    Mutation {
        what: "what is heard of a key whose question is under way is ignored",
        file: "chain/invalidation.rs",
        before: "                self.flights.invalidate(&key, changes.ticket(now));\n",
        after: "",
    },
    Mutation {
        what: "what Redis says of a key leaves memory as it is",
        file: "chain/invalidation.rs",
        before: "                self.memory.forget(&key);\n",
        after: "",
    },
    Mutation {
        what: "an answer is kept although its key was heard of while it was written",
        file: "single_flight.rs",
        before: "keep(!progress.is_superseded && !progress.was_invalidated(ticket));",
        after: "keep(!progress.is_superseded);",
    },
    Mutation {
        what: "a flight that is told nothing any more keeps its answer",
        file: "single_flight.rs",
        before: "keep(!progress.is_superseded && !progress.was_invalidated(ticket));",
        after: "keep(!progress.was_invalidated(ticket));",
    },
    Mutation {
        what: "what was forgotten counts while the truth is down",
        file: "memory.rs",
        before: "            entry.trusted_until == FORGOTTEN\n                || ",
        after: "            ",
    },
    Mutation {
        what: "what is due is repeated whatever was heard",
        file: "memory.rs",
        before: "is_trusted.then_some(Recalled {",
        after: "(is_trusted || entry.early > 0 && entry.is_due(at)).then_some(Recalled {",
    },
    Mutation {
        what: "who is to ask again for what is due prolongs it instead",
        file: "memory.rs",
        before: "EntryAction::Retain(std::mem::take(&mut entry.early) > 0)",
        after: "entry.trusted_until += 60_000_000_000;\n            EntryAction::Retain(std::mem::take(&mut entry.early) > 0)",
    },
    Mutation {
        what: "what was heard to have changed counts while the truth is down",
        file: "memory.rs",
        before: "entry.found.filter(|_| !is_late && !was_heard())",
        after: "entry.found.filter(|_| !is_late || was_heard())",
    },
    Mutation {
        what: "what was known counts for ever while the truth is down",
        file: "memory.rs",
        before: "entry.found.filter(|_| !is_late && !was_heard())",
        after: "entry.found.filter(|_| is_late || !was_heard())",
    },
    Mutation {
        what: "what Redis has counts while the truth is down, although that has said more",
        file: "chain.rs",
        before: "Err(match self.unchallenged_since(key, &hit, asked) {",
        after: "Err(match Some(asked.ticket).filter(|_| hit.age.is_some()) {",
    },
];

//! `cargo xtask mutations`: checks that the simulation of the chain of stores detects a broken chain.
//!
//! Each mutation makes one plausible mistake in a copy of the sources. If the simulation still passes, it would miss such a
//! mistake, so this task fails.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::step::{command, output, root, step};

#[derive(Args)]
pub(crate) struct Options {
    /// The number of schedules of the simulation in which each mutation must be detected.
    #[arg(long, default_value_t = 20_000)]
    schedules: u32,
}

/// A change of the sources. Its place must occur exactly once.
struct Mutation {
    /// The mistake, in words.
    what: &'static str,
    /// The file, in `crates/stores/src`.
    file: &'static str,
    before: &'static str,
    after: &'static str,
}

/// Runs the simulation once without a mutation, and once with each.
///
/// # Errors
/// When the simulation fails without a mutation, passes with one, or a mutation does not fit the sources any more.
pub(crate) fn run(options: &Options) -> Result<()> {
    let copy = root().join("target/mutations/sources");
    copy_sources(&copy)?;
    let simulate = || {
        let mut cargo =
            command("cargo test --quiet --locked -p sessiongate-stores --lib simulation::");
        cargo
            .current_dir(&copy)
            // A separate directory: if the copy shared the repository's, cargo would take what it built from one for a current
            // build of the other.
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
    let (passes_unchanged, text) = passes()?;
    ensure!(
        passes_unchanged,
        "the simulation fails without a mutation:\n{text}"
    );
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
            "{file} has {found} places for the mutation \"{what}\", but must have exactly one"
        );
        fs::write(&path, source.replace(before, after))?;
        let (passes, text) = passes()?;
        fs::write(&path, source)?;
        ensure!(
            text.contains("seed "),
            "\"{what}\" was not detected{}:\n{text}",
            if passes { "" } else { ", or does not compile" }
        );
        let seed = text.split("seed ").nth(1).unwrap_or_default();
        let seed = seed.split(':').next().unwrap_or_default();
        println!("detected with seed {seed}: {what}");
    }
    println!("all {} mutations were detected", MUTATIONS.len());
    Ok(())
}

/// Copies the sources, with changes that are not committed.
fn copy_sources(to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    let files = output(&mut command(
        "git ls-files --cached --others --exclude-standard",
    ))?;
    for file in files.lines() {
        let (from, to) = (root().join(file), to.join(file));
        // The file is deleted, but the deletion is not committed yet.
        if !from.is_file() {
            continue;
        }
        let folder = to.parent().context("a file is in a folder")?;
        fs::create_dir_all(folder)?;
        fs::copy(from, to)?;
    }
    // Fails early if Cargo cannot read the manifests of the copy.
    step(
        command("cargo metadata --format-version 1 --no-deps")
            .current_dir(to)
            .stdout(Stdio::null()),
    )
}

const MUTATIONS: &[Mutation] = &[
    Mutation {
        what: "memory ignores invalidations",
        file: "memory.rs",
        before: "at < entry.trusted_until && self.changes.may_reuse(entry.ticket, entry.stripes, now)",
        after: "at < entry.trusted_until",
    },
    Mutation {
        what: "an announcement that anything may have changed is ignored",
        file: "changes.rs",
        before: "is_later(&self.everything)\n            || ",
        after: "",
    },
    Mutation {
        what: "memory is trusted while a channel is down",
        file: "changes.rs",
        before: "self.down.fetch_or(down, Ordering::AcqRel);",
        after: "let _ = down;",
    },
    Mutation {
        what: "an answer from before a gap is trusted after it",
        file: "changes.rs",
        before: "            self.invalidate_all(channel, now);\n            let down",
        after: "            let _ = now;\n            let down",
    },
    Mutation {
        what: "the ticket is taken when the answer arrives",
        file: "chain.rs",
        before: "        let has_missed = start.was_up",
        after: "        let start = LookupStart { ticket: changes.ticket(now), ..start };\n        let has_missed = start.was_up",
    },
    Mutation {
        what: "an answer is kept although a change was announced since its lookup began",
        file: "chain.rs",
        before: "        if has_missed || self.has_changed(flight.progress(), start.ticket, stripes) {\n            return Kept::Unsure;",
        after: "        if has_missed {\n            return Kept::Unsure;",
    },
    Mutation {
        what: "an answer is kept although its lease is gone",
        file: "chain.rs",
        before: "Ok(Written::LeaseLost) => return Kept::Unsure,",
        after: "Ok(Written::LeaseLost) => (LookupStart { ticket, ..start }, Some(Duration::MAX)),",
    },
    Mutation {
        what: "a request joins a flight that began before a change",
        file: "chain.rs",
        before: "|others: Progress| !self.has_changed(others, others.ticket(), stripes);",
        after: "|_: Progress| true;",
    },
    Mutation {
        what: "a hit in Redis counts although the database has announced a change since",
        file: "chain.rs",
        before: "if !changes.has(Channel::Postgres) {\n            return true;",
        after: "if true {\n            return true;",
    },
    Mutation {
        what: "an answer in Redis counts as no older than it looks",
        file: "cache.rs",
        before: "lifetime.saturating_sub(left) + self.max_transit",
        after: "lifetime.saturating_sub(left)",
    },
    Mutation {
        what: "memory keeps what Redis does not hold, and would not announce",
        file: "chain.rs",
        before: "true => left.unwrap_or_default(),",
        after: "true => left.unwrap_or(Duration::MAX),",
    },
    Mutation {
        what: "an invalidation of a key whose lookup is in flight is ignored",
        file: "chain/invalidation.rs",
        before: "                self.flights.invalidate(&key, changes.ticket(now));\n",
        after: "",
    },
    Mutation {
        what: "an invalidation of a key by Redis leaves memory as it is",
        file: "chain/invalidation.rs",
        before: "                self.memory.invalidate(&key);\n",
        after: "",
    },
    Mutation {
        what: "an answer is kept although its key was invalidated while it was written",
        file: "single_flight.rs",
        before: "keep(!progress.is_superseded && !progress.was_invalidated(ticket));",
        after: "keep(!progress.is_superseded);",
    },
    Mutation {
        what: "an entry that is due is repeated although it was invalidated",
        file: "memory.rs",
        before: "is_trusted.then_some(Recalled {",
        after: "(is_trusted || entry.early > 0 && entry.is_due(at)).then_some(Recalled {",
    },
    Mutation {
        what: "claiming the renewal of an entry extends it instead",
        file: "memory.rs",
        before: "|entry| std::mem::take(&mut entry.early) > 0)",
        after: "|entry| { entry.trusted_until += 60_000_000_000; std::mem::take(&mut entry.early) > 0 })",
    },
    Mutation {
        what: "a stale answer counts although a change of it was announced",
        file: "memory.rs",
        before: "entry.found.filter(|_| !is_late && !was_invalidated())",
        after: "entry.found.filter(|_| !is_late || was_invalidated())",
    },
    Mutation {
        what: "a stale answer counts forever while the truth is down",
        file: "memory.rs",
        before: "entry.found.filter(|_| !is_late && !was_invalidated())",
        after: "entry.found.filter(|_| is_late || !was_invalidated())",
    },
    Mutation {
        what: "a hit in Redis counts while the truth is down, although the truth has announced a change since",
        file: "chain.rs",
        before: "Err(match self.unchanged_since(key, &hit, start) {",
        after: "Err(match Some(start.ticket).filter(|_| hit.age.is_some()) {",
    },
];

//! `cargo xtask bench revocation`: for how long requests are still permitted and WebSockets stay open after a change that should
//! end them, on any of three gates that answer from memory; and which requests are permitted during faults.

mod change;
mod distribution;
mod fault;
mod faults;
mod lateness;
mod ledger;
mod node;
mod socket;
mod world;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use xtask::step::{build_gate, command};
use xtask::{packages, test};

pub(crate) use self::fault::Fault;
use super::lab::Lab;
use super::machine::Machine;

/// What to measure.
pub(crate) enum Measurement {
    /// This many changes of each group of stores, without faults.
    Changes(usize),
    /// Each of these faults by itself.
    Faults(Vec<Fault>),
    /// Random faults for this long.
    FaultsFor(Duration),
}

/// Measures and prints the tables.
///
/// # Errors
/// When a program does not build or start, or a measurement fails.
pub(crate) fn run(binary: Option<&PathBuf>, what: &Measurement, markdown: bool) -> Result<()> {
    packages::install_missing(packages::FOR_BENCH)?;
    test::install_node_modules()?;
    let gate = match binary {
        Some(path) => path.canonicalize()?,
        None => build_gate(&mut command(
            "cargo build --release --locked -p sessiongate",
        ))?,
    };
    let machine = Machine::inspect(&gate, std::thread::available_parallelism()?.get());
    let lab = Lab::open(gate)?;
    let Machine {
        date,
        processor,
        cores,
        kernel,
        ..
    } = machine;
    println!("{date}: {processor}, {cores} cores, Linux {kernel}.");
    let tables = match what {
        Measurement::Changes(changes) => lateness::measure(&lab, *changes)?,
        Measurement::Faults(faults) => {
            if faults.contains(&Fault::Clocks) {
                packages::install("faketime", "faketime")?;
            }
            println!("{}", faults::explained());
            vec![faults::each(&lab, faults)?]
        }
        Measurement::FaultsFor(lasting) => {
            println!("{}", faults::explained());
            let (late, memory) = faults::at_random(&lab, *lasting)?;
            vec![late, memory]
        }
    };
    for table in tables {
        let text = match markdown {
            true => table.markdown(),
            false => table.text(),
        };
        println!("{text}");
    }
    Ok(())
}

/// The number of gates.
const NODES: usize = 3;

